"""Paths and times of the machine that built a file, where they are proven: all bytes but these are equal on both sides."""

import dataclasses
import re

from image_hash.causes import EMBEDDED_PATH, EMBEDDED_TIME, Cause
from image_hash.formats.ranges import common

# Beyond this a content is no longer read as a whole.
LARGEST = 32 << 20
# More differences than that in one file are something else than a path or a time.
_MOST = 100_000
# A time, or the path of a file, is no longer than this.
_TIME = 64
_PATH = 4096

_YEAR = rb"(?:19[7-9]\d|20\d\d|21\d\d)"
_MONTH = rb"(?:0[1-9]|1[0-2])"
_DAY = rb"(?:0[1-9]|[12]\d|3[01])"
_CLOCK = rb"(?:[01]\d|2[0-4]):[0-5]\d(?::[0-6]\d(?:[.,]\d{1,9})?)?"
_ZONE = rb"(?: ?(?:Z|UTC|GMT|[A-Z]{3,4}|[+-]\d\d:?\d\d)(?![A-Za-z0-9]))?"
_MONTH_NAME = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DAY_NAME = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_DAY_OF_MONTH = rb"(?: ?[1-9]|0[1-9]|[12]\d|3[01])"
# Forms that nothing but a date or a time has; a bare number is a time only if its key says so.
_TIMES = re.compile(
    rb"(?<![0-9A-Za-z])(?:"
    # ISO 8601 and RFC 3339.
    rb"(?P<iso>%(year)s-%(month)s-%(day)s(?:[T _]%(clock)s%(zone)s)?)"
    rb"|(?P<slashes>%(year)s/%(month)s/%(day)s(?: %(clock)s%(zone)s)?)"
    # ISO 8601, basic format.
    rb"|(?P<basic>%(year)s%(month)s%(day)sT?(?:[01]\d|2[0-4])[0-5]\d[0-6]\dZ?)"
    # C's asctime, date(1), java.util.Date, java.util.Properties.
    rb"|(?P<asctime>%(day_name)s %(month_name)s %(day_of_month)s %(clock)s%(zone)s(?: %(year)s)?)"
    # RFC 5322, and date(1) in English.
    rb"|(?P<mail>(?:%(day_name)s,? )?%(day_of_month)s %(month_name)s %(year)s(?: %(clock)s%(zone)s)?)"
    # C's __DATE__, with __TIME__ behind it or not; and __TIME__.
    rb"|(?P<c>%(month_name)s %(day_of_month)s %(year)s(?: %(clock)s)?)"
    rb"|(?P<clock>%(clock)s%(zone)s)"
    # Seconds or milliseconds since 1970: from 2001 on.
    rb"|(?P<epoch>(?i:[a-z_.-]{0,24}(?:time|date|epoch|stamp)[a-z_.-]{0,16})[\"']? ?[=:] ?[\"']?[1-4]\d{9}(?:\d{3})?)"
    rb")(?![0-9A-Za-z])"
    % {
        b"year": _YEAR,
        b"month": _MONTH,
        b"day": _DAY,
        b"clock": _CLOCK,
        b"zone": _ZONE,
        b"month_name": _MONTH_NAME,
        b"day_name": _DAY_NAME,
        b"day_of_month": _DAY_OF_MONTH,
    }
)
# What ends a path in a text, a list of options or among the strings of a program.
_NO_PATH = re.compile(rb"[\0-\x20\"'<>|*?:;,()\[\]{}=&`$\x7f-\xff]")
# Paths that distributions give, not whoever builds.
_SYSTEM = re.compile(rb"/(?:usr|lib|lib32|lib64|bin|sbin|etc|proc|sys|dev|var/lib)(?:/|$)")


@dataclasses.dataclass(frozen=True)
class Replaced:
    """What was found at all places where two contents differ.

    Attributes:
        cause: embedded path or embedded time.
        left: the first of its kind on the left: the start of a path, or a time.
        right: the same place on the right.
    """

    cause: Cause
    left: str
    right: str


def without_times(data: bytes) -> bytes:
    """DATA, a text, with NUL, which no text has, in the place of every date and time."""
    return _TIMES.sub(b"\0", data)


def replaced(left: bytes, right: bytes, *, folders: bool = False) -> list[Replaced] | None:
    """Says which paths and times make LEFT and RIGHT differ; None if anything else does.

    A path counts where it is absolute on both sides and, but for its start, equal; then the start counts alone, too. With FOLDERS one
    that is all different counts as well: for places where only whoever built it has written paths.
    """
    prefixes: list[tuple[bytes, bytes]] = []
    times: list[tuple[bytes, bytes]] = []
    i = j = 0
    for _ in range(_MOST):
        run = common(left, i, right, j)
        i, j = i + run, j + run
        if i == len(left) and j == len(right):
            break
        ends = _time(left, i, right, j, run)
        if ends:
            if not times:
                times.append((left[slice(*ends[0])], right[slice(*ends[1])]))
        else:
            ends = _path(left, i, right, j, run, prefixes, folders=folders)
            if not ends:
                return None
        # Something of either was consumed, or the same would be found for ever.
        if ends[0][1] <= i and ends[1][1] <= j:
            return None
        i, j = ends[0][1], ends[1][1]
    else:
        return None
    found = [Replaced(EMBEDDED_PATH, _text(a or b"/"), _text(b or b"/")) for a, b in prefixes[:1]]
    return found + [Replaced(EMBEDDED_TIME, _text(a), _text(b)) for a, b in times]


_Ends = tuple[tuple[int, int], tuple[int, int]]


def _time(left: bytes, i: int, right: bytes, j: int, run: int) -> _Ends | None:
    """Start and end of the time on both sides that the first difference, at I and J after RUN equal bytes, is in."""
    position = i - min(run, _TIME)
    while match := _TIMES.search(left, position, i + _TIME):
        if match.start() > i:
            return None
        if match.end() >= i:
            other = _TIMES.match(right, j - (i - match.start()), j + _TIME)
            if other and other.lastgroup == match.lastgroup and other.end() >= j:
                return match.span(), other.span()
        position = match.start() + 1
    return None


def _path(left: bytes, i: int, right: bytes, j: int, run: int, prefixes: list[tuple[bytes, bytes]], *, folders: bool) -> _Ends | None:
    """Start and end of what is replaced in the path on both sides that the first difference is in; PREFIXES grows by a new one."""
    back = 0
    while back < min(run, _PATH) and not _NO_PATH.match(left, i - back - 1):
        back += 1
    token = left[i - back : i]
    slash = token.find(b"/")
    # Before an absolute path at most an option like -I.
    if slash < 0 or (slash > 0 and not re.fullmatch(rb"-{1,2}[A-Za-z-]*|@", token[:slash])):
        return None
    a, b = i - back + slash, j - back + slash
    path_left, path_right = left[a : _end(left, i)], right[b : _end(right, j)]
    if _SYSTEM.match(path_left) and _SYSTEM.match(path_right):
        return None
    for known in prefixes:
        if path_left.startswith(known[0]) and path_right.startswith(known[1]) and path_left[len(known[0]) :] == path_right[len(known[1]) :]:
            return (a, a + len(known[0])), (b, b + len(known[1]))
    parts_left, parts_right = path_left.split(b"/"), path_right.split(b"/")
    same = 0
    while same < min(len(parts_left), len(parts_right)) - 1 and parts_left[-same - 1] == parts_right[-same - 1]:
        same += 1
    if (not same and not folders) or (parts_left[-1] == b"" and same == 1):
        return None
    prefix = b"/".join(parts_left[: len(parts_left) - same]), b"/".join(parts_right[: len(parts_right) - same])
    if len(prefixes) == 4:
        return None
    prefixes.append(prefix)
    return (a, a + len(prefix[0])), (b, b + len(prefix[1]))


def _end(data: bytes, start: int) -> int:
    match = _NO_PATH.search(data, start, start + _PATH)
    return match.start() if match else min(len(data), start + _PATH)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
