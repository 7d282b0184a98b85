"""Images in archives: an OCI layout in a tar, and what `docker save` and `docker load` know; either also compressed as a whole.

Docker's form (moby, image/tarexport): manifest.json lists configs and layers by their path; since version 25 an OCI layout is beside it.
Nothing is extracted: files are read where they lie in the tar, after it was decompressed into a temporary file where need be.
"""

import contextlib
import posixpath
import tempfile
from collections.abc import Mapping
from typing import Any, BinaryIO

from image_hash import limits, strict_json
from image_hash.errors import CheckError
from image_hash.image import Image, Layer
from image_hash.sources import documents, layout, streams
from image_hash.text import printable
from ocilib import tarcheck
from ocilib.digest import CHUNK
from ocilib.errors import Error as OcilibError
from ocilib.layout import DOCKER_CONFIG

_SAVED = (
    "docker save keeps no manifest: image hash and manifest digest cannot be told from this archive; "
    "take them from the registry or from an OCI layout"
)
_SAVED_WITH_LAYOUT = (
    "this archive is from docker save: unless Docker's containerd image store is in use, "
    "its manifest was made when it was saved and is not the registry's"
)
_LINKS = 8


class Archive:
    """The files of a tar."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        """Reads the headers.

        Raises:
            CheckError: it is no tar, or is damaged, has two files of one name or too many.
        """
        self._name = name
        self._file = file
        self._members: dict[str, tarcheck.Member] = {}
        try:
            for count, member in enumerate(tarcheck.members(file, name), 1):
                if count > limits.MAX_ENTRIES:
                    raise CheckError(f"{name}: more than {limits.MAX_ENTRIES} entries are refused")
                path = posixpath.normpath(member.path)
                if path in self._members and member.kind != "directory":
                    raise CheckError(f"{name}: two entries are called {printable(path)}, and readers differ in which they take")
                if path.startswith(("/", "../")) or path == "..":
                    raise CheckError(f"{name}: the entry {printable(member.path)} would leave the archive")
                self._members[path] = member
        except OcilibError as error:
            raise CheckError(printable(str(error), 1000)) from None

    def has(self, path: str) -> bool:
        """Whether there is an entry PATH."""
        return path in self._members

    def open(self, path: str) -> tuple[streams.Source, int]:
        """See layout.Files. Links within the archive are followed: old versions of docker save have a layer twice so."""
        found = path
        for _ in range(_LINKS):
            member = self._members.get(found)
            if member is None:
                raise CheckError(f"{self.where(path)} is missing: the archive is incomplete")
            if member.kind == "file":
                return streams.Range(self._file, member.offset, member.size), member.size
            if member.kind == "hardlink":
                found = posixpath.normpath(member.link)
            elif member.kind == "symlink":
                found = posixpath.normpath(posixpath.join(posixpath.dirname(found), member.link))
            else:
                raise CheckError(f"{self.where(path)}: expected a file, found a {member.kind}")
        raise CheckError(f"{self.where(path)}: more than {_LINKS} links follow one another")

    def where(self, path: str) -> str:
        """See layout.Files."""
        return f"{self._name}, {printable(path)}"


def open_archive(name: str, platform: str | None, open_files: contextlib.ExitStack) -> Image:
    """Reads the image in the archive NAME; OPEN_FILES closes what stays open for its layers.

    Raises:
        CheckError: it is no archive of an image, or not as the specification says.
    """
    file = open_files.enter_context(open(name, "rb"))  # noqa: SIM115 (the stack closes it)
    archive = Archive(name, _decompressed(name, file, open_files))
    if archive.has("oci-layout") and archive.has("index.json"):
        notes = (_SAVED_WITH_LAYOUT,) if archive.has("manifest.json") else ()
        return layout.open_layout(name, "oci-archive", archive, platform, notes)
    if archive.has("manifest.json"):
        return _saved(name, archive, platform)
    if archive.has("repositories"):
        raise CheckError(f"{name}: this is docker save's form from before version 1.10, which has no config; save it again")
    raise CheckError(f"{name}: expected an archive with oci-layout and index.json, or with manifest.json as docker save writes it")


def _decompressed(name: str, file: BinaryIO, open_files: contextlib.ExitStack) -> BinaryIO:
    size = file.seek(0, 2)
    file.seek(0)
    # The archive itself is nothing that a digest was given for.
    source, kind = streams.decompressed(file, name, size)
    if not kind:
        return file
    temporary = open_files.enter_context(tempfile.TemporaryFile(prefix="image_hash."))  # noqa: SIM115 (likewise)
    with streams.verified(source, name, longest=limits.max_expanded(size)) as tar:
        while data := tar.read(CHUNK):
            temporary.write(data)
    temporary.flush()
    return temporary


def _saved(name: str, archive: Archive, platform: str | None) -> Image:
    """Docker's form."""
    listed = _entries(archive)
    if len(listed) != 1:
        names = ", ".join(sorted(printable(str(entry.get("RepoTags"))) for entry in listed))
        raise CheckError(f"{name}: it has {len(listed)} images ({names}); save one")
    config_path, layer_paths = listed[0].get("Config"), listed[0].get("Layers")
    if not isinstance(config_path, str) or not isinstance(layer_paths, list) or not all(isinstance(path, str) for path in layer_paths):
        raise CheckError(f"{archive.where('manifest.json')}: expected a path as Config and paths as Layers")
    where = archive.where(config_path)
    config = documents.document(_read(archive, config_path), DOCKER_CONFIG, where)
    diff_ids, created_by = documents.parse_config(config, where)
    if len(diff_ids) != len(layer_paths):
        raise CheckError(f"{where}: {len(diff_ids)} diff ids, and the archive has {len(layer_paths)} layers")
    documents.check_platform(config, platform, where)
    layers = tuple(
        _layer(archive, position, diff_id, path, created)
        for position, (diff_id, path, created) in enumerate(zip(diff_ids, layer_paths, created_by, strict=True))
    )
    return Image(name, "docker-archive", None, None, config, layers, (_SAVED,))


def _entries(archive: Archive) -> list[Mapping[str, Any]]:
    what = archive.where("manifest.json")
    # The parser takes objects, and this is an array of them.
    entries = strict_json.parse_object(b'{"entries":' + _read(archive, "manifest.json") + b"}", what)["entries"]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CheckError(f"{what}: expected an array of objects")
    return entries


def _read(archive: Archive, path: str) -> bytes:
    source, size = archive.open(path)
    if size > limits.MAX_DOCUMENT:
        raise CheckError(f"{archive.where(path)}: {size} bytes of JSON, more than {limits.MAX_DOCUMENT} are refused")
    with streams.verified(source, archive.where(path), size=size) as stream:
        return stream.read()


def _layer(archive: Archive, position: int, diff_id: str, path: str, created_by: str) -> Layer:
    def blob() -> BinaryIO:
        source, size = archive.open(path)
        return streams.verified(source, archive.where(path), size=size)

    def tar() -> BinaryIO:
        _, size = archive.open(path)
        return documents.open_tar(blob(), size, None, diff_id, archive.where(path))

    return Layer(position, diff_id, None, created_by, blob, tar)
