"""Tests of the command, against a task builder on loopback."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import shuffler.proto.task_builder_pb2 as task_builder_pb2
from absl import flags
from absl.testing import flagsaver

from shuffler.services.taskbuilder import task_builder_client

_CONFIG = 'population_name: "people" label_name: "y"'


class _Server:
    def __init__(self) -> None:
        self.url = ""
        self.path = ""
        self.request = task_builder_pb2.BuildTaskRequest()
        self.answer = (200, b"")


@pytest.fixture
def server() -> Iterator[_Server]:
    state = _Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            state.path = self.path
            state.request = task_builder_pb2.BuildTaskRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
            status, content = state.answer
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_address[1]}/"
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield state
        finally:
            http.shutdown()
            thread.join()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "model/variables").mkdir(parents=True)
    (tmp_path / "model/saved_model.pb").write_bytes(b"model")
    (tmp_path / "model/variables/variables.index").write_bytes(b"index")
    (tmp_path / "config").write_text(_CONFIG, encoding="utf-8")
    return tmp_path


def _run(**values: object) -> int:
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(**values):
        try:
            task_builder_client.main(["task_builder_client"])
        except SystemExit as e:
            return int(e.code or 0)
    return 0


def test_a_folder_goes_as_a_zip_file_with_all_flags(server: _Server, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    response = task_builder_pb2.BuildTaskResponse()
    response.task_group.training_task.task_id = 3
    server.answer = (200, response.SerializeToString())
    code = _run(
        saved_model=str(files / "model"),
        task_config=str(files / "config"),
        task_builder_server=server.url,
        population_name="others",
        build_artifact_only=True,
        skip_flex_ops_check=True,
        skip_dp_check=True,
        skip_dp_aggregator=True,
        api_key="a&b",
    )
    assert (code, server.path) == (0, "/taskbuilder/v1:build-artifacts?key=a%26b")
    assert "task_id: 3" in capsys.readouterr().out
    with zipfile.ZipFile(io.BytesIO(server.request.saved_model.inline_resource.data)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "saved_model.pb": b"model",
            "variables/variables.index": b"index",
        }
    assert (server.request.task_config.population_name, server.request.task_config.label_name) == ("others", "y")
    asked = server.request.flags
    assert (asked.skip_flex_ops_check, asked.skip_dp_check, asked.skip_dp_aggregator) == (True, True, True)


def test_an_address_goes_as_it_is(server: _Server, files: Path) -> None:
    server.answer = (200, task_builder_pb2.BuildTaskResponse(task_group=task_builder_pb2.TaskGroup()).SerializeToString())
    assert _run(saved_model="gs://bucket/model", task_config=str(files / "config"), task_builder_server=server.url) == 0
    assert (server.path, server.request.saved_model.uri) == ("/taskbuilder/v1:build-task-group", "gs://bucket/model")


def test_what_goes_wrong_is_one_line_and_exit_code_1(server: _Server, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = {"saved_model": "gs://bucket/model", "task_config": str(files / "config"), "task_builder_server": server.url}
    refused = task_builder_pb2.BuildTaskResponse()
    refused.error_info.error_type = task_builder_pb2.ErrorType.INVALID_REQUEST
    refused.error_info.error_message = "because"
    for answer, message in (
        ((200, refused.SerializeToString()), "INVALID_REQUEST: because\n"),
        ((500, b"no model\nat all"), "the task builder answered 500: no model\n"),
        ((200, b"\xff"), f"expected a BuildTaskResponse from {server.url}taskbuilder/v1:build-task-group, found 1 bytes that are none\n"),
    ):
        server.answer = answer
        assert _run(**inputs) == 1
        assert capsys.readouterr().err == message
    assert _run(**{**inputs, "task_builder_server": "http://127.0.0.1:9", "api_key": "secret"}) == 1
    assert capsys.readouterr().err == (
        "the task builder cannot be reached at http://127.0.0.1:9/taskbuilder/v1:build-task-group: ConnectionError\n"
    )


def test_bad_files_are_one_line_and_exit_code_64(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "bad").write_text("population: 1", encoding="utf-8")
    for model, config, message in (
        ("absent", "config", "--saved_model: expected a SavedModel folder or a .keras file, found neither at"),
        ("model", "absent", "--task_config: cannot read"),
        ("model", "bad", "--task_config: expected a TaskConfig in text format at"),
    ):
        assert _run(saved_model=str(files / model), task_config=str(files / config)) == 64
        assert capsys.readouterr().err.startswith(message)
