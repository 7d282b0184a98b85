"""Says what the Confidential Space launcher makes of images: whether it starts them, and what their operator could still change.

    image_hash lint IMAGE... [--json] [--platform OS/ARCHITECTURE] [--insecure]

IMAGE is the folder of an OCI layout, an archive, or a reference of a registry, as for compute.

An error is what the launcher refuses, or what it reads otherwise than it is written: unknown or mistyped labels, ports without protocol, an
empty entrypoint. A warning is what weakens the image by its author's own will. Errors make the exit code 1, warnings do not.
"""

import json

from image_hash import errors, lint
from image_hash.commands.image_flags import INSECURE, PLATFORM
from image_hash.commands.json_flag import JSON
from image_hash.sources import open_image


def main(argv: list[str]) -> None:
    """Prints what was found.

    Raises:
        errors.MismatchError: an image has errors.
        errors.CheckError: an image cannot be read; nothing is printed then.
        errors.UsageError: no image is given.
    """
    if not argv:
        raise errors.UsageError("lint IMAGE...; expected an image, found none")
    found = []
    for reference in argv:
        with open_image(reference, PLATFORM.value, insecure=INSECURE.value) as image:
            found.append(lint.lint(image))
    if JSON.value:
        print(json.dumps({"schema": lint.SCHEMA, "images": found}, indent=2))
    else:
        print("\n".join(lint.table(one) for one in found), end="")
    wrong = [one["name"] for one in found if one["errors"]]
    if wrong:
        raise errors.MismatchError(f"not as Confidential Space takes it: {', '.join(wrong)}")
