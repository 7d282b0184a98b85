"""Blobs by their gs:// addresses: in Cloud Storage, or in the folder of a backend on one machine."""

from __future__ import annotations

import gzip
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import requests

from shuffler.services.taskbuilder.errors import StorageError, one_line

_TIMEOUT_SECONDS = 60
_CLOUD_STORAGE = "https://storage.googleapis.com"

# How a blob lies in a file: the services' FileBlobs.
_IDENTITY = b"Content-Encoding: identity\n\n"
_GZIP = b"Content-Encoding: gzip\n\n"


class Storage(Protocol):
    """Blobs by their gs:// addresses; every problem is a StorageError."""

    def read(self, address: str) -> bytes:
        """The content of a blob, decompressed."""

    def find(self, address: str) -> list[str]:
        """The addresses of a blob, if there is one, and of all blobs below it as below a folder, sorted."""

    def write(self, address: str, content: bytes) -> None:
        """Makes or replaces a blob."""


def parse(address: str) -> tuple[str, str]:
    """Bucket and key of an address.

    Raises:
        StorageError: it is none.
    """
    parts = re.fullmatch(r"gs://([a-z0-9][a-z0-9._-]+)/([^\x00-\x1f\x7f]*)", address)
    if not parts or any(word in {".", ".."} for word in (parts[1], *parts[2].split("/"))):
        raise StorageError(f"expected an address like gs://bucket/key, found '{one_line(address, 100)}'")
    return parts[1], parts[2].strip("/")


class FolderStorage:
    """Blobs of one machine: gs://bucket/key is the file bucket/key."""

    def __init__(self, folder: Path) -> None:
        """Uses a folder that the services use, too."""
        self._folder = folder

    def read(self, address: str) -> bytes:
        """See Storage."""
        path = self._path(address)
        try:
            stored = path.read_bytes()
        except OSError as e:
            raise StorageError(f"{address}: cannot be read: {e.strerror} ({path})") from e
        if stored.startswith(_GZIP):
            return gzip.decompress(stored[len(_GZIP) :])
        if stored.startswith(_IDENTITY):
            return stored[len(_IDENTITY) :]
        raise StorageError(f"{address}: expected a file that begins with Content-Encoding, found something else: {path}")

    def find(self, address: str) -> list[str]:
        """See Storage."""
        bucket, key = parse(address)
        root = self._folder / bucket
        below = root / key if key else root
        files = [below] if below.is_file() else [path for path in below.rglob("*") if path.is_file()]
        return sorted(f"gs://{bucket}/{path.relative_to(root).as_posix()}" for path in files)

    def write(self, address: str, content: bytes) -> None:
        """See Storage."""
        path = self._path(address)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
                try:
                    file.write(_IDENTITY + content)
                    file.flush()
                    os.fsync(file.fileno())
                    # Other services may run as other users.
                    os.fchmod(file.fileno(), 0o644)
                    os.rename(file.name, path)
                except BaseException:
                    os.unlink(file.name)
                    raise
        except OSError as e:
            raise StorageError(f"{address}: cannot be written: {e.strerror} ({path})") from e

    def _path(self, address: str) -> Path:
        bucket, key = parse(address)
        return self._folder / bucket / key


class CloudStorage:
    """Cloud Storage by its JSON API."""

    def __init__(self, session: Callable[[], requests.Session], base_url: str = _CLOUD_STORAGE) -> None:
        """Uses the API.

        Args:
            session: makes a session that authorizes its requests.
            base_url: of the API.
        """
        self._session = session
        self._base_url = base_url.rstrip("/")

    def read(self, address: str) -> bytes:
        """See Storage; the client library decompresses what is stored compressed."""
        bucket, key = parse(address)
        return self._call("GET", address, f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}", {"alt": "media"}).content

    def find(self, address: str) -> list[str]:
        """See Storage."""
        bucket, key = parse(address)
        found: list[str] = []
        parameters = {"prefix": key, "fields": "items/name,nextPageToken"}
        while True:
            page = self._call("GET", address, f"/storage/v1/b/{bucket}/o", parameters).json()
            found += [item["name"] for item in page.get("items", [])]
            if "nextPageToken" not in page:
                break
            parameters["pageToken"] = page["nextPageToken"]
        return sorted(f"gs://{bucket}/{name}" for name in found if not key or name == key or name.startswith(key + "/"))

    def write(self, address: str, content: bytes) -> None:
        """See Storage."""
        bucket, key = parse(address)
        parameters = {"uploadType": "media", "name": key}
        self._call("POST", address, f"/upload/storage/v1/b/{bucket}/o", parameters, content)

    def _call(self, method: str, address: str, path: str, parameters: dict[str, str], content: bytes | None = None) -> requests.Response:
        headers = {"Content-Type": "application/octet-stream"} if content is not None else {}
        try:
            response = self._session().request(
                method, self._base_url + path, params=parameters, data=content, headers=headers, timeout=_TIMEOUT_SECONDS
            )
        except Exception as e:  # noqa: BLE001 - google-auth and requests have no common error
            raise StorageError(f"{address}: Cloud Storage cannot be reached: {one_line(e)}") from e
        if response.status_code != requests.codes.ok:
            raise StorageError(f"{address}: expected 200 of Cloud Storage, found {response.status_code}: {one_line(response.text, 200)}")
        return response
