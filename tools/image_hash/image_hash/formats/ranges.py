"""Where two contents differ, as ranges of bytes: what is said when no format explains more."""

from image_hash.formats.content import CHUNK, Content

# Ranges closer together than this are one.
_BLOCK = 32
_SHOWN_RANGES = 3
_SHOWN_BYTES = 16


def common_start(left: Content, right: Content) -> int:
    """Number of bytes that both start with."""
    shorter = min(left.size, right.size)
    for offset in range(0, shorter, CHUNK):
        a = left.read(offset, min(CHUNK, shorter - offset))
        b = right.read(offset, min(CHUNK, shorter - offset))
        if a != b:
            return offset + common(a, 0, b, 0)
    return shorter


def common(left: bytes, i: int, right: bytes, j: int) -> int:
    """Number of bytes that LEFT from I on has in common with RIGHT from J on."""
    start = i
    longest = min(len(left) - i, len(right) - j)
    step = 64
    while longest > 0:
        step = min(step, longest)
        if left[i : i + step] != right[j : j + step]:
            break
        i, j, longest, step = i + step, j + step, longest - step, step * 2
    while step > 1 and longest > 0:
        # The first difference is among the next STEP bytes.
        half = step // 2
        if left[i : i + half] == right[j : j + half]:
            i, j, step = i + half, j + half, step - half
        else:
            step = half
    return i - start


def _common_end(left: Content, right: Content, start: int) -> int:
    """Number of bytes that both end with, not counting the START that they begin with."""
    longest = min(left.size, right.size) - start
    done = 0
    while done < longest:
        step = min(CHUNK, longest - done)
        a = left.read(left.size - done - step, step)[::-1]
        b = right.read(right.size - done - step, step)[::-1]
        if a != b:
            return done + common(a, 0, b, 0)
        done += step
    return done


def describe(left: Content, right: Content) -> tuple[str, str]:
    """The first ranges that differ, with their first bytes in hexadecimal, for either side.

    Contents of one size are compared place by place; else what both start with and what both end with is left out.
    """
    if left.size != right.size:
        start = common_start(left, right)
        end = _common_end(left, right, start)
        return _range(left, start, left.size - end), _range(right, start, right.size - end)
    found, more = _places(left, right)
    rest = "; more follow" if more else ""
    return "; ".join(_range(left, *place) for place in found) + rest, "; ".join(_range(right, *place) for place in found) + rest


def _places(left: Content, right: Content) -> tuple[list[tuple[int, int]], bool]:
    found: list[tuple[int, int]] = []
    for offset in range(0, left.size, CHUNK):
        a, b = left.read(offset, CHUNK), right.read(offset, CHUNK)
        if a == b:
            continue
        at = 0
        while (at := at + common(a, at, b, at)) < len(a):
            last = at
            for position in range(at, len(a)):
                if a[position] != b[position]:
                    last = position
                elif position - last >= _BLOCK:
                    break
            start, end = offset + at, offset + last + 1
            at = last + 1
            if found and start - found[-1][1] < _BLOCK:
                found[-1] = (found[-1][0], end)
            elif len(found) == _SHOWN_RANGES:
                return found, True
            else:
                found.append((start, end))
    return found, False


def _range(content: Content, start: int, end: int) -> str:
    if start == end:
        return f"nothing at byte {start} of {content.size}"
    data = content.read(start, min(end - start, _SHOWN_BYTES)).hex()
    place = f"byte {start}" if end == start + 1 else f"bytes {start}-{end - 1}"
    return f"{place} of {content.size}: {data}{'...' if end - start > _SHOWN_BYTES else ''}"
