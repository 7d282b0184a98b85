"""Writes small OCI layouts for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ocilib import jsontext, layout
from ocilib.digest import digest_of
from ocilib.layout import Image, LayoutWriter
from ocilib.tarwriter import TarWriter

if TYPE_CHECKING:
    from ocilib.jsontext import Json


def write_tar(path: Path, fill: Callable[[TarWriter], None]) -> bytes:
    """Writes a tar that FILL puts entries into, and returns its bytes."""
    with path.open("wb") as file, TarWriter(file) as tar:
        fill(tar)
    return path.read_bytes()


def write_image(folder: Path, layers: Sequence[bytes], settings: Mapping[str, Json], diff_ids: Sequence[str] | None = None) -> Image:
    """Writes the layout of an image with LAYERS, the lowest first, whose config has SETTINGS.

    DIFF_IDS are needed for layers that are compressed.
    """
    writer = LayoutWriter(str(folder), copy=True)
    descriptors: list[Json] = [{"digest": writer.blob(data), "size": len(data)} for data in layers]
    ids: list[Json] = [*(diff_ids or [digest_of(data) for data in layers])]
    config = jsontext.dumps({"config": {**settings}, "rootfs": {"type": "layers", "diff_ids": ids}}).encode()
    manifest = jsontext.dumps({"config": {"digest": writer.blob(config), "size": len(config)}, "layers": descriptors}).encode()
    descriptor: Json = {"mediaType": layout.OCI_MANIFEST, "digest": writer.blob(manifest), "size": len(manifest)}
    writer.index({"manifests": [descriptor]}, '{"imageLayoutVersion":"1.0.0"}')
    return Image(str(folder))
