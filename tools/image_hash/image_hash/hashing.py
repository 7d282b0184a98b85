"""Re-hashes the layers of images, several at a time."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from image_hash.image import Layer

_BUFFER = 1 << 20


def tar_size(layer: Layer) -> int:
    """Reads all of a layer, so that its blob and its tar are checked against their digests; the bytes of its tar.

    Raises:
        CheckError: it is damaged, or not what the manifest or the config says.
    """
    buffer = memoryview(bytearray(_BUFFER))
    size = 0
    with layer.open_tar() as stream:
        # typing.BinaryIO has no readinto, what open_tar returns has.
        while count := stream.readinto(buffer):  # type: ignore[attr-defined]
            size += count
    return size


def tar_sizes(layers: Iterable[Layer]) -> list[int]:
    """The same for several layers; hashing and decompressing need no interpreter lock.

    Raises:
        CheckError: of the lowest layer that is damaged.
    """
    with ThreadPoolExecutor(os.cpu_count() or 1) as executor:
        return list(executor.map(tar_size, layers))
