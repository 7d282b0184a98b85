"""OCI image layouts on disk (image-spec, image-layout.md), as upstream's rules_oci writes them."""

from __future__ import annotations

import os

from ocilib import jsontext
from ocilib.digest import CHUNK, digest_of
from ocilib.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocilib.jsontext import Json

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"


class LayoutError(Error):
    """A folder that is not the layout of one image."""


class Image:
    """The first image of a layout: descriptor in index.json, manifest, config, all parsed."""

    def __init__(self, path: str) -> None:
        """Reads the image.

        Raises:
            LayoutError: PATH holds no layout, or its first manifest is an index.
        """
        self.path = path
        index = self._json("index.json", "is it the folder of an OCI layout?")
        manifests = index.get("manifests")
        if not isinstance(manifests, list) or not manifests or not isinstance(manifests[0], dict):
            raise LayoutError(f"{path}/index.json: lists no manifest")
        self.descriptor: dict[str, Json] = manifests[0]
        self.manifest = self._json(_blob_path(self.descriptor.get("digest"), path), "the layout is incomplete")
        config = self.manifest.get("config")
        if not isinstance(config, dict):
            raise LayoutError(
                f"{path}: expected the manifest of an image, found {self.manifest.get('mediaType')} (an index has several images)"
            )
        self.config = self._json(_blob_path(config.get("digest"), path), "the layout is incomplete")

    def layers(self) -> list[tuple[str, str]]:
        """Path, which need not exist (foreign layers do not), and digest of every layer."""
        layers = self.manifest.get("layers")
        digests = [entry.get("digest") for entry in layers if isinstance(entry, dict)] if isinstance(layers, list) else []
        return [(f"{self.path}/{_blob_path(digest, self.path)}", str(digest)) for digest in digests]

    def labels(self) -> list[str]:
        """The names of the config's labels."""
        settings = self.config.get("config")
        labels = settings.get("Labels") if isinstance(settings, dict) else None
        return list(labels) if isinstance(labels, dict) else []

    def _json(self, path: str, hint: str) -> dict[str, Json]:
        full = f"{self.path}/{path}"
        try:
            with open(full, "rb") as file:
                return jsontext.parse_object(file.read(), full)
        except (FileNotFoundError, NotADirectoryError):
            raise LayoutError(f"{full} is missing: {hint}") from None


class LayoutWriter:
    """Fills a new layout at PATH; with COPY, large blobs are copied, otherwise they are relative links out of the layout."""

    def __init__(self, path: str, *, copy: bool) -> None:
        self._path = path
        self._copy = copy
        self._blobs = f"{path}/blobs/sha256"
        os.makedirs(self._blobs, exist_ok=True)

    def blob(self, data: bytes) -> str:
        """Writes a blob; its digest."""
        digest = digest_of(data)
        self._write(f"blobs/{digest.replace(':', '/')}", data)
        return digest

    def link(self, blob: str, digest: str) -> None:
        """Adds the file BLOB, whose digest is known; the last one wins when a digest comes twice."""
        algorithm, _, value = digest.partition(":")
        folder = f"{self._path}/blobs/{algorithm}"
        target = f"{folder}/{value}"
        if algorithm != "sha256":
            os.makedirs(folder, exist_ok=True)
        if os.path.lexists(target):
            os.unlink(target)
        if self._copy:
            _copy(blob, target)
        else:
            os.symlink(os.path.relpath(blob, folder), target)

    def index(self, index: dict[str, Json], layout: str) -> None:
        """Writes index.json, and LAYOUT as the content of oci-layout."""
        self._write("index.json", (jsontext.dumps(index) + "\n").encode())
        self._write("oci-layout", layout.encode())

    def _write(self, path: str, data: bytes) -> None:
        with open(f"{self._path}/{path}", "wb") as file:
            file.write(data)


def _blob_path(digest: Json, layout: str) -> str:
    """Where within LAYOUT a blob lies; a digest that would lead elsewhere is refused."""
    algorithm, _, value = digest.partition(":") if isinstance(digest, str) else ("", "", "")
    if not algorithm.isalnum() or not value.isalnum():
        raise LayoutError(f"{layout}: expected a descriptor with a digest, found {digest!r}")
    return f"blobs/{algorithm}/{value}"


def blobs(layout: str) -> Iterator[tuple[str, str]]:
    """Path and digest of every blob in the folder LAYOUT, sorted."""
    root = f"{layout}/blobs"
    for algorithm in sorted(os.listdir(root)):
        for value in sorted(os.listdir(f"{root}/{algorithm}")):
            yield f"{root}/{algorithm}/{value}", f"{algorithm}:{value}"


def _copy(source: str, target: str) -> None:
    with open(source, "rb") as reader, open(target, "wb") as writer:
        while data := reader.read(CHUNK):
            writer.write(data)
