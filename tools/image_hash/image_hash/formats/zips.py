"""Zip archives, and what is one by another name: jar, war, wheel.

Every byte belongs to something that is compared: the headers of an entry, its data, or what lies between entries. Format: PKWARE's
APPNOTE.TXT 6.3.10 (sections in comments); extra fields also Info-ZIP's extrafld.txt.
"""

import dataclasses
import hashlib
import struct
from collections.abc import Iterator

from image_hash.causes import (
    COMPRESSION,
    COMPRESSION_FORMAT,
    MODE,
    OWNER,
    UNKNOWN,
    ZIP_HEADER,
    ZIP_ORDER,
    ZIP_PADDING,
    ZIP_TIMESTAMP,
    Cause,
)
from image_hash.differences import Difference
from image_hash.formats.archives import Inside, compare_entries
from image_hash.formats.compressed import inflate, zlib_level
from image_hash.formats.content import Budget, Content, FormatError, LimitError, equal
from image_hash.formats.ranges import describe
from image_hash.formats.shown import Fields, changed, text, unix_time

_LOCAL = b"PK\3\4"
_END = b"PK\5\6"
# Sections 4.3.7, 4.3.12, 4.3.16: what follows the signatures.
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_CENTRAL_HEADER = struct.Struct("<4s6H3L5H2L")
_END_RECORD = struct.Struct("<4s4H2LH")
_END64_RECORD = struct.Struct("<4sQ2H2L4Q")
_END64_LOCATOR = struct.Struct("<4sLQL")
_DESCRIPTOR = b"PK\7\x08"
# A central directory is read as a whole: room for the members that are allowed.
_LARGEST_DIRECTORY = 64 << 20
_STORED, _DEFLATED = 0, 8
_METHODS = {0: "stored", 8: "deflate", 9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstd", 95: "xz"}
# Section 4.4.4: bits 1 and 2 are the level of deflate; bit 3 says that sizes follow the data.
_LEVEL_FLAGS = 6
_DESCRIPTOR_FLAG = 8
# Section 4.5.2, extrafld.txt: extra fields that hold times or owners.
_NTFS, _UNIX_OLD, _TIMESTAMP, _INFOZIP_OLD, _INFOZIP_2, _INFOZIP_3 = 0x000A, 0x000D, 0x5455, 0x5855, 0x7855, 0x7875
_ZIP64 = 0x0001


def is_zip(content: Content) -> bool:
    """Whether CONTENT starts with an entry or is an empty zip; or is a script or program with a zip behind it."""
    head = content.read(0, 4)
    if head in (_LOCAL, _END):
        return True
    return head[:2] in (b"#!", b"MZ") and _end_record(content) is not None


def compare(left: Content, right: Content, place: tuple[str, ...], budget: Budget, inside: Inside) -> list[Difference]:
    """Compares two zips.

    Raises:
        FormatError: one of them is damaged, or has entries that overlap.
        LimitError: one of them has too many members, or expands beyond the budget.
    """
    a, b = _Zip(left, budget), _Zip(right, budget)
    found = []
    if a.fields != b.fields:
        found.append(Difference(place, ZIP_HEADER, *changed(a.fields, b.fields)))

    def compare_pair(ours: _Entry, theirs: _Entry, where: tuple[str, ...]) -> list[Difference]:
        return _compare_pair(ours, theirs, where, budget, inside)

    found += compare_entries(a.entries, b.entries, place, ZIP_ORDER, compare_pair)
    if ZIP_ORDER not in (difference.cause for difference in found):
        names = {entry.name for entry in a.entries} & {entry.name for entry in b.entries}
        orders = [[entry.name for entry in side.stored if entry.name in names] for side in (a, b)]
        moved = next(((x, y) for x, y in zip(*orders, strict=False) if x != y), None)
        if moved:
            found.append(Difference(place, ZIP_ORDER, f"data of {moved[0]} come first", f"data of {moved[1]} come first"))
    for before in [name for name in {**a.gaps, **b.gaps} if a.gaps.get(name) != b.gaps.get(name)]:
        if before in a.followed and before in b.followed:
            ours, theirs = (side.gaps.get(before, (0, b""))[0] for side in (a, b))
            found.append(Difference(place, ZIP_PADDING, f"{ours} bytes before {before}", f"{theirs} bytes before {before}"))
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    """An entry, from both its headers.

    Attributes:
        name: as stored, or with its bytes escaped if it is not UTF-8.
        method: of compression.
        made: bytes of the compressed data.
        size: bytes of the content, as stated.
        check: CRC-32 of the content, as stated.
        start: where its local header is.
        end: where its data, or what describes them, end.
        central: its header in the directory, without where the local one is.
        texts: name, extra field and comment there.
        local: its local header.
        local_texts: name and extra field there.
        descriptor: form of what describes the data behind them; empty if there is nothing.
    """

    name: str
    method: int
    made: Content
    size: int
    check: int
    start: int
    end: int
    central: bytes
    texts: bytes
    local: bytes
    local_texts: bytes
    descriptor: str


@dataclasses.dataclass(frozen=True)
class _Facets:
    """What the headers of an entry state.

    Attributes:
        by_cause: what is the same whatever the data are.
        form: what follows from the method of compression.
        level: what follows from how hard it was compressed.
    """

    by_cause: tuple[tuple[Cause, Fields], ...]
    form: Fields
    level: Fields


class _Zip:
    """A zip, read.

    Attributes:
        entries: in the order of the central directory.
        stored: the same in the order of their data.
        fields: what is stated of the whole.
        gaps: size and hash of what lies between entries, by what follows: the name of an entry, or "the directory".
        followed: everything that a gap could be before.
    """

    def __init__(self, content: Content, budget: Budget) -> None:
        found = _end_record(content)
        if found is None:
            raise FormatError("no end of a central directory")
        end, record = found
        _, disk, first_disk, here, count, size, offset, comment = record
        if disk or first_disk or here != count:
            raise FormatError("a zip of several parts")
        form = "zip"
        directory_end = end
        if 0xFFFF in (here, count) or 0xFFFFFFFF in (size, offset):
            located = self._end64(content, end)
            if located:
                form = "zip64"
                directory_end, here, count, size, offset = located
        budget.check_members(count)
        if size > _LARGEST_DIRECTORY:
            raise LimitError(f"its central directory has {size} bytes, more than {_LARGEST_DIRECTORY}")
        start = directory_end - size
        # What stands before a zip, a start script perhaps, may be counted in its offsets, or not.
        shift = start - offset
        if start < 0 or shift < 0:
            raise FormatError(f"the central directory of {size} bytes at byte {offset} does not end where it should")
        data = content.exactly(start, size, "the central directory")
        self.entries = list(self._read(content, data, count, shift, start))
        self.stored = sorted(self.entries, key=lambda entry: entry.start)
        self.gaps: dict[str, tuple[int, bytes]] = {}
        position = 0
        for follower, begin, finish in (*((entry.name, entry.start, entry.end) for entry in self.stored), ("the directory", start, 0)):
            if begin < position:
                raise FormatError(f"entries overlap at byte {begin}")
            if begin > position:
                digest = hashlib.sha256()
                for part in content.part(position, begin - position, "padding").chunks():
                    digest.update(part)
                self.gaps[follower] = (begin - position, digest.digest())
            position = finish
        self.followed = {entry.name for entry in self.entries} | {"the directory"}
        self.fields = (
            ("comment", text(content.exactly(end + _END_RECORD.size, comment, "a comment"))),
            ("end record", form),
            ("offsets", "after a prefix" if shift else "from the start"),
        )

    @staticmethod
    def _end64(content: Content, end: int) -> tuple[int, int, int, int, int] | None:
        """Sections 4.3.14 and 4.3.15."""
        at = end - _END64_LOCATOR.size
        if at < 0:
            return None
        magic, disk, offset, disks = _END64_LOCATOR.unpack(content.read(at, _END64_LOCATOR.size))
        if magic != b"PK\6\7":
            return None
        # The record itself has one size, unless somebody extends it; what stands before the zip is not counted in the offset.
        position = at - _END64_RECORD.size
        magic, size, _, _, own, first, here, count, directory, start = _END64_RECORD.unpack(
            content.exactly(position, _END64_RECORD.size, "the zip64 end record")
        )
        if magic != b"PK\6\6" or size != _END64_RECORD.size - 12 or disk or own or first or disks > 1 or here != count or offset > position:
            raise FormatError(f"no valid zip64 end record at byte {position}")
        return position, here, count, directory, start

    @staticmethod
    def _read(content: Content, data: bytes, count: int, shift: int, limit: int) -> Iterator[_Entry]:
        position = 0
        for _ in range(count):
            if position + _CENTRAL_HEADER.size > len(data):
                raise FormatError(f"truncated: {count} entries expected in a central directory of {len(data)} bytes")
            header = data[position : position + _CENTRAL_HEADER.size]
            position += _CENTRAL_HEADER.size
            length = sum(_CENTRAL_HEADER.unpack(header)[10:13])
            if header[:4] != b"PK\1\2" or position + length > len(data):
                raise FormatError(f"no entry at byte {position} of the central directory")
            yield _entry(content, header, data[position : position + length], shift, limit)
            position += length
        if position != len(data):
            raise FormatError(f"the central directory has {len(data) - position} bytes more than its entries")


def _end_record(content: Content) -> tuple[int, tuple[int, ...]] | None:
    """Position and fields of the record that ends a zip (section 4.3.16)."""
    start = max(content.size - _END_RECORD.size - 0xFFFF, 0)
    tail = content.read(start)
    position = tail.rfind(_END)
    while position >= 0:
        if position + _END_RECORD.size <= len(tail):
            record = _END_RECORD.unpack_from(tail, position)
            if position + _END_RECORD.size + record[-1] == len(tail):
                return start + position, record
        position = tail.rfind(_END, 0, position)
    return None


def _entry(content: Content, central: bytes, texts: bytes, shift: int, limit: int) -> _Entry:
    """Reads the local header (section 4.3.7) to what the central directory has (4.3.12)."""
    _, _, _, flags, method, _, _, check, packed, size, length, extra_length, _, disk, _, _, offset = _CENTRAL_HEADER.unpack(central)
    name = text(texts[:length])
    _, zip64 = _extra(texts[length : length + extra_length], name)
    wide = iter(struct.unpack(f"<{len(zip64) // 8}Q", zip64[: len(zip64) // 8 * 8]))
    try:
        size, packed, offset = (next(wide) if value == 0xFFFFFFFF else value for value in (size, packed, offset))
    except RuntimeError:
        raise FormatError(f"{name}: a size of 64 bits is missing") from None
    if disk or flags & 0x2041:
        raise FormatError(f"{name}: encrypted, or on another disk")
    start = offset + shift
    local = content.exactly(start, _LOCAL_HEADER.size, f"the header of {name}")
    magic, _, local_flags, local_method, _, _, *sizes, local_length, extra_length = _LOCAL_HEADER.unpack(local)
    if magic != _LOCAL or local_method != method:
        raise FormatError(f"{name}: no local header at byte {start}, or one that contradicts the directory")
    position = start + _LOCAL_HEADER.size
    local_texts = content.exactly(position, local_length + extra_length, "a name")
    position += local_length + extra_length
    data = content.part(position, packed, f"the data of {name}")
    end = position + packed
    descriptor = ""
    if local_flags & _DESCRIPTOR_FLAG:
        descriptor, end = _descriptor(content, end, check, packed, size, limit)
    _, local_zip64 = _extra(local_texts[local_length:], name)
    # Packed, then whole; those of 64 bits the other way round (section 4.5.3).
    stated = struct.unpack("<2Q", local_zip64.ljust(16, b"\0")[:16])[::-1] if local_zip64 else tuple(sizes[1:])
    if stated not in ((packed, size), (0, 0)):
        raise FormatError(f"{name}: the local header states other sizes than the directory")
    if sizes[0] not in (check, 0):
        raise FormatError(f"{name}: the local header states another check sum than the directory")
    return _Entry(name, method, data, size, check, start, end, central[:-4], texts, local, local_texts, descriptor)


def _facets(entry: _Entry) -> _Facets:
    _, made_by, version, flags, _, time, date, _, _, _, length, extra_length, _, _, internal, external, _ = _CENTRAL_HEADER.unpack(
        entry.central + bytes(4)
    )
    _, local_version, local_flags, _, local_time, local_date, *local_sizes, local_length, _ = _LOCAL_HEADER.unpack(entry.local)
    extra, zip64 = _extra(entry.texts[length : length + extra_length], entry.name)
    local_extra, local_zip64 = _extra(entry.local_texts[local_length:], entry.name)
    name, local_name = entry.texts[:length], entry.local_texts[:local_length]
    unix_mode = external >> 16
    times = (
        ("time", _dos_time(date, time)),
        ("local time", _dos_time(local_date, local_time)),
        *_times(extra, ""),
        *_times(local_extra, "local "),
    )
    owner = (*_owner(extra, ""), *_owner(local_extra, "local "))
    rest = (
        ("made by", f"system {made_by >> 8}, version {made_by & 0xFF}"),
        ("flags", f"{flags & ~(_LEVEL_FLAGS | _DESCRIPTOR_FLAG):#x}"),
        ("local flags", f"{local_flags & ~(_LEVEL_FLAGS | _DESCRIPTOR_FLAG):#x}"),
        ("internal attributes", f"{internal:#x}"),
        ("attributes", f"{external & 0xFFFF:#x}, type {unix_mode >> 12:o}"),
        ("comment", text(entry.texts[length + extra_length :])),
        ("local name", "the same" if local_name == name else text(local_name)),
        ("64 bits", f"{len(zip64)} bytes, local {len(local_zip64)} bytes"),
        *_others(extra, ""),
        *_others(local_extra, "local "),
    )
    form = (
        ("version needed", str(version)),
        ("local version needed", str(local_version)),
        ("sizes behind the data", f"{entry.descriptor or 'none'}, flag {flags >> 3 & 1}"),
        ("local check sum and sizes", " ".join("none" if not value else "stated" for value in local_sizes)),
    )
    level = (("level", str(flags >> 1 & 3)), ("local level", str(local_flags >> 1 & 3)))
    causes = ((ZIP_TIMESTAMP, times), (MODE, (("mode", f"{unix_mode & 0o7777:04o}"),)), (OWNER, owner), (ZIP_HEADER, rest))
    return _Facets(causes, form, level)


def _descriptor(content: Content, start: int, check: int, packed: int, size: int, limit: int) -> tuple[str, int]:
    """Form and end of the record behind the data (section 4.3.9)."""
    data = content.read(start, min(24, max(limit - start, 0)))
    for signature, sign in ((_DESCRIPTOR, "signed"), (b"", "unsigned")):
        for layout, form in (("<3L", "32 bits"), ("<L2Q", "64 bits")):
            length = len(signature) + struct.calcsize(layout)
            if data.startswith(signature) and len(data) >= length:
                values = struct.unpack_from(layout, data, len(signature))
                if values == (check, packed, size):
                    return f"{sign}, {form}", start + length
    raise FormatError(f"no record of sizes behind the data at byte {start}")


def _extra(data: bytes, name: str) -> tuple[list[tuple[int, bytes]], bytes]:
    """Fields of an extra field, and what a zip64 field among them has (section 4.5)."""
    fields = []
    zip64 = b""
    position = 0
    while position + 4 <= len(data):
        kind, length = struct.unpack_from("<2H", data, position)
        value = data[position + 4 : position + 4 + length]
        if len(value) < length:
            raise FormatError(f"{name}: a truncated extra field")
        position += 4 + length
        if kind == _ZIP64:
            if zip64:
                raise FormatError(f"{name}: sizes of 64 bits are stated twice")
            zip64 = value
        else:
            fields.append((kind, value))
    if position < len(data):
        # zipalign and its like fill up with less than a field's header.
        fields.append((-1, data[position:]))
    return fields, zip64


def _dos_time(date: int, time: int) -> str:
    """Section 4.4.6; a local time, no zone is stated."""
    return f"{(date >> 9) + 1980:04}-{date >> 5 & 15:02}-{date & 31:02} {time >> 11:02}:{time >> 5 & 63:02}:{(time & 31) * 2:02}"


def _times(extra: list[tuple[int, bytes]], prefix: str) -> Iterator[tuple[str, str]]:
    for kind, value in extra:
        if kind == _TIMESTAMP:
            # Flags, then as many times as there is room for.
            stamps = [unix_time(stamp) for (stamp,) in struct.iter_unpack("<l", value[1 : 1 + len(value[1:]) // 4 * 4])]
            yield f"{prefix}extended time", ", ".join((*stamps, f"{value[:1].hex()}{value[1 + len(stamps) * 4 :].hex()}"))
        elif kind in (_UNIX_OLD, _INFOZIP_OLD):
            stamps = [unix_time(stamp) for (stamp,) in struct.iter_unpack("<l", value[: min(len(value), 8) // 4 * 4])]
            yield f"{prefix}Unix time {kind:#06x}", ", ".join(stamps)
        elif kind == _NTFS:
            yield f"{prefix}NTFS time", value.hex()


def _owner(extra: list[tuple[int, bytes]], prefix: str) -> Iterator[tuple[str, str]]:
    for kind, value in extra:
        if kind in (_INFOZIP_2, _INFOZIP_3):
            yield f"{prefix}owner {kind:#06x}", value.hex()
        elif kind in (_UNIX_OLD, _INFOZIP_OLD) and len(value) > 8:
            yield f"{prefix}owner {kind:#06x}", value[8:].hex()


def _others(extra: list[tuple[int, bytes]], prefix: str) -> Iterator[tuple[str, str]]:
    for kind, value in extra:
        if kind == -1:
            yield f"{prefix}padding", f"{len(value)} bytes {value.hex()}"
        elif kind not in (_TIMESTAMP, _UNIX_OLD, _INFOZIP_OLD, _NTFS, _INFOZIP_2, _INFOZIP_3):
            shown = value.hex() if len(value) <= 32 else f"{len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()}"
            yield f"{prefix}extra field {kind:#06x}", shown


def _open(entry: _Entry, budget: Budget) -> Content | None:
    """The content; None where nothing here decompresses it."""
    if entry.method == _STORED:
        return entry.made
    if entry.method == _DEFLATED:
        return budget.expand(inflate(entry.made))
    return None


def _method(entry: _Entry) -> str:
    return _METHODS.get(entry.method, f"method {entry.method}")


def _stated(entry: _Entry) -> str:
    return f"CRC {entry.check:08x}, {entry.size} bytes"


def _compare_pair(left: _Entry, right: _Entry, place: tuple[str, ...], budget: Budget, inside: Inside) -> list[Difference]:
    same = left.method == right.method and equal(left.made, right.made)
    found = _header_differences(left, right, place, same=same)
    if same:
        return found
    ours, theirs = _open(left, budget), _open(right, budget)
    if ours is None or theirs is None:
        return [*found, Difference(place, UNKNOWN, *describe(left.made, right.made))]
    alike = equal(ours, theirs)
    if not alike:
        found += inside(ours, theirs, place)
    if left.method == right.method:
        levels = zlib_level(ours, left.made), zlib_level(theirs, right.made)
        if alike or (all(levels) and levels[0] != levels[1]):
            shown = [f"{level or 'deflate'}, {side.made.size} bytes" for level, side in zip(levels, (left, right), strict=True)]
            found.append(Difference(place, COMPRESSION, shown[0], shown[1]))
    return found


def _header_differences(left: _Entry, right: _Entry, place: tuple[str, ...], *, same: bool) -> list[Difference]:
    """How the headers of two entries differ, apart from what follows from their data; SAME says whether those are equal as stored."""
    if (left.central, left.texts, left.local, left.local_texts, left.descriptor) == (
        right.central,
        right.texts,
        right.local,
        right.local_texts,
        right.descriptor,
    ):
        return []
    a, b = _facets(left), _facets(right)
    found = [Difference(place, cause, *changed(x, y)) for (cause, x), (_, y) in zip(a.by_cause, b.by_cause, strict=True) if x != y]
    if left.method != right.method:
        found.append(Difference(place, COMPRESSION_FORMAT, _method(left), _method(right)))
    elif a.form != b.form:
        found.append(Difference(place, ZIP_HEADER, *changed(a.form, b.form)))
    if same and a.level != b.level:
        found.append(Difference(place, ZIP_HEADER, *changed(a.level, b.level)))
    if same and (left.check, left.size) != (right.check, right.size):
        found.append(Difference(place, ZIP_HEADER, _stated(left), _stated(right)))
    return found
