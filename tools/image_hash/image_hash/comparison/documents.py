"""How the documents of two images differ: index, manifest and config, apart from the digests of layers.

Formats: OCI image-spec 1.1 (image-index.md, manifest.md, config.md), Docker image manifest v2 schema 2. A digest in a document differs
because what it points to does; only that has a cause. A field that is missing, null or empty means the same.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from image_hash import causes
from image_hash.causes import Cause
from image_hash.differences import Difference
from image_hash.image import Document, Image

_SETTINGS = {
    "Env": causes.ENV,
    "Labels": causes.LABEL,
    "Entrypoint": causes.ENTRYPOINT,
    "Cmd": causes.COMMAND,
    "User": causes.USER,
    "WorkingDir": causes.WORKING_DIRECTORY,
    "ExposedPorts": causes.EXPOSED_PORT,
    "Volumes": causes.VOLUME,
}
_CONFIG = {
    "architecture": causes.PLATFORM,
    "os": causes.PLATFORM,
    "os.version": causes.PLATFORM,
    "os.features": causes.PLATFORM,
    "variant": causes.PLATFORM,
    "created": causes.CREATED_TIME,
}
# OCI writes +gzip and +zstd, Docker .gzip (and .zstd).
_COMPRESSION = re.compile(r"[+.](?:gzip|zstd)$")
_BASE_ANNOTATIONS = ("org.opencontainers.image.base.digest", "org.opencontainers.image.base.name")


def short(value: object) -> str:
    """A value of a document for a person: strings as they are, the rest as JSON, nothing for what is missing."""
    if value is None:
        return ""
    return value if isinstance(value, str) else _canonical(value)


def index_differences(left: Image, right: Image) -> list[Difference]:
    """How what both references point to differs above the manifests of this platform."""
    a, b = left.index, right.index
    if a is None and b is None:
        return []
    if a is None or b is None:
        return [Difference(("index",), causes.INDEX_WRAPPING, _wrapping(a), _wrapping(b))]
    found = list(_fields(("index",), a, b, {"manifests"}))
    own = [_split(document, image) for document, image in ((a, left), (b, right))]
    found += _descriptor(("index", "manifests", "this platform"), own[0][0], own[1][0])
    others = [_by_name(entries) for _, entries in own]
    for name in sorted({*others[0], *others[1]}):
        x, y = (side.get(name) for side in others)
        if _canonical(x) != _canonical(y):
            found.append(Difference(("index", "manifests", name), causes.INDEX_ENTRY, _digest(x), _digest(y)))
    if not found and len(own[0][1]) == len(own[1][1]) and _digest(own[0][0]) == _digest(own[1][0]):
        found += _order_or_formatting(("index",), a, b, "manifests", causes.INDEX_ENTRY)
    return found


def manifest_differences(left: Document, right: Document) -> list[Difference]:
    """How two manifests differ, apart from their layers."""
    found = list(_fields(("manifest",), left, right, {"config", "layers"}))
    configs = [_mapping(document.content.get("config")) for document in (left, right)]
    return found + list(_descriptor(("manifest", "config"), *configs))


def layer_differences(place: tuple[str, ...], left: Image, right: Image, positions: tuple[int, int]) -> list[Difference]:
    """How the manifests' descriptors of two layers differ, apart from what they point to.

    Args:
        place: of the layer.
        left: the first image.
        right: the second one.
        positions: of the layer in either.
    """
    if not left.manifest or not right.manifest:
        return []
    a, b = (
        _mapping(_list(image.manifest.content.get("layers"))[position])
        for image, position in zip((left, right), positions, strict=True)
        if image.manifest
    )
    return list(_descriptor(place, a, b))


def is_compression(difference: Difference) -> bool:
    """Whether two media types of layers differ in nothing but the compression that they name."""
    return difference.cause is causes.MEDIA_TYPE and _COMPRESSION.sub("", difference.left) == _COMPRESSION.sub("", difference.right)


def config_differences(left: Document, right: Document) -> list[Difference]:
    """How two configs differ, apart from diff ids and history."""
    found: list[Difference] = []
    own = {"config", "history", "rootfs"}
    for name in _names(left.content, right.content, own):
        found += _value(("config", name), _CONFIG.get(name, causes.CONFIG_FIELD), left.content.get(name), right.content.get(name))
    roots = [_mapping(document.content.get("rootfs")) for document in (left, right)]
    for name in _names(roots[0], roots[1], {"diff_ids"}):
        found += _value(("config", "rootfs", name), causes.CONFIG_FIELD, roots[0].get(name), roots[1].get(name))
    settings = [_mapping(document.content.get("config")) for document in (left, right)]
    for name in _names(settings[0], settings[1], set()):
        x, y = (side.get(name) for side in settings)
        place, cause = ("config", "config", name), _SETTINGS.get(name, causes.CONFIG_FIELD)
        if name == "Env":
            found += _environment(place, _list(x), _list(y))
        elif isinstance(x or {}, Mapping) and isinstance(y or {}, Mapping):
            a, b = _mapping(x), _mapping(y)
            for key in sorted({*a, *b}):
                if key not in a or key not in b or _canonical(a[key]) != _canonical(b[key]):
                    found.append(Difference((*place, key), cause, _present(a, key), _present(b, key)))
        else:
            found += _value(place, cause, x, y)
    return found


def formatting_difference(place: str, left: Document, right: Document) -> Difference:
    """The difference of two documents that differ, though nothing that they say does."""
    return Difference((place,), causes.JSON_FORMATTING, f"{len(left.data)} bytes", f"{len(right.data)} bytes")


def same_layers(left: Document, right: Document) -> bool:
    """Whether two configs state the same diff ids."""
    return bool(_mapping(left.content.get("rootfs")).get("diff_ids") == _mapping(right.content.get("rootfs")).get("diff_ids"))


def history_differences(
    left: Document, right: Document, unmatched_left: frozenset[int], unmatched_right: frozenset[int]
) -> list[Difference]:
    """How the histories differ, apart from the entries of layers without a partner.

    Args:
        left: config of the first image.
        right: that of the second one.
        unmatched_left: positions of layers whose entries have nothing to be compared with.
        unmatched_right: likewise, of the second image.
    """
    a = _entries(left, unmatched_left)
    b = _entries(right, unmatched_right)
    if len(a) != len(b):
        return [Difference(("config", "history"), causes.HISTORY, f"{len(a)} entries", f"{len(b)} entries")]
    found: list[Difference] = []
    for (position, x), (_, y) in zip(a, b, strict=True):
        for name in _names(x, y, set()):
            cause = causes.CREATED_TIME if name == "created" else causes.HISTORY
            found += _value(("config", "history", str(position), name), cause, x.get(name), y.get(name))
    return found


def _entries(config: Document, unmatched: frozenset[int]) -> list[tuple[int, Mapping[str, Any]]]:
    entries = [_mapping(entry) for entry in _list(config.content.get("history"))]
    layers = sum(entry.get("empty_layer") is not True for entry in entries)
    if layers != len(_list(_mapping(config.content.get("rootfs")).get("diff_ids"))):
        return list(enumerate(entries))  # which entry is of which layer is not known
    kept = []
    layer = 0
    for position, entry in enumerate(entries):
        if entry.get("empty_layer") is True:
            kept.append((position, entry))
            continue
        if layer not in unmatched:
            kept.append((position, entry))
        layer += 1
    return kept


def _environment(place: tuple[str, ...], left: list[Any], right: list[Any]) -> Iterator[Difference]:
    a, b = ({str(entry).partition("=")[0]: str(entry) for entry in entries} for entries in (left, right))
    names = [name for name in sorted({*a, *b}) if a.get(name) != b.get(name)]
    for name in names:
        texts = [side[name].partition("=")[2] if name in side else "not set" for side in (a, b)]
        yield Difference((*place, name), causes.ENV, texts[0], texts[1])
    if not names and left != right:
        # In another order, or one is there twice.
        yield Difference(place, causes.ENV, short(left), short(right))


def _fields(place: tuple[str, ...], left: Document, right: Document, apart: set[str]) -> Iterator[Difference]:
    """Fields of an index or a manifest but those that are looked at APART."""
    if left.media_type != right.media_type:
        yield Difference((*place, "mediaType"), causes.MEDIA_TYPE, left.media_type, right.media_type)
        apart = {*apart, "mediaType"}
    for name in _names(left.content, right.content, apart | {"annotations"}):
        cause = causes.MEDIA_TYPE if name in ("mediaType", "schemaVersion") else causes.MANIFEST_FIELD
        yield from _value((*place, name), cause, left.content.get(name), right.content.get(name))
    yield from _annotations(place, left.content, right.content)


def _descriptor(place: tuple[str, ...], left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[Difference]:
    for name in _names(left, right, {"annotations", "digest", "size"}):
        cause = {"mediaType": causes.MEDIA_TYPE, "platform": causes.PLATFORM}.get(name, causes.MANIFEST_FIELD)
        yield from _value((*place, name), cause, left.get(name), right.get(name))
    yield from _annotations(place, left, right)


def _annotations(place: tuple[str, ...], left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[Difference]:
    a, b = _mapping(left.get("annotations")), _mapping(right.get("annotations"))
    for name in sorted({*a, *b}):
        if name not in a or name not in b or _canonical(a[name]) != _canonical(b[name]):
            cause = causes.BASE_MOVED if name in _BASE_ANNOTATIONS and name in a and name in b else causes.ANNOTATION
            yield Difference((*place, "annotations", name), cause, _present(a, name), _present(b, name))


def _order_or_formatting(place: tuple[str, ...], left: Document, right: Document, name: str, cause: Cause) -> Iterator[Difference]:
    if left.data == right.data:
        return
    if _canonical(left.content.get(name)) != _canonical(right.content.get(name)):
        yield Difference((*place, name), cause, "one order", "another order")
    else:
        yield formatting_difference(place[0], left, right)


def _value(place: tuple[str, ...], cause: Cause, left: object, right: object) -> Iterator[Difference]:
    if _canonical(left or None) != _canonical(right or None):
        yield Difference(place, cause, short(left), short(right))


def _names(left: Mapping[str, Any], right: Mapping[str, Any], apart: set[str]) -> list[str]:
    return sorted({*left, *right} - apart)


def _canonical(value: object) -> str:
    # Not `==`, for which true is 1.
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _present(side: Mapping[str, Any], key: str) -> str:
    return short(side[key]) if key in side else "not set"


def _wrapping(index: Document | None) -> str:
    return "a manifest" if index is None else f"an index of {len(_list(index.content.get('manifests')))}"


def _split(index: Document, image: Image) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    """The entry of an index that led to IMAGE, and the others."""
    entries = [_mapping(entry) for entry in _list(index.content.get("manifests"))]
    own = [entry for entry in entries if image.manifest and entry.get("digest") == image.manifest.digest]
    return (own[0] if own else {}), [entry for entry in entries if entry not in own[:1]]


def _by_name(entries: list[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        name = _entry_name(entry)
        number = sum(other == name or other.startswith(f"{name} (") for other in found)
        found[f"{name} ({number + 1})" if number else name] = entry
    return found


def _entry_name(entry: Mapping[str, Any]) -> str:
    platform = _mapping(entry.get("platform"))
    words = [str(platform[key]) for key in ("os", "architecture", "variant", "os.version") if platform.get(key)]
    kind = _mapping(entry.get("annotations")).get("vnd.docker.reference.type")
    return f"{'/'.join(words) or 'no platform'}{f' {kind}' if kind else ''}"


def _digest(entry: object) -> str:
    return short(_mapping(entry).get("digest"))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
