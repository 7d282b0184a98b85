"""What a layer's tar holds, read once as a stream, and how two entries differ apart from their data.

Formats: POSIX ustar and pax, GNU tar manual ("Basic Tar Format"); entries are parsed by ocilib.tarcheck.
"""

import datetime as dt
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, Protocol

from image_hash import causes, limits
from image_hash.causes import Cause
from image_hash.errors import CheckError
from image_hash.formats.content import Content
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


# Data of one entry that are held in memory on both sides.
_IN_MEMORY = 16 << 20


class Source(Protocol):
    """A tar that is being read."""

    def read(self, count: int, /) -> bytes:
        """COUNT bytes; fewer only at the end."""


class Entry:
    """An entry of a tar.

    Attributes:
        path: without "./" and final slash; "" is the root.
        member: what the headers say.
        digest: sha256 of the data, or a mark that the other tar has equal data there; empty for what has none.
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

    def __init__(self, stream: Source) -> None:
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


class _Walk:
    """A tar that is read entry by entry."""

    def __init__(self, stream: Source, name: str) -> None:
        self._tap = _Tap(stream)
        self._members = tarcheck.members(self._tap, name)
        self._name = name
        self._entries: list[Entry] = []
        self._end = 0
        self._hash: hashlib._Hash | None = None

    def next(self) -> Entry | None:
        """Reads the data of the entry that was returned last, and the headers of the next one; None behind the last."""
        member = next(self._members, None)
        self._finish()
        if member is None:
            return None
        if len(self._entries) == limits.MAX_ENTRIES:
            raise CheckError(f"{self._name}: expected at most {limits.MAX_ENTRIES} entries, found more")
        entry = Entry(member, self._tap.headers())
        self._entries.append(entry)
        self._end = member.offset + member.size + -member.size % BLOCK
        self._hash = hashlib.sha256()
        self._tap.pass_on(member.size, self._hash.update)
        return entry

    def collect(self) -> list[bytes]:
        """Where the next call of `next` puts the data, instead of hashing them."""
        parts: list[bytes] = []
        self._hash = None
        self._tap.pass_on(self._entries[-1].member.size, parts.append)
        return parts

    def index(self) -> Index:
        """The entries, when all were read."""
        return Index(self._entries, self._end, self._tap.size)

    def _finish(self) -> None:
        if not self._entries or not self._entries[-1].member.size:
            return
        entry = self._entries[-1]
        if self._hash:
            entry.digest = self._hash.digest()
        padding = self._tap.padding()
        if padding.count(0) != len(padding):
            entry.padding = hashlib.sha256(padding).digest()


class Kept:
    """Data of some entries of a tar, in a file.

    Attributes:
        places: number of an entry -> offset in the file, size.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Takes an empty file, which stays open."""
        self._file = file
        self.places: dict[int, tuple[int, int]] = {}

    def add(self, number: int, parts: Sequence[bytes]) -> None:
        """Keeps the data of the entry NUMBER."""
        write = self.start(number, sum(map(len, parts)))
        for part in parts:
            write(part)

    def start(self, number: int, size: int) -> Callable[[bytes], object]:
        """What takes the SIZE bytes of the entry NUMBER, before any other data are kept."""
        self.places[number] = self._file.seek(0, 2), size
        return self._file.write

    def content(self, number: int) -> Content:
        """The data of an entry; nothing if it has none."""
        return Content(self._file, *self.places.get(number, (0, 0)))


def read_index(stream: Source, name: str) -> Index:
    """Reads a whole tar; NAME is for messages.

    Raises:
        ocilib.errors.Error: it is no tar, or damaged.
        CheckError: it has too many entries, or it cannot be read.
    """
    walk = _Walk(stream, name)
    while walk.next():
        pass
    return walk.index()


def read_pair(streams: tuple[Source, Source], name: str, kept: tuple[Kept, Kept], wanted: Callable[[Entry], bool]) -> tuple[Index, Index]:
    """Reads two tars beside each other: as long as both have the same paths, data are compared as they come, and not hashed.

    Args:
        streams: the tars.
        name: for messages.
        kept: takes what differs on the way, if it is not too large to be held in memory, and what is WANTED; nothing else.
        wanted: tells of an entry whether its data are to be kept in any case.

    Raises:
        ocilib.errors.Error: one is no tar, or damaged.
        CheckError: one has too many entries, or cannot be read.
    """
    walks = _Walk(streams[0], name), _Walk(streams[1], name)
    left, right = (walk.next() for walk in walks)
    number = 0
    while left and right and left.path == right.path:
        if max(left.member.size, right.member.size) > _IN_MEMORY:
            left, right = (walk.next() for walk in walks)
        else:
            entries = left, right
            data = walks[0].collect(), walks[1].collect()
            left, right = (walk.next() for walk in walks)
            differ = data[0] != data[1]
            for entry, parts, keeper in zip(entries, data, kept, strict=True):
                if parts:
                    # Numbers are equal on both sides for the entries that are paired with each other.
                    entry.digest = hashlib.sha256(b"".join(parts)).digest() if differ else b"equal %d" % number
                if differ or wanted(entry):
                    keeper.add(number, parts)
        number += 1
    with ThreadPoolExecutor(2) as executor:
        for job in [
            executor.submit(_read_rest, walk, entry, number, keeper, wanted)
            for walk, entry, keeper in zip(walks, (left, right), kept, strict=True)
        ]:
            job.result()
    return walks[0].index(), walks[1].index()


def _read_rest(walk: _Walk, entry: Entry | None, number: int, kept: Kept, wanted: Callable[[Entry], bool]) -> None:
    while entry:
        parts = walk.collect() if wanted(entry) else None
        following = walk.next()
        if parts is not None:
            entry.digest = hashlib.sha256(b"".join(parts)).digest() if parts else b""
            kept.add(number, parts)
        entry = following
        number += 1


def keep_more(stream: Source, name: str, numbers: Iterable[int], kept: Kept) -> None:
    """Reads a tar again as far as it must, to keep the data of the entries NUMBERS, however large; NAME is for messages."""
    missing = frozenset(numbers)
    last = max(missing)
    tap = _Tap(stream)
    for number, member in enumerate(tarcheck.members(tap, name)):
        if number > last:
            break
        tap.headers()
        tap.padding()
        tap.pass_on(member.size, kept.start(number, member.size) if number in missing else None)


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
    elif not found and a.size == b.size:
        # The same, said with other bytes.
        cause = causes.TAR_FORMAT if left.pax == right.pax else causes.PAX_HEADER
        yield cause, f"{left.form}, header {left.headers.hex()[:12]}", f"{right.form}, header {right.headers.hex()[:12]}"


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
