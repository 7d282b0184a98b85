"""A local backend that runs (scripts/local_backend.sh), as those see it who build tasks, and as those who read what comes of them."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import urllib3
from google.protobuf import text_format
from image_hash import errors
from shuffler.proto.task_builder_pb2 import BuildTaskResponse, TaskGroup
from shuffler.proto.task_pb2 import GetTaskByIdResponse, Task, TaskStatus

from shuffler.e2e.population.payload import PublicKey, parse_public_keys
from shuffler.e2e.round import blobs
from shuffler.e2e.runfile import runfile

_MODELS = "data/blobs/blobs/fcp-local-m-0"
_KEYS = "/.well-known/odp/v1/public-keys"
_TIMEOUT_SECONDS = 30
_POLL_SECONDS = 0.05


class RoundError(errors.Error):
    """Something of a round is not done. The message is one line."""


class Backend:
    """A backend that is ready.

    Attributes:
        urls: of the services, by name.
    """

    def __init__(self, folder: Path) -> None:
        """Takes the backend of a folder.

        Raises:
            RoundError: none runs there.
        """
        try:
            lines = (folder / "status").read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise RoundError(f"expected the folder of a backend that runs, found no status in {folder}") from error
        if lines[:1] != ["ready"]:
            raise RoundError(f"expected a backend that is ready, found: {' '.join(lines[:1])}")
        self.urls = {match[1]: match[2] for line in lines if (match := re.match(r"(\w+)\s+(http://\S+)", line))}
        self._folder = folder

    def image_hashes(self) -> dict[str, str]:
        """Image hash of each service."""
        found = {}
        for index in sorted((self._folder / "images").glob("*/index.json")):
            found[index.parent.name] = json.loads(index.read_text(encoding="utf-8"))["manifests"][0]["digest"]
        return found

    def public_key(self) -> PublicKey:
        """A key for uploads.

        Raises:
            RoundError: the aggregator gives none.
        """
        answer = self._ask("GET", self.urls["aggregator"] + _KEYS)
        try:
            return parse_public_keys(answer)[0]
        except ValueError as error:
            raise RoundError(f"public keys of the aggregator: {error}") from error

    def build(self, model: str, config: Path, *flags: str) -> TaskGroup:
        """Has tasks built and created.

        Args:
            model: a SavedModel folder or .keras file.
            config: file of a TaskConfig.
            flags: more of task_builder_client.

        Raises:
            RoundError: the task builder refuses, or does not answer.
        """
        program = str(runfile("TASK_BUILDER_CLIENT"))
        command = [
            program,
            f"--saved_model={model}",
            f"--task_config={config}",
            f"--task_builder_server={self.urls['task_builder']}",
            *flags,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            raise RoundError(f"the task builder: {lines[-1]}")
        return text_format.Parse(done.stdout, BuildTaskResponse()).task_group

    def status(self, task: Task) -> int:
        """The state of a task, of TaskStatus.Enum.

        Raises:
            RoundError: task management does not answer.
        """
        return int(GetTaskByIdResponse.FromString(self._ask("GET", self._task(task, "get"))).task.status)

    def wait_for_end(self, task: Task, seconds: float) -> None:
        """Waits until a task is completed.

        Raises:
            RoundError: it is not, after so long.
        """
        deadline = time.monotonic() + seconds
        while (status := self.status(task)) != TaskStatus.COMPLETED:
            if time.monotonic() > deadline:
                name = TaskStatus.Enum.Name(status)
                raise RoundError(f"task {task.population_name}/{task.task_id}: expected COMPLETED within {seconds:g} s, found {name}")
            time.sleep(_POLL_SECONDS)

    def cancel(self, tasks: Sequence[Task]) -> None:
        """Ends tasks that have not ended by themselves.

        Raises:
            RoundError: task management does not answer for one of them; the others are ended.
        """
        with contextlib.ExitStack() as stack:
            for task in tasks:
                stack.callback(self._ask, "POST", self._task(task, "cancel"), also=409)

    def checkpoint(self, task: Task, iteration: int) -> Path:
        """Where the server's checkpoint of an iteration is; that of 0 is the first one."""
        return self._result(task, iteration) / "checkpoint"

    def metrics(self, task: Task, iteration: int) -> dict[str, float] | None:
        """The metrics that the model updater left for an iteration; None as long as there are none."""
        content = blobs.read(self._result(task, iteration) / "metrics")
        return None if content is None else {name: float(value) for name, value in json.loads(content).items()}

    def wait_for_metrics(self, task: Task, iteration: int, seconds: float) -> dict[str, float]:
        """Waits for the metrics of an iteration: the model is there by then, and what devices download of it comes next.

        Raises:
            RoundError: there are none, after so long.
        """
        deadline = time.monotonic() + seconds
        while (found := self.metrics(task, iteration)) is None:
            if time.monotonic() > deadline:
                raise RoundError(f"iteration {iteration} of {task.population_name}/{task.task_id}: no metrics within {seconds:g} s")
            time.sleep(_POLL_SECONDS)
        return found

    def _task(self, task: Task, action: str) -> str:
        path = f"/taskmanagement/v1/population/{task.population_name}/tasks/{task.task_id}:{action}"
        return self.urls["task_management"] + path

    def _result(self, task: Task, iteration: int) -> Path:
        return Path(self._folder, _MODELS, task.population_name, str(task.task_id), str(iteration), "s/0")

    def _ask(self, method: str, url: str, also: int = 200) -> bytes:
        try:
            answer = urllib3.request(method, url, headers={"Accept": "application/x-protobuf, */*"}, timeout=_TIMEOUT_SECONDS)
        except urllib3.exceptions.HTTPError as error:
            raise RoundError(f"{url}: no answer ({type(error).__name__})") from error
        if answer.status not in (200, also):
            raise RoundError(f"{url}: expected status 200, found {answer.status}")
        return answer.data
