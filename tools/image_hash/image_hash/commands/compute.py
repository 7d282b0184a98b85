"""Prints the digest card of images: every digest, hashed again, and the Confidential Space claims that they become.

    image_hash compute IMAGE... [--json] [--platform OS/ARCHITECTURE] [--insecure]

IMAGE is the folder of an OCI layout, an archive (an OCI layout or what docker save writes; tar, also with gzip or zstd), or a reference of
a registry: HOST[:PORT]/REPOSITORY:TAG or ...@sha256:<64 hexadecimal digits>, with the credentials of docker login and podman login.
"""

import json

from image_hash import card, errors
from image_hash.commands.image_flags import INSECURE, PLATFORM
from image_hash.commands.json_flag import JSON
from image_hash.sources import open_image


def main(argv: list[str]) -> None:
    """Prints the cards.

    Raises:
        errors.CheckError: an image cannot be read, or is damaged; nothing is printed then.
        errors.UsageError: no image is given.
    """
    if not argv:
        raise errors.UsageError("compute IMAGE...; expected an image, found none")
    cards = []
    for reference in argv:
        with open_image(reference, PLATFORM.value, insecure=INSECURE.value) as image:
            cards.append(card.card(image))
    if JSON.value:
        print(json.dumps({"schema": card.SCHEMA, "images": cards}, indent=2))
    else:
        print("\n".join(card.table(found) for found in cards), end="")
