"""load_main.py RUNFILES CONFIG: what `bazel run` of an oci_load starts.

CONFIG is JSON with `image` (layout), `tags_file` and `loader` (all within RUNFILES, loader may be ""), and `format`. The archive goes
straight into the engine: it is never written to disk.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from ocilib import archive, jsontext
from ocilib.errors import Error

_ENGINES = ("docker", "podman", "nerdctl")
_USAGE = 64


class LoadError(Error):
    """No engine, or it did not take the archive."""


def main(runfiles: str, config_file: str, arguments: list[str]) -> None:
    """Loads the image into the engine."""
    if arguments:
        print(f"usage: expected no arguments, found {arguments[0]!r}; other engines: the attribute loader", file=sys.stderr)
        sys.exit(_USAGE)
    with open(config_file, "rb") as file:
        config = {key: str(value) for key, value in jsontext.parse_object(file.read(), config_file).items()}
    with open(f"{runfiles}/{config['tags_file']}", encoding="utf-8") as text:
        tags = text.read().split()
    found = f"{runfiles}/{config['loader']}" if config["loader"] else next(filter(None, map(shutil.which, _ENGINES)), None)
    if not found:
        raise LoadError(f"expected one of {', '.join(_ENGINES)} on the PATH; another engine: the attribute loader of oci_load")
    engine = os.path.basename(found)
    with subprocess.Popen([found, "load"], stdin=subprocess.PIPE) as process:
        assert process.stdin
        broken = False
        try:
            with process.stdin:
                archive.write(f"{runfiles}/{config['image']}", config["format"], tags, process.stdin)
        except BrokenPipeError:
            broken = True
        code = process.wait()
    if code or broken:
        raise LoadError(f"{engine} load has not taken the image (exit code {code}); see what it says above")
    print(
        f"loaded {' '.join(tags)}. An engine compresses layers again: `{engine} push` and plain `skopeo copy` give it another digest."
        "\n"
        "These keep it: bazel run of an oci_push, and skopeo copy --preserve-digests from the OCI layout."
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
