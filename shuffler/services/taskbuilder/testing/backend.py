"""Task management, Cloud Storage and Secret Manager on loopback: for tests."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit

import shuffler.proto.task_pb2 as task_pb2

Answer = tuple[int, bytes]


class Backend:
    """What was asked, and what is answered.

    Attributes:
        tasks: that were created, by number.
        cancelled: numbers.
        blobs: of Cloud Storage, by address; of signed URLs, below /signed/, by path and query.
        headers: of the last request.
        fails: says of a path whether it is answered by 503.
        secrets: answers of Secret Manager, by path.
    """

    def __init__(self) -> None:
        self.url = ""
        self.tasks: dict[int, task_pb2.Task] = {}
        self.cancelled: list[int] = []
        self.blobs: dict[str, bytes] = {}
        self.headers: dict[str, str] = {}
        self.fails: Callable[[str], bool] = lambda _path: False
        self.secrets: dict[str, bytes] = {}

    def answer(self, method: str, address: str, body: bytes) -> Answer:
        """Answers a request."""
        parts = urlsplit(address)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if self.fails(parts.path):
            return 503, b"not now"
        if parts.path in self.secrets:
            return 200, self.secrets[parts.path]
        created = re.fullmatch(r"/taskmanagement/v1/population/([^/]+):create-task", parts.path)
        if created and method == "POST":
            return 200, task_pb2.CreateTaskResponse(task=self._create(unquote(created[1]), body)).SerializeToString()
        cancelled = re.fullmatch(r"/taskmanagement/v1/population/[^/]+/tasks/(\d+):cancel", parts.path)
        if cancelled and method == "POST":
            self.cancelled.append(int(cancelled[1]))
            return 200, b""
        uploaded = re.fullmatch(r"/upload/storage/v1/b/([^/]+)/o", parts.path)
        if uploaded and method == "POST":
            self.blobs[f"gs://{uploaded[1]}/{query['name']}"] = body
            return 200, b"{}"
        if method == "PUT" and parts.path.startswith("/signed/"):
            self.blobs[address] = body
            return 201, b""
        listed = re.fullmatch(r"/storage/v1/b/([^/]+)/o", parts.path)
        if listed:
            return 200, self._list(f"gs://{listed[1]}/", query)
        blob = re.fullmatch(r"/storage/v1/b/([^/]+)/o/([^/]+)", parts.path)
        if blob and f"gs://{blob[1]}/{unquote(blob[2])}" in self.blobs:
            return 200, self.blobs[f"gs://{blob[1]}/{unquote(blob[2])}"]
        return 404, b"no such thing\nand more"

    def _create(self, population: str, body: bytes) -> task_pb2.Task:
        task = task_pb2.CreateTaskRequest.FromString(body).task
        task.population_name = population
        task.task_id = len(self.tasks) + 1
        folder = f"gs://models/{population}/{task.task_id}/0/s/0"
        task.client_only_plan_url.append(f"{folder}/client_only_plan")
        task.server_phase_url.append(f"{folder}/server_phase")
        task.init_checkpoint_url.append(f"{folder}/checkpoint")
        self.tasks[task.task_id] = task
        return task

    def _list(self, bucket: str, query: dict[str, str]) -> bytes:
        """Pages of one name, so that clients have to follow."""
        names = sorted(name.removeprefix(bucket) for name in self.blobs if name.startswith(bucket + query.get("prefix", "")))
        start = int(query.get("pageToken", "0"))
        page: dict[str, object] = {"items": [{"name": name} for name in names[start : start + 1]]}
        if start + 1 < len(names):
            page["nextPageToken"] = str(start + 1)
        return json.dumps(page).encode()


def secret(value: bytes, crc: int) -> bytes:
    """What Secret Manager answers."""
    return json.dumps({"payload": {"data": base64.b64encode(value).decode(), "dataCrc32c": str(crc)}}).encode()


@contextmanager
def running() -> Iterator[Backend]:
    """Serves on a free port."""
    backend = Backend()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            backend.headers = dict(self.headers)
            status, content = backend.answer(self.command, self.path, self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the names of http.server

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        backend.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield backend
        finally:
            server.shutdown()
            thread.join()
