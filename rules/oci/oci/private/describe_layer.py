"""describe_layer.py TAR DESCRIPTOR [option...]: writes what an image has to know about the layer TAR.

Options:
    --strict: refuse what is no whole tar, or has paths that leave the layer.
    --compress=gzip|zstd BLOB: write TAR compressed to BLOB, and describe that.
    --library=FILE: libz.so.1 or libzstd.so.1 to (de)compress with.
"""

from __future__ import annotations

import sys

from ocilib import layer


def main(arguments: list[str]) -> None:
    """Describes the layer that the arguments name."""
    tar, descriptor = arguments[:2]
    strict = False
    kind = blob = ""
    libraries = []
    options = iter(arguments[2:])
    for option in options:
        if option == "--strict":
            strict = True
        elif option.startswith("--compress="):
            kind = option.partition("=")[2]
            blob = next(options)
        else:
            libraries.append(option.removeprefix("--library="))
    with open(tar, "rb") as stream:
        if kind:
            from ocilib.tarcheck import check_tar

            check_tar(stream, tar)
            stream.seek(0)
            with open(blob, "wb") as out:
                described = layer.write_compressed(stream, kind, out, libraries)
        else:
            libzstd = next((path for path in libraries if "/libzstd.so" in path), None)
            described = layer.describe(stream, tar, libzstd)
            if strict:
                _check(stream, tar, described.compression, libzstd)
    with open(descriptor, "w", encoding="utf-8") as out_descriptor:
        out_descriptor.write(described.to_json())


def _check(stream: BinaryIO, tar: str, compression: str, libzstd: str | None) -> None:
    from ocilib.compression import decompress
    from ocilib.tarcheck import Pipe, check_tar

    stream.seek(0)
    check_tar(Pipe(decompress(stream, compression, tar, libzstd)) if compression else stream, tar)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

if __name__ == "__main__":
    main(sys.argv[1:])
