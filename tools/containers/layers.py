"""Makes root file systems out of the layers of an image.

A layer is unpacked once, into a folder that is named after its diff id; a root is a tree of hard links to the files of such folders, upper
layers over lower ones. Containers with the same layers so share them on disk and in memory, as with overlayfs, but nothing is mounted that
could stay mounted. A root must only be used read-only: who writes into a file of it changes the layer.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ocilib import compression, tarcheck
from ocilib.errors import Error
from ocilib.layout import Image

if TYPE_CHECKING:
    from ocilib.jsontext import Json

# A file with this prefix in a layer removes something of the layers below (image-spec, layer.md, "Whiteouts").
_WHITEOUT = ".wh."
# Parents of an entry that have no entry of their own: they must not change mode or owner of the directory in a lower layer.
_IMPLIED = "implied"
_FILES = "files"
_LAYER = re.compile("[0-9a-f]{64}")
# Of folders in the store that are no layers, or not yet.
_NEW = ".new-"


class LayerError(Error):
    """A layer that cannot become part of a root file system."""


@dataclass(frozen=True)
class Layer:
    """An unpacked layer: the digest of its tar, and the folder with its files."""

    diff_id: str
    folder: Path

    @property
    def files(self) -> Path:
        """What becomes / in the container."""
        return self.folder / _FILES

    def implied(self) -> frozenset[str]:
        """Directories that the layer has only because something is in them."""
        return frozenset((self.folder / _IMPLIED).read_text(encoding="utf-8", errors="surrogateescape").split("\0"))


@dataclass(frozen=True)
class Root:
    """A root file system on disk, the layers that it was made of (the lowest first), and the image's config."""

    path: Path
    layers: tuple[Layer, ...]
    config: dict[str, Json]

    def resolve(self, path: str) -> str:
        """The absolute path, in the image, of what PATH names there when all links are followed.

        Raises:
            LayerError: nothing has this name, or links lead in a circle.
        """
        done: list[str] = []
        rest = path.split("/")[::-1]
        links = 0
        while rest:
            part = rest.pop()
            if part in ("", "."):
                continue
            if part == "..":
                del done[-1:]
                continue
            done.append(part)
            here = self.path.joinpath(*done)
            if not os.path.lexists(here):
                raise LayerError(f"{path} in the image leads to /{'/'.join(done)}, which does not exist")
            if here.is_symlink():
                links += 1
                if links > 40:  # as in Linux, path_resolution(7)
                    raise LayerError(f"{path} in the image leads through more than 40 links")
                target = os.readlink(here)
                if target.startswith("/"):
                    done.clear()
                else:
                    done.pop()
                rest += target.split("/")[::-1]
        return "/" + "/".join(done)

    def file(self, path: str) -> Path:
        """Where on disk the file lies that PATH names in the image, all links followed."""
        return self.path / self.resolve(path)[1:]

    def origin(self, path: str) -> Layer:
        """The layer from which the file comes that PATH names in the image."""
        resolved = self.resolve(path)[1:]
        for layer in reversed(self.layers):
            if os.path.lexists(layer.files / resolved):
                return layer
        raise LayerError(f"/{resolved} is in the root file system {self.path} and in no layer")


class LayerStore:
    """A folder of unpacked layers. It may be used by several processes at once, and be kept: a layer appears in it only when complete."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make_root(self, image: Image, path: Path) -> Root:
        """Makes PATH, which must not exist, the root file system of IMAGE. It has to be on the file system of this store.

        Raises:
            LayerError: a layer is not what it should be, or has whiteouts or devices, or replaces a directory by something else or the
                reverse, which container runtimes treat differently.
            TarError: a layer's tar is damaged or has paths that are absolute or have "..".
        """
        layers = tuple(self._layers(image))
        path.mkdir(parents=True)
        for layer in layers:
            _link(layer, path)
        return Root(path, layers, image.config)

    def prune(self, keep: Collection[str]) -> None:
        """Removes the layers whose diff ids are not in KEEP, and what was left by whoever was killed while unpacking.

        Roots that were made stay whole. Nobody may make one meanwhile.
        """
        values = {diff_id.removeprefix("sha256:") for diff_id in keep}
        for folder in sorted(self._folder.iterdir()):
            if folder.name.startswith(_NEW):
                shutil.rmtree(folder)
            elif _LAYER.fullmatch(folder.name) and folder.name not in values:
                # First it stops being a layer: a removal may be cut off, too.
                shutil.rmtree(folder.rename(self._folder / (_NEW + folder.name)))

    def _layers(self, image: Image) -> Iterator[Layer]:
        blobs = image.layers()
        rootfs = image.config.get("rootfs")
        diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
        if not isinstance(diff_ids, list) or len(diff_ids) != len(blobs):
            raise LayerError(f"{image.path}: expected a manifest and a config with the same number of layers")
        for (blob, _), diff_id in zip(blobs, diff_ids, strict=True):
            algorithm, _, value = str(diff_id).partition(":")
            if algorithm != "sha256" or not _LAYER.fullmatch(value):
                raise LayerError(f"{image.path}: expected a diff id sha256:..., found {diff_id!r}")
            folder = self._folder / value
            if not folder.is_dir():
                self._unpack(Path(blob), folder)
            yield Layer(f"{algorithm}:{value}", folder)

    def _unpack(self, blob: Path, folder: Path) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=_NEW, dir=self._folder))
        try:
            (new / _FILES).mkdir()
            with blob.open("rb") as stream:
                kind = compression.magic(stream)
                if kind:
                    tar = new / "tar"
                    with tar.open("wb") as writer:
                        for part in compression.decompress(stream, kind, blob.name):
                            writer.write(part)
                    implied = _unpack(tar, blob.name, new / _FILES)
                    tar.unlink()
                else:
                    implied = _unpack(blob, blob.name, new / _FILES)
            (new / _IMPLIED).write_text("\0".join(sorted(implied)), encoding="utf-8", errors="surrogateescape")
            try:
                new.rename(folder)
            except OSError:
                if not folder.is_dir():  # else another process was quicker
                    raise
        finally:
            shutil.rmtree(new, ignore_errors=True)


def _unpack(tar: Path, name: str, root: Path) -> set[str]:
    """Unpacks TAR, which is not compressed, into ROOT; NAME is for messages. Returns the implied directories."""
    with tar.open("rb") as stream:
        tarcheck.check_tar(stream, name)
        directories = {""}
        implied = {""}
        for member in tarcheck.members(stream, name):
            path = "/".join(part for part in member.path.split("/") if part not in ("", "."))
            parent, _, base = path.rpartition("/")
            if base.startswith(_WHITEOUT):
                raise LayerError(f"{name}: expected a layer that only adds files, found the whiteout {member.path!r}")
            missing = []
            while parent not in directories:
                missing.append(parent)
                parent = parent.rpartition("/")[0]
            for directory in reversed(missing):
                # Fails where it is a link: a runtime would leave the layer's folder through it.
                try:
                    (root / directory).mkdir(0o755)
                except FileExistsError:
                    raise LayerError(f"{name}: {member.path!r} is below {directory!r}, which is no directory in this layer") from None
                directories.add(directory)
                implied.add(directory)
            target = root / path
            if member.kind == "directory":
                if path not in directories:
                    target.mkdir()
                    directories.add(path)
                implied.discard(path)
            elif member.kind == "file":
                _copy(stream.fileno(), member.offset, member.size, target)
            elif member.kind == "symlink":
                target.symlink_to(member.link)
            elif member.kind == "hardlink":
                os.link(root / "/".join(part for part in member.link.split("/") if part not in ("", ".")), target, follow_symlinks=False)
                continue
            else:
                raise LayerError(f"{name}: {member.path!r} is a {member.kind}; expected files, links and directories")
            os.chown(target, member.uid, member.gid, follow_symlinks=False)
            if member.kind != "symlink":
                os.chmod(target, member.mode)
            if member.kind != "directory":
                os.utime(target, (member.mtime, member.mtime), follow_symlinks=False)
    return implied


def _copy(source: int, offset: int, size: int, target: Path) -> None:
    with target.open("xb") as writer:
        end = offset + size
        while offset < end:
            # The tar was checked: there are as many bytes.
            offset += os.sendfile(writer.fileno(), source, offset, end - offset)


def _link(layer: Layer, root: Path) -> None:
    """Puts the files of LAYER over what is in ROOT."""
    implied = layer.implied()
    for folder, directories, files in os.walk(layer.files):
        relative = folder[len(str(layer.files)) + 1 :]
        target = root / relative
        new = not os.path.lexists(target)
        if new:
            target.mkdir()
        elif target.is_symlink() or not target.is_dir():
            raise LayerError(f"layer {layer.diff_id}: the directory {relative!r} would replace something else of a lower layer")
        if new or relative not in implied:
            _copy_mode(folder, target)
        # What os.walk calls directories may be links to some, and is not entered then.
        for name in files + [name for name in directories if os.path.islink(os.path.join(folder, name))]:
            path = target / name
            if os.path.lexists(path):
                if path.is_dir() and not path.is_symlink():
                    raise LayerError(f"layer {layer.diff_id}: {os.path.join(relative, name)!r} would replace a directory of a lower layer")
                path.unlink()
            os.link(os.path.join(folder, name), path, follow_symlinks=False)


def _copy_mode(source: str, target: Path) -> None:
    status = os.stat(source)
    os.chown(target, status.st_uid, status.st_gid)
    os.chmod(target, stat.S_IMODE(status.st_mode))
