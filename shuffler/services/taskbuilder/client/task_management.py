"""Creates tasks, and cancels those that cannot be completed, by task management's HTTP API."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import requests
import shuffler.proto.task_pb2 as task_pb2
from google.protobuf.message import DecodeError

from shuffler.services.taskbuilder.errors import TaskManagementError, one_line

_TIMEOUT_SECONDS = 60
_PROTOBUF = "application/x-protobuf"


class TaskManagement:
    """Task management; every problem is a TaskManagementError."""

    def __init__(self, url: Callable[[], str], token: Callable[[], str | None]) -> None:
        """Uses the service.

        Args:
            url: finds out its address.
            token: makes the identity token of a request; none if the service asks for none.
        """
        self._url = url
        self._token = token

    def create(self, task: task_pb2.Task) -> task_pb2.Task:
        """Creates a task and returns it as the service has it."""
        body = task_pb2.CreateTaskRequest(task=task).SerializeToString()
        answer = self._post(f"{_population(task)}:create-task", body)
        try:
            return task_pb2.CreateTaskResponse.FromString(answer).task
        except DecodeError as e:
            raise TaskManagementError(f"task management: expected a CreateTaskResponse, found {len(answer)} bytes that are none") from e

    def cancel(self, task: task_pb2.Task) -> None:
        """Ends a task."""
        self._post(f"{_population(task)}/tasks/{task.task_id}:cancel", b"")

    def _post(self, path: str, body: bytes) -> bytes:
        url = self._url().rstrip("/")
        headers = {"Content-Type": _PROTOBUF, "Accept": f"{_PROTOBUF}, */*"}
        try:
            token = self._token()
            if token:
                headers["Authorization"] = f"Bearer {token}"
            response = requests.post(url + path, data=body, headers=headers, timeout=_TIMEOUT_SECONDS)
        except Exception as e:
            raise TaskManagementError(f"task management cannot be reached at {url}: {one_line(e)}") from e
        if response.status_code != requests.codes.ok:
            raise TaskManagementError(f"task management answered {response.status_code} to {path}: {one_line(response.text, 300)}")
        return response.content


def _population(task: task_pb2.Task) -> str:
    return f"/taskmanagement/v1/population/{quote(task.population_name, safe='')}"
