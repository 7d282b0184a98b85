"""Prints every external input: name, version, sha256, size, licence, and which images it reaches.

    bazel run //tools/inputs:list -- [--json]

An input reaches an image by being in it (contained_in), or by helping to make it (used_for): a compiler, a code generator, Bazel. Inputs
that do neither serve tests, lint or the build environment only. Exit codes: see tools/image_hash/image_hash/errors.py.
"""

import json
from collections.abc import Mapping, Sequence

from absl import flags
from image_hash import errors

from tools.inputs import locks, notice, reach, workspace

_JSON = flags.DEFINE_bool("json", False, "Print JSON: one object for each input, sizes in bytes.")

_LICENCE_WIDTH = 40


def to_json(inputs: Sequence[locks.Input], reaches: Mapping[str, reach.Reach], licences: Mapping[str, str]) -> str:
    """The inputs as JSON, one a line."""
    lines = [
        json.dumps(
            {
                "name": item.name,
                "version": item.version,
                "sha256": item.sha256,
                "size": item.size,
                "kind": item.kind,
                "licence": licences[item.key],
                "contained_in": reaches[item.sha256].contained_in,
                "used_for": reaches[item.sha256].used_for,
            }
        )
        for item in inputs
    ]
    return '{"inputs": [\n' + ",\n".join(lines) + "\n]}"


def _images(names: Sequence[str], of: int) -> str:
    return "all" if len(names) == of else ", ".join(names) or "-"


def table(inputs: Sequence[locks.Input], reaches: Mapping[str, reach.Reach], licences: Mapping[str, str]) -> str:
    """The inputs as a table; sizes in bytes; long licences are cut, --json has them whole."""
    of = len({image for found in reaches.values() for image in (*found.contained_in, *found.used_for)})
    rows = [("kind", "name", "version", "size", "licence", "in images", "used for images", "sha256")]
    for item in inputs:
        licence = licences[item.key]
        found = reaches[item.sha256]
        rows.append(
            (
                item.kind,
                item.name,
                item.version,
                str(item.size),
                licence if len(licence) <= _LICENCE_WIDTH else licence[: _LICENCE_WIDTH - 3] + "...",
                _images(found.contained_in, of),
                _images(found.used_for, of),
                item.sha256,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(f"{cell:{'>' if n == 3 else '<'}{widths[n]}}" for n, cell in enumerate(row)).rstrip() for row in rows)


def main(argv: list[str]) -> None:
    """Lists the inputs of the workspace that `bazel run` was called in."""
    if argv:
        raise errors.UsageError(f"bazel run //tools/inputs:list -- [--json]; it takes no arguments, found {argv[0]!r}")
    inputs = workspace.locked()
    licences = notice.read_licences(inputs, workspace.runfile(notice.LICENCES))
    reaches = reach.join(inputs, workspace.runfile(notice.REACH).read_text("utf-8").splitlines())
    print(to_json(inputs, reaches, licences) if _JSON.value else table(inputs, reaches, licences))


if __name__ == "__main__":
    errors.run(main)
