"""What the task builder is connected with, by environment variables.

TASK_MANAGEMENT_SERVER_URL is the address of task management; without it, the secret fc-{ENV}-TASK_MANAGEMENT_SERVER_URL of the project is.
GOOGLE_CLOUD_PROJECT is the project; without it, the machine's is. ENV is the name of the deployment, and may be missing.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import google.auth
import google.auth.transport.requests
import requests
from google.oauth2 import id_token

from shuffler.services.taskbuilder.artifacts.storage import CloudStorage
from shuffler.services.taskbuilder.client.task_management import TaskManagement
from shuffler.services.taskbuilder.errors import TaskManagementError, one_line

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_SECRETS = "https://secretmanager.googleapis.com"
_SECRET = "TASK_MANAGEMENT_SERVER_URL"
_TIMEOUT_SECONDS = 60
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


class Environment:
    """Makes what the builder uses. Google's services are asked only when something is needed of them."""

    def __init__(self, variables: Mapping[str, str], secrets_url: str = _SECRETS) -> None:
        """Reads variables.

        Args:
            variables: of the process.
            secrets_url: of Secret Manager.
        """
        self._variables = variables
        self._secrets_url = secrets_url

    def storage(self) -> CloudStorage:
        """Where blobs are."""
        return CloudStorage(self._session)

    def task_management(self) -> TaskManagement:
        """The service that creates tasks."""
        return TaskManagement(self._task_management_url, self._token)

    @functools.cached_property
    def _credentials(self) -> tuple[Any, str | None]:
        credentials, project = google.auth.default(scopes=[_SCOPE])
        return credentials, self._variables.get("GOOGLE_CLOUD_PROJECT") or project

    def _session(self) -> requests.Session:
        session: requests.Session = google.auth.transport.requests.AuthorizedSession(self._credentials[0])
        return session

    @functools.cached_property
    def _url(self) -> str:
        return self._variables.get(_SECRET) or self._secret()

    def _task_management_url(self) -> str:
        return self._url

    def _token(self) -> str | None:
        if urlsplit(self._url).hostname in _LOCAL_HOSTS:
            return None
        return str(id_token.fetch_id_token(google.auth.transport.requests.Request(), self._url))

    def _secret(self) -> str:
        environment = self._variables.get("ENV")
        name = "-".join(part for part in ("fc", environment, _SECRET) if part)
        try:
            project = self._credentials[1]
            path = f"{self._secrets_url}/v1/projects/{project}/secrets/{name}/versions/latest:access"
            response = self._session().get(path, timeout=_TIMEOUT_SECONDS)
        except Exception as e:
            raise TaskManagementError(f"secret {name}: Secret Manager cannot be asked: {one_line(e)}; set {_SECRET} instead") from e
        if response.status_code != requests.codes.ok:
            raise TaskManagementError(f"secret {name} of project {project}: expected 200, found {response.status_code}")
        payload = response.json().get("payload", {})
        data = base64.b64decode(payload.get("data", ""))
        if _crc32c(data) != int(payload.get("dataCrc32c", -1)):
            raise TaskManagementError(f"secret {name} of project {project}: its checksum does not fit its content")
        return data.decode().strip()


def _crc32c(data: bytes) -> int:
    """CRC-32C (RFC 3720), which Secret Manager sends with a secret: a few bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
