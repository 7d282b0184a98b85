"""Blobs of a local backend, as the services leave them in its folder: gs://bucket/key is the file bucket/key."""

from __future__ import annotations

import gzip
from pathlib import Path

_GZIP = b"Content-Encoding: gzip\n\n"
_IDENTITY = b"Content-Encoding: identity\n\n"


def read(path: Path) -> bytes | None:
    """The content of a blob, decompressed; None if there is none.

    Raises:
        ValueError: the file is no blob.
    """
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        return None
    if stored.startswith(_GZIP):
        return gzip.decompress(stored[len(_GZIP) :])
    if stored.startswith(_IDENTITY):
        return stored[len(_IDENTITY) :]
    raise ValueError(f"{path}: expected a blob, which begins with Content-Encoding, found something else")
