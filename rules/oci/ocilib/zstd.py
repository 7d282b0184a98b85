"""A decoder for Zstandard in plain Python, after RFC 8878.

The standard library has none before Python 3.14, and a layer's diff id is the hash of its decompressed bytes. It decodes a few megabytes
a second; where that is too slow, libzstd does the same (compression.py).
"""

from __future__ import annotations

from struct import iter_unpack

from ocilib.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Read = Callable[[int], bytes]
    # Per state: symbols, numbers of bits to read, bases of the next state. And the accuracy log: 1 << log states.
    FseTable = tuple[list[int], list[int], list[int], int]
    # Per value of the next LOG bits: symbols, lengths of their codes.
    HuffmanTable = tuple[list[int], list[int], int]

MAGIC = b"\x28\xb5\x2f\xfd"
# What the zstd command accepts without --long, so that both find the same files broken.
_MAX_WINDOW = 1 << 27
_MAX_BLOCK = 1 << 17


class ZstdError(Error):
    """The data is not Zstandard, or is damaged."""


def decompress(read: Read) -> Iterator[bytes]:
    """Yields the content of all frames that READ, a file's read method, gives; at most a window is held.

    Raises:
        ZstdError: no, or damaged, Zstandard data.
    """
    first = True
    while magic := _exactly(read, 4, or_end=not first):
        first = False
        if magic == MAGIC:
            yield from _frame(read)
        elif magic[1:] == b"\x2a\x4d\x18" and magic[0] >> 4 == 5:  # skippable
            left = int.from_bytes(_exactly(read, 4), "little")
            while left:
                left -= len(_exactly(read, min(left, _MAX_BLOCK)))
        else:
            raise ZstdError("no Zstandard frame where one should start")


def _exactly(read: Read, count: int, *, or_end: bool = False) -> bytes:
    data = read(count)
    while len(data) < count and (more := read(count - len(data))):
        data += more
    if len(data) < count and not (or_end and not data):
        raise ZstdError("truncated Zstandard data")
    return data


def _frame(read: Read) -> Iterator[bytes]:
    """Section 3.1.1."""
    descriptor = _exactly(read, 1)[0]
    single_segment = descriptor >> 5 & 1
    if descriptor & 8:
        raise ZstdError("reserved bit set in a frame header")
    window = 0
    if not single_segment:
        value = _exactly(read, 1)[0]
        base = 1 << (10 + (value >> 3))
        window = base + (base >> 3) * (value & 7)
    dictionary = int.from_bytes(_exactly(read, (0, 1, 2, 4)[descriptor & 3]), "little")
    if dictionary:
        raise ZstdError(f"needs the dictionary {dictionary}")
    width = (single_segment, 2, 4, 8)[descriptor >> 6]
    content = None
    if width:
        content = int.from_bytes(_exactly(read, width), "little") + (256 if width == 2 else 0)
    if single_segment and content is not None:
        window = content
    if window > _MAX_WINDOW:
        raise ZstdError(f"needs a window of {window} bytes, more than {_MAX_WINDOW}")
    checksum = _Xxh64() if descriptor & 4 else None
    blocks = _Blocks(window)
    total = 0
    last = 0
    while not last:
        header = int.from_bytes(_exactly(read, 3), "little")
        last = header & 1
        kind = header >> 1 & 3
        size = header >> 3
        if size > _MAX_BLOCK:
            raise ZstdError("block larger than allowed")
        if kind == 0:
            data = blocks.append(_exactly(read, size))
        elif kind == 1:
            data = blocks.append(_exactly(read, 1) * size)
        elif kind == 2:
            data = blocks.compressed(_exactly(read, size))
        else:
            raise ZstdError("block of a reserved type")
        total += len(data)
        if checksum:
            checksum.update(data)
        yield data
    if content is not None and total != content:
        raise ZstdError(f"{total} bytes of content, {content} announced")
    if checksum and checksum.digest() & 0xFFFFFFFF != int.from_bytes(_exactly(read, 4), "little"):
        raise ZstdError("wrong checksum")


class _Blocks:
    """The state that one block of a frame leaves to the next: window, tables, repeated offsets."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._out = bytearray()
        self._huffman: HuffmanTable | None = None
        self._tables: list[FseTable | None] = [None, None, None]
        self._offsets = [1, 4, 8]

    def append(self, data: bytes) -> bytes:
        self._trim()
        self._out += data
        return data

    def compressed(self, data: bytes) -> bytes:
        """Decodes a compressed block (section 3.1.1.3)."""
        self._trim()
        start = len(self._out)
        try:
            literals, position = self._literals(data)
            self._sequences(data, position, literals)
        except IndexError:
            raise ZstdError("truncated block") from None
        if len(self._out) - start > _MAX_BLOCK:
            raise ZstdError("block of more than 128 KiB")
        return bytes(self._out[start:])

    def _trim(self) -> None:
        # Seldom, since it moves what stays.
        if len(self._out) > 2 * self._window + 8 * _MAX_BLOCK:
            del self._out[: len(self._out) - self._window]

    def _literals(self, data: bytes) -> tuple[bytes, int]:
        """Section 3.1.1.3.1: the literals, and where the sequences start."""
        kind = data[0] & 3
        form = data[0] >> 2 & 3
        if kind < 2:
            width = (1, 2, 1, 3)[form]
            size = int.from_bytes(data[:width], "little") >> (4 if form & 1 else 3)
            if kind == 1:
                return _some(data, width, 1) * size, width + 1
            return _some(data, width, size), width + size
        width, bits = ((3, 10), (3, 10), (4, 14), (5, 18))[form]
        sizes = int.from_bytes(_some(data, 0, width), "little") >> 4
        regenerated = sizes & (1 << bits) - 1
        body = _some(data, width, sizes >> bits)
        position = 0
        if kind == 2:
            self._huffman, position = _huffman_table(body)
        if self._huffman is None:
            raise ZstdError("literals without a Huffman table")
        end = width + len(body)
        if not form:
            return _huffman_stream(body[position:], self._huffman, regenerated), end
        streams = body[position:]
        jumps = [int.from_bytes(_some(streams, at, 2), "little") for at in (0, 2, 4)]
        quarter = (regenerated + 3) // 4
        parts = []
        at = 6
        for size in jumps:
            parts.append(_huffman_stream(_some(streams, at, size), self._huffman, quarter))
            at += size
        parts.append(_huffman_stream(streams[at:], self._huffman, regenerated - 3 * quarter))
        return b"".join(parts), end

    def _sequences(self, data: bytes, position: int, literals: bytes) -> None:
        """Section 3.1.1.3.2 and 3.1.1.4: decodes the sequences and carries them out."""
        count = data[position]
        position += 1
        if count == 255:
            count = int.from_bytes(_some(data, position, 2), "little") + 0x7F00
            position += 2
        elif count > 127:
            count = (count - 128 << 8) + data[position]
            position += 1
        out = self._out
        if not count:
            if position != len(data):
                raise ZstdError("data after a block without sequences")
            out += literals
            return
        modes = data[position]
        position += 1
        if modes & 3:
            raise ZstdError("reserved bits set in a sequences header")
        for index, shift in enumerate((6, 4, 2)):
            mode = modes >> shift & 3
            default, max_log, symbols = _CODES[index]
            if mode == 0:
                self._tables[index] = default
            elif mode == 1:
                symbol = data[position]
                if symbol >= symbols:
                    raise ZstdError("code out of range")
                self._tables[index] = ([symbol], [0], [0], 0)
                position += 1
            elif mode == 2:
                self._tables[index], position = _fse_table(data, position, max_log, symbols)
            elif self._tables[index] is None:
                raise ZstdError("repeats a table before there is one")
        literal_table, offset_table, match_table = self._tables
        assert literal_table and offset_table and match_table
        l_symbols, l_bits, l_bases, l_log = literal_table
        o_symbols, o_bits, o_bases, o_log = offset_table
        m_symbols, m_bits, m_bases, m_log = match_table
        bits = _Bits(data, position)
        take = bits.take
        l_state = take(l_log)
        o_state = take(o_log)
        m_state = take(m_log)
        first, second, third = self._offsets
        used = 0
        while True:
            code = o_symbols[o_state]
            value = (1 << code) + take(code)
            code = m_symbols[m_state]
            length = _MATCH_BASES[code] + take(_MATCH_BITS[code])
            code = l_symbols[l_state]
            literal = _LITERAL_BASES[code] + take(_LITERAL_BITS[code])
            if value > 3:
                first, second, third = value - 3, first, second
            else:
                # 1 to 3 repeat an offset; without literals each means the next one, and the last means "first minus 1".
                index = value if literal else value + 1
                if index == 2:
                    first, second = second, first
                elif index == 3:
                    first, second, third = third, first, second
                elif index == 4:
                    first, second, third = first - 1, first, second
            if literal:
                out += literals[used : used + literal]
                used += literal
            at = len(out) - first
            if at < 0 or first < 1:
                raise ZstdError("offset beyond the start")
            if first >= length:
                out += out[at : at + length]
            else:
                out += (bytes(out[at:]) * (length // first + 1))[:length]
            count -= 1
            if not count:
                break
            l_state = l_bases[l_state] + take(l_bits[l_state])
            m_state = m_bases[m_state] + take(m_bits[m_state])
            o_state = o_bases[o_state] + take(o_bits[o_state])
        if used > len(literals) or not bits.at_end():
            raise ZstdError("damaged sequences")
        self._offsets = [first, second, third]
        out += literals[used:]


def _some(data: bytes, position: int, count: int) -> bytes:
    part = data[position : position + count]
    if len(part) != count:
        raise ZstdError("truncated block")
    return part


class _Bits:
    """A bit stream that is read backwards, from the highest bit below its final 1 (section 4.1)."""

    def __init__(self, data: bytes, start: int) -> None:
        self._data = data
        self._start = start
        if len(data) <= start or not data[-1]:
            raise ZstdError("bit stream without its end mark")
        self._position = len(data) - 1
        self._count = data[-1].bit_length() - 1
        self._value = data[-1] & (1 << self._count) - 1

    def take(self, count: int) -> int:
        left = self._count - count
        if left < 0:
            low = max(self._position - 24, self._start)
            more = 8 * (self._position - low)
            self._value = self._value << more | int.from_bytes(self._data[low : self._position], "little")
            self._position = low
            left += more
            if left < 0:
                raise ZstdError("bit stream too short")
        value = self._value >> left
        self._value -= value << left
        self._count = left
        return value

    def left(self) -> int:
        return self._count + 8 * (self._position - self._start)

    def at_end(self) -> bool:
        return not self.left()


def _fse_table(data: bytes, position: int, max_log: int, symbols: int) -> tuple[FseTable, int]:
    """Section 4.1.1: a table from its description, and where that ends."""
    # A description has at most 4 + symbols * (log + 1) bits, and two for each run of zeros.
    value = int.from_bytes(data[position : position + 512], "little")
    limit = 8 * min(len(data) - position, 512)
    log = (value & 15) + 5
    if log > max_log:
        raise ZstdError("table too large")
    at = 4
    left = 1 << log
    counts: list[int] = []
    while left > 0:
        bits = (left + 1).bit_length()
        low = (1 << bits - 1) - 1
        threshold = (1 << bits) - 2 - left
        number = value >> at & (1 << bits) - 1
        if number & low < threshold:
            number &= low
            at += bits - 1
        else:
            if number > low:
                number -= threshold
            at += bits
        counts.append(number - 1)
        left -= abs(number - 1)
        if number == 1:
            repeat = 3
            while repeat == 3:
                repeat = value >> at & 3
                at += 2
                counts += [0] * repeat
        if at > limit or len(counts) > symbols:
            raise ZstdError("damaged table")
    if left:
        raise ZstdError("damaged table")
    return _fse_states(counts, log), position + (at + 7) // 8


def _fse_states(counts: list[int], log: int) -> FseTable:
    size = 1 << log
    symbols = [0] * size
    high = size
    nexts = []
    for symbol, count in enumerate(counts):
        if count == -1:
            high -= 1
            symbols[high] = symbol
        nexts.append(abs(count))
    step = (size >> 1) + (size >> 3) + 3
    position = 0
    for symbol, count in enumerate(counts):
        for _ in range(count):
            symbols[position] = symbol
            position = position + step & size - 1
            while position >= high:
                position = position + step & size - 1
    bits = []
    bases = []
    for symbol in symbols:
        state = nexts[symbol]
        nexts[symbol] += 1
        width = log + 1 - state.bit_length()
        bits.append(width)
        bases.append((state << width) - size)
    return symbols, bits, bases, log


def _huffman_table(body: bytes) -> tuple[HuffmanTable, int]:
    """Section 4.2.1: a table from its description, and where that ends."""
    header = body[0]
    if header > 127:
        count = header - 127
        end = 1 + (count + 1) // 2
        packed = _some(body, 1, (count + 1) // 2)
        weights = [packed[i // 2] >> (0 if i & 1 else 4) & 15 for i in range(count)]
    else:
        end = 1 + header
        weights = _huffman_weights(_some(body, 1, header))
    total = sum([1 << weight - 1 for weight in weights if weight])
    if not total:
        raise ZstdError("Huffman table without codes")
    log = total.bit_length()
    rest = (1 << log) - total
    if log > 11 or rest & rest - 1 or len(weights) > 255:
        raise ZstdError("damaged Huffman table")
    weights.append(rest.bit_length())
    symbols: list[int] = []
    lengths: list[int] = []
    for weight in range(1, log + 1):
        for symbol, own in enumerate(weights):
            if own == weight:
                symbols += [symbol] * (1 << weight - 1)
                lengths += [log + 1 - weight] * (1 << weight - 1)
    return (symbols, lengths, log), end


def _huffman_weights(data: bytes) -> list[int]:
    """Section 4.2.1.2: two states take turns until the bits are used up."""
    (symbols, widths, bases, log), position = _fse_table(data, 0, 6, 256)
    bits = _Bits(data, position)
    one = bits.take(log)
    two = bits.take(log)
    weights: list[int] = []
    while len(weights) < 255:
        weights.append(symbols[one])
        if bits.left() < widths[one]:
            weights.append(symbols[two])
            break
        one, two = two, bases[one] + bits.take(widths[one])
    return weights


def _huffman_stream(data: bytes, table: HuffmanTable, count: int) -> bytes:
    """Section 4.2.2: COUNT symbols, read backwards."""
    symbols, lengths, log = table
    if not data or not data[-1]:
        raise ZstdError("bit stream without its end mark")
    position = len(data) - 1
    available = data[-1].bit_length() - 1
    value = data[-1] & (1 << available) - 1
    mask = (1 << log) - 1
    out = bytearray(count)
    for index in range(count):
        if available < log:
            if position:
                low = max(position - 24, 0)
                more = 8 * (position - low)
                value = (value & mask) << more | int.from_bytes(data[low:position], "little")
                available += more
                position = low
            if available < log:
                # Zeros follow the end.
                code = value << log - available & mask
                out[index] = symbols[code]
                available -= lengths[code]
                if available < 0:
                    raise ZstdError("Huffman stream too short")
                continue
        code = value >> available - log & mask
        out[index] = symbols[code]
        available -= lengths[code]
    if available or position:
        raise ZstdError("Huffman stream too long")
    return bytes(out)


# Section 3.1.1.3.2.1.1: what the codes stand for.
_LITERAL_BASES = [*range(16), 16, 18, 20, 22, 24, 28, 32, 40, 48, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536]
_LITERAL_BITS = [0] * 16 + [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
_MATCH_BASES = [*range(3, 35), 35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, 131, 259, 515, 1027, 2051, 4099, 8195, 16387, 32771, 65539]
_MATCH_BITS = [0] * 32 + [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
# Section 3.1.1.3.2.2: default distributions; then the largest accuracy log and the number of codes.
_CODES: tuple[tuple[FseTable, int, int], ...] = (
    (_fse_states([4, 3, *[2] * 6, *[2] * 5, 1, 1, 1, *[2] * 9, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1], 6), 9, 36),
    (_fse_states([1, 1, 1, 1, 1, 1, 2, 2, 2, *[1] * 15, *[-1] * 5], 5), 8, 32),
    (_fse_states([1, 4, 3, 2, 2, 2, 2, 2, 2, *[1] * 37, *[-1] * 7], 6), 9, 53),
)

_MASK = (1 << 64) - 1
_PRIME1 = 0x9E3779B185EBCA87
_PRIME2 = 0xC2B2AE3D27D4EB4F
_PRIME3 = 0x165667B19E3779F9
_PRIME4 = 0x85EBCA77C2B2AE63
_PRIME5 = 0x27D4EB2F165667C5


class _Xxh64:
    """XXH64 with seed 0, the frame's checksum (section 3.1.1; xxHash specification)."""

    def __init__(self) -> None:
        self._lanes = [(_PRIME1 + _PRIME2) & _MASK, _PRIME2, 0, -_PRIME1 & _MASK]
        self._rest = b""
        self._size = 0

    def update(self, data: bytes) -> None:
        self._size += len(data)
        data = self._rest + data
        whole = len(data) & ~31
        self._rest = data[whole:]
        if not whole:
            return
        a, b, c, d = self._lanes
        p, q, m = _PRIME1, _PRIME2, _MASK
        for w, x, y, z in iter_unpack("<4Q", data[:whole]):
            a = a + w * q & m
            a = (a << 31 | a >> 33) * p & m
            b = b + x * q & m
            b = (b << 31 | b >> 33) * p & m
            c = c + y * q & m
            c = (c << 31 | c >> 33) * p & m
            d = d + z * q & m
            d = (d << 31 | d >> 33) * p & m
        self._lanes = [a, b, c, d]

    def digest(self) -> int:
        if self._size >= 32:
            a, b, c, d = self._lanes
            value = (_rotate(a, 1) + _rotate(b, 7) + _rotate(c, 12) + _rotate(d, 18)) & _MASK
            for lane in self._lanes:
                value = ((value ^ _round(0, lane)) * _PRIME1 + _PRIME4) & _MASK
        else:
            value = _PRIME5
        value = value + self._size & _MASK
        rest = self._rest
        while len(rest) >= 8:
            value = (_rotate(value ^ _round(0, int.from_bytes(rest[:8], "little")), 27) * _PRIME1 + _PRIME4) & _MASK
            rest = rest[8:]
        if len(rest) >= 4:
            value = (_rotate(value ^ int.from_bytes(rest[:4], "little") * _PRIME1 & _MASK, 23) * _PRIME2 + _PRIME3) & _MASK
            rest = rest[4:]
        for byte in rest:
            value = _rotate(value ^ byte * _PRIME5 & _MASK, 11) * _PRIME1 & _MASK
        value = (value ^ value >> 33) * _PRIME2 & _MASK
        value = (value ^ value >> 29) * _PRIME3 & _MASK
        return value ^ value >> 32


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> 64 - bits) & _MASK


def _round(lane: int, word: int) -> int:
    return _rotate(lane + word * _PRIME2 & _MASK, 31) * _PRIME1 & _MASK
