"""Tests of the HTTP face of the task builder."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from shuffler.services.taskbuilder import server


@pytest.fixture
def client() -> FlaskClient:
    return server.create_app("2.14.1").test_client()


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
