"""Reads the headers of a tar as a stream and refuses what must not be in a layer.

A container runtime unpacks what it can of a damaged tar, or leaves the layer's folder through an absolute or `..` path; a build has to
stop before. Formats: v7, ustar, GNU (long names, base 256) and pax, as in POSIX pax and the GNU tar manual.
"""

from __future__ import annotations

from ocilib.tarwriter import BLOCK, TarError, path_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_ZERO = bytes(BLOCK)
_CHUNK = 1 << 18
_KINDS = {
    0: "file",  # NUL: v7's regular file
    ord("0"): "file",
    ord("1"): "hardlink",
    ord("2"): "symlink",
    ord("3"): "character device",
    ord("4"): "block device",
    ord("5"): "directory",
    ord("6"): "fifo",
    ord("7"): "file",  # contiguous, which every reader takes for regular
}
# A long name or a set of pax records beyond this is no path but an attack on the reader's memory.
_MAX_EXTENSION = 1 << 20


class Member:
    """One entry: path as stored, kind, size and position of its data, mode, owner, time, link target.

    And what else its headers state: names of the owner, major and minor number of a device, its own pax records.
    """

    __slots__ = ("device", "gid", "gname", "kind", "link", "mode", "mtime", "offset", "path", "pax", "size", "uid", "uname")

    def __init__(
        self,
        path: str,
        kind: str,
        size: int,
        offset: int,
        mode: int,
        uid: int,
        gid: int,
        mtime: int,
        link: str,
        uname: str,
        gname: str,
        device: tuple[int, int],
        pax: dict[str, str],
    ) -> None:
        self.path = path
        self.kind = kind
        self.size = size
        self.offset = offset
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.mtime = mtime
        self.link = link
        self.uname = uname
        self.gname = gname
        self.device = device
        self.pax = pax


def check_tar(stream: BinaryIO | Pipe, name: str) -> None:
    """Reads all of STREAM, a tar that is not compressed; NAME is for messages.

    Raises:
        TarError: it is truncated, is no tar, goes on after its end, or an entry is twice in it, is absolute, has `..`, or is a hard link to
            what did not come before.
    """
    seen: set[str] = set()
    for member in members(stream, name):
        path = member.path.rstrip("/")
        problem = path_error(path)
        if problem:
            raise TarError(f"{name}: the path {member.path!r} of an entry {problem}; a layer's paths are relative and below its root")
        path = _normal(path)
        if member.kind == "hardlink" and _normal(member.link) not in seen:
            raise TarError(f"{name}: the hard link {member.path!r} names {member.link!r}, which is not an earlier entry")
        if path in seen and member.kind != "directory":
            raise TarError(f"{name}: two entries have the path {member.path!r}; which one wins depends on the reader")
        seen.add(path)


def members(stream: BinaryIO | Pipe, name: str) -> Iterator[Member]:
    """Yields the entries of STREAM; the caller may read the data of a member, if the stream can seek.

    Raises:
        TarError: the tar is damaged.
    """
    reader = _Reader(stream, name)
    long_name = long_link = None
    pax: dict[str, str] = {}
    while True:
        start = reader.position
        header = reader.take(BLOCK, "an entry or the end")
        if header == _ZERO:
            if long_name is not None or long_link is not None or pax:
                raise TarError(f"{name}: damaged tar: the end follows a header that belongs to an entry (byte {start})")
            reader.end()
            return
        kind, size = reader.parse(header, start)
        if kind in b"LK":
            value = _text(reader.extension(size).partition(b"\0")[0])
            if kind == ord("L"):
                long_name = value
            else:
                long_link = value
            continue
        if kind == ord("x"):
            pax = _pax(reader.extension(size), f"{name}, byte {start}")
            continue
        if kind == ord("g"):
            if not {"path", "linkpath", "size"}.isdisjoint(_pax(reader.extension(size), f"{name}, byte {start}")):
                raise TarError(f"{name}: a global pax header sets path, linkpath or size of all entries (byte {start})")
            continue
        if kind not in _KINDS:
            raise TarError(
                f"{name}: entry of unsupported type {chr(kind)!r} at byte {start}: sparse files and the like have no place in a layer"
            )
        path, link = _names(header)
        if long_name is not None:
            path = long_name
        if long_link is not None:
            link = long_link
        path = pax.get("path", path)
        link = pax.get("linkpath", link)
        if "GNU.sparse.major" in pax or "GNU.sparse.map" in pax:
            raise TarError(f"{name}: {path!r} is a sparse file, which has no place in a layer")
        where = f"{name}, byte {start}"
        size = _decimal(pax.get("size", str(size)), where)
        word = _KINDS[kind]
        if word == "file" and path.endswith("/"):
            word = "directory"  # v7 knows no other mark
        # Links and directories may state a size (of the target, of the folder) and have no data.
        data = size if word == "file" else 0
        yield Member(
            path,
            word,
            data,
            reader.position,
            reader.number(header, 100, 8, start) & 0o7777,
            _decimal(pax["uid"], where) if "uid" in pax else reader.number(header, 108, 8, start),
            _decimal(pax["gid"], where) if "gid" in pax else reader.number(header, 116, 8, start),
            # A time may have a fraction; whole seconds will do.
            _decimal(pax["mtime"].partition(".")[0], where) if "mtime" in pax else reader.number(header, 136, 12, start),
            link,
            pax.get("uname", _text(header[265:297].partition(b"\0")[0])),
            pax.get("gname", _text(header[297:329].partition(b"\0")[0])),
            (reader.number(header, 329, 8, start), reader.number(header, 337, 8, start)) if word.endswith(" device") else (0, 0),
            pax,
        )
        reader.skip(data + -data % BLOCK, f"the data of {path!r}")
        long_name = long_link = None
        pax = {}


class Pipe:
    """A stream that is read once, from its parts: a tar as it is decompressed."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._rest = b""

    def seekable(self) -> bool:
        """It is not."""
        return False

    def read(self, count: int) -> bytes:
        """At most COUNT bytes, none at the end."""
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return b""
            self._rest = part
        data = self._rest[:count]
        self._rest = self._rest[count:]
        return data


class _Reader:
    def __init__(self, stream: BinaryIO | Pipe, name: str) -> None:
        self._stream = stream
        self._name = name
        self._size = 0
        self.position = 0
        self._file: BinaryIO | None = None
        if not isinstance(stream, Pipe) and stream.seekable():
            self._file = stream
            self._size = stream.seek(0, 2)
            stream.seek(0)
            if not self._size:
                raise TarError(f"{name}: not a tar: the file is empty")

    def take(self, count: int, what: str) -> bytes:
        if self._file:
            self._file.seek(self.position)
        parts = []
        left = count
        while left:
            data = self._stream.read(left)
            if not data:
                self._truncated(count - left, count, what)
            parts.append(data)
            left -= len(data)
        self.position += count
        return b"".join(parts)

    def skip(self, count: int, what: str) -> None:
        if self._file:
            if self.position + count > self._size:
                self._truncated(self._size - self.position, count, what)
            self.position += count
            return
        left = count
        while left:
            data = self._stream.read(min(left, _CHUNK))
            if not data:
                self._truncated(count - left, count, what)
            left -= len(data)
        self.position += count

    def extension(self, size: int) -> bytes:
        if size > _MAX_EXTENSION:
            raise TarError(f"{self._name}: a header of {size} bytes before byte {self.position}: damaged, or made to hurt")
        return self.take(size + -size % BLOCK, "a long name")[:size]

    def end(self) -> None:
        """Reads what follows the first zero block: a second one, then zeros only."""
        if self.take(BLOCK, "the second block of the end") != _ZERO:
            raise TarError(f"{self._name}: damaged tar: a lone zero block at byte {self.position - 2 * BLOCK}")
        if self._file:
            self._file.seek(self.position)
        while data := self._stream.read(_CHUNK):
            if data.count(0) != len(data):
                raise TarError(f"{self._name}: the tar ends at byte {self.position}, and other data follows")

    def parse(self, header: bytes, start: int) -> tuple[int, int]:
        """Checks the sum; the type and the size."""
        field = header[148:156].strip(b" \0")
        total = sum(header) - sum(header[148:156]) + 8 * 32
        try:
            stated = int(field, 8)
        except ValueError:
            stated = -1
        if stated != total:
            if start == 0:
                raise TarError(f"{self._name}: not a tar: the first 512 bytes are no tar header{_looks_like(header)}")
            raise TarError(f"{self._name}: damaged tar: no valid header at byte {start}")
        return header[156], self.number(header, 124, 12, start)

    def number(self, header: bytes, offset: int, width: int, start: int) -> int:
        field = header[offset : offset + width]
        if field[0] == 0x80:
            return int.from_bytes(field[1:], "big")
        digits = field.strip(b" \0")
        try:
            value = int(digits, 8) if digits else 0
        except ValueError:
            value = -1
        if value < 0:
            raise TarError(f"{self._name}: damaged tar: the header at byte {start} has the number {field!r}")
        return value

    def _truncated(self, got: int, wanted: int, what: str) -> None:
        if self.position == 0:
            raise TarError(f"{self._name}: not a tar: {got} bytes, fewer than one header")
        raise TarError(f"{self._name}: truncated tar: {wanted} bytes for {what} should follow at byte {self.position}, the file has {got}")


def _looks_like(header: bytes) -> str:
    if header[:2] == b"\x1f\x8b":
        return " (it is gzip)"
    if header[:4] == b"\x28\xb5\x2f\xfd":
        return " (it is zstd)"
    if header[:6] == b"\xfd7zXZ\0":
        return " (it is xz)"
    if header[:4] == b"PK\3\4":
        return " (it is a zip)"
    return ""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _normal(path: str) -> str:
    return "/".join([part for part in path.split("/") if part not in ("", ".")])


def _names(header: bytes) -> tuple[str, str]:
    path = _text(header[:100].partition(b"\0")[0])
    link = _text(header[157:257].partition(b"\0")[0])
    # GNU's magic is "ustar  " and uses the place of the prefix for other things.
    if header[257:263] == b"ustar\0":
        prefix = _text(header[345:500].partition(b"\0")[0])
        if prefix:
            path = f"{prefix}/{path}"
    return path, link


def _decimal(text: str, where: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise TarError(f"{where}: damaged tar: {text!r} is no number")
    return int(text)


def _pax(data: bytes, where: str) -> dict[str, str]:
    r"""Parses records of the form b"<length> <key>=<value>\n"."""
    records = {}
    position = 0
    while position < len(data):
        length, blank, _ = data[position : position + 20].partition(b" ")
        size = int(length) if length.isdigit() else 0
        record = data[position : position + size]
        key, equals, value = record[len(length) + 1 : -1].partition(b"=")
        if not blank or not equals or len(record) != size or not record.endswith(b"\n"):
            raise TarError(f"{where}: damaged tar: bad pax header")
        records[_text(key)] = _text(value)
        position += size
    return records
