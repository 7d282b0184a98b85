"""push_main.py RUNFILES CONFIG [flag...]: what `bazel run` of an oci_push starts.

CONFIG is JSON with `image` (layout, within RUNFILES), `repository`, `repository_file` and `tags_file` (within RUNFILES, "" for none).
"""

from __future__ import annotations

import sys

from ocilib import jsontext, push_command


def main(runfiles: str, config_file: str, arguments: list[str]) -> None:
    """Pushes."""
    flags = push_command.parser("Pushes an image to a registry, with the credentials of docker login or podman login.").parse_args(
        arguments
    )
    config = {key: str(value) for key, value in jsontext.parse_object(_read(config_file), config_file).items()}
    repository = config["repository"]
    if config["repository_file"]:
        repository = "".join(_read(f"{runfiles}/{config['repository_file']}").decode().split("\n"))
    tags = _read(f"{runfiles}/{config['tags_file']}").decode().split() if config["tags_file"] else []
    push_command.run(flags, f"{runfiles}/{config['image']}", repository, tags)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
