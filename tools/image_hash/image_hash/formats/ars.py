"""ar archives: static libraries and Debian packages.

Format: System V with GNU's long names, and BSD's (ar(5) of FreeBSD).
"""

import dataclasses

from image_hash.causes import ENTRY_ORDER, MODE, MTIME, OWNER, Cause
from image_hash.differences import Difference
from image_hash.formats.archives import Inside, compare_entries
from image_hash.formats.content import Budget, Content, FormatError, equal
from image_hash.formats.shown import text, unix_time

MAGIC = b"!<arch>\n"
_HEADER = 60
# The table of symbols and the one of long names, which follow from the other members.
_TABLES = ("/", "//", "/SYM64/", "__.SYMDEF", "__.SYMDEF SORTED")
_LARGEST_NAMES = 16 << 20


@dataclasses.dataclass(frozen=True)
class _Member:
    name: str
    facets: tuple[tuple[Cause, str], ...]
    data: Content


def compare(left: Content, right: Content, place: tuple[str, ...], budget: Budget, inside: Inside) -> list[Difference]:
    """Compares two ar archives.

    Raises:
        FormatError: one of them is damaged.
        LimitError: one of them has too many members.
    """

    def compare_pair(ours: _Member, theirs: _Member, where: tuple[str, ...]) -> list[Difference]:
        found = [Difference(where, cause, a, b) for (cause, a), (_, b) in zip(ours.facets, theirs.facets, strict=True) if a != b]
        return found if equal(ours.data, theirs.data) else found + inside(ours.data, theirs.data, where)

    a, b = _members(left, budget), _members(right, budget)

    def compare_those(*, tables: bool) -> list[Difference]:
        ours, theirs = ([member for member in side if (member.name in _TABLES) == tables] for side in (a, b))
        return compare_entries(ours, theirs, place, ENTRY_ORDER, compare_pair)

    # The tables differ as a consequence.
    return compare_those(tables=False) or compare_those(tables=True)


def _members(content: Content, budget: Budget) -> list[_Member]:
    members: list[_Member] = []
    names = b""
    position = len(MAGIC)
    while position < content.size:
        budget.check_members(len(members) + 1)
        header = content.exactly(position, _HEADER, "a header")
        if header[58:] != b"`\n":
            raise FormatError(f"no member at byte {position}")
        mtime, uid, gid = (_number(header[a:b], 10, position) for a, b in ((16, 28), (28, 34), (34, 40)))
        mode = _number(header[40:48], 8, position)
        size = _number(header[48:58], 10, position)
        position += _HEADER
        data = content.part(position, size, "a member")
        position += size
        if size % 2 and position < content.size:
            if content.read(position, 1) not in (b"\n", b"\0"):
                raise FormatError(f"no padding at byte {position}")
            position += 1
        name = header[:16].rstrip(b" ")
        if name == b"//":
            names = data.read(0, _LARGEST_NAMES)
        elif name.startswith(b"#1/"):
            length = _number(name[3:], 10, position)
            name = data.exactly(0, length, "a name").rstrip(b"\0")
            data = data.part(length, data.size - length, "a member")
        elif name[:1] == b"/" and name[1:].isdigit():
            start = int(name[1:])
            name = names[start : start + 4096].partition(b"\n")[0].removesuffix(b"/")
        elif name not in (b"/", b"/SYM64/"):
            name = name.removesuffix(b"/")
        facets = (
            (MTIME, unix_time(mtime)),
            (OWNER, f"{uid}:{gid}"),
            (MODE, f"{mode:o}"),
        )
        members.append(_Member(text(name), facets, data))
    return members


def _number(field: bytes, base: int, position: int) -> int:
    digits = field.strip(b" ")
    if not digits:
        return 0  # of the tables, GNU states nothing
    if not digits.isdigit() or (base == 8 and digits.translate(None, b"01234567")):
        raise FormatError(f"no number where a header before byte {position} should have one")
    return int(digits, base)
