"""Compares an image with what a list of expected hashes records of it."""

from collections.abc import Iterator

from image_hash import causes, hashing, releases
from image_hash.comparison import documents, engine, origin
from image_hash.differences import Comparison, Difference, LayerSize
from image_hash.errors import CheckError
from image_hash.image import Image


def compare(name: str, release: releases.Release, image: Image) -> Comparison:
    """Finds out whether an image is the expected one; on the way every blob is hashed.

    Args:
        name: of the image in the list.
        release: the list, which has that image.
        image: what is there.

    Returns:
        The comparison; its first side is what is expected.

    Raises:
        CheckError: a blob is damaged, the image hash cannot be told, or the list contradicts itself.
    """
    expected = release.images[name]
    if image.image_hash is None:
        raise CheckError(f"{image.name}: expected an image with its manifest, found {image.source}, which keeps none, so no image hash")
    hashing.tar_sizes(image.layers)
    same = image.image_hash == expected.image_hash
    if same and image.config.digest != expected.config_digest:
        raise CheckError(f"{release.name}, {name}: expected the config {image.config.digest} of {expected.image_hash}, found another")
    found = [] if same else list(_differences(expected, image)) or [_digest_only("manifest", expected.image_hash, image.image_hash)]
    ours = frozenset(layer.diff_id for layer in image.layers)
    theirs = frozenset(layer.diff_id for layer in expected.layers)
    return Comparison(
        f"{name} of {release.name}",
        image.name,
        expected.image_hash,
        image.image_hash,
        same,
        found,
        [LayerSize(position, layer.diff_id, layer.size, "", layer.diff_id in ours) for position, layer in enumerate(expected.layers)],
        # Of current.json no layers are known, so none that are equal.
        [engine.layer_size(layer, layer.diff_id in theirs) for layer in image.layers if theirs],
    )


def _differences(expected: releases.Image, image: Image) -> Iterator[Difference]:
    """What can be told: of current.json the config's digest, of a release also labels, entrypoint and layers."""
    if expected.layers:
        settings = image.config.content.get("config") or {}
        labels = settings.get("Labels") or {}
        for name in sorted({*expected.labels, *labels}):
            if expected.labels.get(name) != labels.get(name):
                texts = [documents.short(side[name]) if name in side else "not set" for side in (expected.labels, labels)]
                yield Difference(("config", "config", "Labels", name), causes.LABEL, texts[0], texts[1])
        entrypoint = settings.get("Entrypoint") or []
        if list(expected.entrypoint) != entrypoint:
            texts = [documents.short(side) for side in (list(expected.entrypoint), entrypoint)]
            yield Difference(("config", "config", "Entrypoint"), causes.ENTRYPOINT, texts[0], texts[1])
        for position in range(max(len(expected.layers), len(image.layers))):
            yield from _layer(expected, image, position)
    if expected.config_digest != image.config.digest:
        yield _digest_only("config", expected.config_digest, image.config.digest)


def _layer(expected: releases.Image, image: Image, position: int) -> Iterator[Difference]:
    place = f"layer {position}"
    if position >= len(image.layers):
        yield Difference((place,), causes.LAYER_REMOVED, expected.layers[position].diff_id, "", position)
        return
    layer = image.layers[position]
    target = origin.layer_target(layer.created_by)
    if position >= len(expected.layers):
        yield Difference((place,), causes.LAYER_ADDED, "", layer.created_by or layer.diff_id, position, target)
    elif layer.diff_id != expected.layers[position].diff_id:
        yield Difference((place,), causes.DIGEST_ONLY, expected.layers[position].diff_id, layer.diff_id, position, target)
    elif layer.descriptor and layer.descriptor.digest != expected.layers[position].digest:
        yield Difference((place,), causes.COMPRESSION, expected.layers[position].digest, layer.descriptor.digest, position, target)


def _digest_only(what: str, expected: str, found: str) -> Difference:
    return Difference((what,), causes.DIGEST_ONLY, expected, found)
