"""Images in OCI layouts (image-spec, image-layout.md), be they a folder or an archive."""

import os
import stat
from pathlib import Path
from typing import BinaryIO, Protocol

from image_hash import limits
from image_hash.errors import CheckError
from image_hash.image import Descriptor, Image
from image_hash.sources import documents, streams
from ocilib.layout import OCI_INDEX


class Files(Protocol):
    """Files by their path from the layout's root."""

    def open(self, path: str) -> tuple[streams.Source, int]:
        """Opens a file; its bytes and their number.

        Raises:
            CheckError: there is none.
        """

    def where(self, path: str) -> str:
        """Names the file in messages."""


class Folder:
    """The files of a folder. Symbolic links are followed, since Bazel's layouts are made of them."""

    def __init__(self, root: str) -> None:
        self._root = root

    def open(self, path: str) -> tuple[streams.Source, int]:
        """See Files."""
        where = self.where(path)
        try:
            # Not to wait for the other end of a fifo.
            descriptor = os.open(where, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise CheckError(f"{where} is missing: the layout is incomplete") from None
        except OSError as error:
            raise CheckError(f"{where} cannot be opened: {error.strerror}") from None
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise CheckError(f"{where}: expected a file, found something else")
        return os.fdopen(descriptor, "rb", buffering=0), found.st_size

    def where(self, path: str) -> str:
        """See Files."""
        return f"{self._root}/{path}"


class Blobs:
    """The blobs of a layout."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """See documents.Blobs."""
        path = _path(descriptor)
        source, size = self._files.open(path)
        if size != descriptor.size:
            source.close()
            raise CheckError(f"{self._files.where(path)}: expected {descriptor.size} bytes, found {size}; get it again")
        return streams.verified(source, self._files.where(path), digest=descriptor.digest, size=size)

    def where(self, descriptor: Descriptor) -> str:
        """See documents.Blobs."""
        return self._files.where(_path(descriptor))


def open_layout(name: str, source: str, files: Files, platform: str | None, notes: tuple[str, ...] = ()) -> Image:
    """Reads an image.

    Args:
        name: what the user called it.
        source: "layout" or "oci-archive".
        files: the files of the layout.
        platform: which image, if there are several.
        notes: see Image.

    Raises:
        CheckError: it is no layout, or not as the specification says.
    """
    what = files.where("index.json")
    stream, size = files.open("index.json")
    if size > limits.MAX_DOCUMENT:
        stream.close()
        raise CheckError(f"{what}: {size} bytes of JSON, more than {limits.MAX_DOCUMENT} are refused")
    with streams.verified(stream, what, size=size) as reader:
        listing = documents.document(reader.read(), OCI_INDEX, what)
    blobs = Blobs(files)
    found = documents.choices(listing, what)
    # index.json is how a layout lists its images, and is no part of any; an index that it points to is.
    chosen = documents.choose(found, platform, blobs, what)
    manifest = documents.read(blobs, chosen)
    index = None
    if documents.is_index(manifest):
        index = manifest
        chosen = documents.choose(documents.choices(index, blobs.where(chosen)), platform, blobs, blobs.where(chosen))
        manifest = documents.read(blobs, chosen)
    return documents.image(name, source, index, manifest, blobs, blobs.where(chosen), platform, notes)


def open_folder(name: str, platform: str | None) -> Image:
    """Reads the image in the folder NAME.

    Raises:
        CheckError: see open_layout.
    """
    root = Path(name)
    if not (root / "index.json").exists():
        raise CheckError(f"{name}: expected the folder of an OCI layout, found no index.json in it")
    return open_layout(name, "layout", Folder(name.rstrip("/") or "/"), platform)


def _path(descriptor: Descriptor) -> str:
    # Of a digest's form, so it leads nowhere else.
    return f"blobs/{descriptor.digest.replace(':', '/')}"
