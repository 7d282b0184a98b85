"""Which layer of one image answers to which layer of the other."""

import dataclasses
import difflib
from collections.abc import Callable, Sequence

from image_hash.image import Layer

# Layers of which nothing but their files says that they belong together must share at least this part of their paths.
_SIMILAR = 0.5
# So many pairs of them are looked into; images with more such layers in one place are made to keep us busy.
_MOST_PAIRS = 2500


@dataclasses.dataclass(frozen=True)
class Matching:
    """Pairs of layers, and those without a partner.

    Attributes:
        equal: same diff id.
        moved: same diff id, but in another place among the others.
        changed: another diff id, but made by the same command, or with similar paths.
        removed: only in the first image.
        added: only in the second one.
        base: the lowest layers of both images, if those were all replaced by others; they are not in `removed` and `added`.
    """

    equal: Sequence[tuple[Layer, Layer]]
    moved: Sequence[tuple[Layer, Layer]]
    changed: Sequence[tuple[Layer, Layer]]
    removed: Sequence[Layer]
    added: Sequence[Layer]
    base: tuple[Sequence[Layer], Sequence[Layer]] | None


def match(left: Sequence[Layer], right: Sequence[Layer], paths: Callable[[Layer], frozenset[str]]) -> Matching:
    """Matches layers: first by diff id, then by the command that made them, then by what they hold.

    Args:
        left: layers of the first image, lowest first.
        right: those of the second one.
        paths: the paths of a layer, asked for only where nothing else tells.
    """
    equal, gaps = _aligned(left, right, lambda layer: layer.diff_id)
    lost, new = [layer for a, _ in gaps for layer in a], [layer for _, b in gaps for layer in b]
    moved = _same_elsewhere(lost, new)
    gone = {id(layer) for pair in moved for layer in pair}
    changed: list[tuple[Layer, Layer]] = []
    removed: list[Layer] = []
    added: list[Layer] = []
    base = None
    for number, gap in enumerate(gaps):
        a, b = ([layer for layer in side if id(layer) not in gone] for side in gap)
        pairs, rest = _aligned(a, b, lambda layer: layer.created_by or None)
        changed += pairs
        for part, (c, d) in enumerate(rest):
            lowest = number == 0 and part == 0 and c[:1] == list(left[:1]) and d[:1] == list(right[:1])
            anchored = len(rest) > 1 or len(gaps) > 1
            if lowest and c and d and anchored and all(layer.created_by for layer in (*c, *d)):
                base = (c, d)
                continue
            similar, without_left, without_right = _similar(c, d, paths)
            changed += similar
            removed += without_left
            added += without_right
    changed.sort(key=lambda pair: pair[0].position)
    return Matching(equal, moved, changed, removed, added, base)


def _aligned(
    left: Sequence[Layer], right: Sequence[Layer], key: Callable[[Layer], str | None]
) -> tuple[list[tuple[Layer, Layer]], list[tuple[Sequence[Layer], Sequence[Layer]]]]:
    """Pairs with the same key, in order; and what is before, between and behind them. The key None equals nothing."""
    keys = [[key(layer) or (side, layer.position) for layer in layers] for side, layers in enumerate((left, right))]
    blocks = difflib.SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_matching_blocks()
    pairs: list[tuple[Layer, Layer]] = []
    gaps = []
    at_left = at_right = 0
    for block in blocks:
        gaps.append((left[at_left : block.a], right[at_right : block.b]))
        at_left, at_right = block.a + block.size, block.b + block.size
        pairs += zip(left[block.a : at_left], right[block.b : at_right], strict=True)
    return pairs, gaps


def _same_elsewhere(left: Sequence[Layer], right: Sequence[Layer]) -> list[tuple[Layer, Layer]]:
    by_diff_id: dict[str, list[Layer]] = {}
    for layer in right:
        by_diff_id.setdefault(layer.diff_id, []).append(layer)
    return [(layer, by_diff_id[layer.diff_id].pop(0)) for layer in left if by_diff_id.get(layer.diff_id)]


def _similar(
    left: Sequence[Layer], right: Sequence[Layer], paths: Callable[[Layer], frozenset[str]]
) -> tuple[list[tuple[Layer, Layer]], list[Layer], list[Layer]]:
    """Pairs that share most of their paths; the rest of both sides."""
    if not left or not right or len(left) * len(right) > _MOST_PAIRS:
        return [], list(left), list(right)
    if len(left) == len(right) == 1 and left[0].created_by == right[0].created_by == "":
        # Nothing is known of either but its place, and that is the same.
        return [(left[0], right[0])], [], []
    scores = []
    for a in left:
        for b in right:
            shared, all_paths = len(paths(a) & paths(b)), len(paths(a) | paths(b))
            scores.append((shared / all_paths if all_paths else 1.0, -abs(a.position - b.position), a, b))
    scores.sort(key=lambda score: score[:2], reverse=True)
    pairs = []
    taken: set[int] = set()
    for score, _, a, b in scores:
        if score >= _SIMILAR and not {id(a), id(b)} & taken:
            taken |= {id(a), id(b)}
            pairs.append((a, b))
    return pairs, [layer for layer in left if id(layer) not in taken], [layer for layer in right if id(layer) not in taken]
