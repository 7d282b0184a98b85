"""Pushes the image or image index of an OCI layout: blobs first, then manifests by digest, then tags.

A tag that the registry has with the right digest is left alone; if all are so, nothing else is asked. What a registry has of an image it
is not sent again, and a blob that this process knows to be in another repository of the registry is mounted from there.
"""

from __future__ import annotations

import os
import queue
import threading

from ocilib import jsontext
from ocilib.digest import digest_of
from ocilib.layout import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, LayoutError
from ocilib.registry import DOCKER_INDEX, RegistryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ocilib.jsontext import Json
    from ocilib.registry import Client

_PARALLEL = 4
# image-spec, layer.md "Non-Distributable Layers"; and Docker's.
_NOT_DISTRIBUTABLE = ("application/vnd.oci.image.layer.nondistributable.", "application/vnd.docker.image.rootfs.foreign.")


class Blob:
    """A config or layer: digest, and path and size of its file."""

    __slots__ = ("digest", "path", "size")

    def __init__(self, digest: str, path: str, size: int) -> None:
        self.digest = digest
        self.path = path
        self.size = size


class Manifest:
    """A manifest: digest, media type and bytes."""

    __slots__ = ("data", "digest", "media_type")

    def __init__(self, digest: str, media_type: str, data: bytes) -> None:
        self.digest = digest
        self.media_type = media_type
        self.data = data


class Artifact:
    """What is pushed.

    Attributes:
        manifests: in an order in which none names one that comes later; the last is the image or index itself.
        blobs: each once.
    """

    __slots__ = ("blobs", "manifests")

    def __init__(self, manifests: list[Manifest], blobs: list[Blob]) -> None:
        self.manifests = manifests
        self.blobs = blobs

    @property
    def digest(self) -> str:
        """The digest of the image or index: the image hash."""
        return self.manifests[-1].digest


class Result:
    """What a push did.

    Attributes:
        unchanged: whether all tags were right before.
        uploaded: number of blobs sent.
        mounted: number of blobs mounted from another repository.
        present: number of blobs that were there.
        sent: bytes sent of blobs.
    """

    __slots__ = ("mounted", "present", "sent", "unchanged", "uploaded")

    def __init__(self) -> None:
        self.unchanged = False
        self.uploaded = 0
        self.mounted = 0
        self.present = 0
        self.sent = 0


def read(layout: str, *, foreign: bool = False) -> Artifact:
    """Reads the image or index whose OCI layout is the folder LAYOUT.

    Args:
        layout: path of the folder.
        foreign: whether layers that are not to be distributed are pushed, too; they have to be in the layout then.

    Raises:
        LayoutError: the layout is not whole, or has not one image or index.
    """
    manifests: list[Manifest] = []
    blobs: dict[str, Blob] = {}
    index_file = f"{layout}/index.json"
    try:
        with open(index_file, "rb") as file:
            index = jsontext.parse_object(file.read(), index_file)
    except (FileNotFoundError, NotADirectoryError):
        raise LayoutError(f"{index_file} is missing: is it the folder of an OCI layout?") from None
    entries = index.get("manifests")
    if not isinstance(entries, list) or len(entries) != 1:
        raise LayoutError(f"{index_file}: expected one image or index, found {len(entries) if isinstance(entries, list) else 0}")
    _add_manifest(layout, entries[0], manifests, blobs, foreign)
    return Artifact(manifests, list(blobs.values()))


def _add_manifest(layout: str, descriptor: Json, manifests: list[Manifest], blobs: dict[str, Blob], foreign: bool) -> None:
    blob = _blob(layout, descriptor)
    if any(manifest.digest == blob.digest for manifest in manifests):
        return
    with open(blob.path, "rb") as file:
        data = file.read()
    if digest_of(data) != blob.digest:
        raise LayoutError(f"{blob.path}: expected the digest {blob.digest}, found {digest_of(data)}; build the image again")
    content = jsontext.parse_object(data, blob.path)
    media_type = content.get("mediaType") or (descriptor.get("mediaType") if isinstance(descriptor, dict) else None)
    if media_type in (OCI_INDEX, DOCKER_INDEX):
        members = content.get("manifests")
        for member in members if isinstance(members, list) else ():
            _add_manifest(layout, member, manifests, blobs, foreign)
    elif media_type in (OCI_MANIFEST, DOCKER_MANIFEST):
        layers = content.get("layers")
        for part in (content.get("config"), *(layers if isinstance(layers, list) else ())):
            kind = str(part.get("mediaType")) if isinstance(part, dict) else ""
            if foreign or not kind.startswith(_NOT_DISTRIBUTABLE):
                found = _blob(layout, part)
                blobs[found.digest] = found
    else:
        raise LayoutError(f"{blob.path}: expected the manifest of an image or index, found the media type {media_type!r}")
    manifests.append(Manifest(blob.digest, str(media_type), data))


def _blob(layout: str, descriptor: Json) -> Blob:
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    size = descriptor.get("size") if isinstance(descriptor, dict) else None
    algorithm, _, value = digest.partition(":") if isinstance(digest, str) else ("", "", "")
    if algorithm != "sha256" or len(value) != 64 or not value.isalnum() or not isinstance(size, int):
        raise LayoutError(f"{layout}: expected a descriptor with a sha256 digest and a size, found {descriptor!r}")
    path = f"{layout}/blobs/sha256/{value}"
    try:
        found = os.stat(path).st_size
    except FileNotFoundError:
        raise LayoutError(f"{path} is missing: the layout is incomplete") from None
    if found != size:
        raise LayoutError(f"{path}: expected {size} bytes, found {found}; build the image again")
    return Blob(f"sha256:{value}", path, size)


class Pusher:
    """Pushes to repositories of one registry."""

    def __init__(self, client: Client, moved: Callable[[int], None] = lambda _: None) -> None:
        """Takes a client of the registry; MOVED is told how many bytes of blobs are done, sent or not."""
        self._client = client
        self._moved = moved
        # Digest of a blob -> a repository that has it.
        self._homes: dict[str, str] = {}

    def push(self, artifact: Artifact, repository: str, tags: list[str]) -> Result:
        """Pushes ARTIFACT to REPOSITORY (a path within the registry) under TAGS; without tags, under its digest only.

        Raises:
            RegistryError: the registry refuses; it may have got blobs and manifests then, and no tag that is not complete.
        """
        result = Result()
        root = artifact.manifests[-1]
        wanted = tags or [root.digest]
        stale = [tag for tag in wanted if self._client.head_manifest(repository, tag) != root.digest]
        if not stale:
            result.unchanged = True
            self._moved(sum(blob.size for blob in artifact.blobs))
            self._homes.update((blob.digest, repository) for blob in artifact.blobs)
            return result
        self._push_blobs(artifact.blobs, repository, result)
        for manifest in artifact.manifests:
            self._client.put_manifest(repository, manifest.digest, manifest.media_type, manifest.data)
        for tag in stale:
            if tag != root.digest:
                self._client.put_manifest(repository, tag, root.media_type, root.data)
            # What it really serves, whatever it says in its headers.
            served = self._client.get_manifest(repository, tag)[0]
            if served != root.digest:
                raise RegistryError(
                    f"{self._client.registry}: serves {served} as {repository}:{tag}, expected {root.digest}; it has changed the manifest"
                )
        return result

    def _push_blobs(self, blobs: list[Blob], repository: str, result: Result) -> None:
        """Sends blobs, several at a time, the largest first; the first error ends all."""
        waiting: queue.SimpleQueue[Blob] = queue.SimpleQueue()
        for blob in sorted(blobs, key=lambda blob: (-blob.size, blob.digest)):
            waiting.put(blob)
        errors: list[BaseException] = []
        lock = threading.Lock()

        def work() -> None:
            try:
                while not errors:
                    blob = waiting.get_nowait()
                    how = self._push_blob(blob, repository)
                    with lock:
                        setattr(result, how, getattr(result, how) + 1)
                        result.sent += blob.size if how == "uploaded" else 0
                        self._homes[blob.digest] = repository
            except queue.Empty:
                return
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                errors.append(error)
                self._client.stop()

        workers = [threading.Thread(target=work, daemon=True) for _ in range(min(_PARALLEL, len(blobs)))]
        try:
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        except KeyboardInterrupt:
            self._client.stop()
            raise
        if errors:
            raise errors[0]

    def _push_blob(self, blob: Blob, repository: str) -> str:
        """What had to be done: the name of a counter of Result."""
        if self._client.has_blob(repository, blob.digest, blob.size):
            self._moved(blob.size)
            return "present"
        home = self._homes.get(blob.digest)
        source = home if home != repository else None
        if self._client.upload_blob(repository, blob.digest, blob.path, blob.size, self._moved, source):
            self._moved(blob.size)
            return "mounted"
        return "uploaded"
