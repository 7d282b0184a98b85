"""The protocol between a device and the servers: check in, download, report, upload (services.md 1.2 and 3)."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import shuffler.proto.federatedcompute.common_pb2 as common_pb2
import urllib3
from google.protobuf.message import DecodeError, Message
from shuffler.proto.task_assignments_pb2 import (
    CreateTaskAssignmentRequest,
    CreateTaskAssignmentResponse,
    ReportResultRequest,
    ReportResultResponse,
)

_PROTOBUF = "application/x-protobuf"
_AUTHORIZATION = "odp-authorization-key"
_AUTHENTICATION = "odp-authentication-key"
_LARGEST = 512 << 20
_M = TypeVar("_M", bound=Message)

Attest = Callable[[bytes], list[str]]
"""Makes the certificate chain of a device's key for a challenge."""


class ServerError(Exception):
    """A server does not answer, or not as the protocol says. The message is one line."""


@dataclass(frozen=True)
class Assignment:
    """Something to do.

    Attributes:
        population: the device's.
        task: number of the task.
        aggregation: number of the iteration.
        session: names this device's part in it.
        plan_url: where the plan is.
        checkpoint_url: where the model is.
    """

    population: str
    task: int
    aggregation: int
    session: str
    plan_url: str
    checkpoint_url: str


@dataclass(frozen=True)
class Rejection:
    """Nothing to do.

    Attributes:
        reason: name of a RejectionReason.
        delay_min: when to come again, at the earliest.
        delay_max: at the latest.
    """

    reason: str
    delay_min: dt.timedelta
    delay_max: dt.timedelta


@dataclass(frozen=True)
class Upload:
    """Where an update goes.

    Attributes:
        url: signed.
        headers: to send with it.
    """

    url: str
    headers: Mapping[str, str]


class Client:
    """One connection pool to task assignment and to the stores of blobs, for many devices.

    Answers that a server gives while it restarts (503, no connection) are tried again.
    """

    def __init__(
        self, server: str, *, connections: int = 16, tries: int = 8, attest: Attest | None = None, authorization: str = ""
    ) -> None:
        """Connects when it is first needed.

        Args:
            server: URL of task assignment, without a slash at its end.
            connections: most that are open at a time.
            tries: of a request; eight take some seconds, and each one more two.
            attest: how devices answer a challenge; without it a challenge is an error.
            authorization: token of devices that were attested before.
        """
        retries = urllib3.Retry(
            total=tries, backoff_factor=0.1, backoff_max=2, status_forcelist=[502, 503, 504], allowed_methods=None, raise_on_status=False
        )
        self._server = server
        self._http = urllib3.PoolManager(maxsize=connections, block=True, timeout=urllib3.Timeout(60), retries=retries)
        self._attest = attest
        self._authorization = authorization

    def check_in(self, population: str, version: str) -> Assignment | Rejection:
        """Asks for something to do.

        Args:
            population: name of the device's population.
            version: of the device's software, a decimal number.

        Raises:
            ServerError: no answer, or none of the protocol.
        """
        request = CreateTaskAssignmentRequest()
        request.client_version.version_code = version
        request.resource_capabilities.supported_compression_formats.append(common_pb2.RESOURCE_COMPRESSION_FORMAT_GZIP)
        path = f"/taskassignment/v1/population/{population}:create-task-assignment"
        answer = self._exchange("POST", path, request, CreateTaskAssignmentResponse)
        if answer.HasField("task_assignment"):
            found = answer.task_assignment
            return Assignment(
                found.population_name,
                int(found.task_id),
                int(found.aggregation_id),
                found.assignment_id,
                found.plan.uri,
                found.init_checkpoint.uri,
            )
        return _rejection(answer.rejection_info)

    def report(self, assignment: Assignment, result: ReportResultRequest.Result) -> Upload | None:
        """Tells how it went.

        Returns:
            Where the update goes, if the device has one and it is still wanted.

        Raises:
            ServerError: no answer, or none of the protocol.
        """
        path = (
            f"/taskassignment/v1/population/{assignment.population}/task/{assignment.task}/aggregation/{assignment.aggregation}"
            f"/task-assignment/{assignment.session}:report-result"
        )
        answer = self._exchange("PUT", path, ReportResultRequest(result=result), ReportResultResponse, missing=True)
        if not answer.HasField("upload_instruction"):
            return None
        instruction = answer.upload_instruction
        return Upload(instruction.upload_location, dict(instruction.extra_request_headers))

    def download(self, url: str) -> bytes:
        """Fetches a plan or a checkpoint, decompressed.

        Raises:
            ServerError: no answer, another status than 200, or an unreasonable size.
        """
        response = self._send("GET", url, None, {}, preload_content=False)
        try:
            if response.status != 200:
                raise ServerError(f"download: expected status 200, found {response.status}")
            content = response.read(_LARGEST + 1, decode_content=True)
        except urllib3.exceptions.HTTPError as error:
            raise ServerError(f"download: {type(error).__name__}") from error
        finally:
            response.release_conn()
        if len(content) > _LARGEST:
            raise ServerError(f"download: expected at most {_LARGEST} bytes, found more")
        return content

    def upload(self, upload: Upload, content: bytes) -> None:
        """Puts an update where it belongs.

        Raises:
            ServerError: no answer, or another status than 200.
        """
        response = self._send("PUT", upload.url, content, upload.headers)
        if response.status != 200:
            raise ServerError(f"upload: expected status 200, found {response.status}")

    def _exchange(self, method: str, path: str, message: Message, kind: type[_M], *, missing: bool = False) -> _M:
        headers = {"Content-Type": _PROTOBUF, "Accept": _PROTOBUF}
        if self._authorization:
            headers[_AUTHORIZATION] = self._authorization
        body = message.SerializeToString()
        response = self._send(method, self._server + path, body, headers)
        if response.status == 401 and self._attest is not None:
            info = _parse(response, CreateTaskAssignmentResponse).rejection_info
            challenge = info.auth_metadata.key_attestation_metadata.challenge
            headers[_AUTHENTICATION] = json.dumps(self._attest(challenge))
            response = self._send(method, self._server + path, body, headers)
        if missing and response.status == 404:
            return kind()
        if response.status not in (200, 201):
            raise ServerError(f"{method} {path}: expected status 200 or 201, found {response.status}")
        return _parse(response, kind)

    def _send(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], *, preload_content: bool = True
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self._http.request(method, url, body=body, headers=dict(headers), preload_content=preload_content)
        except urllib3.exceptions.HTTPError as error:
            # The query of a URL is a signature.
            raise ServerError(f"{method} {url.partition('?')[0]}: no answer ({type(error).__name__})") from error


def _parse(response: urllib3.BaseHTTPResponse, kind: type[_M]) -> _M:
    try:
        message = kind()
        message.ParseFromString(response.data)
        return message
    except DecodeError as error:
        raise ServerError(f"expected a {kind.__name__}, found {len(response.data)} other bytes") from error


def _rejection(info: common_pb2.RejectionInfo) -> Rejection:
    window = info.retry_window
    return Rejection(common_pb2.RejectionReason.Enum.Name(info.reason), window.delay_min.ToTimedelta(), window.delay_max.ToTimedelta())
