"""Signatures of images in a registry, where Confidential Space looks for them: `<repository>:sha256-<hex>.sig`.

Such a tag is the manifest of an image with a layer for each signature: the payload as blob, the signature as annotation (cosign,
specs/SIGNATURE_SPEC.md; go-tpm-tools, launcher/internal/signaturediscovery). Signatures of others, which are there already, stay.
"""

import base64
import json
import pathlib
import tempfile
from typing import Any

from image_hash import errors, signatures, strict_json
from ocilib import push, registry
from ocilib.digest import digest_of
from ocilib.layout import OCI_CONFIG, OCI_MANIFEST

# What the launcher reads of one image at most (go-tpm-tools, verifier).
_MOST = 300


def tag_of(image_hash: str) -> str:
    """The tag of an image's signatures."""
    return f"{image_hash.replace(':', '-')}.sig"


def add(client: registry.Client, repository: registry.Repository, image_hash: str, key: signatures.PrivateKey) -> bool:
    """Signs an image of a registry.

    Args:
        client: of the registry.
        repository: that has the image.
        image_hash: of the image.
        key: that signs.

    Returns:
        False if the registry has a signature by that key already, and nothing was changed.

    Raises:
        errors.CheckError: the registry does not have the image, or what is at the tag is no signature object.
        ocilib.errors.Error: the registry refuses.
    """
    if client.head_manifest(repository.name, image_hash) != image_hash:
        raise errors.CheckError(f"{repository} does not have {image_hash}: push the image first, with scripts/upload_images.sh")
    tag = tag_of(image_hash)
    layers = _layers(client, repository, tag)
    data = signatures.payload(str(repository), image_hash, key.public)
    if any(_is_ours(layer, data, key.public) for layer in layers):
        return False
    if len(layers) >= _MOST:
        raise errors.CheckError(f"{repository}:{tag} has {len(layers)} signatures; more than {_MOST} are not read")
    annotations = dict(signatures.annotations(key.sign(data)))
    layers.append(_descriptor(signatures.PAYLOAD_MEDIA_TYPE, data) | {"annotations": annotations})
    config = _config([layer["digest"] for layer in layers])
    manifest = _encoded(
        {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": _descriptor(OCI_CONFIG, config), "layers": layers},
    )
    with tempfile.TemporaryDirectory(prefix="image_hash.") as folder:
        blobs = [_file(pathlib.Path(folder), blob) for blob in (config, data)]
        artifact = push.Artifact([push.Manifest(digest_of(manifest), OCI_MANIFEST, manifest)], blobs)
        push.Pusher(client).push(artifact, repository.name, [tag])
    return True


def _layers(client: registry.Client, repository: registry.Repository, tag: str) -> list[dict[str, Any]]:
    """The layers of the signature object that is there; none if there is none."""
    if client.head_manifest(repository.name, tag) is None:
        return []
    where = f"{repository}:{tag}"
    layers = strict_json.parse_object(client.get_manifest(repository.name, tag)[1], where).get("layers")
    if not isinstance(layers, list) or not all(isinstance(layer, dict) and isinstance(layer.get("digest"), str) for layer in layers):
        raise errors.CheckError(f"{where}: expected signatures of an image, found something else; nothing was changed")
    return layers


def _is_ours(layer: dict[str, Any], data: bytes, key: signatures.PublicKey) -> bool:
    annotations = layer.get("annotations")
    signature = annotations.get(signatures.SIGNATURE_ANNOTATION) if isinstance(annotations, dict) else None
    if layer["digest"] != digest_of(data) or not isinstance(signature, str):
        return False
    try:
        key.verify(data, base64.b64decode(signature))
    except (ValueError, errors.MismatchError):
        return False
    return True


def _config(diff_ids: list[str]) -> bytes:
    """A config as cosign makes it: payloads are no tars, and stored as they are."""
    return _encoded(
        {
            "architecture": "",
            "os": "",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
    )


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def _encoded(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _file(folder: pathlib.Path, data: bytes) -> push.Blob:
    digest = digest_of(data)
    path = folder / digest.replace(":", "-")
    path.write_bytes(data)
    return push.Blob(digest, str(path), len(data))
