"""What the task builder is connected with, by environment variables.

    TASK_MANAGEMENT_SERVER_URL  of task management; else the secret fc-{ENV}-TASK_MANAGEMENT_SERVER_URL of the project
    GOOGLE_CLOUD_PROJECT        the project; else the one of the machine
    ENV                         of the deployment; may be missing
    LOCAL_OPTS                  --blob_folder 'FOLDER': the backend runs on one machine, and blobs lie there instead of in Cloud Storage
"""

from __future__ import annotations

import base64
import functools
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import google.auth
import google.auth.transport.requests
import requests
from google.oauth2 import id_token

from shuffler.services.taskbuilder.artifacts.storage import CloudStorage, FolderStorage, Storage
from shuffler.services.taskbuilder.client.task_management import TaskManagement
from shuffler.services.taskbuilder.errors import TaskManagementError, one_line

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_SECRETS = "https://secretmanager.googleapis.com"
_SECRET = "TASK_MANAGEMENT_SERVER_URL"
_TIMEOUT_SECONDS = 60
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


class VariableError(Exception):
    """A variable cannot be understood; str() is one line for the user."""


class Environment:
    """Makes what the builder uses. Google's services are asked only when something is needed of them."""

    def __init__(self, variables: Mapping[str, str], secrets_url: str = _SECRETS) -> None:
        """Reads variables.

        Args:
            variables: of the process.
            secrets_url: of Secret Manager.

        Raises:
            VariableError: LOCAL_OPTS has no folder.
        """
        self._variables = variables
        self._secrets_url = secrets_url
        self._local = "LOCAL_OPTS" in variables
        self._folder = _blob_folder(variables["LOCAL_OPTS"]) if self._local else None

    def storage(self) -> Storage:
        """Where blobs are."""
        return FolderStorage(self._folder) if self._folder else CloudStorage(self._session)

    def task_management(self) -> TaskManagement:
        """The service that creates tasks."""
        return TaskManagement(self._task_management_url, self._token)

    @functools.cached_property
    def _credentials(self) -> tuple[Any, str]:
        credentials, project = google.auth.default(scopes=[_SCOPE])
        return credentials, self._variables.get("GOOGLE_CLOUD_PROJECT") or project

    def _session(self) -> requests.Session:
        return google.auth.transport.requests.AuthorizedSession(self._credentials[0])

    @functools.cached_property
    def _url(self) -> str:
        return self._variables.get(_SECRET) or self._secret()

    def _task_management_url(self) -> str:
        return self._url

    def _token(self) -> str | None:
        if self._local or urlsplit(self._url).hostname in _LOCAL_HOSTS:
            return None
        return str(id_token.fetch_id_token(google.auth.transport.requests.Request(), self._url))

    def _secret(self) -> str:
        if self._local:
            raise TaskManagementError(f"expected the environment variable {_SECRET}, found none")
        environment = self._variables.get("ENV")
        name = "-".join(part for part in ("fc", environment, _SECRET) if part)
        try:
            project = self._credentials[1]
            path = f"{self._secrets_url}/v1/projects/{project}/secrets/{name}/versions/latest:access"
            response = self._session().get(path, timeout=_TIMEOUT_SECONDS)
        except Exception as e:  # noqa: BLE001 - google-auth and requests have no common error
            raise TaskManagementError(f"secret {name}: Secret Manager cannot be asked: {one_line(e)}; set {_SECRET} instead") from e
        if response.status_code != requests.codes.ok:
            raise TaskManagementError(f"secret {name} of project {project}: expected 200, found {response.status_code}")
        payload = response.json().get("payload", {})
        data = base64.b64decode(payload.get("data", ""))
        if _crc32c(data) != int(payload.get("dataCrc32c", -1)):
            raise TaskManagementError(f"secret {name} of project {project}: its checksum does not fit its content")
        return data.decode().strip()


def _blob_folder(options: str) -> Path:
    """The folder of blobs of the services' LOCAL_OPTS, which has other options, too."""
    try:
        words = shlex.split(options)
    except ValueError as e:
        raise VariableError(f"LOCAL_OPTS: {e}") from e
    values = dict(zip(words[::2], words[1::2], strict=False))
    if not values.get("--blob_folder"):
        raise VariableError("LOCAL_OPTS: expected --blob_folder 'FOLDER', found none")
    return Path(values["--blob_folder"]) / "blobs"


def _crc32c(data: bytes) -> int:
    """CRC-32C (RFC 3720), which Secret Manager sends with a secret: a few bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
