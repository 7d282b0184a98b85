"""write_archive.py OUTPUT LAYOUT FORMAT TAGS_FILE: writes an image as an archive for `docker load`."""

from __future__ import annotations

import sys

from ocilib import archive


def main(output: str, layout: str, form: str, tags_file: str) -> None:
    """Writes OUTPUT."""
    with open(tags_file, encoding="utf-8") as file:
        tags = file.read().split()
    with open(output, "wb") as sink:
        archive.write(layout, form, tags, sink)


if __name__ == "__main__":
    main(*sys.argv[1:])
