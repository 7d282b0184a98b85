"""Archives that `docker load` and its like take, byte for byte as upstream's oci_load has libarchive write them.

Two forms: Docker's (manifest.json with the config and the layers of one image), and an OCI layout in a tar (for an image index).
"""

from __future__ import annotations

import os

from ocilib import jsontext
from ocilib.digest import chunks
from ocilib.layout import Image, LayoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocilib.jsontext import Json
    from ocilib.tarwriter import Sink

_BLOCK = 512
# What upstream's specification of the tar says of every entry.
_MODE = b"000755 \0"
_TIME = 1672560000
_ID = b"000000 \0"
_LARGEST = 8**11


class _Tar:
    """POSIX ustar as libarchive 3 writes it (archive_write_set_format_ustar.c): numbers are octal with a blank behind them."""

    def __init__(self, sink: Sink) -> None:
        self._write = sink.write
        self._position = 0
        self._names: set[str] = set()

    def data(self, name: str, data: bytes) -> None:
        """Adds a file with DATA."""
        self._emit(self._header(name, len(data)) + data + bytes(-len(data) % _BLOCK))

    def file(self, name: str, path: str) -> None:
        """Adds the file PATH, once: images may have a layer twice."""
        if name in self._names:
            return
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            self._emit(self._header(name, size))
            before = self._position
            for part in chunks(file.read):
                self._emit(part)
            if self._position - before != size:
                raise LayoutError(f"{path} changed while it was read")
            self._emit(bytes(-size % _BLOCK))

    def close(self) -> None:
        """Ends the archive; libarchive pads a file no further."""
        self._emit(bytes(2 * _BLOCK))

    def _emit(self, data: bytes) -> None:
        self._position += len(data)
        self._write(data)

    def _header(self, name: str, size: int) -> bytes:
        if size >= _LARGEST:
            raise LayoutError(f"{name}: a blob of {size} bytes is too large for this archive; push it to a registry")
        self._names.add(name)
        start = name.encode().ljust(100, b"\0") + _MODE + _ID + _ID + b"%011o %011o " % (size, _TIME)
        rest = b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + _ID + _ID + bytes(167)
        return start + b"%06o\0 " % (sum(start) + sum(rest) + 8 * 32) + rest


def write(layout: str, form: str, tags: list[str], sink: Sink) -> None:
    """Writes the image whose OCI layout is the folder LAYOUT as an archive.

    Args:
        layout: path of the folder.
        form: "docker" for an image, "oci" for an index; as in upstream's rule, not the other way around.
        tags: names that the image gets, like `app:latest`.
        sink: takes the bytes.

    Raises:
        LayoutError: the layout is not whole, or not of that kind.
    """
    tar = _Tar(sink)
    if form == "docker":
        _docker(Image(layout), tags, tar)
    else:
        _oci(layout, tags, tar)
    tar.close()


def _docker(image: Image, tags: list[str], tar: _Tar) -> None:
    config = _blob(image.manifest.get("config"), image.path)
    # Upstream's names, whatever the layer is compressed with.
    layers = [f"{_blob(layer, image.path)}.tar.gz" for layer in _list(image.manifest, "layers")]
    tar.file(config, f"{image.path}/{config}")
    for layer in layers:
        tar.file(layer, f"{image.path}/{layer.removesuffix('.tar.gz')}")
    entry: dict[str, Json] = {"Config": config, "RepoTags": list(tags), "Layers": list(layers)}
    tar.data("manifest.json", (jsontext.dumps([entry]) + "\n").encode())


def _oci(layout: str, tags: list[str], tar: _Tar) -> None:
    index = _read(f"{layout}/index.json")
    entry = next(iter(_list(index, "manifests")), None)
    root = _blob(entry, layout)
    members = _list(_read(f"{layout}/{root}"), "manifests")
    if not members or not isinstance(entry, dict):
        raise LayoutError(f"{layout}: expected an image index for an archive of format oci; an image wants format docker")
    tar.file("oci-layout", f"{layout}/oci-layout")
    tar.file(root, f"{layout}/{root}")
    for member in members:
        manifest = _blob(member, layout)
        tar.file(manifest, f"{layout}/{manifest}")
        content = _read(f"{layout}/{manifest}")
        for part in (content.get("config"), *_list(content, "layers")):
            tar.file(_blob(part, layout), f"{layout}/{_blob(part, layout)}")
    named: list[Json] = [entry | {"annotations": {"org.opencontainers.image.ref.name": tag}} for tag in tags]
    tar.data("index.json", (jsontext.dumps(index | {"manifests": named}) + "\n").encode())


def _read(path: str) -> dict[str, Json]:
    try:
        with open(path, "rb") as file:
            return jsontext.parse_object(file.read(), path)
    except FileNotFoundError:
        raise LayoutError(f"{path} is missing: the layout is incomplete") from None


def _list(parent: dict[str, Json], key: str) -> list[Json]:
    value = parent.get(key)
    return value if isinstance(value, list) else []


def _blob(descriptor: Json, layout: str) -> str:
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    algorithm, _, value = digest.partition(":") if isinstance(digest, str) else ("", "", "")
    if not algorithm.isalnum() or not value.isalnum():
        raise LayoutError(f"{layout}: expected a descriptor with a digest, found {descriptor!r}")
    return f"blobs/{algorithm}/{value}"
