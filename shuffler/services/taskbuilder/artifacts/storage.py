"""Blobs by their gs:// addresses, and uploads to signed URLs. Every problem is a StorageError."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from urllib.parse import quote, urlsplit

import requests

from shuffler.services.taskbuilder.errors import StorageError, one_line

_TIMEOUT_SECONDS = 60
_CLOUD_STORAGE = "https://storage.googleapis.com"

# What signed URLs of the services are signed with.
_UPLOAD_HEADERS = {"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"}


def parse(address: str) -> tuple[str, str]:
    """Bucket and key of an address.

    Raises:
        StorageError: it is none.
    """
    parts = re.fullmatch(r"gs://([a-z0-9][a-z0-9._-]+)/([^\x00-\x1f\x7f]*)", address)
    if not parts or any(word in {".", ".."} for word in (parts[1], *parts[2].split("/"))):
        raise StorageError(f"expected an address like gs://bucket/key, found '{one_line(address, 100)}'")
    return parts[1], parts[2].strip("/")


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
        """The content of a blob; what is stored compressed is decompressed."""
        bucket, key = parse(address)
        return self._call("GET", address, f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}", {"alt": "media"}).content

    def find(self, address: str) -> list[str]:
        """The addresses of a blob, if there is one, and of all blobs below it as below a folder, sorted."""
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
        """Makes or replaces a blob; the address may be a signed URL for that."""
        if not address.startswith("gs://"):
            self._put(address, content)
            return
        bucket, key = parse(address)
        parameters = {"uploadType": "media", "name": key}
        self._call("POST", address, f"/upload/storage/v1/b/{bucket}/o", parameters, content)

    def _put(self, url: str, content: bytes) -> None:
        # A signed URL is a secret for as long as it holds.
        name = urlsplit(url)._replace(query="").geturl()
        try:
            response = requests.put(url, data=gzip.compress(content, mtime=0), headers=_UPLOAD_HEADERS, timeout=_TIMEOUT_SECONDS)
        except requests.RequestException as e:
            raise StorageError(f"{name}: cannot be reached: {type(e).__name__}") from e
        if response.status_code not in (requests.codes.ok, requests.codes.created, requests.codes.no_content):
            raise StorageError(f"{name}: expected that it takes an upload, found {response.status_code}: {one_line(response.text, 200)}")

    def _call(self, method: str, address: str, path: str, parameters: dict[str, str], content: bytes | None = None) -> requests.Response:
        headers = {"Content-Type": "application/octet-stream"} if content is not None else {}
        try:
            response = self._session().request(
                method, self._base_url + path, params=parameters, data=content, headers=headers, timeout=_TIMEOUT_SECONDS
            )
        except Exception as e:
            raise StorageError(f"{address}: Cloud Storage cannot be reached: {one_line(e)}") from e
        if response.status_code != requests.codes.ok:
            raise StorageError(f"{address}: expected 200 of Cloud Storage, found {response.status_code}: {one_line(response.text, 200)}")
        return response
