"""Tests of how the builder finds its surroundings."""

from __future__ import annotations

from typing import Any

import google.auth
import google.auth.credentials
import pytest
import shuffler.proto.task_pb2 as task_pb2
from google.oauth2 import id_token

from shuffler.services.taskbuilder.environment import Environment
from shuffler.services.taskbuilder.errors import TaskManagementError
from shuffler.services.taskbuilder.testing import backend as backends

_PATH = "/v1/projects/project/secrets/fc-dev-TASK_MANAGEMENT_SERVER_URL/versions/latest:access"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    anonymous: Any = google.auth.credentials.AnonymousCredentials()
    monkeypatch.setattr(google.auth, "default", lambda **_options: (anonymous, "project"))
    monkeypatch.setattr(id_token, "fetch_id_token", lambda _request, audience: f"token for {audience}")


def test_this_machine_gets_no_token() -> None:
    with backends.running() as backend:
        Environment({"TASK_MANAGEMENT_SERVER_URL": backend.url}).task_management().create(task_pb2.Task(population_name="p"))
        assert "Authorization" not in backend.headers


def test_the_address_may_be_a_secret_whose_checksum_is_checked() -> None:
    with backends.running() as backend:
        connected = Environment({"ENV": "dev"}, backend.url)
        # The check value of CRC-32C.
        backend.secrets[_PATH] = backends.secret(b"123456789", 0xE3069282)
        with pytest.raises(TaskManagementError, match="secret fc-dev-TASK_MANAGEMENT_SERVER_URL of project project: its checksum"):
            connected.task_management().create(task_pb2.Task(population_name="p"))
        backend.secrets[_PATH] = backends.secret(b"123456789", 0xE3069283)
        with pytest.raises(TaskManagementError, match="task management cannot be reached at 123456789"):
            connected.task_management().create(task_pb2.Task(population_name="p"))
        other = Environment({"ENV": "absent"}, backend.url)
        with pytest.raises(
            TaskManagementError, match="secret fc-absent-TASK_MANAGEMENT_SERVER_URL of project project: expected 200, found 404"
        ):
            other.task_management().create(task_pb2.Task(population_name="p"))


def test_another_machine_gets_a_token_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with backends.running() as backend:
        monkeypatch.setattr("shuffler.services.taskbuilder.environment._LOCAL_HOSTS", ())
        Environment({"TASK_MANAGEMENT_SERVER_URL": backend.url}).task_management().create(task_pb2.Task(population_name="p"))
        assert backend.headers["Authorization"] == f"Bearer token for {backend.url}"
