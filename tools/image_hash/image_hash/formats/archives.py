"""What all archives have in common: entries with names, in an order."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from image_hash.causes import DUPLICATE_ENTRY, FILE_ADDED, FILE_REMOVED, Cause
from image_hash.differences import Difference
from image_hash.formats.content import Content

# Compares what is in an archive: two contents that differ, and their place.
Inside = Callable[[Content, Content, tuple[str, ...]], list[Difference]]


class Entry(Protocol):
    """An entry, as each format defines it."""

    @property
    def name(self) -> str:
        """As stored."""


E = TypeVar("E", bound=Entry)


def compare_entries(
    left: Sequence[E],
    right: Sequence[E],
    place: tuple[str, ...],
    order: Cause,
    compare: Callable[[E, E, tuple[str, ...]], list[Difference]],
) -> list[Difference]:
    """Compares entries of one name by COMPARE, says which are on one side only, and names it ORDER if the others changed places."""
    ours, theirs = _numbered(left), _numbered(right)
    found = []
    common = [key for key in ours if key in theirs]
    moved = next(((a, b) for a, b in zip(common, (key for key in theirs if key in ours), strict=True) if a != b), None)
    if moved:
        after = common.index(moved[0])
        found.append(Difference(place, order, f"entry {after} in both: {moved[0][0]}", f"entry {after} in both: {moved[1][0]}"))
    for key, entry in ours.items():
        name, count = key
        if key in theirs:
            found += compare(entry, theirs[key], (*place, name))
        else:
            cause = DUPLICATE_ENTRY if (name, 0) in theirs else FILE_REMOVED
            found.append(Difference((*place, name), cause, "again" if count else "present", ""))
    for name, count in theirs:
        if (name, count) not in ours:
            cause = DUPLICATE_ENTRY if (name, 0) in ours else FILE_ADDED
            found.append(Difference((*place, name), cause, "", "again" if count else "present"))
    return found


def _numbered(entries: Sequence[E]) -> dict[tuple[str, int], E]:
    counts: dict[str, int] = {}
    numbered = {}
    for entry in entries:
        count = counts.get(entry.name, 0)
        counts[entry.name] = count + 1
        numbered[entry.name, count] = entry
    return numbered
