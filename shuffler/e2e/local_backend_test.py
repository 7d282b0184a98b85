"""The backend of one machine, from the real images: it starts, survives kills, keeps its data, and leaves no process."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import urllib3
from google.protobuf.message import Message
from shuffler.proto.task_pb2 import CreateTaskRequest, CreateTaskResponse, GetTaskByIdResponse, Task

from shuffler.e2e.backend_process import BackendProcess, ready, stage
from shuffler.e2e.population.client import Client, Rejection
from tools.containers import forward, local_backend

_UPLOAD_HEADERS = {"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What scripts/local_backend.sh stages."""
    return stage(tmp_path_factory.mktemp("backend"))


def _exchange(method: str, url: str, message: Message | None, kind: type[Message]) -> Message:
    body = message.SerializeToString() if message else None
    headers = {"Content-Type": "application/x-protobuf", "Accept": "application/x-protobuf"}
    answer = urllib3.request(method, url, body=body, headers=headers, timeout=60)
    assert answer.status == 200, (answer.status, answer.data)
    found = kind()
    found.ParseFromString(answer.data)
    return found


def _create(server: str, population: str) -> Task:
    task = Task(total_iteration=1, min_aggregation_size=1, max_aggregation_size=2)
    url = f"{server}/taskmanagement/v1/population/{population}:create-task"
    created = _exchange("POST", url, CreateTaskRequest(task=task), CreateTaskResponse)
    assert isinstance(created, CreateTaskResponse)
    return created.task


def _find(server: str, task: Task) -> Task:
    url = f"{server}/taskmanagement/v1/population/{task.population_name}/tasks/{task.task_id}:get"
    found = _exchange("GET", url, None, GetTaskByIdResponse)
    assert isinstance(found, GetTaskByIdResponse)
    return found.task


def test_it_survives_kills_keeps_its_data_and_leaves_no_process(folder: Path) -> None:
    with BackendProcess(folder) as backend:
        backend.wait_for(ready)
        task = _create(backend.url("task_management"), "p")
        urls = [*task.client_only_plan_url, *task.server_phase_url, *task.init_checkpoint_url, *task.metrics_url]
        assert len(urls) == 4
        assert all(url.startswith(backend.url("task_assignment") + "/blobs/") for url in urls)
        plan = gzip.compress(b"a plan")
        assert urllib3.request("PUT", task.client_only_plan_url[0], body=plan, headers=_UPLOAD_HEADERS, timeout=60).status == 200
        altered = task.client_only_plan_url[0].replace("client_only_plan", "server_phase")
        assert urllib3.request("PUT", altered, body=plan, headers=_UPLOAD_HEADERS, timeout=60).status == 403
        rejection = Client(backend.url("task_assignment")).check_in("unknown", "1")
        assert isinstance(rejection, Rejection)
        assert rejection.reason == "NO_ACTIVE_TASK_EXISTS"

        for name in (*local_backend.SERVICES, local_backend.DATABASE):
            backend.kill(name)
            assert _find(backend.url("task_management"), task).task_id == task.task_id
        backend.stop()

    with BackendProcess(folder) as backend:
        backend.wait_for(ready)
        assert _find(backend.url("task_management"), task).task_id == task.task_id
        assert _create(backend.url("task_management"), "q").task_id == 1
        backend.stop()


def test_port_that_is_taken_is_told(folder: Path) -> None:
    with forward.bind(0) as taken, BackendProcess(folder, port=taken.getsockname()[1]) as backend:
        assert backend.wait() == 2
        assert backend.status()[0].startswith(f"failed: expected a free port 127.0.0.1:{taken.getsockname()[1]}, found that it is taken")


def test_service_that_says_its_options_are_wrong_is_not_started_again(folder: Path) -> None:
    with BackendProcess(folder, {"FCP_OPTS": "--no_such_option x"}) as backend:
        status = backend.wait_for(lambda status: sum("has ended with exit code 64; see logs/" in line for line in status) == 6)
        assert status[0] == "starting"
        assert not any("(started " in line for line in status)
        assert "cannot start: FCP_OPTS: unknown option --no_such_option" in (folder / "logs" / "collector.log").read_text("utf-8")
        backend.stop()
