"""Comparisons as text for a terminal: the verdict first, then one paragraph for each cause."""

from collections.abc import Iterator, Sequence

from image_hash.differences import Comparison, Difference, LayerSize
from image_hash.report import groups
from image_hash.text import printable

# Places that are shown of one cause, and targets; JSON has all.
_SHOWN = 3
_LONGEST_PLACE = 200
_LONGEST_VALUE = 80


def render(comparisons: Sequence[Comparison]) -> str:
    """The report, without control characters whatever the images hold; ends with a newline."""
    return "\n".join("".join(f"{line}\n" for line in _lines(comparison)) for comparison in comparisons)


def _lines(comparison: Comparison) -> Iterator[str]:
    left, right = printable(comparison.left), printable(comparison.right)
    if comparison.same:
        yield f"match: {left} and {right} are the same image"
        yield f"  {_hash(comparison.left_hash)}"
        return
    found = groups.by_cause(comparison.differences)
    yield f"mismatch: {left} and {right} differ by {', '.join(group.cause.name for group in found)}"
    yield f"  first   {_side(comparison.left_hash, comparison.left_layers)}"
    yield f"  second  {_side(comparison.right_hash, comparison.right_layers)}"
    for group in found:
        count = len(group.differences)
        yield ""
        yield f"{group.cause.name}{f', {count} times' if count > 1 else ''}: {group.cause.meaning}"
        for difference in group.differences[:_SHOWN]:
            yield f"  {_place(difference)}"
            yield f"      {_value(difference.left)} -> {_value(difference.right)}"
        if count > _SHOWN:
            yield f"  and {count - _SHOWN} more"
        if group.targets:
            yield f"  made by {_targets(group.targets)}"
        yield f"  to do: {group.cause.advice}"


def _side(image_hash: str | None, layers: Sequence[LayerSize]) -> str:
    equal = sum(layer.equal for layer in layers)
    return f"{_hash(image_hash)}{f', {equal} of {len(layers)} layers are in the other, too' if layers else ''}"


def _hash(image_hash: str | None) -> str:
    return image_hash or "image hash: not kept in this format"


def _place(difference: Difference) -> str:
    return printable(" > ".join(difference.place), _LONGEST_PLACE)


def _value(value: str) -> str:
    return printable(value, _LONGEST_VALUE) or "nothing"


def _targets(labels: Sequence[str]) -> str:
    shown = ", ".join(printable(label) for label in labels[:_SHOWN])
    return shown if len(labels) <= _SHOWN else f"{shown} and {len(labels) - _SHOWN} more"
