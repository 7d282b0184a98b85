"""extract_protos.py JAR FOLDER: writes the google/protobuf/*.proto of a jar into a folder."""

from __future__ import annotations

import pathlib
import sys
import zipfile


def main(jar: str, folder: str) -> None:
    """Extracts the .proto files that lie in google/protobuf/."""
    with zipfile.ZipFile(jar) as archive:
        protos = [n for n in archive.namelist() if n.startswith("google/protobuf/") and n.endswith(".proto")]
        if not protos:
            sys.exit(f"extract_protos: {jar}: no google/protobuf/*.proto inside: this is not the jar of protobuf-java")
        for name in protos:
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(name))


if __name__ == "__main__":
    main(*sys.argv[1:])
