"""Opens images: OCI layout folders, OCI and docker archives (also as gzip or zstd), references of registries."""

import contextlib
import os
import re
from collections.abc import Iterator

from image_hash.errors import CheckError, UsageError
from image_hash.image import Image

_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9.]+)?")


@contextlib.contextmanager
def open_image(reference: str, platform: str | None = None, *, insecure: bool = False) -> Iterator[Image]:
    """Reads an image's index, manifest and config, and checks their digests; layers are checked while they are read.

    Args:
        reference: path of a layout's folder or of an archive, or else HOST[:PORT]/REPOSITORY:TAG or ...@sha256:<hex>.
        platform: OS/ARCHITECTURE[/VARIANT]; chooses from an index of several, and must be that of an image that is the only one.
        insecure: whether plain http is spoken with registries that are not loopback.

    Yields:
        The image; its layers can be opened until the end of the block.

    Raises:
        CheckError: there is no image, it is damaged, or one has to be chosen.
        UsageError: PLATFORM is malformed.
    """
    if platform is not None and not _PLATFORM.fullmatch(platform):
        raise UsageError(f"expected a platform like linux/amd64 or linux/arm/v7, found {platform!r}")
    with contextlib.ExitStack() as resources:
        try:
            image = _open(reference, platform, insecure, resources)
        except OSError as error:
            raise CheckError(f"{error.filename or reference} cannot be read: {error.strerror or error}") from error
        yield image


def _open(reference: str, platform: str | None, insecure: bool, resources: contextlib.ExitStack) -> Image:
    # Each kind is imported only when it is used: starting has to be quick.
    if os.path.isdir(reference):
        from image_hash.sources import layout

        return layout.open_folder(reference, platform)
    if os.path.isfile(reference):
        from image_hash.sources import archive

        return archive.open_archive(reference, platform, resources)
    if os.path.exists(reference):
        raise CheckError(f"{reference}: expected a folder or a file, found something else")
    from image_hash.sources import registry

    parsed = registry.parse_reference(reference)
    if parsed:
        return registry.open_reference(reference, parsed, platform, resources, insecure=insecure)
    raise CheckError(
        f"{reference}: no such file or folder; an image is the folder of an OCI layout, an archive, or a reference of a registry "
        "like registry.example/path/name:tag or ...@sha256:<64 hexadecimal digits>"
    )
