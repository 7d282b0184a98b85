"""The HTTP face of the task builder."""

from __future__ import annotations

from flask import Flask, Response
from werkzeug.exceptions import HTTPException


def create_app(tensorflow_version: str) -> Flask:
    """Makes the WSGI application.

    Args:
        tensorflow_version: of the TensorFlow that has executed a graph in this process; /ready tells it.
    """
    app = Flask(__name__)

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
