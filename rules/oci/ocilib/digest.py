"""SHA-256 in the form of OCI descriptors ("sha256:<hex>"), of streams of any size."""

from __future__ import annotations

import hashlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ocilib.tarwriter import Sink

CHUNK = 1 << 18


class Hasher:
    """Counts and hashes what is written to it."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Takes the next part."""
        self._hash.update(data)
        self.size += len(data)

    def digest(self) -> str:
        """The digest of all parts so far."""
        return f"sha256:{self._hash.hexdigest()}"


class HashingWriter(Hasher):
    """Passes on to SINK what is written to it, and hashes it: one pass for a large layer."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._pass_on = sink.write

    def write(self, data: bytes) -> None:
        """Takes the next part, after SINK did."""
        self._pass_on(data)
        super().write(data)


def chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """The parts of a stream, given its read method."""
    while data := read(CHUNK):
        yield data


def hash_chunks(parts: Iterable[bytes]) -> Hasher:
    """Digest and size of PARTS."""
    hasher = Hasher()
    for part in parts:
        hasher.write(part)
    return hasher


def digest_of(data: bytes) -> str:
    """The digest of DATA."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
