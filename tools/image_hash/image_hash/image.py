"""What the tools know of an image, wherever it was read from.

`open_image` of image_hash.sources makes an Image and hashes what it reads; nothing here knows about folders, archives or registries.
Formats: OCI image-spec 1.1 (descriptor.md, manifest.md, config.md), Docker image manifest v2 schema 2.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """How a document points to a blob.

    Attributes:
        media_type: as stated.
        digest: `sha256:<hex>`.
        size: bytes of the blob.
    """

    media_type: str
    digest: str
    size: int


@dataclasses.dataclass(frozen=True)
class Document:
    """An index, a manifest or a config, with the bytes that were hashed.

    Attributes:
        media_type: as the descriptor or the registry says, or else the document itself.
        digest: of the bytes.
        data: the bytes.
        content: the same, parsed strictly (no duplicate keys).
    """

    media_type: str
    digest: str
    data: bytes
    content: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer.

    Attributes:
        position: 0 for the lowest.
        diff_id: digest of the uncompressed tar, as the config states it.
        descriptor: of the blob; None where the format does not keep the manifest.
        created_by: what the config's history says of it; empty if nothing.
        open_blob: opens the blob as it is stored.
        open_tar: opens the uncompressed tar, as a stream that need not seek; limits apply.
    """

    position: int
    diff_id: str
    descriptor: Descriptor | None
    created_by: str
    open_blob: Callable[[], BinaryIO]
    open_tar: Callable[[], BinaryIO]


@dataclasses.dataclass(frozen=True)
class Image:
    """One image of one platform.

    Attributes:
        name: what the user called it.
        source: "layout", "oci-archive", "docker-archive" or "registry".
        index: what the reference points to, if that is an index (of a registry, or nested in a layout); None for a plain manifest.
        manifest: None where the format does not keep it (docker save before 25).
        config: always there.
        layers: lowest first.
        notes: what a person must know about digests of this image, because of where it was read from; one sentence each.
    """

    name: str
    source: str
    index: Document | None
    manifest: Document | None
    config: Document
    layers: tuple[Layer, ...]
    notes: tuple[str, ...] = ()

    @property
    def image_hash(self) -> str | None:
        """What Confidential Space calls image_digest: digest of the index if there is one, else of the manifest; None if it is not kept."""
        outermost = self.index or self.manifest
        return outermost.digest if outermost else None

    @property
    def platform(self) -> str:
        """OS/ARCHITECTURE[/VARIANT], as the config says."""
        return platform_name(self.config.content)


def platform_name(value: Mapping[str, Any]) -> str:
    """OS/ARCHITECTURE[/VARIANT] of a config, or of a descriptor's platform."""
    parts = [value.get("os") or "unknown", value.get("architecture") or "unknown", value.get("variant") or ""]
    return "/".join(str(part) for part in parts if part)
