"""Tars inside of files, compared as layers are."""

import dataclasses

from image_hash.causes import ENTRY_ORDER, TAR_PADDING
from image_hash.comparison import tars
from image_hash.differences import Difference
from image_hash.errors import CheckError
from image_hash.formats.archives import Inside, compare_entries
from image_hash.formats.content import Budget, Content, FormatError, LimitError
from ocilib.errors import Error as OcilibError

_BLOCK = 512


@dataclasses.dataclass(frozen=True)
class _Entry:
    name: str
    header: tars.Entry
    data: Content


def is_tar(content: Content) -> bool:
    """Whether CONTENT starts with a header: its check sum is right (POSIX pax, "ustar Interchange Format")."""
    header = content.read(0, _BLOCK)
    field = header[148:156].strip(b" \0")
    if len(header) < _BLOCK or not field.isdigit() or field.translate(None, b"01234567"):
        return False
    return int(field, 8) == sum(header) - sum(header[148:156]) + 8 * 32


def compare(left: Content, right: Content, place: tuple[str, ...], budget: Budget, inside: Inside) -> list[Difference]:
    """Compares two tars.

    Raises:
        FormatError: one of them is damaged.
        LimitError: one of them has too many members.
    """

    def compare_pair(ours: _Entry, theirs: _Entry, where: tuple[str, ...]) -> list[Difference]:
        found = [Difference(where, *values) for values in tars.entry_differences(ours.header, theirs.header)]
        if ours.header.member.kind == theirs.header.member.kind and ours.header.digest != theirs.header.digest:
            found += inside(ours.data, theirs.data, where)
        return found

    a, b = _read(left, budget), _read(right, budget)
    found = compare_entries(_entries(left, a), _entries(right, b), place, ENTRY_ORDER, compare_pair)
    ending = tars.ending_difference(a, b)
    if ending:
        found.append(Difference(place, TAR_PADDING, *ending))
    return found


def _read(content: Content, budget: Budget) -> tars.Index:
    try:
        index = tars.read_index(content.file(), "the tar")
    except OcilibError as error:
        raise FormatError(str(error)) from None
    except CheckError as error:
        # Of entries, or of their headers, are more than comparison.tars takes.
        raise LimitError(str(error)) from None
    budget.check_members(len(index.entries))
    return index


def _entries(content: Content, index: tars.Index) -> list[_Entry]:
    return [
        _Entry(entry.path, entry, content.part(entry.member.offset, entry.member.size, "the data of an entry")) for entry in index.entries
    ]
