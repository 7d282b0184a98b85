"""What a layer's tar holds, read once as a stream, and how two entries differ apart from their data.

Formats: POSIX ustar and pax, GNU tar manual ("Basic Tar Format"); entries are parsed by ocilib.tarcheck.
"""

import datetime as dt
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from image_hash import causes, limits
from image_hash.causes import Cause
from image_hash.errors import CheckError
from ocilib import tarcheck
from ocilib.tarwriter import BLOCK, RECORD

_DIGITS = bytes.maketrans(b" 123456789abcdefABCDEF", b"0" * 22)
# Offset and width of the numbers of a header, the check sum included.
_NUMBERS = ((100, 8), (108, 8), (116, 8), (124, 12), (136, 12), (148, 8), (329, 8), (337, 8))
# Magic and version.
_FORMATS = {b"ustar\x0000": "ustar", b"ustar  \0": "GNU", bytes(8): "v7"}
# Two long names and two sets of pax records, each as long as tarcheck lets it be; what follows the last entry is not kept.
_MAX_HEADERS = 5 << 20
# Records that are an entry's path, time and so on, which are compared as such.
_FIELDS = frozenset({"path", "linkpath", "size", "uid", "gid", "uname", "gname", "mtime"})


class Entry:
    """An entry of a tar.

    Attributes:
        path: without "./" and final slash; "" is the root.
        member: what the headers say.
        digest: sha256 of the data; empty for what has none.
        headers: sha256 of all header blocks of the entry.
        pax: sha256 of those among them that are pax headers, of the entry or of all that follow; empty without.
        form: how the headers are written: format, form of the numbers, "./" before paths.
        padding: sha256 of what fills up the last block; empty if that is zeros.
    """

    __slots__ = ("digest", "form", "headers", "member", "padding", "path", "pax")

    def __init__(self, member: tarcheck.Member, headers: bytes) -> None:
        """Takes a member and its header blocks; digest and padding are set when its data were read."""
        self.member = member
        self.path = "/".join(part for part in member.path.split("/") if part not in ("", "."))
        self.digest = b""
        self.headers = hashlib.sha256(headers).digest()
        pax, self.form = _form(headers, member.path)
        self.pax = hashlib.sha256(pax).digest() if pax else b""
        self.padding = b""


class Index:
    """The entries of a tar in their order, and how it ends.

    Attributes:
        entries: in their order.
        tail: bytes that follow the last of them.
        padded: whether they may be the end filled up to a whole record, as tar writes it.
    """

    __slots__ = ("entries", "padded", "tail")

    def __init__(self, entries: list[Entry], end: int, size: int) -> None:
        """Takes the entries, where the last one ends, and the size of the tar."""
        self.entries = entries
        self.tail = size - end
        self.padded = self.tail < 2 * BLOCK + RECORD and not size % RECORD


def ending_difference(left: Index, right: Index) -> tuple[str, str] | None:
    """How the ends of two tars differ; None if not, or if the entries alone are why."""
    if left.tail == right.tail or (left.padded and right.padded):
        return None
    return f"{left.tail} bytes behind the last entry", f"{right.tail} bytes behind the last entry"


class _Tap(tarcheck.Pipe):
    """A tar on its way through tarcheck, which only skips data: keeps header blocks, and passes the data of entries on."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(iter(()))
        self._stream = stream
        self._data: Callable[[bytes], object] | None = None
        self._left = 0
        self._padding = 0
        self._behind = b""
        self._headers: list[bytes] = []
        self._kept = 0
        self.size = 0

    def read(self, count: int) -> bytes:
        data = self._stream.read(count)
        self.size += len(data)
        rest = data
        if self._left:
            own = data if len(data) <= self._left else data[: self._left]
            self._left -= len(own)
            if self._data:
                self._data(own)
            rest = data[len(own) :]
        if self._padding and rest:
            self._behind += rest[: self._padding]
            taken = min(self._padding, len(rest))
            self._padding -= taken
            rest = rest[taken:]
        if rest and self._kept <= _MAX_HEADERS:
            self._headers.append(rest)
            self._kept += len(rest)
        return data

    def headers(self) -> bytes:
        """The header blocks since the last call."""
        if self._kept > _MAX_HEADERS:
            raise CheckError(f"expected an entry of a tar with at most {_MAX_HEADERS} bytes of headers, found more")
        headers = b"".join(self._headers)
        self._headers.clear()
        self._kept = 0
        return headers

    def pass_on(self, size: int, to: Callable[[bytes], object] | None) -> None:
        """The next SIZE bytes are data; they go TO somebody."""
        self._data = to
        self._left = size
        self._padding = -size % BLOCK

    def padding(self) -> bytes:
        """What filled up the block after the last data."""
        behind, self._behind = self._behind, b""
        return behind


def read_index(stream: BinaryIO, name: str) -> Index:
    """Reads a whole tar; NAME is for messages.

    Raises:
        ocilib.errors.Error: it is no tar, or damaged.
        CheckError: it has too many entries, or it cannot be read.
    """
    tap = _Tap(stream)
    entries: list[Entry] = []
    end = 0
    data = hashlib.sha256()
    for member in tarcheck.members(tap, name):
        _finish(entries, tap, data)
        if len(entries) == limits.MAX_ENTRIES:
            raise CheckError(f"{name}: expected at most {limits.MAX_ENTRIES} entries, found more")
        entries.append(Entry(member, tap.headers()))
        data = hashlib.sha256()
        tap.pass_on(member.size, data.update)
        end = member.offset + member.size + -member.size % BLOCK
    _finish(entries, tap, data)
    return Index(entries, end, tap.size)


def _finish(entries: list[Entry], tap: _Tap, data: "hashlib._Hash") -> None:
    if not entries:
        return
    last = entries[-1]
    if last.member.size:
        last.digest = data.digest()
        padding = tap.padding()
        if padding.count(0) != len(padding):
            last.padding = hashlib.sha256(padding).digest()


def copy_data(stream: BinaryIO, name: str, wanted: Iterable[int], file: BinaryIO) -> dict[int, tuple[int, int]]:
    """Copies the data of some entries out of a tar that cannot seek.

    Args:
        stream: the tar.
        name: for messages.
        wanted: numbers of the entries, the first is 0.
        file: takes their data.

    Returns:
        number -> (offset in FILE, size).
    """
    numbers = frozenset(wanted)
    places: dict[int, tuple[int, int]] = {}
    tap = _Tap(stream)
    for number, member in enumerate(tarcheck.members(tap, name)):
        if len(places) == len(numbers):
            break
        tap.headers()
        tap.padding()
        to = file.write if number in numbers else None
        tap.pass_on(member.size, to)
        if to:
            places[number] = (file.tell(), member.size)
    return places


def entry_differences(left: Entry, right: Entry) -> Iterator[tuple[Cause, str, str]]:
    """How two entries of one path differ apart from their data: cause, what the left one has, what the right one has."""
    if left.headers == right.headers and left.padding == right.padding:
        return
    a, b = left.member, right.member
    found = False
    for cause, in_left, in_right in (
        (_kind_cause(a.kind, b.kind), a.kind, b.kind),
        # The mode of a link means nothing: writers put what they like.
        (causes.MODE, f"{a.mode:04o}", f"{b.mode:04o}" if a.kind == b.kind else f"{a.mode:04o}"),
        (causes.OWNER, f"{a.uid}:{a.gid}", f"{b.uid}:{b.gid}"),
        (causes.OWNER_NAME, f"{a.uname}:{a.gname}", f"{b.uname}:{b.gname}"),
        (causes.MTIME, _time(a), _time(b)),
        (causes.LINK_TARGET, a.link, b.link if a.kind == b.kind else a.link),
        (causes.DEVICE_NUMBER, "{}, {}".format(*a.device), "{}, {}".format(*b.device)),
        (causes.PAX_HEADER, *_pax(left, right)),
        (causes.TAR_FORMAT, left.form, right.form),
    ):
        if in_left != in_right:
            found = True
            yield cause, in_left, in_right
    if left.padding != right.padding:
        yield causes.TAR_PADDING, _padding(left), _padding(right)
    elif not found and a.size == b.size and left.pax == right.pax:
        yield causes.TAR_FORMAT, f"{left.form}, header {left.headers.hex()[:12]}", f"{right.form}, header {right.headers.hex()[:12]}"


def _kind_cause(left: str, right: str) -> Cause:
    kinds = {left, right}
    if "symlink" in kinds and kinds & {"file", "directory"}:
        return causes.SYMLINK_VS_FILE
    return causes.HARD_LINK_VS_FILE if kinds == {"hardlink", "file"} else causes.FILE_TYPE


def _pax(left: Entry, right: Entry) -> tuple[str, str]:
    a, b = left.member.pax, right.member.pax
    if bool(left.pax) != bool(right.pax):
        return ("pax header" if left.pax else "none", "pax header" if right.pax else "none")
    keys = sorted(key for key in {*a, *b} if a.get(key) != b.get(key) and not (key in _FIELDS and key in a and key in b))
    if keys:
        return ", ".join(f"{key}={a[key]}" if key in a else f"no {key}" for key in keys), ", ".join(
            f"{key}={b[key]}" if key in b else f"no {key}" for key in keys
        )
    if a == b and left.pax != right.pax:
        # Its own header (GNU tar writes its process id into that name), or a global one.
        return f"pax header {left.pax.hex()[:12]}", f"pax header {right.pax.hex()[:12]}"
    return "", ""


def _time(member: tarcheck.Member) -> str:
    fraction = member.pax.get("mtime", "").partition(".")[2].rstrip("0")
    try:
        moment = dt.datetime.fromtimestamp(member.mtime, dt.timezone.utc)
    except (OverflowError, ValueError, OSError):
        return f"{member.mtime} s{f' .{fraction}' if fraction else ''}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}{f'.{fraction}' if fraction else ''}Z"


def _padding(entry: Entry) -> str:
    return f"bytes {entry.padding.hex()[:12]}" if entry.padding else "zeros"


def _form(headers: bytes, path: str) -> tuple[bytes, str]:
    """The pax headers among HEADERS, and how they are written, for a person."""
    pax = []
    words = []
    position = 0
    while True:
        header = headers[position : position + BLOCK]
        kind = chr(header[156])
        if kind not in "xgLK":
            break
        digits = header[124:136].strip(b" \0")
        size = int.from_bytes(header[125:136], "big") if header[124] == 0x80 else int(digits or b"0", 8)
        end = position + BLOCK + size + -size % BLOCK
        if kind in "xg":
            pax.append(headers[position:end])
        else:
            words.append({"L": "long name", "K": "long link"}[kind])
        position = end
    words.insert(
        0, {b"ustar\x0000": "ustar", b"ustar  \0": "GNU"}.get(header[257:265], "v7" if not any(header[257:265]) else "other magic")
    )
    if header[156] == 0:
        words.append("type NUL")
    shapes = {"binary" if header[at] == 0x80 else header[at : at + width].translate(_DIGITS).decode("latin-1") for at, width in _NUMBERS}
    words += sorted(shape.replace("\0", "_") for shape in shapes)
    if path.startswith("./"):
        words.append("./")
    return b"".join(pax), sys.intern(" ".join(words))
