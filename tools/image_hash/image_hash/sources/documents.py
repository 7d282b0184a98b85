"""Reads indexes, manifests and configs strictly, wherever they come from, and makes an Image of them.

Formats: OCI image-spec 1.1 (image-index.md, manifest.md, config.md, descriptor.md); Docker image manifest version 2, schema 2.
What two readers could take for two things is refused: keys that come twice, or differ from a known one by case only (Go's JSON
ignores case), and documents that are index and manifest at once (CVE-2021-41190).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, Protocol

from image_hash import limits, strict_json
from image_hash.errors import CheckError
from image_hash.image import Descriptor, Document, Image, Layer, platform_name
from image_hash.sources import streams
from image_hash.text import printable
from ocilib.digest import digest_of
from ocilib.layout import DOCKER_CONFIG, DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from ocilib.registry import DOCKER_INDEX

_INDEXES = (OCI_INDEX, DOCKER_INDEX)
_MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
_CONFIGS = (OCI_CONFIG, DOCKER_CONFIG)
# Docker's registry API, manifest-v2-1.md.
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

# The fields that readers act upon.
_DESCRIPTOR_KEYS = ("mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform")
_INDEX_KEYS = ("schemaVersion", "mediaType", "artifactType", "manifests", "subject", "annotations")
_MANIFEST_KEYS = ("schemaVersion", "mediaType", "artifactType", "config", "layers", "subject", "annotations")
_CONFIG_KEYS = ("created", "author", "architecture", "os", "os.version", "os.features", "variant", "config", "rootfs", "history")
# Docker's fields, too, that its engine and containerd read.
_SETTINGS_KEYS = (
    *("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "ArgsEscaped"),
    *("Healthcheck", "Shell", "OnBuild", "StopTimeout", "Hostname", "Domainname", "Image"),
)


class Blobs(Protocol):
    """Where blobs come from."""

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """A stream of the blob's bytes, checked against DESCRIPTOR while they are read.

        Raises:
            CheckError: it is not there, or has another size.
        """

    def where(self, descriptor: Descriptor) -> str:
        """Names the blob in messages."""


class Choice:
    """One manifest of an index: its descriptor, and the platform that is stated for it or None."""

    def __init__(self, descriptor: Descriptor, platform: str | None) -> None:
        self.descriptor = descriptor
        self.platform = platform


def document(data: bytes, media_type: str, what: str) -> Document:
    """Parses an index, manifest or config.

    Args:
        data: its bytes.
        media_type: as the descriptor or registry says; "" if nobody does.
        what: names it in messages.

    Raises:
        CheckError: it is too large, no strict JSON, or says that it is something else.
    """
    if len(data) > limits.MAX_DOCUMENT:
        raise CheckError(f"{what}: {len(data)} bytes of JSON, more than {limits.MAX_DOCUMENT} are refused")
    content = strict_json.parse_object(data, what)
    stated = content.get("mediaType", "")
    version = content.get("schemaVersion")
    if version == 1 or media_type.startswith(_SCHEMA_1) or str(stated).startswith(_SCHEMA_1):
        raise CheckError(
            f"{what}: this is Docker's manifest version 2, schema 1, which has no config and is refused by Confidential Space; "
            "push the image again with a current client"
        )
    if not isinstance(stated, str) or (stated and media_type and stated != media_type):
        raise CheckError(f"{what}: it calls itself {printable(repr(stated))}, and what points to it says {printable(repr(media_type))}")
    media_type = media_type or stated
    if not media_type:
        media_type = OCI_INDEX if "manifests" in content else OCI_MANIFEST
    if is_manifest(media_type):
        if version != 2:
            raise CheckError(f"{what}: expected schemaVersion 2, found {printable(repr(version))}")
        if "manifests" in content and ("layers" in content or "config" in content):
            raise CheckError(f"{what}: it is an index and a manifest at once, and readers differ in which they see")
    return Document(media_type, digest_of(data), data, content)


def read(blobs: Blobs, descriptor: Descriptor) -> Document:
    """Reads the document that DESCRIPTOR points to."""
    what = blobs.where(descriptor)
    if descriptor.size > limits.MAX_DOCUMENT:
        raise CheckError(f"{what}: {descriptor.size} bytes of JSON are announced, more than {limits.MAX_DOCUMENT} are refused")
    with blobs.open(descriptor) as stream:
        return document(stream.read(), descriptor.media_type, what)


def is_manifest(media_type: str) -> bool:
    """Whether it is the media type of a manifest or an index: what a registry keeps apart from blobs."""
    return media_type in (*_INDEXES, *_MANIFESTS)


def is_index(found: Document) -> bool:
    """Whether it is an index (in Docker's words, a manifest list)."""
    return found.media_type in _INDEXES


def choices(index: Document, what: str) -> list[Choice]:
    """The images of an index, or of a layout's index.json; without what only speaks about images (BuildKit's attestations)."""
    _check_keys(index.content, _INDEX_KEYS, what)
    entries = _list(index.content.get("manifests"), f"{what}: manifests")
    if len(entries) > limits.MAX_MANIFESTS:
        raise CheckError(f"{what}: {len(entries)} manifests, more than {limits.MAX_MANIFESTS} are refused")
    found = []
    for position, entry in enumerate(entries):
        place = f"{what}: manifests[{position}]"
        descriptor = parse_descriptor(entry, place)
        if "vnd.docker.reference.type" not in _strings(entry.get("annotations"), f"{place}: annotations"):
            found.append(Choice(descriptor, _stated_platform(entry.get("platform"), f"{place}: platform")))
    if not found:
        raise CheckError(f"{what}: it lists no image")
    return found


def choose(found: Sequence[Choice], platform: str | None, blobs: Blobs, what: str) -> Descriptor:
    """The image of PLATFORM, or the only one.

    Raises:
        CheckError: there is none, or more than one; lists what there is.
    """
    if len(found) == 1:
        return found[0].descriptor
    named = [(choice.platform or _platform_of(blobs, choice.descriptor), choice.descriptor) for choice in found]
    matching = [(name, descriptor) for name, descriptor in named if platform is None or _matches(platform, name)]
    if len({descriptor.digest for _, descriptor in matching}) == 1:
        return matching[0][1]
    names = ", ".join(sorted({printable(name) for name, _ in (matching or named)}))
    if not matching:
        raise CheckError(f"{what}: no image for the platform {platform}; it has {names}")
    if len({name for name, _ in matching}) > 1:
        raise CheckError(f"{what}: it has images for several platforms, choose one with --platform: {names}")
    raise CheckError(f"{what}: it has {len(matching)} images for {names}; name one by its digest, or keep one")


def image(
    name: str, source: str, index: Document | None, manifest: Document, blobs: Blobs, what: str, platform: str | None, notes: Sequence[str]
) -> Image:
    """Makes the image of MANIFEST.

    Args:
        name: what the user called it.
        source: see Image.
        index: the index that was asked for, if it was one.
        manifest: read already.
        blobs: has the config and the layers.
        what: names the manifest in messages.
        platform: what the image must be for; None if that does not matter.
        notes: see Image.

    Raises:
        CheckError: something in it is not as the specification says.
    """
    if manifest.media_type not in _MANIFESTS:
        raise CheckError(f"{what}: expected the manifest of an image, found {printable(repr(manifest.media_type))}")
    _check_keys(manifest.content, _MANIFEST_KEYS, what)
    config_descriptor = parse_descriptor(manifest.content.get("config"), f"{what}: config")
    if config_descriptor.media_type not in _CONFIGS:
        raise CheckError(
            f"{what}: its config is {printable(repr(config_descriptor.media_type))}: this is no container image, but another artifact"
        )
    descriptors = [
        parse_descriptor(layer, f"{what}: layers[{position}]")
        for position, layer in enumerate(_list(manifest.content.get("layers"), f"{what}: layers"))
    ]
    config = read(blobs, config_descriptor)
    where = blobs.where(config_descriptor)
    diff_ids, created_by = parse_config(config, where)
    if len(diff_ids) != len(descriptors):
        raise CheckError(f"{where}: {len(diff_ids)} diff ids, and the manifest has {len(descriptors)} layers")
    check_platform(config, platform, where)
    layers = tuple(
        _layer(position, diff_id, descriptor, created, blobs)
        for position, (diff_id, descriptor, created) in enumerate(zip(diff_ids, descriptors, created_by, strict=True))
    )
    return Image(name, source, index, manifest, config, layers, tuple(notes))


def parse_descriptor(value: object, place: str) -> Descriptor:
    """Reads a descriptor.

    Raises:
        CheckError: it is none, or its digest is not SHA-256.
    """
    if not isinstance(value, dict):
        raise CheckError(f"{place}: expected a descriptor, found {_shown(value)}")
    _check_keys(value, _DESCRIPTOR_KEYS, place)
    media_type, digest, size = value.get("mediaType"), value.get("digest"), value.get("size")
    if not isinstance(media_type, str) or not media_type:
        raise CheckError(f"{place}: expected a media type, found {_shown(media_type)}")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise CheckError(f"{place}: expected a digest sha256:<64 hexadecimal digits>, found {_shown(digest)}")
    if type(size) is not int or size < 0:
        raise CheckError(f"{place}: expected a size in bytes, found {_shown(size)}")
    return Descriptor(media_type, digest, size)


def parse_config(config: Document, what: str) -> tuple[list[str], list[str]]:
    """Checks a config's types; the diff ids, and what the history says of each layer.

    Raises:
        CheckError: something in it is not as the specification says.
    """
    content = config.content
    _check_keys(content, _CONFIG_KEYS, what)
    for key in ("architecture", "os", "variant"):
        if not isinstance(content.get(key, ""), str):
            raise CheckError(f"{what}: {key}: expected a string, found {_shown(content[key])}")
    _check_settings(content.get("config"), f"{what}: config")
    rootfs = content.get("rootfs")
    if not isinstance(rootfs, dict) or rootfs.get("type") != "layers":
        raise CheckError(f"{what}: rootfs: expected an object of the type layers, found {_shown(rootfs)}")
    _check_keys(rootfs, ("type", "diff_ids"), f"{what}: rootfs")
    diff_ids: list[str] = []
    for value in _list(rootfs.get("diff_ids"), f"{what}: rootfs.diff_ids"):
        if not isinstance(value, str) or not DIGEST.fullmatch(value):
            raise CheckError(f"{what}: rootfs.diff_ids: expected sha256:<64 hexadecimal digits>, found {_shown(value)}")
        diff_ids.append(value)
    if len(diff_ids) > limits.MAX_LAYERS:
        raise CheckError(f"{what}: {len(diff_ids)} layers, more than {limits.MAX_LAYERS} are refused")
    created_by = []
    for step in _list(content.get("history"), f"{what}: history"):
        if not isinstance(step, dict) or not isinstance(step.get("created_by", ""), str):
            raise CheckError(f"{what}: history: expected objects with a string as created_by, found {_shown(step)}")
        if step.get("empty_layer") is not True:
            created_by.append(step.get("created_by", ""))
    # A history is optional, and nobody acts upon it.
    return diff_ids, created_by if len(created_by) == len(diff_ids) else [""] * len(diff_ids)


def check_platform(config: Document, platform: str | None, what: str) -> None:
    """Raises if the image of CONFIG is not for PLATFORM."""
    found = platform_name(config.content)
    if platform is not None and not _matches(platform, found):
        raise CheckError(f"{what}: no image for the platform {platform}; it is for {printable(found)}")


def open_tar(blob: BinaryIO, stored: int, stored_digest: str | None, diff_id: str, what: str) -> BinaryIO:
    """The tar of a layer whose blob is BLOB, of STORED bytes; checked against DIFF_ID while it is read.

    STORED_DIGEST is the digest against which BLOB is checked already, None if it is not.
    """
    try:
        source, kind = streams.decompressed(blob, what, stored)
        if not kind and stored_digest not in (None, diff_id):
            raise CheckError(f"{what}: the layer is not compressed, so its diff id is its digest, and the config says {diff_id}")
    except BaseException:
        blob.close()
        raise
    if not kind and stored_digest is not None:
        return blob
    return streams.verified(source, f"{what}, its tar", digest=diff_id, longest=limits.max_expanded(stored))


def _layer(position: int, diff_id: str, descriptor: Descriptor, created_by: str, blobs: Blobs) -> Layer:
    def tar() -> BinaryIO:
        return open_tar(blobs.open(descriptor), descriptor.size, descriptor.digest, diff_id, blobs.where(descriptor))

    return Layer(position, diff_id, descriptor, created_by, lambda: blobs.open(descriptor), tar)


def _check_settings(settings: object, what: str) -> None:
    """The types of what a container is started with (config.md, "config")."""
    if settings is None:
        return
    if not isinstance(settings, dict):
        raise CheckError(f"{what}: expected an object, found {_shown(settings)}")
    _check_keys(settings, _SETTINGS_KEYS, what)
    for key in ("Env", "Entrypoint", "Cmd"):
        for item in _list(settings.get(key), f"{what}.{key}"):
            if not isinstance(item, str):
                raise CheckError(f"{what}.{key}: expected strings, found {_shown(item)}")
    for key in ("User", "WorkingDir", "StopSignal"):
        if not isinstance(settings.get(key) or "", str):
            raise CheckError(f"{what}.{key}: expected a string, found {_shown(settings[key])}")
    for key in ("ExposedPorts", "Volumes"):
        if not isinstance(settings.get(key) or {}, dict):
            raise CheckError(f"{what}.{key}: expected an object, found {_shown(settings[key])}")
    _strings(settings.get("Labels"), f"{what}.Labels")


def _check_keys(value: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    """Refuses a key that Go's JSON would take for a known one."""
    folded = {key.casefold(): key for key in known}
    for key in value:
        meant = folded.get(key.casefold())
        if meant is not None and meant != key:
            raise CheckError(f"{what}: the key {printable(repr(key))} would be taken for {meant!r} by some readers only")


def _list(value: object, what: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise CheckError(f"{what}: expected an array, found {_shown(value)}")
    return value


def _strings(value: object, what: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CheckError(f"{what}: expected an object, found {_shown(value)}")
    for key, item in value.items():
        if not isinstance(item, str):
            raise CheckError(f"{what}: {printable(repr(key), 100)}: expected a string, found {_shown(item)}")
    return value


def _stated_platform(value: object, what: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(value.get(key, ""), str) for key in ("os", "architecture", "variant")):
        raise CheckError(f"{what}: expected an object with os and architecture, found {_shown(value)}")
    return platform_name(value)


def _platform_of(blobs: Blobs, descriptor: Descriptor) -> str:
    """The platform of an image, from its config."""
    manifest = read(blobs, descriptor)
    if is_index(manifest):
        return "an index of its own"
    config = read(blobs, parse_descriptor(manifest.content.get("config"), f"{blobs.where(descriptor)}: config"))
    return platform_name(config.content)


def _matches(wanted: str, found: str) -> bool:
    """Whether FOUND is the platform WANTED; where one names no variant, any will do."""
    left, right = wanted.split("/"), found.split("/")
    return all(a == b for a, b in zip(left, right, strict=False))


def _shown(value: object) -> str:
    return "nothing" if value is None else printable(repr(value), 100)
