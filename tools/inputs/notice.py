"""Writes NOTICE, the licences of what the images contain, and tools/inputs/licences.json, those of all inputs.

    bazel run //tools/inputs:notice -- --check | --update

Both commands read every licence again from the files in Bazel's repository cache and from the POMs that the machine's Maven client brings.
--check compares, --update rewrites. Exit codes: see tools/image_hash/image_hash/errors.py.
"""

import json
import pathlib
import tempfile
import textwrap
from collections.abc import Mapping, Sequence

from absl import flags
from image_hash import errors

from tools.inputs import licences as licence_reader
from tools.inputs import locks, reach, workspace

_CHECK = flags.DEFINE_bool("check", False, "Compare NOTICE and licences.json with the inputs; exit code 1 if they differ.")
_UPDATE = flags.DEFINE_bool("update", False, "Rewrite NOTICE and licences.json.")

NOTICE = "NOTICE"
LICENCES = "tools/inputs/licences.json"
REACH = "tools/inputs/reach_of_images.txt"
_UPDATE_COMMAND = "bazel run //tools/inputs:notice -- --update"

_HEAD = """\
Federated compute backend of On-Device Personalization

This repository's own code is licensed under the Apache License, Version 2.0: see LICENSE.

The container images that it builds hold software of others, listed below with name, version and licence: an SPDX expression
(https://spdx.org/licenses/) as its distributor states it, where LicenseRef-NAME is a licence that SPDX has no identifier for. The texts are
in the images:

  Debian packages (deb)     /usr/share/doc/PACKAGE/copyright
  Java libraries (maven)    META-INF in each jar, below BOOT-INF/lib in the application's jar
  Python packages (wheel)   PACKAGE-VERSION.dist-info, below /task_builder/task_builder.runfiles/pypi_PACKAGE/site-packages
  CPython                   lib/python3.10/LICENSE.txt, below /task_builder/task_builder.runfiles/python_x86_64-unknown-linux-gnu

aggregator, model_updater and task_scheduler hold two libraries of the wheel tensorflow-cpu; its texts are in
/usr/share/doc/tensorflow there.

This file is made by: bazel run //tools/inputs:notice -- --update
"""


def licences_text(licences: Mapping[str, str]) -> str:
    """The text of licences.json: sorted, one input a line."""
    lines = [f"  {json.dumps(key)}: {json.dumps(licence)}" for key, licence in sorted(licences.items())]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_licences(inputs: Sequence[locks.Input], path: pathlib.Path) -> dict[str, str]:
    """Reads licences.json.

    Raises:
        errors.CheckError: it has not exactly the inputs of the locks.
    """
    licences: dict[str, str] = json.loads(path.read_text("utf-8"))
    different = sorted({item.key for item in inputs} ^ licences.keys())
    if different:
        raise errors.CheckError(f"{LICENCES} does not have the inputs of the locks, first {different[0]!r}; run: {_UPDATE_COMMAND}")
    return licences


def text(inputs: Sequence[locks.Input], reaches: Mapping[str, reach.Reach], licences: Mapping[str, str]) -> str:
    """The text of NOTICE: a part for each set of images that share inputs, the largest set first."""
    parts: dict[tuple[str, ...], list[str]] = {}
    for item in inputs:
        images = reaches[item.sha256].contained_in
        if images:
            parts.setdefault(images, []).extend(
                textwrap.wrap(
                    f"{item.name} {item.version} ({item.kind}): {licences[item.key]}",
                    width=120,
                    initial_indent="  ",
                    subsequent_indent="      ",
                    break_long_words=False,
                    break_on_hyphens=False,
                )
            )
    lines = [_HEAD]
    for images, entries in sorted(parts.items(), key=lambda part: (-len(part[0]), part[0])):
        heading = f"In {', '.join(images)}"
        lines += ["", heading, "-" * len(heading), "", *entries, ""]
    return "\n".join(lines).rstrip() + "\n"


def _replace(path: pathlib.Path, new: str) -> None:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".new.", delete=False) as file:
        file.write(new)
    partial = pathlib.Path(file.name)
    partial.chmod(0o644)
    partial.replace(path)


def main(argv: list[str]) -> None:
    """Checks or rewrites the files of the workspace that `bazel run` was called in."""
    if argv or _CHECK.value == _UPDATE.value:
        raise errors.UsageError("bazel run //tools/inputs:notice -- --check | --update")
    inputs = workspace.locked()
    cache = workspace.repository_cache()
    workspace.fetch(inputs, cache)
    missing = [workspace.where_missing(item, cache) for item in inputs if not workspace.file_in(cache, item.sha256).exists()]
    for line in missing:
        print(line)
    if missing:
        raise errors.CheckError(f"licences are read from the files of the inputs, of which {len(missing)} are missing")
    licences = licence_reader.read(inputs, lambda item: workspace.file_in(cache, item.sha256))
    reaches = reach.join(inputs, workspace.runfile(REACH).read_text("utf-8").splitlines())
    wanted = {NOTICE: text(inputs, reaches, licences), LICENCES: licences_text(licences)}
    for name, content in wanted.items():
        path = workspace.root() / name
        if _UPDATE.value:
            _replace(path, content)
        elif not path.exists() or path.read_text("utf-8") != content:
            raise errors.MismatchError(f"{name} is not what the inputs say; run: {_UPDATE_COMMAND}")
    print(f"{' and '.join(wanted)} {'are up to date' if _UPDATE.value else 'are what the inputs say'}: {len(inputs)} inputs")


if __name__ == "__main__":
    errors.run(main)
