"""The digest card of an image: all its digests, told apart by name, and the Confidential Space claims that they become.

JSON, schema 1 (what `compute --json` prints for each image; keys in this order):

    name             what the user called the image
    source           "layout", "oci-archive", "docker-archive" or "registry"
    platform         OS/ARCHITECTURE[/VARIANT], of the config
    image_hash       digest of what the reference names: index_digest if it is an index, else manifest_digest; null if it is not kept
    index_digest     of the index; null without one
    manifest_digest  of the manifest; null where the format does not keep it (docker save)
    config_digest    of the config
    claims           what a token says of a container of this image that an operator starts without overrides, all of submods.container:
                     image_digest (null if it is not kept), image_id, args (array), env (object). The launcher adds HOSTNAME to env, and
                     PATH to one that has none
    launch_policy    labels tee.launch_policy.*, by which the author limits what an operator can override: object
    labels           all others: object
    layers           from the lowest: objects with diff_id, digest, media_type, size (bytes of the blob; these three null where the format
                     does not keep the manifest), tar_size (bytes of the tar) and created_by (from the history; "" if it says nothing)
    notes            what to know of these digests because of where they were read from: array of sentences

Source: launcher/container_runner.go of go-tpm-tools (image_digest is that of the reference's target, image_id that of the config).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from image_hash import hashing
from image_hash.image import Image
from image_hash.text import printable

SCHEMA = 1

_POLICY = "tee.launch_policy."


def card(image: Image) -> dict[str, Any]:
    """Re-hashes all of an image; its card, ready for JSON.

    Raises:
        CheckError: a layer is damaged.
    """
    content = image.config.content
    settings: Mapping[str, Any] = content.get("config") or {}
    labels: Mapping[str, str] = settings.get("Labels") or {}
    sizes = hashing.tar_sizes(image.layers)
    return {
        "name": image.name,
        "source": image.source,
        "platform": image.platform,
        "image_hash": image.image_hash,
        "index_digest": image.index.digest if image.index else None,
        "manifest_digest": image.manifest.digest if image.manifest else None,
        "config_digest": image.config.digest,
        "claims": {
            "image_digest": image.image_hash,
            "image_id": image.config.digest,
            "args": [*(settings.get("Entrypoint") or ()), *(settings.get("Cmd") or ())],
            "env": dict(entry.partition("=")[::2] for entry in settings.get("Env") or ()),
        },
        "launch_policy": {key: value for key, value in sorted(labels.items()) if key.startswith(_POLICY)},
        "labels": {key: value for key, value in sorted(labels.items()) if not key.startswith(_POLICY)},
        "layers": [
            {
                "diff_id": layer.diff_id,
                "digest": layer.descriptor.digest if layer.descriptor else None,
                "media_type": layer.descriptor.media_type if layer.descriptor else None,
                "size": layer.descriptor.size if layer.descriptor else None,
                "tar_size": size,
                "created_by": layer.created_by,
            }
            for layer, size in zip(image.layers, sizes, strict=True)
        ],
        "notes": list(image.notes),
    }


def table(found: Mapping[str, Any]) -> str:
    """A card for a person; sizes in MB of 1,000,000 bytes. Text of the image is made safe for a terminal."""
    claims = found["claims"]
    missing = "not kept by this format"
    rows = [
        ("image", f"{printable(found['name'])} ({found['source']}, {printable(found['platform'])})", ""),
        ("image hash", found["image_hash"] or missing, "image_digest"),
        ("index digest", found["index_digest"] or "none: it is a single image", ""),
        ("manifest digest", found["manifest_digest"] or missing, ""),
        ("config digest", found["config_digest"], "image_id"),
        ("args", " ".join(printable(repr(word)) for word in claims["args"]) or "none", "args"),
        *_pairs("env", claims["env"], "env"),
        *_pairs("launch policy", found["launch_policy"], ""),
        *_pairs("labels", found["labels"], ""),
        ("layers", f"{len(found['layers'])}, {sum(layer['tar_size'] for layer in found['layers']) / 1e6:.1f} MB, all hashed again", ""),
    ]
    lines = [f"{name:<15}  {value}{f'  = claim {claim}' if claim else ''}" for name, value, claim in rows]
    for position, layer in enumerate(found["layers"]):
        lines.append(f"{position:>15}  {layer['diff_id']}  {layer['tar_size'] / 1e6:>8.1f} MB  {printable(layer['created_by'])}")
        if layer["digest"] not in (None, layer["diff_id"]):
            lines.append(f"{'compressed':>15}  {layer['digest']}  {layer['size'] / 1e6:>8.1f} MB")
    lines += [f"{'note':<15}  {note}" for note in found["notes"]]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _pairs(name: str, pairs: Mapping[str, str], claim: str) -> Sequence[tuple[str, str, str]]:
    """A row for each pair; the name and the claim in the first one only."""
    if not pairs:
        return [(name, "none", claim)]
    rows = [("", f"{printable(key)}={printable(value)}", "") for key, value in pairs.items()]
    return [(name, rows[0][1], claim), *rows[1:]]
