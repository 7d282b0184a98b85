"""Streams over blobs: parts of a file, decompressed content, and all of them checked against what was promised."""

import hashlib
import io
import os
from collections.abc import Iterator
from typing import BinaryIO, Protocol

import zstandard
from image_hash import limits
from image_hash.errors import CheckError
from ocilib import compression
from ocilib.digest import CHUNK
from ocilib.errors import Error as OcilibError

# zstd's own limit for streams whose author did not ask for more (--long): 128 MiB.
_MAX_WINDOW = 1 << 27


class Source(Protocol):
    """What `verified` reads."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fills BUFFER from its start as far as is convenient; 0 at the end."""

    def close(self) -> None:
        """Frees what it holds."""


class Range:
    """SIZE bytes from OFFSET on of the open file FILE, which stays open and whose position does not matter."""

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self._file = file
        self._offset = offset
        self._end = offset + size

    def readinto(self, buffer: memoryview, /) -> int:
        """See Source."""
        count = os.preadv(self._file.fileno(), [buffer[: self._end - self._offset]], self._offset)
        self._offset += count
        return count

    def close(self) -> None:
        """See Source."""


class _Parts:
    """The bytes that PARTS yields; BLOB is closed with it."""

    def __init__(self, parts: Iterator[bytes], blob: BinaryIO) -> None:
        self._parts = parts
        self._blob = blob
        self._rest = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        """See Source."""
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._rest = memoryview(part)
        count = min(len(self._rest), len(buffer))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        """See Source."""
        self._blob.close()


class _Verified(io.RawIOBase):
    def __init__(self, source: Source, what: str, digest: str | None, size: int | None, longest: int) -> None:
        self._source = source
        self._what = what
        self._digest = digest
        self._size = size
        self._longest = longest
        self._hash = hashlib.sha256()
        self._found = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview", /) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        filled = 0
        # As much as fits: whoever peeks wants to see more than one byte.
        while filled < len(view):
            try:
                count = self._source.readinto(view[filled:])
            except (OcilibError, OSError, zstandard.ZstdError) as error:
                raise CheckError(_message(self._what, error)) from error
            if not count:
                break
            filled += count
        if self._digest is not None:
            self._hash.update(view[:filled])
        self._found += filled
        self._check(ended=filled < len(view))
        return filled

    def _check(self, *, ended: bool) -> None:
        if self._found > self._longest:
            raise CheckError(f"{self._what}: more than {self._longest} bytes come out of it, which is refused: a decompression bomb?")
        if self._size is not None and (self._found > self._size or (ended and self._found < self._size)):
            found = "more" if self._found > self._size else f"only {self._found}"
            raise CheckError(f"{self._what}: expected {self._size} bytes, found {found}; get it again")
        digest = f"sha256:{self._hash.hexdigest()}" if ended else self._digest
        if self._digest not in (None, digest):
            raise CheckError(f"{self._what}: expected the digest {self._digest}, found {digest}; it is damaged, get it again")

    def close(self) -> None:
        self._source.close()
        super().close()


def verified(source: Source, what: str, *, digest: str | None = None, size: int | None = None, longest: int = limits.MAX_TAR) -> BinaryIO:
    """Checks what SOURCE gives: at the end for the digest and too little, at once for too much.

    Args:
        source: the bytes; closed with the stream.
        what: names it in messages.
        digest: what all bytes must hash to; None to hash nothing.
        size: how many bytes there must be.
        longest: how many there may be.

    Returns:
        A stream that cannot seek. Reading raises CheckError; who stops before the end has checked nothing.
    """
    return io.BufferedReader(_Verified(source, what, digest, size, longest), CHUNK)


def decompressed(blob: BinaryIO, what: str, stored: int) -> tuple[Source, str]:
    """The content of BLOB, which has STORED bytes, and how it was compressed: "gzip", "zstd", or "" for not at all.

    Told by its first bytes, as container runtimes do, not by its media type. The caller limits how much it reads.
    """
    assert isinstance(blob, io.BufferedReader)
    kind = compression.kind_of(blob.peek(4)[:4]) if stored else ""
    if kind == "gzip":
        return _Parts(compression.decompress(blob, kind, what), blob), kind
    if kind == "zstd":
        decoder = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        return decoder.stream_reader(blob, CHUNK, read_across_frames=True), kind
    return blob, kind


def _message(what: str, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{what}: cannot be read: {error.strerror or error}"
    if isinstance(error, zstandard.ZstdError):
        return f"{what}: damaged Zstandard data ({error})"
    text = str(error)
    return text if text.startswith(what) else f"{what}: {text}"
