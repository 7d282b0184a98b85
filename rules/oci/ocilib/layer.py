"""What an image has to know about a layer, found from the layer's bytes."""

from __future__ import annotations

from ocilib import jsontext
from ocilib.compression import CompressionError, compress, decompress, magic
from ocilib.digest import Hasher, HashingWriter, chunks, hash_chunks
from ocilib.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO


class Layer:
    """A layer: digest and size of its blob, digest of its uncompressed tar (diff id), compression ("", "gzip" or "zstd")."""

    __slots__ = ("compression", "diff_id", "digest", "size")

    def __init__(self, digest: str, diff_id: str, compression: str, size: int) -> None:
        self.digest = digest
        self.diff_id = diff_id
        self.compression = compression
        self.size = size

    def to_json(self) -> str:
        """The content of a descriptor file; the names are those of upstream's rules_oci."""
        return jsontext.dumps({"digest": self.digest, "diffid": self.diff_id, "compression": self.compression, "size": self.size}) + "\n"


def from_json(data: bytes, name: str) -> Layer:
    """Reads what `Layer.to_json` wrote."""
    value = jsontext.parse_object(data, name)
    digest, diff_id, compression, size = (value.get(key) for key in ("digest", "diffid", "compression", "size"))
    if not (isinstance(digest, str) and isinstance(diff_id, str) and isinstance(compression, str) and isinstance(size, int)):
        raise jsontext.JsonError(f"{name}: not the descriptor of a layer")
    return Layer(digest, diff_id, compression, size)


def describe(stream: BinaryIO, name: str, libzstd: str | None = None) -> Layer:
    """Describes the layer in STREAM; LIBZSTD is for `compression.decompress`.

    As in upstream's rules_oci, a layer is taken as it is: what is damaged Zstandard, or no tar, is a layer without compression.

    Raises:
        CompressionError: damaged gzip data.
    """
    kind = magic(stream)
    diff: Hasher | None = None
    if kind:
        try:
            diff = hash_chunks(decompress(stream, kind, name, libzstd))
        except Error:
            if kind == "gzip":
                raise
        stream.seek(0)
    blob = hash_chunks(chunks(stream.read))
    if diff is None:
        return Layer(blob.digest(), blob.digest(), "", blob.size)
    return Layer(blob.digest(), diff.digest(), kind, blob.size)


def write_compressed(tar: BinaryIO, kind: str, blob: BinaryIO, libraries: list[str]) -> Layer:
    """Compresses TAR into BLOB and describes that layer, in one pass; LIBRARIES are for `compression.compress`."""
    diff = Hasher()
    out = HashingWriter(blob)

    def hashed() -> Iterator[bytes]:
        for part in chunks(tar.read):
            diff.write(part)
            yield part

    for part in compress(hashed(), kind, libraries):
        out.write(part)
    return Layer(out.digest(), diff.digest(), kind, out.size)


__all__ = ["CompressionError", "Layer", "describe", "from_json", "write_compressed"]
