"""Images in registries, read without keeping them: documents at once, layers while they are used."""

import contextlib
import io
from typing import BinaryIO

from image_hash.errors import CheckError
from image_hash.image import Descriptor, Document, Image
from image_hash.sources import documents, streams
from image_hash.text import printable
from ocilib.errors import Error as OcilibError
from ocilib.registry import Client, NameFormatError, Repository, check_tag, parse_repository


class Reference:
    """A repository, and a tag or digest in it; with both, the digest counts, as in Docker."""

    def __init__(self, repository: Repository, tag: str) -> None:
        self.repository = repository
        self.tag = tag

    def __str__(self) -> str:
        return f"{self.repository}{'@' if ':' in self.tag else ':'}{self.tag}"


def parse_reference(text: str) -> Reference | None:
    """Reads `HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]`, also with `http://` or `https://` before it; None if it is something else.

    Host and tag must be there: what is left out might as well be a path that does not exist.
    """
    named, at, digest = text.partition("@")
    name, colon, tag = named.rpartition(":")
    if not colon or "/" in tag:
        name, tag = named, ""
    try:
        repository = parse_repository(name)
        if tag:
            check_tag(tag)
    except NameFormatError:
        return None
    without_host = repository.registry == "docker.io" and not name.startswith(("docker.io/", "index.docker.io/"))
    if without_host or not (tag or at) or (at and not documents.DIGEST.fullmatch(digest)):
        return None
    return Reference(repository, digest or tag)


class Blobs:
    """The documents and blobs of a repository."""

    def __init__(self, client: Client, repository: Repository) -> None:
        self._client = client
        self._repository = repository

    def manifest(self, tag: str) -> Document:
        """The manifest or index with the tag or digest TAG."""
        what = str(Reference(self._repository, tag))
        try:
            digest, data, media_type = self._client.get_manifest(self._repository.name, tag)
        except OcilibError as error:
            raise CheckError(printable(str(error), 1000)) from None
        if ":" in tag and digest != tag:
            raise CheckError(f"{what}: the registry answers with something else, whose digest is {digest}; do not use what it has there")
        return documents.document(data, media_type, what)

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """See documents.Blobs."""
        if documents.is_manifest(descriptor.media_type):
            data = self.manifest(descriptor.digest).data
            return streams.verified(io.BytesIO(data), self.where(descriptor), digest=descriptor.digest, size=descriptor.size)
        try:
            download = self._client.open_blob(self._repository.name, descriptor.digest, descriptor.size)
        except OcilibError as error:
            raise CheckError(printable(str(error), 1000)) from None
        return streams.verified(download, self.where(descriptor), digest=descriptor.digest, size=descriptor.size)

    def where(self, descriptor: Descriptor) -> str:
        """See documents.Blobs."""
        return str(Reference(self._repository, descriptor.digest))


def open_reference(name: str, reference: Reference, platform: str | None, resources: contextlib.ExitStack, *, insecure: bool) -> Image:
    """Reads an image.

    Args:
        name: what the user called it.
        reference: the same, parsed.
        platform: which image of an index.
        resources: closes the connections.
        insecure: whether plain http is spoken, also if the registry is not loopback.

    Raises:
        CheckError: the registry cannot be reached, refuses, or has no such image.
    """
    repository = reference.repository
    try:
        client = Client(repository, insecure=insecure, reads_only=True)
    except OcilibError as error:
        raise CheckError(str(error)) from None
    resources.callback(client.close)
    blobs = Blobs(client, repository)
    found = blobs.manifest(reference.tag)
    what = str(reference)
    index = None
    if documents.is_index(found):
        index = found
        chosen = documents.choose(documents.choices(index, what), platform, blobs, what)
        what = blobs.where(chosen)
        found = documents.read(blobs, chosen)
    return documents.image(name, "registry", index, found, blobs, what, platform, ())
