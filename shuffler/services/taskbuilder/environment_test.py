"""Tests of how the builder finds its surroundings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import google.auth
import google.auth.credentials
import pytest
from google.oauth2 import id_token

from shuffler.proto import task_pb2
from shuffler.services.taskbuilder.artifacts.storage import CloudStorage, FolderStorage
from shuffler.services.taskbuilder.environment import Environment, VariableError
from shuffler.services.taskbuilder.errors import TaskManagementError
from shuffler.services.taskbuilder.testing import backend as backends

_PATH = "/v1/projects/project/secrets/fc-dev-TASK_MANAGEMENT_SERVER_URL/versions/latest:access"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    anonymous: Any = google.auth.credentials.AnonymousCredentials()
    monkeypatch.setattr(google.auth, "default", lambda scopes: (anonymous, "project"))
    monkeypatch.setattr(id_token, "fetch_id_token", lambda _request, audience: f"token for {audience}")


def test_one_machine_has_its_blobs_in_a_folder(tmp_path: Path) -> None:
    storage = Environment({"LOCAL_OPTS": f"--public_url http://127.0.0.1:1 --blob_folder '{tmp_path}'"}).storage()
    assert isinstance(storage, FolderStorage)
    storage.write("gs://bucket/key", b"content")
    assert (tmp_path / "blobs/bucket/key").read_bytes() == b"Content-Encoding: identity\n\ncontent"
    assert isinstance(Environment({}).storage(), CloudStorage)


@pytest.mark.parametrize("options", ["", "--blob_folder", "--blob_folder ''", "--blob_folder 'x"])
def test_one_machine_needs_a_folder(options: str) -> None:
    with pytest.raises(VariableError, match="^LOCAL_OPTS: .*$"):
        Environment({"LOCAL_OPTS": options})


def test_one_machine_needs_an_address() -> None:
    with pytest.raises(TaskManagementError, match="expected the environment variable TASK_MANAGEMENT_SERVER_URL, found none"):
        Environment({"LOCAL_OPTS": "--blob_folder /x"}).task_management().create(task_pb2.Task(population_name="p"))


def test_this_machine_gets_no_token() -> None:
    with backends.running() as backend:
        Environment({"TASK_MANAGEMENT_SERVER_URL": backend.url}).task_management().create(task_pb2.Task(population_name="p"))
        assert "Authorization" not in backend.headers


def test_the_address_may_be_a_secret_whose_checksum_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
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
        with pytest.raises(TaskManagementError, match="secret fc-absent-TASK_MANAGEMENT_SERVER_URL of project project: expected 200, found 404"):
            other.task_management().create(task_pb2.Task(population_name="p"))


def test_another_machine_gets_a_token_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with backends.running() as backend:
        monkeypatch.setattr("shuffler.services.taskbuilder.environment._LOCAL_HOSTS", ())
        Environment({"TASK_MANAGEMENT_SERVER_URL": backend.url}).task_management().create(task_pb2.Task(population_name="p"))
        assert backend.headers["Authorization"] == f"Bearer token for {backend.url}"
