"""Compares two images from the outside in. What has the same digest on both sides is not opened."""

import dataclasses
import functools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from image_hash import causes
from image_hash.comparison import documents, layers, matching, origin, tars
from image_hash.comparison.matching import Matching
from image_hash.differences import Comparison, Difference, LayerSize
from image_hash.image import Image, Layer
from ocilib.errors import Error as OcilibError


def compare(left: Image, right: Image) -> Comparison:
    """Finds out whether two images are the same, and if not, what differs and why.

    Where the format of one does not keep the manifest, only configs are compared, which hold the digests of all tars.

    Raises:
        CheckError: a layer that has to be opened cannot be read, or is not what its digest says.
    """
    both_kept = left.manifest and right.manifest
    same = left.image_hash == right.image_hash if both_kept else left.config.digest == right.config.digest
    found: list[Difference] = []
    if not same:
        with ThreadPoolExecutor(os.cpu_count() or 1) as executor:
            found = _Pair(left, right, executor).differences()
    return Comparison(
        left.name,
        right.name,
        left.image_hash,
        right.image_hash,
        same,
        found,
        _sizes(left.layers, right.layers),
        _sizes(right.layers, left.layers),
    )


def layer_size(layer: Layer, equal: bool) -> LayerSize:
    """A layer for the size map; EQUAL tells whether the other image has it."""
    return LayerSize(layer.position, layer.diff_id, layer.descriptor.size if layer.descriptor else 0, layer.created_by, equal)


class _Pair:
    """Two images that differ; layers are read and compared several at a time."""

    def __init__(self, left: Image, right: Image, executor: ThreadPoolExecutor) -> None:
        self._left = left
        self._right = right
        self._executor = executor

    def differences(self) -> list[Difference]:
        """What differs, at least one thing."""
        left, right = self._left, self._right
        matched = matching.match(left.layers, right.layers, functools.cache(_paths))
        found = documents.index_differences(left, right)
        if left.manifest and right.manifest:
            found += documents.manifest_differences(left.manifest, right.manifest)
        configs = documents.config_differences(left.config, right.config)
        configs += documents.history_differences(left.config, right.config, *_unmatched(matched))
        if not configs and left.config.data != right.config.data and documents.same_layers(left.config, right.config):
            configs.append(documents.formatting_difference("config", left.config, right.config))
        found += configs + self._of_layers(matched)
        if not found and left.manifest and right.manifest:
            # All that manifests point to is equal.
            found.append(documents.formatting_difference("manifest", left.manifest, right.manifest))
        return _named_history(found)

    def _of_layers(self, matched: Matching) -> list[Difference]:
        jobs = [self._executor.submit(self._changed, *pair) for pair in matched.changed]
        jobs += [self._executor.submit(self._stored, *pair) for pair in (*matched.equal, *matched.moved)]
        found = [*_base(matched), *_without_partner(matched)]
        found += (difference for job in jobs for difference in job.result())
        return sorted(found, key=lambda difference: -1 if difference.layer is None else difference.layer)

    def _changed(self, left: Layer, right: Layer) -> list[Difference]:
        """How two layers differ that answer to each other, with other diff ids."""
        found = [
            dataclasses.replace(difference, cause=causes.COMPRESSION_FORMAT) if documents.is_compression(difference) else difference
            for difference in self._descriptors(left, right)
        ]
        return found + layers.tar_differences(left, right)

    def _stored(self, left: Layer, right: Layer) -> list[Difference]:
        """How two layers with the same diff id are stored and described differently."""
        found = self._descriptors(left, right)
        if left.descriptor and right.descriptor and left.descriptor.digest != right.descriptor.digest:
            blobs = layers.blob_differences(left, right)
            if any(difference.cause is causes.COMPRESSION_FORMAT for difference in blobs):
                found = [difference for difference in found if not documents.is_compression(difference)]
            found += blobs
        return found

    def _descriptors(self, left: Layer, right: Layer) -> list[Difference]:
        found = documents.layer_differences(layers.place(left), self._left, self._right, (left.position, right.position))
        return [dataclasses.replace(difference, layer=left.position, target=origin.layer_target(left.created_by)) for difference in found]


def _paths(layer: Layer) -> frozenset[str]:
    try:
        with layer.open_tar() as stream:
            return frozenset(entry.path for entry in tars.read_index(stream, layers.place(layer)[0]).entries)
    except OcilibError:
        # No tar, so nothing that could be shared.
        return frozenset()


def _base(matched: Matching) -> Iterator[Difference]:
    if matched.base:
        texts = [f"{len(side)} layers, the highest made by {side[-1].created_by}" for side in matched.base]
        yield Difference(("base image",), causes.BASE_MOVED, texts[0], texts[1])


def _without_partner(matched: Matching) -> Iterator[Difference]:
    for left, right in matched.moved:
        texts = [f"position {layer.position}" for layer in (left, right)]
        yield Difference(layers.place(left), causes.LAYER_ORDER, texts[0], texts[1], left.position, origin.layer_target(left.created_by))
    for layer in matched.removed:
        yield Difference(
            layers.place(layer), causes.LAYER_REMOVED, _described(layer), "", layer.position, origin.layer_target(layer.created_by)
        )
    for layer in matched.added:
        yield Difference(
            layers.place(layer), causes.LAYER_ADDED, "", _described(layer), layer.position, origin.layer_target(layer.created_by)
        )


def _described(layer: Layer) -> str:
    return layer.created_by or layer.diff_id


def _unmatched(matched: Matching) -> tuple[frozenset[int], frozenset[int]]:
    """Positions of the layers whose history has nothing to be compared with, in either image."""
    base = matched.base or ((), ())
    moved = [[pair[side] for pair in matched.moved] for side in (0, 1)]
    return (
        frozenset(layer.position for layer in (*matched.removed, *base[0], *moved[0])),
        frozenset(layer.position for layer in (*matched.added, *base[1], *moved[1])),
    )


def _named_history(found: list[Difference]) -> list[Difference]:
    """Calls differences of the history what they are if nothing else differs."""
    if any(difference.place[:2] != ("config", "history") for difference in found):
        return found
    return [
        dataclasses.replace(difference, cause=causes.HISTORY_ONLY) if difference.cause is causes.HISTORY else difference
        for difference in found
    ]


def _sizes(own: Sequence[Layer], others: Sequence[Layer]) -> list[LayerSize]:
    diff_ids = frozenset(layer.diff_id for layer in others)
    return [layer_size(layer, layer.diff_id in diff_ids) for layer in own]
