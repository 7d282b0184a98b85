"""A comparison as text for a terminal: the verdict first, then one paragraph for each cause."""

from collections.abc import Iterator, Sequence

from image_hash.differences import Comparison, Difference, LayerSize
from image_hash.report import groups
from image_hash.text import printable

# Places that are shown of one cause; JSON has all.
_SHOWN = 3
_LONGEST_PLACE = 200
_LONGEST_VALUE = 80


def render(comparison: Comparison) -> str:
    """The report, without control characters whatever the images hold; ends with a newline."""
    if comparison.same:
        return f"match: {printable(comparison.left)} and {printable(comparison.right)} are the same image\n{_hash(comparison.left_hash)}\n"
    return "\n".join(_lines(comparison)) + "\n"


def _lines(comparison: Comparison) -> Iterator[str]:
    found = groups.by_cause(comparison.differences)
    causes = ", ".join(group.cause.name for group in found)
    yield f"mismatch: {printable(comparison.left)} and {printable(comparison.right)} differ by {causes}"
    yield _hash(comparison.left_hash) + "  first"
    yield _hash(comparison.right_hash) + "  second"
    layers = comparison.left_layers, comparison.right_layers
    yield f"  {_equal(layers[0])} of {len(layers[0])} layers of the first are among the {len(layers[1])} of the second"
    for group in found:
        yield ""
        count = len(group.differences)
        yield f"{group.cause.name}{f', {count} times' if count > 1 else ''}: {group.cause.meaning}"
        for difference in group.differences[:_SHOWN]:
            yield f"  {_place(difference)}"
            yield f"      {_value(difference.left)} -> {_value(difference.right)}"
        if count > _SHOWN:
            yield f"  and {count - _SHOWN} more"
        if group.targets:
            yield f"  made by {_targets(group.targets)}"
        yield f"  to do: {group.cause.advice}"


def _place(difference: Difference) -> str:
    return printable(" > ".join(difference.place), _LONGEST_PLACE)


def _value(value: str) -> str:
    return printable(value, _LONGEST_VALUE) or "nothing"


def _targets(labels: Sequence[str]) -> str:
    shown = ", ".join(printable(label) for label in labels[:_SHOWN])
    return shown if len(labels) <= _SHOWN else f"{shown} and {len(labels) - _SHOWN} more"


def _equal(layers: Sequence[LayerSize]) -> int:
    return sum(layer.equal for layer in layers)


def _hash(image_hash: str | None) -> str:
    return f"  {image_hash or 'image hash not kept in this format'}"
