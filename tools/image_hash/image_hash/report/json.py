"""Comparisons as JSON, for programs.

Schema 1: an object with

    schema       1
    same         whether all images are the same as what they were compared with
    comparisons  a list, with for each of them:
        same         whether both are the same image
        left, right  {name, image_hash or null where the format does not keep the manifest, layers: [{position, diff_id, size,
                     created_by, equal}]}; layers from the lowest, size in bytes of the blob, 0 where the format does not state it;
                     equal if the other image has it
        causes       [{cause, meaning, advice, count, targets}], each cause of the differences once
        differences  [{place, cause, left, right, layer, target}], all of them: place is a list of names from the outside in, as they
                     stand in the image, layer the position of a layer or null, target the label of a Bazel target or ""

Characters other than ASCII are escaped. New keys may come; those that are there stay.
"""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from image_hash.differences import Comparison, LayerSize
from image_hash.report import groups

_SCHEMA = 1


def render(comparisons: Sequence[Comparison]) -> str:
    """The report; ends with a newline."""
    document = {
        "schema": _SCHEMA,
        "same": all(comparison.same for comparison in comparisons),
        "comparisons": [_comparison(comparison) for comparison in comparisons],
    }
    return json.dumps(document, indent=2) + "\n"


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "same": comparison.same,
        "left": _side(comparison.left, comparison.left_hash, comparison.left_layers),
        "right": _side(comparison.right, comparison.right_hash, comparison.right_layers),
        "causes": [
            {
                "cause": group.cause.name,
                "meaning": group.cause.meaning,
                "advice": group.cause.advice,
                "count": len(group.differences),
                "targets": list(group.targets),
            }
            for group in groups.by_cause(comparison.differences)
        ],
        "differences": [
            {
                "place": list(difference.place),
                "cause": difference.cause.name,
                "left": difference.left,
                "right": difference.right,
                "layer": difference.layer,
                "target": difference.target,
            }
            for difference in comparison.differences
        ],
    }


def _side(name: str, image_hash: str | None, layers: Sequence[LayerSize]) -> dict[str, Any]:
    return {"name": name, "image_hash": image_hash, "layers": [dataclasses.asdict(layer) for layer in layers]}
