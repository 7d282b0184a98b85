"""Makes small images for tests: layouts with whatever in them, right or wrong."""

import gzip
import hashlib
import io
import json
import pathlib
import tarfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import zstandard

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"

Json = dict[str, Any]


def digest(data: bytes) -> str:
    """The digest of DATA."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def tar(files: Mapping[str, bytes]) -> bytes:
    """A tar with files; always the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as writer:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            writer.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def plain(data: bytes) -> bytes:
    """No compression."""
    return data


def gzipped(data: bytes) -> bytes:
    """As gzip, without a time."""
    return gzip.compress(data, mtime=0)


def zstd(data: bytes) -> bytes:
    """As Zstandard."""
    return zstandard.compress(data)


class Layout:
    """An OCI layout in the folder ROOT, filled bit by bit."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        (root / "blobs/sha256").mkdir(parents=True)

    def path(self, of: str) -> pathlib.Path:
        """Where the blob with the digest OF lies."""
        return self.root / "blobs" / of.replace(":", "/")

    def blob(self, data: bytes, media_type: str) -> Json:
        """Adds a blob; its descriptor."""
        self.path(digest(data)).write_bytes(data)
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    def document(self, content: Mapping[str, Any] | bytes, media_type: str) -> Json:
        """Adds JSON; its descriptor."""
        return self.blob(content if isinstance(content, bytes) else json.dumps(content).encode(), media_type)

    def config(self, tars: Sequence[bytes], settings: Mapping[str, Any] | None = None, architecture: str = "amd64", **more: object) -> Json:
        """The content of a config."""
        rootfs = {"type": "layers", "diff_ids": [digest(data) for data in tars]}
        return {"os": "linux", "architecture": architecture, "config": dict(settings or {}), "rootfs": rootfs, **more}

    def image(
        self,
        tars: Sequence[bytes],
        settings: Mapping[str, Any] | None = None,
        *,
        compress: Callable[[bytes], bytes] = plain,
        architecture: str = "amd64",
        **more: object,
    ) -> Json:
        """Adds an image; the descriptor of its manifest. MORE is for the config."""
        config = self.document(self.config(tars, settings, architecture, **more), OCI_CONFIG)
        return self.manifest(config, [self.blob(compress(data), OCI_LAYER) for data in tars])

    def manifest(self, config: Json, layers: Sequence[Json], **more: object) -> Json:
        """Adds a manifest; its descriptor."""
        return self.document(
            {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": list(layers), **more}, OCI_MANIFEST
        )

    def index(self, manifests: Sequence[Json]) -> Json:
        """Adds an index; its descriptor."""
        return self.document({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(manifests)}, OCI_INDEX)

    def finish(self, *listed: Json) -> str:
        """Lists what the layout is of; its path."""
        content = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(listed)}
        (self.root / "index.json").write_text(json.dumps(content))
        (self.root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        return str(self.root)

    def archive(self, path: pathlib.Path, compress: Callable[[bytes], bytes] = plain, prefix: str = "", **more: bytes) -> str:
        """Writes the layout, and MORE files, as an archive; its path."""
        files = {f"{prefix}{file.relative_to(self.root)}": file.read_bytes() for file in sorted(self.root.rglob("*")) if file.is_file()}
        path.write_bytes(compress(tar({**files, **{name.replace("__", "."): data for name, data in more.items()}})))
        return str(path)
