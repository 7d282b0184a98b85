"""The differences of a comparison by cause: what differs in a thousand places for one reason is said once."""

import dataclasses
from collections.abc import Iterable, Sequence

from image_hash.causes import Cause
from image_hash.differences import Difference


@dataclasses.dataclass(frozen=True)
class Group:
    """All differences of one cause.

    Attributes:
        cause: of all of them.
        differences: in the order of the comparisons, at least one.
        targets: labels of the Bazel targets that hold them, each once, in that order.
    """

    cause: Cause
    differences: Sequence[Difference]
    targets: Sequence[str]


def by_cause(differences: Iterable[Difference]) -> list[Group]:
    """The groups of the differences of comparisons, in the order of their first ones: from the outside of images to the inside of files."""
    found: dict[str, list[Difference]] = {}
    for difference in differences:
        found.setdefault(difference.cause.name, []).append(difference)
    return [
        Group(group[0].cause, group, list(dict.fromkeys(difference.target for difference in group if difference.target)))
        for group in found.values()
    ]
