"""Texts: lines, their order, their endings, and the times and paths in them."""

import difflib
import json
from collections.abc import Iterator
from typing import Any

from image_hash.causes import EMBEDDED_TIME, JSON_FORMATTING, LINE_ENDINGS, LINE_ORDER, TEXT_CONTENT, Cause
from image_hash.differences import Difference
from image_hash.formats.content import Content
from image_hash.formats.ranges import common
from image_hash.formats.replaced import replaced, without_times
from image_hash.formats.shown import shortened, text

# All but tab, line feed, form feed, carriage return and escape.
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\f\r\x1b")) + b"\x7f"
_LARGEST = 8 << 20
# Of more lines only the first that differs is found; they would be too many to be held.
_MOST_LINES = 100_000
# Of a larger JSON document the values are.
_LARGEST_JSON = 2 << 20
# Lines that are aligned with each other; the cost grows with the cube, in the worst case.
_ALIGNED = 400
_SHOWN_LINES = 3
_SHOWN_BEFORE = 40
_SHOWN_BYTES = 400

Found = tuple[Cause, str, str]


def is_text(content: Content) -> bool:
    """Whether CONTENT is text: not empty, not too large, and without control characters."""
    if not 0 < content.size <= _LARGEST:
        return False
    return all(len(part.translate(None, _CONTROLS)) == len(part) for part in content.chunks())


def compare(left: Content, right: Content, place: tuple[str, ...]) -> list[Difference]:
    """Compares two texts that differ."""
    return [Difference(place, *found) for found in _compare(left.read(), right.read())]


def _compare(left: bytes, right: bytes) -> list[Found]:
    if _same_json(left, right):
        return [(JSON_FORMATTING, f"{len(left)} bytes", f"{len(right)} bytes")]
    found: list[Found] = []
    crlf = left.count(b"\r\n"), right.count(b"\r\n")
    if crlf[0] != crlf[1]:
        plain = left.replace(b"\r\n", b"\n"), right.replace(b"\r\n", b"\n")
        if 0 in crlf or plain[0] == plain[1]:
            found.append((LINE_ENDINGS, _endings(left, crlf[0]), _endings(right, crlf[1])))
            left, right = plain
    if left == right:
        return found
    whole = replaced(left, right)
    if whole is not None:
        return found + [(item.cause, item.left, item.right) for item in whole]
    if max(left.count(b"\n"), right.count(b"\n")) > _MOST_LINES:
        return [*found, _first_line(left, right)]
    lines = left.split(b"\n"), right.split(b"\n")
    if sorted(lines[0]) == sorted(lines[1]):
        return [*found, _order(lines, lines)]
    timeless = without_times(left).split(b"\n"), without_times(right).split(b"\n")
    if timeless[0] != timeless[1] and sorted(timeless[0]) == sorted(timeless[1]):
        times = [[b for a, b in zip(*pair, strict=True) if a != b] for pair in zip(timeless, lines, strict=True)]
        return [*found, _order(timeless, lines), (EMBEDDED_TIME, _shorten(times[0][0]), _shorten(times[1][0]))]
    return found + _lines(*lines)


def _lines(left: list[bytes], right: list[bytes]) -> list[Found]:
    first: dict[Cause, tuple[str, str]] = {}
    texts: tuple[list[str], list[str]] = ([], [])
    count = [0, 0]

    def note(side: int, number: int, line: bytes, start: int) -> None:
        count[side] += 1
        if len(texts[side]) < _SHOWN_LINES:
            shown = _shorten(line[start:]) or ("(empty)" if number < len((left, right)[side]) else "(line feed at the end)")
            texts[side].append(f"line {number}: {'...' if start else ''}{shown}")

    for a, a_end, b, b_end in _changes(left, right):
        for offset in range(max(a_end - a, b_end - b)):
            i, j = a + offset, b + offset
            start = 0
            if a_end - a == b_end - b:
                if left[i] == right[j]:
                    continue
                explained = replaced(left[i], right[j])
                if explained is not None:
                    for item in explained:
                        first.setdefault(item.cause, (item.left, item.right))
                    continue
                # Of a long line what differs, and a little before.
                start = max(common(left[i], 0, right[j], 0) - _SHOWN_BEFORE, 0)
            if i < a_end:
                note(0, i + 1, left[i], start)
            if j < b_end:
                note(1, j + 1, right[j], start)
    found: list[Found] = [(cause, *values) for cause, values in first.items()]
    if any(count):
        shown = ["; ".join(texts[side]) + (f"; {count[side] - _SHOWN_LINES} more" if count[side] > _SHOWN_LINES else "") for side in (0, 1)]
        found.append((TEXT_CONTENT, shown[0] or "no such line", shown[1] or "no such line"))
    return found


def _changes(left: list[bytes], right: list[bytes]) -> Iterator[tuple[int, int, int, int]]:
    """Start and end of the lines that differ, on both sides."""
    start = 0
    while start < min(len(left), len(right)) and left[start] == right[start]:
        start += 1
    end = 0
    while end < min(len(left), len(right)) - start and left[-end - 1] == right[-end - 1]:
        end += 1
    a, b = left[start : len(left) - end], right[start : len(right) - end]
    if max(len(a), len(b)) > _ALIGNED:
        yield start, start + len(a), start, start + len(b)
        return
    for word, i, i_end, j, j_end in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if word != "equal":
            yield start + i, start + i_end, start + j, start + j_end


def _first_line(left: bytes, right: bytes) -> Found:
    """The first lines that differ, found without taking the texts apart."""
    start = common(left, 0, right, 0)
    number = left.count(b"\n", 0, start) + 1
    start = max(left.rfind(b"\n", 0, start) + 1, start - _SHOWN_BEFORE)
    shown = [_shorten(side[start : start + _SHOWN_BYTES].partition(b"\n")[0]) for side in (left, right)]
    return TEXT_CONTENT, f"from line {number} on: {shown[0]}", f"from line {number} on: {shown[1]}"


def _order(compared: tuple[list[bytes], list[bytes]], shown: tuple[list[bytes], list[bytes]]) -> Found:
    at = next(index for index, (a, b) in enumerate(zip(*compared, strict=True)) if a != b)
    return LINE_ORDER, f"line {at + 1}: {_shorten(shown[0][at])}", f"line {at + 1}: {_shorten(shown[1][at])}"


def _endings(data: bytes, crlf: int) -> str:
    return f"{crlf} lines end in CR LF, {data.count(bytes([10])) - crlf} in LF"


def _shorten(line: bytes) -> str:
    return shortened(text(line))


def _same_json(left: bytes, right: bytes) -> bool:
    starts = left.lstrip()[:1], right.lstrip()[:1]
    if starts[0] != starts[1] or starts[0] not in (b"{", b"[") or max(len(left), len(right)) > _LARGEST_JSON:
        return False
    try:
        return bool(_json(left) == _json(right))
    except (ValueError, RecursionError):
        return False


def _json(data: bytes) -> Any:  # noqa: ANN401 (whatever JSON has)
    # Numbers stay as they are written; of keys only the order is lost, whatever reader comes.
    return json.loads(
        data,
        object_pairs_hook=lambda pairs: ("object", sorted(pairs, key=lambda pair: pair[0])),
        parse_int=lambda text: ("number", text),
        parse_float=lambda text: ("number", text),
        parse_constant=lambda text: ("number", text),
    )
