"""Areas for sizes: the squarified treemap of Bruls, Huizing and van Wijk (2000), whose rectangles are as square as can be."""

import dataclasses
from collections.abc import Sequence

# A part that nobody would see, and that would be lost in rounding.
_SMALLEST = 1_000_000


@dataclasses.dataclass(frozen=True)
class Rectangle:
    """A part of the area.

    Attributes:
        index: of the size that it stands for.
        x: distance from the left.
        y: distance from the top.
        width: to the right.
        height: downwards.
    """

    index: int
    x: float
    y: float
    width: float
    height: float


def squarify(sizes: Sequence[int], width: float, height: float) -> list[Rectangle]:
    """Divides an area into rectangles that are to each other as SIZES, the largest first; less than a millionth of all has none."""
    visible = sum(sizes) / _SMALLEST
    order = sorted((index for index, size in enumerate(sizes) if size > visible), key=lambda index: (-sizes[index], index))
    total = sum(sizes[index] for index in order)
    areas = [(index, sizes[index] * width * height / total) for index in order]
    rectangles: list[Rectangle] = []
    x = y = 0.0
    while areas:
        # A row along the shorter side takes areas for as long as that makes its worst rectangle more square.
        side = min(width - x, height - y)
        count = 1
        while count < len(areas) and _worst(areas[: count + 1], side) <= _worst(areas[:count], side):
            count += 1
        row, areas = areas[:count], areas[count:]
        depth = sum(area for _, area in row) / side
        along = 0.0
        for index, area in row:
            length = area / depth
            if width - x >= height - y:
                rectangles.append(Rectangle(index, x, y + along, depth, length))
            else:
                rectangles.append(Rectangle(index, x + along, y, length, depth))
            along += length
        if width - x >= height - y:
            x += depth
        else:
            y += depth
    return rectangles


def _worst(row: Sequence[tuple[int, float]], side: float) -> float:
    """The largest ratio of the sides of the rectangles of a row."""
    total = sum(area for _, area in row)
    return max(max(side * side * area / (total * total), total * total / (side * side * area)) for _, area in row)
