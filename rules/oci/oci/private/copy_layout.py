"""copy_layout.py OUTPUT FILE...: makes the folder of an OCI layout of the files of one."""

from __future__ import annotations

import os
import shutil
import sys


def main(output: str, files: list[str]) -> None:
    """Copies FILES to OUTPUT, blobs to where their digests say."""
    for file in files:
        parts = file.split("/")
        path = "/".join(parts[-3:]) if len(parts) > 2 and parts[-3] == "blobs" else parts[-1]
        target = f"{output}/{path}"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(file, target)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
