"""Writes docs/causes.md from the list of causes; a test says when it has to be written again.

bazel run //docs:causes_page
"""

import os
import pathlib

from image_hash import causes, errors, files

PAGE = "docs/causes.md"

_HEAD = """\
# Causes of differences

What `image_hash compare` calls a difference between two images, from the outside of an image to the inside of its files. The names are
stable: programs may rely on them. A cause is named only if the bytes show it; what fits none is *unknown*, never a guess.

Written from tools/image_hash/image_hash/causes.py by `bazel run //docs:causes_page`; do not edit.

| cause | what differs | what to do |
|---|---|---|
"""


def text() -> str:
    """The page."""
    return _HEAD + "".join(f"| {cause.name} | {cause.meaning} | {cause.advice} |\n" for cause in causes.ALL)


def main(argv: list[str]) -> None:
    """Writes the page of the workspace that `bazel run` was called in."""
    if argv:
        raise errors.UsageError(f"causes_page takes no arguments, found {argv[0]!r}")
    files.write(pathlib.Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."), PAGE), text().encode())


if __name__ == "__main__":
    errors.run(main)
