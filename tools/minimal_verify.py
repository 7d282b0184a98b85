#!/usr/bin/env python3
"""Checks an image against a list of expected hashes, with no other code of this project: one file to read before it is trusted.

    python3 minimal_verify.py LAYOUT EXPECTED.json IMAGE

LAYOUT is the folder of an OCI layout of one image, EXPECTED.json a file of releases/, IMAGE a name in it. What lies in the layout is hashed
(manifest, config, every layer as it is stored and uncompressed), only what has the right hash is followed, and the digest of the manifest,
Confidential Space's image_digest, is compared with the list; so is that of the config, its image_id. Layers are plain tar or gzip.
Needs Python 3.9 and nothing else.

Exit codes: 0 match, 1 mismatch, 2 could not check, 64 wrong usage.
"""

import hashlib
import json
import os
import re
import sys
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LARGEST_DOCUMENT = 8 << 20


class CannotCheckError(Exception):
    """The layout or the list is damaged, or is not what this program takes."""


def need(condition: bool, message: str) -> None:
    """Ends the check with MESSAGE unless CONDITION holds."""
    if not condition:
        raise CannotCheckError(message)


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON in which no key comes twice: readers differ in which one they take."""
    content = dict(pairs)
    need(len(content) == len(pairs), f"expected each key once, found {ascii(sorted(key for key, _ in pairs))[:200]} in one object")
    return content


def read_json(path: str) -> tuple[dict[str, Any], str]:
    """The object in a file, and its digest."""
    with open(path, "rb") as file:
        data = file.read(LARGEST_DOCUMENT + 1)
    need(len(data) <= LARGEST_DOCUMENT, f"{path}: larger than {LARGEST_DOCUMENT} bytes")
    content = json.loads(data.decode("utf-8"), object_pairs_hook=unique)
    need(isinstance(content, dict), f"{path}: expected a JSON object")
    return content, "sha256:" + hashlib.sha256(data).hexdigest()


def uncompressed(file: BinaryIO) -> Iterator[bytes]:
    """The content of a file, which is that of all its members if it is gzip."""
    gzip = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    member = zlib.decompressobj(31)
    while data := file.read(1 << 20):
        while gzip and data:
            yield member.decompress(data, 1 << 20)
            data = member.unused_data if member.eof else member.unconsumed_tail
            if member.eof and (data or file.peek(1)):  # type: ignore[attr-defined]
                member = zlib.decompressobj(31)
        if not gzip:
            yield data
    need(not gzip or member.eof, f"{file.name}: truncated gzip data")


class Layout:
    """An OCI layout."""

    def __init__(self, root: str) -> None:
        self.root = root

    def path(self, descriptor: dict[str, Any]) -> str:
        """Where the blob of a descriptor lies; its size is right then."""
        digest = descriptor["digest"]
        need(bool(re.fullmatch("sha256:[0-9a-f]{64}", digest)), f"expected a sha256 digest, found {ascii(digest)[:100]}")
        path = os.path.join(self.root, "blobs", "sha256", digest[len("sha256:") :])
        need(os.path.isfile(path), f"{path} is missing")
        need(os.path.getsize(path) == descriptor["size"], f"{path}: expected {descriptor['size']} bytes, found {os.path.getsize(path)}")
        return path

    def document(self, descriptor: dict[str, Any], media_type: str) -> dict[str, Any]:
        """The JSON that a descriptor points to."""
        need(descriptor["mediaType"] == media_type, f"expected {media_type}, found {ascii(descriptor['mediaType'])[:100]}")
        content, digest = read_json(self.path(descriptor))
        need(digest == descriptor["digest"], f"expected the digest {descriptor['digest']}, found {digest}")
        need(content.get("mediaType", media_type) == media_type, f"{digest} calls itself {ascii(content.get('mediaType'))[:100]}")
        return content

    def check_layer(self, descriptor: dict[str, Any], diff_id: str) -> None:
        """Hashes a layer as it is stored, and uncompressed."""
        path = self.path(descriptor)
        stored = hashlib.sha256()
        tar = hashlib.sha256()
        with open(path, "rb") as file:
            while data := file.read(1 << 20):
                stored.update(data)
            file.seek(0)
            for data in uncompressed(file):
                tar.update(data)
        need(descriptor["digest"] == f"sha256:{stored.hexdigest()}", f"{path}: found the digest sha256:{stored.hexdigest()}")
        need(diff_id == f"sha256:{tar.hexdigest()}", f"{path}: expected the diff id {diff_id}, found sha256:{tar.hexdigest()}")


def compute(root: str) -> tuple[str, str]:
    """The digests of the manifest and of the config of a layout of which everything has been hashed."""
    layout = Layout(root)
    entries = read_json(os.path.join(root, "index.json"))[0]["manifests"]
    need(len(entries) == 1, f"{root}: expected one image, found {len(entries)}")
    manifest = layout.document(entries[0], MANIFEST)
    config = layout.document(manifest["config"], CONFIG)
    diff_ids = config["rootfs"]["diff_ids"]
    need(len(diff_ids) == len(manifest["layers"]), f"expected {len(manifest['layers'])} diff ids, found {len(diff_ids)}")
    for descriptor, diff_id in zip(manifest["layers"], diff_ids):  # noqa: B905 (runs on Python 3.9, too)
        layout.check_layer(descriptor, diff_id)
    return entries[0]["digest"], manifest["config"]["digest"]


def main(arguments: list[str]) -> int:
    """Prints the outcome; the exit code."""
    if len(arguments) != 3:
        print("usage: minimal_verify.py LAYOUT EXPECTED.json IMAGE", file=sys.stderr)
        return 64
    layout, expected, name = arguments
    try:
        recorded = read_json(expected)[0]["images"]
        need(name in recorded, f"{expected}: expected an image {ascii(name)[:100]}, found {sorted(recorded)}")
        wanted = recorded[name]["image_hash"], recorded[name]["config_digest"]
        found = compute(layout)
    except Exception as error:  # noqa: BLE001 (whatever it is: it could not be checked)
        print(f"could not check: {type(error).__name__}: {ascii(str(error))[1:-1]}", file=sys.stderr)
        return 2
    if found != wanted:
        print(f"MISMATCH: {name}: expected {wanted[0]} (config {wanted[1]}), found {found[0]} (config {found[1]})", file=sys.stderr)
        return 1
    print(f"match: {name} is {found[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
