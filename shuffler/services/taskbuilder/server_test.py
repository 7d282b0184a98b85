"""Tests of the HTTP face of the task builder."""

from __future__ import annotations

import pytest
import requests
import shuffler.proto.task_builder_pb2 as task_builder_pb2
from flask.testing import FlaskClient

from shuffler.services.taskbuilder import server
from shuffler.services.taskbuilder.artifacts.storage import CloudStorage
from shuffler.services.taskbuilder.build import Builder
from shuffler.services.taskbuilder.client.task_management import TaskManagement


@pytest.fixture
def client() -> FlaskClient:
    nowhere = "http://127.0.0.1:9"
    builder = Builder(CloudStorage(requests.Session, nowhere), TaskManagement(lambda: nowhere, lambda: None))
    return server.create_app("2.14.1", builder).test_client()


def test_healthz_greets(client: FlaskClient) -> None:
    response = client.get("/healthz")
    assert (response.status_code, response.mimetype) == (200, "text/plain")
    assert response.text == "Greetings from Task Builder Flask! Health check. \n"


def test_ready_greets_and_tells_the_version_of_tensorflow(client: FlaskClient) -> None:
    response = client.get("/ready")
    assert (response.status_code, response.mimetype) == (200, "text/plain")
    assert response.text == "Greetings from Task Builder Flask! Ready check. \nTensorFlow 2.14.1\n"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("POST", "/ready", 405)])
def test_what_does_not_exist_gets_one_line_of_text(client: FlaskClient, method: str, path: str, status: int) -> None:
    response = client.open(path, method=method)
    assert (response.status_code, response.mimetype) == (status, "text/plain")
    assert response.text.startswith(f"{status} ")
    assert response.text.count("\n") == 1


@pytest.mark.parametrize("action", ["build-task-group", "build-artifacts"])
def test_what_is_wrong_with_a_config_is_an_answer_with_a_report(client: FlaskClient, action: str) -> None:
    response = client.post(f"/taskbuilder/v1:{action}", data=b"")
    assert (response.status_code, response.mimetype) == (200, "application/x-protobuf")
    answer = task_builder_pb2.BuildTaskResponse.FromString(response.data)
    assert answer.error_info.error_type == task_builder_pb2.ErrorType.INVALID_REQUEST
    assert answer.error_info.error_message == "[Invalid task config]: population_name: expected a name, found none"
    assert answer.HasField("task_report")


def test_what_is_no_request_is_500_in_one_line(client: FlaskClient) -> None:
    response = client.post("/taskbuilder/v1:build-task-group", data=b"\xff\xff")
    assert (response.status_code, response.text) == (500, "expected a BuildTaskRequest, found 2 bytes that are none\n")


def test_a_model_that_is_none_is_500_in_one_line(client: FlaskClient) -> None:
    request = task_builder_pb2.BuildTaskRequest()
    request.task_config.population_name = "p"
    request.task_config.federated_learning.learning_process.runtime_config.report_goal = 1
    request.task_config.differential_privacy.clip_norm = 1
    for data, message in (
        (b"no ZIP", "saved_model: expected a SavedModel in a ZIP file, or a .keras file, found something else: File is not a zip file\n"),
        (b"", "saved_model: expected a SavedModel in a ZIP file, or a .keras file, found something else: File is not a zip file\n"),
    ):
        request.saved_model.inline_resource.data = data
        response = client.post("/taskbuilder/v1:build-task-group", data=request.SerializeToString())
        assert (response.status_code, response.text) == (500, message)
    request.saved_model.uri = "gs://bucket/model"
    response = client.post("/taskbuilder/v1:build-task-group", data=request.SerializeToString())
    assert response.status_code == 500
    assert response.text.startswith("saved_model: gs://bucket/model: Cloud Storage cannot be reached: ")
