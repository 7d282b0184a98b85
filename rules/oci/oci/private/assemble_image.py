"""assemble_image.py OUTPUT DIGEST CONFIG [option...]: makes an image layout, the file of its digest, and a copy of its config.

Options, in any order:
    --scratch=OS,ARCHITECTURE,VARIANT or --base=FOLDER: what the image starts from.
    --layer TAR DESCRIPTOR OWNER: adds a layer; in order.
    --<attribute>=FILE: created, entrypoint, cmd, exposed_ports, volumes, env, labels, annotations.
    --user=USER, --workdir=FOLDER
    --copy: copies blobs instead of linking them.
    --strict=TARGET: checks the result as the image of a service; TARGET is for messages.
"""

from __future__ import annotations

import os
import sys

from ocilib import image, jsontext, layer
from ocilib.layout import OCI_INDEX, OCI_MANIFEST, Image, LayoutWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocilib.jsontext import Json

_FILES = ("created", "entrypoint", "cmd", "exposed_ports", "volumes", "env", "labels", "annotations")


def main(arguments: list[str]) -> None:
    """Makes the image that the arguments describe."""
    output, digest_file, config_file = arguments[:3]
    options = image.Options()
    base = None
    layers = []
    blobs = []
    copy = False
    strict = ""
    rest = iter(arguments[3:])
    for argument in rest:
        name, _, value = argument.removeprefix("--").partition("=")
        if name == "layer":
            tar, descriptor, owner = next(rest), next(rest), next(rest)
            described = layer.from_json(_read(descriptor), descriptor)
            layers.append((described, owner))
            blobs.append((tar, described.digest))
        elif name in _FILES:
            setattr(options, name, _read(value))
        elif name == "scratch":
            manifest, config = image.scratch(*[_text(part) for part in value.split(",")])
        elif name == "base":
            base = Image(value)
            manifest, config = base.manifest, base.config
        elif name == "copy":
            copy = True
        elif name == "strict":
            strict = value
        else:
            setattr(options, name, _text(value))
    base_blobs = base.layers() if base else []
    base_labels = base.labels() if base else []
    manifest_bytes, config_bytes = image.build(manifest, config, layers, options)
    if strict:
        from ocilib.launch import check_image

        check_image(strict, manifest, config, base_labels, options)

    writer = LayoutWriter(output, copy=copy)
    writer.blob(config_bytes)
    digest = writer.blob(manifest_bytes)
    # Layers that a base does not hold (foreign ones) are left out, as upstream does.
    for blob, blob_digest in base_blobs:
        if os.path.lexists(blob):
            writer.link(blob, blob_digest)
    for blob, blob_digest in blobs:
        writer.link(blob, blob_digest)
    entry: dict[str, Json] = {"mediaType": manifest.get("mediaType", OCI_MANIFEST), "digest": digest, "size": len(manifest_bytes)}
    writer.index({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}, '{"imageLayoutVersion":"1.0.0"}')
    _write(digest_file, digest.encode() + b"\n")
    _write(config_file, config_bytes)


def _text(argument: str) -> str:
    return jsontext.decode(os.fsencode(argument))


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


if __name__ == "__main__":
    main(sys.argv[1:])
