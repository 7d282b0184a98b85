"""assemble_index.py OUTPUT DIGEST [--annotations=FILE] IMAGE...: makes the layout of an image index, and the file of its digest."""

from __future__ import annotations

import sys

from ocilib import image, jsontext
from ocilib.layout import OCI_INDEX, Image, LayoutWriter, blobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocilib.jsontext import Json


def main(arguments: list[str]) -> None:
    """Makes the index that the arguments describe."""
    output, digest_file = arguments[:2]
    manifests: list[Json] = []
    notes = None
    writer = LayoutWriter(output, copy=True)
    for argument in arguments[2:]:
        if argument.startswith("--annotations="):
            with open(argument.partition("=")[2], "rb") as file:
                notes = image.pairs(file.read())
            continue
        member = Image(argument)
        manifests.append({**member.descriptor, "platform": image.platform(member.config)})
        for path, digest in blobs(argument):
            writer.link(path, digest)
    index: dict[str, Json] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
    if notes is not None:
        index["annotations"] = notes
    data = (jsontext.dumps(index) + "\n").encode()
    digest = writer.blob(data)
    # Key order, the missing schemaVersion and the blank in oci-layout are upstream's.
    entry: dict[str, Json] = {"mediaType": OCI_INDEX, "size": len(data), "digest": digest}
    writer.index({"manifests": [entry]}, '{"imageLayoutVersion": "1.0.0"}\n')
    with open(digest_file, "w", encoding="utf-8") as out:
        out.write(digest + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
