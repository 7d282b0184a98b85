"""gzip and Zstandard: headers, compressed data, and the content that they hold.

Formats: RFC 1952 (gzip), RFC 1951 (deflate), RFC 8878 (Zstandard).
"""

import dataclasses
import hashlib
import zlib
from collections.abc import Generator, Iterator

import zstandard
from image_hash.causes import COMPRESSION, COMPRESSION_FORMAT, GZIP_HEADER, ZSTD_HEADER
from image_hash.differences import Difference
from image_hash.formats.archives import Inside
from image_hash.formats.content import CHUNK, Budget, Content, FormatError, equal
from image_hash.formats.shown import Fields, changed, text, unix_time

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
# Of a text in a header, with its final NUL; real ones are names of files.
_LONGEST_TEXT = 1 << 16
# What the zstd command accepts without --long.
_LARGEST_WINDOW = 1 << 27
# Beyond this the level of a compressor is not sought.
_LARGEST_SOUGHT = 4 << 20
# zlib's levels; the usual ones first.
_LEVELS = (6, 9, 1, 5, 7, 8, 4, 3, 2, 0)
# RFC 1952, section 2.3.1.
_SYSTEMS = {0: "FAT", 3: "Unix", 7: "Macintosh", 10: "TOPS-20", 11: "NTFS", 255: "unknown"}


def kind_of(content: Content) -> str:
    """The word gzip or zstd, or nothing for anything else."""
    head = content.read(0, 4)
    return "gzip" if head[:2] == _GZIP else "zstd" if head == _ZSTD else ""


def compare(left: Content, right: Content, place: tuple[str, ...], budget: Budget, inside: Inside) -> list[Difference]:
    """Compares two contents of which at least one is compressed.

    Raises:
        FormatError: one of them is damaged.
        LimitError: one of them expands beyond the budget.
    """
    a, b = _open(left, budget), _open(right, budget)
    if a.kind != b.kind:
        found = [Difference(place, COMPRESSION_FORMAT, a.kind or "not compressed", b.kind or "not compressed")]
        return found + ([] if equal(a.content, b.content) else inside(a.content, b.content, place))
    found = []
    ours, theirs = a.header, b.header
    if a.body == b.body:
        # Else they follow from the level.
        ours, theirs = ours + a.hints, theirs + b.hints
    if ours != theirs:
        found.append(Difference(place, GZIP_HEADER if a.kind == "gzip" else ZSTD_HEADER, *changed(ours, theirs)))
    same = equal(a.content, b.content)
    if not same:
        found += inside(a.content, b.content, (*place, "content"))
    if a.body != b.body and (same or (a.level and b.level and a.level != b.level)):
        found.append(Difference(place, COMPRESSION, _compressor(a), _compressor(b)))
    return found


def zlib_level(content: Content, deflated: Content) -> str:
    """The level at which zlib makes DEFLATED, a raw deflate stream, of CONTENT; empty if it is too large, or none does."""
    if content.size > _LARGEST_SOUGHT:
        return ""
    for level in _LEVELS:
        deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
        position = 0
        for part in (*content.chunks(), b""):
            data = deflate.compress(part) if part else deflate.flush()
            if data != deflated.read(position, len(data)):
                break
            position += len(data)
        else:
            if position == deflated.size:
                return f"zlib level {level}"
    return ""


def inflate(deflated: Content) -> Iterator[bytes]:
    """The content of a raw deflate stream that ends where DEFLATED ends.

    Raises:
        FormatError: it is damaged.
    """
    end = yield from _inflate(deflated, 0)
    if end != deflated.size:
        raise FormatError(f"the compressed data end at byte {end} of {deflated.size}")


@dataclasses.dataclass(frozen=True)
class _Stream:
    """A compressed content, opened.

    Attributes:
        kind: gzip, zstd, or nothing.
        header: fields of all its members or frames.
        hints: those fields that say how hard it was compressed.
        body: hash of all bytes that are not of a header.
        size: bytes of the stream.
        level: the compressor, if it was found out; else empty.
        content: decompressed.
    """

    kind: str
    header: Fields
    hints: Fields
    body: bytes
    size: int
    level: str
    content: Content


def _compressor(stream: _Stream) -> str:
    return f"{stream.level or stream.kind}, {stream.size} bytes"


def _open(content: Content, budget: Budget) -> _Stream:
    kind = kind_of(content)
    if kind == "gzip":
        return _gzip(content, budget)
    if kind == "zstd":
        return _zstd(content, budget)
    return _Stream("", (), (), b"", content.size, "", content)


@dataclasses.dataclass(frozen=True)
class _Piece:
    """A gzip member or a Zstandard frame: its fields, start and end of its compressed data, and where the next one is."""

    header: Fields
    hints: Fields
    start: int
    end: int
    next: int


def _stream(kind: str, whole: Content, pieces: list[_Piece], content: Content) -> _Stream:
    body = hashlib.sha256()
    for piece in pieces:
        for part in whole.part(piece.start, piece.end - piece.start, "compressed data").chunks():
            body.update(part)

    def named(fields: list[Fields]) -> Fields:
        several = len(fields) > 1
        numbered = enumerate(fields, 1)
        return tuple((f"{name} of part {number}" if several else name, value) for number, own in numbered for name, value in own)

    level = ""
    if kind == "gzip" and len(pieces) == 1:
        level = zlib_level(content, whole.part(pieces[0].start, pieces[0].end - pieces[0].start, "compressed data"))
    return _Stream(
        kind, named([piece.header for piece in pieces]), named([piece.hints for piece in pieces]), body.digest(), whole.size, level, content
    )


def _gzip(content: Content, budget: Budget) -> _Stream:
    pieces: list[_Piece] = []

    def parts() -> Iterator[bytes]:
        position = 0
        while position < content.size:
            budget.check_members(len(pieces) + 1)
            header, hints, start = _gzip_header(content, position)
            check = size = 0
            members = _inflate(content, start)
            while True:
                try:
                    part = next(members)
                except StopIteration as stop:
                    end: int = stop.value
                    break
                check = zlib.crc32(part, check)
                size += len(part)
                yield part
            trailer = content.exactly(end, 8, "a gzip trailer")
            if trailer != check.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little"):
                raise FormatError(f"the gzip check sum at byte {end} is wrong")
            position = end + 8
            pieces.append(_Piece(header, hints, start, end, position))

    return _stream("gzip", content, pieces, budget.expand(parts()))


def _inflate(content: Content, start: int) -> Generator[bytes, None, int]:
    """Yields what the deflate stream from START on holds, and returns where it ends."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    position = start
    rest = b""
    while not stream.eof:
        if not rest:
            rest = content.read(position, CHUNK)
            position += len(rest)
        try:
            data = stream.decompress(rest, CHUNK)
        except zlib.error as error:
            raise FormatError(f"damaged deflate data before byte {position} ({error})") from None
        if not rest and not data and not stream.eof:
            raise FormatError("truncated deflate data")
        rest = stream.unconsumed_tail
        if data:
            yield data
    return position - len(stream.unused_data)


def _gzip_header(content: Content, start: int) -> tuple[Fields, Fields, int]:
    """Fields, hints, and where the compressed data start (section 2.3)."""
    head = content.exactly(start, 10, "a gzip header")
    flags = head[3]
    if head[:3] != _GZIP + b"\x08" or flags & 0xE0:
        raise FormatError(f"no gzip header at byte {start}")
    mtime = int.from_bytes(head[4:8], "little")
    fields = [("time", unix_time(mtime) if mtime else "none"), ("system", _SYSTEMS.get(head[9], str(head[9])))]
    position = start + 10
    if flags & 4:
        size = int.from_bytes(content.exactly(position, 2, "a size in a gzip header"), "little")
        fields.append(("extra field", content.exactly(position + 2, size, "an extra field of a gzip header").hex()))
        position += 2 + size
    for flag, name in ((8, "name"), (16, "comment")):
        if flags & flag:
            value, end, _ = content.read(position, _LONGEST_TEXT).partition(b"\0")
            if not end:
                raise FormatError(f"a {name} in a gzip header has no end")
            fields.append((name, text(value)))
            position += len(value) + 1
    if flags & 2:
        content.exactly(position, 2, "the check sum of a gzip header")
        fields.append(("header check sum", "yes"))
        position += 2
    fields.append(("text flag", "yes" if flags & 1 else "no"))
    return tuple(fields), (("level flag", str(head[8])),), position


def _zstd(content: Content, budget: Budget) -> _Stream:
    pieces: list[_Piece] = []
    position = 0
    while position < content.size:
        budget.check_members(len(pieces) + 1)
        magic = content.exactly(position, 4, "a Zstandard frame")
        if magic == _ZSTD:
            piece = _zstd_frame(content, position)
        elif magic[1:] == b"\x2a\x4d\x18" and magic[0] >> 4 == 5:
            size = int.from_bytes(content.exactly(position + 4, 4, "the size of a skippable frame"), "little")
            end = position + 8 + size
            data = hashlib.sha256(content.exactly(position + 8, size, "a skippable frame")).hexdigest()
            piece = _Piece((("skippable frame", f"{magic[0] & 15}, {size} bytes, sha256 {data}"),), (), end, end, end)
        else:
            raise FormatError(f"no Zstandard frame at byte {position}")
        pieces.append(piece)
        position = piece.next

    def parts() -> Iterator[bytes]:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
        try:
            with decompressor.stream_reader(content.file(), read_across_frames=True) as reader:
                while part := reader.read(CHUNK):
                    yield part
        except zstandard.ZstdError as error:
            raise FormatError(f"damaged Zstandard data ({error})") from None

    return _stream("zstd", content, pieces, budget.expand(parts()))


def _zstd_frame(content: Content, start: int) -> _Piece:
    """Section 3.1.1 of RFC 8878."""
    descriptor = content.exactly(start + 4, 1, "a frame header")[0]
    single = descriptor >> 5 & 1
    position = start + 5
    window = 0
    if not single:
        value = content.exactly(position, 1, "a frame header")[0]
        window = (1 << 10 + (value >> 3)) // 8 * (8 + (value & 7))
        position += 1
    width = (0, 1, 2, 4)[descriptor & 3]
    dictionary = int.from_bytes(content.exactly(position, width, "a frame header"), "little")
    position += width
    width = (single, 2, 4, 8)[descriptor >> 6]
    content.exactly(position, width, "a frame header")
    header = (
        ("check sum", "yes" if descriptor & 4 else "no"),
        ("content size", "stated" if width else "not stated"),
        ("dictionary", str(dictionary)),
    )
    hints = (("window", f"{window} bytes" if window else "the content"),)
    position += width
    body = position
    last = 0
    while not last:
        block = int.from_bytes(content.exactly(position, 3, "a block header"), "little")
        last = block & 1
        # A block of type RLE is one byte, however long.
        size = 1 if block >> 1 & 3 == 1 else block >> 3
        content.exactly(position + 3, size, "a block")
        position += 3 + size
    end = position + (4 if descriptor & 4 else 0)
    content.part(position, end - position, "a check sum")
    return _Piece(header, hints, body, position, end)
