"""Bytes that can be read anywhere, however large: what the formats are parsed from; and how much of them may be opened."""

import io
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, BinaryIO

from image_hash import limits
from image_hash.errors import CheckError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK = 1 << 18
# What is decompressed stays in memory up to here, and goes to a temporary file beyond.
_IN_MEMORY = 8 << 20


class FormatError(CheckError):
    """The content is not what its format demands: truncated, damaged, or made to mislead."""


class LimitError(CheckError):
    """The content is larger, deeper or has more members than limits.py allows."""


class Content:
    """The bytes of a file, or a part of one.

    Not safe for threads: two contents of one file share its position.

    Attributes:
        size: bytes.
    """

    __slots__ = ("_file", "_offset", "size")

    def __init__(self, file: IO[bytes], offset: int = 0, size: int | None = None) -> None:
        """Takes SIZE bytes of FILE, which can seek and stays open, from OFFSET on; all that follow if SIZE is None."""
        self._file = file
        self._offset = offset
        self.size = file.seek(0, io.SEEK_END) - offset if size is None else size

    @classmethod
    def of(cls, data: bytes) -> "Content":
        """The content DATA."""
        return cls(io.BytesIO(data), 0, len(data))

    def read(self, offset: int = 0, count: int | None = None) -> bytes:
        """COUNT bytes from OFFSET on, or what is there of them; all that follow if COUNT is None."""
        left = max(self.size - offset, 0)
        count = left if count is None else min(count, left)
        self._file.seek(self._offset + offset)
        data = self._file.read(count)
        if len(data) != count:
            raise CheckError(
                f"expected {count} bytes at {self._offset + offset} of a file, found {len(data)}: it changed while it was read"
            )
        return data

    def exactly(self, offset: int, count: int, what: str) -> bytes:
        """COUNT bytes from OFFSET on.

        Raises:
            FormatError: the content ends before them; the message says WHAT they were to be.
        """
        if count < 0 or offset < 0 or offset + count > self.size:
            raise FormatError(f"truncated: {count} bytes for {what} expected at byte {offset}, of {self.size}")
        return self.read(offset, count)

    def part(self, offset: int, size: int, what: str) -> "Content":
        """SIZE bytes from OFFSET on, not read.

        Raises:
            FormatError: the content ends before them; the message says WHAT they were to be.
        """
        if size < 0 or offset < 0 or offset + size > self.size:
            raise FormatError(f"truncated: {size} bytes for {what} expected at byte {offset}, of {self.size}")
        return Content(self._file, self._offset + offset, size)

    def chunks(self) -> Iterator[bytes]:
        """All bytes, in order."""
        for offset in range(0, self.size, CHUNK):
            yield self.read(offset, CHUNK)

    def file(self) -> BinaryIO:
        """The same as a binary file to read, for parsers that want one."""
        return io.BufferedReader(_Raw(self), CHUNK)


class _Raw(io.RawIOBase):
    def __init__(self, content: Content) -> None:
        self._content = content
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._content.size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer)
        data = self._content.read(self._position, len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


def equal(left: Content, right: Content) -> bool:
    """Whether both have the same bytes."""
    return left.size == right.size and all(a == b for a, b in zip(left.chunks(), right.chunks(), strict=True))


class _Temporary(tempfile.SpooledTemporaryFile[bytes]):
    """Closed with the last content that is a part of it."""

    def __del__(self) -> None:
        self.close()


class Budget:
    """How much may still be opened; one for all that is explained together, so that many small bombs are no way around."""

    def __init__(self, expansion: int = limits.NESTED_EXPANSION, members: int = limits.NESTED_MEMBERS) -> None:
        """Allows EXPANSION bytes in all and MEMBERS for each archive."""
        self._expansion = expansion
        self._left = expansion
        self._members = members

    def expand(self, parts: Iterable[bytes]) -> Content:
        """Keeps PARTS, the content of something compressed, as a content of its own.

        Raises:
            LimitError: there is more of them than the budget has left.
        """
        file = _Temporary(max_size=_IN_MEMORY)
        size = 0
        for part in parts:
            self._left -= len(part)
            if self._left < 0:
                raise LimitError(f"what is compressed in it expands to more than {self._expansion} bytes")
            file.write(part)
            size += len(part)
        return Content(file, 0, size)

    def check_members(self, count: int) -> None:
        """Refuses an archive of more than the allowed members.

        Raises:
            LimitError: it has more.
        """
        if count > self._members:
            raise LimitError(f"it has more than {self._members} members")
