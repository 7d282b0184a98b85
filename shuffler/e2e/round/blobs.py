"""Blobs of a local backend, as the services leave them in its folder: gs://bucket/key is the file bucket/key."""

from __future__ import annotations

import gzip
import json
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


def metrics(models: Path, population: str, task: int, iteration: int) -> dict[str, float] | None:
    """The metrics that the model updater left for an iteration; None as long as there are none.

    Args:
        models: folder of the bucket of models.
        population: name.
        task: number.
        iteration: number.
    """
    content = read(models / population / str(task) / str(iteration) / "s/0/metrics")
    return None if content is None else {name: float(value) for name, value in json.loads(content).items()}
