"""The HTTP face of the task builder."""

from __future__ import annotations

import threading

import shuffler.proto.task_builder_pb2 as task_builder_pb2
from absl import logging
from flask import Flask, Response, request
from google.protobuf.message import DecodeError
from werkzeug.exceptions import HTTPException

from shuffler.services.taskbuilder.build import Builder
from shuffler.services.taskbuilder.errors import ModelError

_PROTOBUF = "application/x-protobuf"


def create_app(tensorflow_version: str, builder: Builder) -> Flask:
    """Makes the WSGI application.

    Args:
        builder: of the tasks.
        tensorflow_version: of the TensorFlow that has executed a graph in this process; /ready tells it.
    """
    app = Flask(__name__)
    # Models take memory, and Keras has state that is global.
    one_at_a_time = threading.Lock()

    def build(*, artifacts_only: bool) -> Response:
        try:
            asked = task_builder_pb2.BuildTaskRequest.FromString(request.get_data())
        except DecodeError:
            return _text(f"expected a BuildTaskRequest, found {request.content_length or 0} bytes that are none\n", 500)
        try:
            with one_at_a_time:
                answer = builder.build(asked, artifacts_only=artifacts_only)
        except ModelError as e:
            logging.info("refused: %s", e)
            return _text(f"{e}\n", 500)
        if answer.HasField("error_info"):
            logging.info("refused: %s", answer.error_info.error_message)
        else:
            logging.info("built for the population %r", asked.task_config.population_name)
        return Response(answer.SerializeToString(deterministic=True), mimetype=_PROTOBUF)

    @app.post("/taskbuilder/v1:build-task-group")
    def build_task_group() -> Response:
        return build(artifacts_only=False)

    @app.post("/taskbuilder/v1:build-artifacts")
    def build_artifacts() -> Response:
        return build(artifacts_only=True)

    @app.get("/healthz")
    def healthz() -> Response:
        return _text("Greetings from Task Builder Flask! Health check. \n")

    @app.get("/ready")
    def ready() -> Response:
        return _text(f"Greetings from Task Builder Flask! Ready check. \nTensorFlow {tensorflow_version}\n")

    @app.errorhandler(HTTPException)
    def error(e: HTTPException) -> Response:
        return _text(f"{e.code} {e.name}: {e.description}\n", e.code)

    return app


def _text(body: str, status: int | None = 200) -> Response:
    return Response(body, status=status, mimetype="text/plain")
