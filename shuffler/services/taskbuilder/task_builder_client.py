"""Asks a task builder for tasks.

Usage:

    task_builder_client --saved_model=MODEL --task_config=CONFIG [--task_builder_server=URL] [flags...]

MODEL is a SavedModel folder or a .keras file, CONFIG a TaskConfig in text format; both on this machine, or at a gs:// address.

Exit codes: 0 the tasks (or artifacts) are there, 1 they are not, 64 wrong usage.
"""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import google.auth
import google.auth.transport.requests
import requests
import shuffler.proto.task_builder_pb2 as task_builder_pb2
from absl import app, flags
from google.auth import impersonated_credentials
from google.protobuf import text_format
from google.protobuf.message import DecodeError

from shuffler.services.taskbuilder.artifacts.storage import CloudStorage
from shuffler.services.taskbuilder.errors import StorageError, one_line

_SAVED_MODEL = flags.DEFINE_string(
    "saved_model", None, "SavedModel folder or .keras file; a gs:// address is read by the task builder.", required=True
)
_TASK_CONFIG = flags.DEFINE_string("task_config", None, "TaskConfig in text format: a file, or a gs:// address.", required=True)
_SERVER = flags.DEFINE_string("task_builder_server", "http://localhost:5000/", "Address of the task builder.")
_POPULATION = flags.DEFINE_string("population_name", None, "Population of the tasks, instead of the one in the config.")
_ARTIFACTS_ONLY = flags.DEFINE_bool("build_artifact_only", False, "Build plans and checkpoints, but create no task.")
_SKIP_FLEX = flags.DEFINE_bool("skip_flex_ops_check", False, "Take operations that devices are not known to have.")
_SKIP_DP_CHECK = flags.DEFINE_bool("skip_dp_check", False, "Take noise that overdraws the privacy budget.")
_SKIP_DP = flags.DEFINE_bool("skip_dp_aggregator", False, "Aggregate without differential privacy.")
_IMPERSONATE = flags.DEFINE_string("impersonate_service_account", None, "Read gs:// addresses as this service account.")
_API_KEY = flags.DEFINE_string("api_key", None, "Key of the API gateway before the task builder.")

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
# What the gateway waits for.
_TIMEOUT_SECONDS = 600
_USAGE = 64

# Entries of a ZIP file have a date; none says anything here.
_DATE = (1980, 1, 1, 0, 0, 0)


class ClientError(Exception):
    """What was asked for is not there; str() is one line for the user."""


class InputError(Exception):
    """A file of the user cannot be used; str() is one line."""


def _session() -> requests.Session:
    credentials, _ = google.auth.default(scopes=[_SCOPE])
    if _IMPERSONATE.value:
        credentials = impersonated_credentials.Credentials(credentials, _IMPERSONATE.value, [_SCOPE])
    session: requests.Session = google.auth.transport.requests.AuthorizedSession(credentials)
    return session


def read_config(address: str) -> task_builder_pb2.TaskConfig:
    """Reads a TaskConfig in text format.

    Raises:
        InputError: there is none, or it is something else.
    """
    try:
        content = CloudStorage(_session).read(address) if address.startswith("gs://") else Path(address).read_bytes()
        return text_format.Parse(content.decode(), task_builder_pb2.TaskConfig())
    except OSError as e:
        raise InputError(f"--task_config: cannot read {address}: {e.strerror}") from e
    except (StorageError, UnicodeDecodeError, text_format.ParseError) as e:
        raise InputError(f"--task_config: expected a TaskConfig in text format at {address}: {one_line(e)}") from e


def read_model(address: str) -> Any:
    """Makes the resource of a model: its address, or its content.

    Raises:
        InputError: there is none.
    """
    request = task_builder_pb2.BuildTaskRequest()
    if address.startswith("gs://"):
        request.saved_model.uri = address
        return request.saved_model
    path = Path(address)
    if path.is_file():
        request.saved_model.inline_resource.data = path.read_bytes()
    elif (path / "saved_model.pb").is_file():
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for file in sorted(path.rglob("*")):
                if file.is_file():
                    archive.writestr(zipfile.ZipInfo(file.relative_to(path).as_posix(), _DATE), file.read_bytes())
        request.saved_model.inline_resource.data = packed.getvalue()
    else:
        raise InputError(f"--saved_model: expected a SavedModel folder or a .keras file, found neither at {address}")
    return request.saved_model


def ask(
    server: str, request: task_builder_pb2.BuildTaskRequest, *, artifacts_only: bool, api_key: str | None
) -> task_builder_pb2.BuildTaskResponse:
    """Sends a request.

    Raises:
        ClientError: there is no answer, or none that can be understood.
    """
    url = f"{server.rstrip('/')}/taskbuilder/v1:{'build-artifacts' if artifacts_only else 'build-task-group'}"
    try:
        response = requests.post(
            f"{url}?{urlencode({'key': api_key})}" if api_key else url,
            data=request.SerializeToString(),
            headers={"Content-Type": "application/x-protobuf"},
            timeout=_TIMEOUT_SECONDS,
        )
    except requests.RequestException as e:
        # Its message may hold the key.
        raise ClientError(f"the task builder cannot be reached at {url}: {type(e).__name__}") from e
    if response.status_code != requests.codes.ok:
        raise ClientError(f"the task builder answered {response.status_code}: {one_line(response.text)}")
    try:
        return task_builder_pb2.BuildTaskResponse.FromString(response.content)
    except DecodeError as e:
        raise ClientError(f"expected a BuildTaskResponse from {url}, found {len(response.content)} bytes that are none") from e


def main(argv: list[str]) -> None:
    """Asks, and prints the answer in text format."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    try:
        request = task_builder_pb2.BuildTaskRequest(
            saved_model=read_model(_SAVED_MODEL.value),
            task_config=read_config(_TASK_CONFIG.value),
            flags=task_builder_pb2.ExperimentFlags(
                skip_flex_ops_check=_SKIP_FLEX.value, skip_dp_check=_SKIP_DP_CHECK.value, skip_dp_aggregator=_SKIP_DP.value
            ),
        )
        if _POPULATION.value:
            request.task_config.population_name = _POPULATION.value
        response = ask(_SERVER.value, request, artifacts_only=_ARTIFACTS_ONLY.value, api_key=_API_KEY.value)
    except InputError as e:
        print(e, file=sys.stderr)
        sys.exit(_USAGE)
    except ClientError as e:
        print(e, file=sys.stderr)
        sys.exit(1)
    print(text_format.MessageToString(response), end="")
    if response.HasField("error_info"):
        kind = task_builder_pb2.ErrorType.Enum.Name(response.error_info.error_type)
        print(f"{kind}: {response.error_info.error_message}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    app.run(main)
