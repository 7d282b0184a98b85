"""The backend of one machine, from the real images: it starts, survives kills, keeps its data, and leaves no process."""

from __future__ import annotations

import contextlib
import gzip
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import urllib3
from google.protobuf.message import Message
from runfiles import Runfiles
from shuffler.proto.task_pb2 import CreateTaskRequest, CreateTaskResponse, GetTaskByIdResponse, Task

from shuffler.e2e.population.client import Client, Rejection
from tools.containers import forward, local_backend

# A cold start of five JVMs on a slow machine.
_SECONDS = 240.0
_POLL_SECONDS = 0.1
_UPLOAD_HEADERS = {"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"}


def _runfile(variable: str) -> Path:
    runfiles = Runfiles.Create()
    path = runfiles and runfiles.Rlocation(os.environ[variable])
    assert path, f"{os.environ[variable]} is not in the data of this test"
    return Path(path)


def _descendants(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text("ascii").split():
                found += [int(child), *_descendants(int(child))]
    return found


def _ready(status: list[str]) -> bool:
    return status[:1] == ["ready"]


def _restarted(name: str) -> Callable[[list[str]], bool]:
    return lambda status: any(line.startswith(name) and "(started " in line for line in status)


class _Backend:
    """A backend that runs."""

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None, port: int = 0) -> None:
        self.folder = folder
        (folder / "status").unlink(missing_ok=True)
        # As scripts/local_backend.sh does it.
        namespace = ["unshare", "--user", "--map-users=0,0,65536", "--map-groups=0,0,65536"]
        self._process = subprocess.Popen(
            [*namespace, str(_runfile("LOCAL_BACKEND")), f"--port={port}", "serve"],
            cwd=folder,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )

    def __enter__(self) -> _Backend:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()

    def status(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "status").read_text("utf-8").splitlines()
        return []

    def wait_for(self, reached: Callable[[list[str]], bool]) -> list[str]:
        """Waits for a status."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            status = self.status()
            if reached(status):
                return status
            assert self._process.poll() is None, (status, self._logs())
            time.sleep(_POLL_SECONDS)
        raise AssertionError(f"not reached within {_SECONDS:.0f} s: {self.status()}\n{self._logs()}")

    def wait(self) -> int:
        return self._process.wait(_SECONDS)

    def url(self, service: str) -> str:
        return next(line.split()[1] for line in self.status() if line.startswith(service + " "))

    def processes(self) -> list[int]:
        return [self._process.pid, *_descendants(self._process.pid)]

    def kill(self, name: str) -> None:
        """Kills the process of a service, or the server of the database."""
        program = "bin/postgres" if name == local_backend.DATABASE else f"{name}_application.jar"
        for pid in self.processes():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                if any(argument.endswith(program) for argument in arguments) and arguments[0] in ("java", f"/mnt/postgresql/{program}"):
                    os.kill(pid, signal.SIGKILL)
                    return
        raise AssertionError(f"{name} does not run: {self.status()}")

    def stop(self) -> None:
        """Ends it, and looks whether anything is left."""
        before = self.processes()
        self._process.terminate()
        assert self.wait() == 0
        assert self.status() == ["stopped"]
        # What is a zombie is only not waited for yet, by an init that is none of ours.
        left = [pid for pid in before if Path(f"/proc/{pid}/exe").exists()]
        assert left == []

    def _logs(self) -> str:
        logs = sorted((self.folder / "logs").glob("*.log"))
        return "\n".join(f"== {path}\n{path.read_text('utf-8', 'replace')[-3000:]}" for path in logs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What scripts/local_backend.sh stages."""
    folder = tmp_path_factory.mktemp("backend")
    layouts = {service: str(_runfile(f"{service.upper()}_IMAGE")) for service in local_backend.SERVICES}
    local_backend.stage(layouts, _runfile("POSTGRES"), folder)
    return folder


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
    with _Backend(folder) as backend:
        backend.wait_for(_ready)
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
            backend.wait_for(_restarted(name))
            backend.wait_for(_ready)
            assert _find(backend.url("task_management"), task).task_id == task.task_id
        backend.stop()

    with _Backend(folder) as backend:
        backend.wait_for(_ready)
        assert _find(backend.url("task_management"), task).task_id == task.task_id
        assert _create(backend.url("task_management"), "q").task_id == 1
        backend.stop()


def test_port_that_is_taken_is_told(folder: Path) -> None:
    with forward.bind(0) as taken, _Backend(folder, port=taken.getsockname()[1]) as backend:
        assert backend.wait() == 2
        assert backend.status()[0].startswith(f"failed: expected a free port 127.0.0.1:{taken.getsockname()[1]}, found that it is taken")


def test_service_that_says_its_options_are_wrong_is_not_started_again(folder: Path) -> None:
    with _Backend(folder, {"FCP_OPTS": "--no_such_option x"}) as backend:
        status = backend.wait_for(lambda status: sum("has ended with exit code 64; see logs/" in line for line in status) == 4)
        assert status[0] == "starting"
        assert not any("(started " in line for line in status)
        assert "cannot start: FCP_OPTS: unknown option --no_such_option" in (folder / "logs" / "collector.log").read_text("utf-8")
        backend.stop()
