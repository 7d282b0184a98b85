"""What a comparison of two images finds: the words that the comparison, the reports and the JSON share."""

import dataclasses
from collections.abc import Sequence

from image_hash.causes import Cause


@dataclasses.dataclass(frozen=True)
class Difference:
    """One difference with its cause.

    Attributes:
        place: where, from the outside in: ("config", "Env", "PATH"), ("layer 3", "app/x.jar", "BOOT-INF/classes/X.class"); names as they
            stand in the image, not yet escaped for a terminal or a page.
        cause: why, from the documented list.
        left: what the first image has there, short and for a person; empty if it has nothing.
        right: what the second one has.
        layer: position of the layer, the same as in `Layer.position`; None for what is no layer's.
        target: label of the Bazel target whose output holds it; empty if that is not known.
    """

    place: tuple[str, ...]
    cause: Cause
    left: str
    right: str
    layer: int | None = None
    target: str = ""


@dataclasses.dataclass(frozen=True)
class LayerSize:
    """A layer for the size map.

    Attributes:
        position: 0 for the lowest.
        diff_id: digest of the tar.
        size: bytes of the blob; 0 where the format does not state them.
        created_by: what the config's history says of it.
        equal: whether the other image has it too.
    """

    position: int
    diff_id: str
    size: int
    created_by: str
    equal: bool


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The outcome for two images.

    Attributes:
        left: name of the first.
        right: name of the second.
        left_hash: its image hash; None where its format does not keep the manifest.
        right_hash: likewise.
        same: whether what both formats keep is equal, byte for byte.
        differences: in the order of their places; empty exactly if `same`.
        left_layers: sizes, lowest first.
        right_layers: likewise.
    """

    left: str
    right: str
    left_hash: str | None
    right_hash: str | None
    same: bool
    differences: Sequence[Difference]
    left_layers: Sequence[LayerSize]
    right_layers: Sequence[LayerSize]
