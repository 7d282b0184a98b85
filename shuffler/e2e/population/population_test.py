"""Devices against a server that speaks the protocol and remembers."""

from __future__ import annotations

import base64
import gzip
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import shuffler.proto.federatedcompute.common_pb2 as common_pb2
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from shuffler.proto.task_assignments_pb2 import (
    CreateTaskAssignmentRequest,
    CreateTaskAssignmentResponse,
    ReportResultRequest,
    ReportResultResponse,
)

from shuffler.e2e.population import behaviour as behaviours
from shuffler.e2e.population.behaviour import CORRUPT, Behaviour
from shuffler.e2e.population.client import Assignment, Client, Rejection, ServerError, Upload
from shuffler.e2e.population.payload import PublicKey, parse_public_keys, seal
from shuffler.e2e.population.population import Population, Settings

_PRIVATE = X25519PrivateKey.generate()
_KEY = PublicKey("k", _PRIVATE.public_key().public_bytes_raw())
_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


def _open(content: bytes) -> bytes:
    document = json.loads(gzip.decompress(content))
    assert document["keyId"] == "k" and document["associatedData"] == ""
    return gzip.decompress(_SUITE.decrypt(base64.b64decode(document["encryptedPayload"]), _PRIVATE, b""))


class _Server(ThreadingHTTPServer):
    """Assigns what it is told to, and keeps what it gets."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("localhost", 0), _Handler)
        self.url = f"http://localhost:{self.server_address[1]}"
        self.left = 10
        self.unavailable = 0
        self.challenge = b""
        self.reports: list[tuple[str, int]] = []
        self.uploads: list[tuple[str, bytes]] = []
        self.versions: list[str] = []
        self.lock = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, *args: object) -> None:
        """Quiet."""

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path.startswith("/plan"):
            self._answer(200, gzip.compress(b"the plan"), Content_Encoding="gzip")
        elif self.path.startswith("/checkpoint"):
            self._answer(200, b"the model")
        else:
            self._answer(404, b"")

    def do_POST(self) -> None:
        request = CreateTaskAssignmentRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
        answer = CreateTaskAssignmentResponse()
        with self.server.lock:
            if self.server.unavailable:
                self.server.unavailable -= 1
                self._answer(503, b"")
                return
            if self.server.challenge and self.headers["odp-authentication-key"] != json.dumps([self.server.challenge.hex()]):
                metadata = answer.rejection_info.auth_metadata.key_attestation_metadata
                metadata.challenge = self.server.challenge
                self._answer(401, answer.SerializeToString())
                return
            self.server.versions.append(request.client_version.version_code)
            if self.server.left == 0:
                answer.rejection_info.reason = common_pb2.RejectionReason.NO_TASK_AVAILABLE
                answer.rejection_info.retry_window.delay_min.seconds = 60
                answer.rejection_info.retry_window.delay_max.seconds = 300
                self._answer(200, answer.SerializeToString())
                return
            self.server.left -= 1
            session = f"s{self.server.left}"
        found = answer.task_assignment
        found.population_name, found.task_id, found.aggregation_id, found.assignment_id = "p", "3", "4", session
        found.plan.uri, found.init_checkpoint.uri = f"{self.server.url}/plan?signature=x", f"{self.server.url}/checkpoint?signature=x"
        self._answer(201, answer.SerializeToString())

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        session = self.path.split("/")[-1].partition(":")[0]
        with self.server.lock:
            if self.path.startswith("/upload/"):
                assert self.headers["content-encoding"] == "gzip"
                self.server.uploads.append((session, body))
                self._answer(200, b"")
                return
            result = ReportResultRequest.FromString(body).result
            self.server.reports.append((session, result))
        answer = ReportResultResponse()
        if session == "late":
            self._answer(404, b"")
            return
        if result == ReportResultRequest.COMPLETED:
            answer.upload_instruction.upload_location = f"{self.server.url}/upload/{session}"
            answer.upload_instruction.extra_request_headers["content-encoding"] = "gzip"
        self._answer(200, answer.SerializeToString())


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _population(server: _Server, behaviour: Behaviour = Behaviour.GOOD) -> Population:
    def train(device: int, plan: bytes, model: bytes) -> bytes:
        return b"update of %d: %s, %s" % (device, plan, model)

    settings = Settings("p", version="7", mix={behaviour: 1.0}, retry_seconds=0.01, straggler_seconds=0.01)
    return Population(Client(server.url), _KEY, train, settings)


def test_good_device_does_all_that_a_phone_does(server: _Server) -> None:
    population = _population(server)
    assert not population.attempt(5)
    assert server.versions == ["7"]
    assert server.reports == [("s9", ReportResultRequest.COMPLETED)]
    ((session, content),) = server.uploads
    assert session == "s9"
    assert _open(content) == b"update of 5: the plan, the model"
    (contribution,) = population.results.contributions
    assert (contribution.device, contribution.task, contribution.iteration) == (5, 3, 4)


@pytest.mark.parametrize(
    ("behaviour", "reports", "uploads"),
    [
        (Behaviour.DROP_OUT, [], 0),
        (Behaviour.NO_UPLOAD, [ReportResultRequest.COMPLETED], 0),
        (Behaviour.FAILED, [ReportResultRequest.FAILED], 0),
        (Behaviour.NOT_ELIGIBLE, [ReportResultRequest.NOT_ELIGIBLE], 0),
        (Behaviour.DUPLICATE, [ReportResultRequest.COMPLETED] * 2, 2),
        (Behaviour.STRAGGLER, [ReportResultRequest.COMPLETED], 1),
    ],
)
def test_behaviours_differ_in_what_is_reported_and_uploaded(
    server: _Server, behaviour: Behaviour, reports: list[int], uploads: int
) -> None:
    _population(server, behaviour).attempt(1)
    assert [result for _, result in server.reports] == reports
    assert len(server.uploads) == uploads
    assert len(set(server.uploads)) <= 1


def test_corrupt_uploads_are_no_updates() -> None:
    for behaviour in CORRUPT - {Behaviour.GZIP_BOMB}:
        content = behaviours.upload(behaviour, b"update", _KEY, random.Random(1))
        if behaviour is Behaviour.NOT_A_CHECKPOINT:
            assert _open(content) != b"update"
        else:
            with pytest.raises((OSError, EOFError, AssertionError)):
                _open(content)


def test_rejected_device_comes_again_until_it_is_stopped(server: _Server) -> None:
    server.left = 3
    population = _population(server)
    thread = threading.Thread(target=population.run, args=(range(20), 4))
    thread.start()
    while population.results.outcomes["rejected: NO_TASK_AVAILABLE"] < 5:
        assert thread.is_alive()
    population.stop()
    thread.join()
    assert population.results.outcomes["uploaded"] == len(server.uploads) == 3
    assert not any(outcome.startswith("error") for outcome in population.results.outcomes)


def test_rejection_has_its_window(server: _Server) -> None:
    server.left = 0
    rejection = Client(server.url).check_in("p", "1")
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "NO_TASK_AVAILABLE"
    assert (rejection.delay_min.total_seconds(), rejection.delay_max.total_seconds()) == (60, 300)


def test_challenge_is_answered(server: _Server) -> None:
    server.challenge = b"\x01\x02"
    assert isinstance(Client(server.url, attest=lambda challenge: [challenge.hex()]).check_in("p", "1"), Assignment)
    with pytest.raises(ServerError, match="found 401"):
        Client(server.url).check_in("p", "1")


def test_server_that_restarts_is_asked_again(server: _Server) -> None:
    server.unavailable = 2
    assert isinstance(Client(server.url).check_in("p", "1"), Assignment)


def test_report_that_comes_too_late_gives_no_upload(server: _Server) -> None:
    late = Assignment("p", 3, 4, "late", "", "")
    assert Client(server.url).report(late, ReportResultRequest.COMPLETED) is None


def test_what_a_server_refuses_is_an_error_without_the_signature(server: _Server) -> None:
    client = Client(server.url)
    with pytest.raises(ServerError, match="expected status 200, found 404"):
        client.download(f"{server.url}/nothing?signature=secret")
    with pytest.raises(ServerError) as error:
        Client("http://localhost:1").upload(Upload("http://localhost:1/x?signature=secret", {}), b"")
    assert "secret" not in str(error.value)


def test_mix_is_read_and_drawn_as_it_says() -> None:
    mix = behaviours.parse_mix("drop_out=0.25,garbage=0.25")
    randomness = random.Random(3)
    drawn = Counter(behaviours.choose(mix, randomness) for _ in range(4000))
    assert set(drawn) == {Behaviour.GOOD, Behaviour.DROP_OUT, Behaviour.GARBAGE}
    assert abs(drawn[Behaviour.GOOD] - 2000) < 200
    assert behaviours.parse_mix("") == {Behaviour.GOOD: 1.0}
    for malformed in ("drop_out", "drop_out=x", "nobody=0.1", "drop_out=0.6,garbage=0.6", "drop_out=-1", "failed=0.1,failed=0.1"):
        with pytest.raises(ValueError):
            behaviours.parse_mix(malformed)


def test_public_keys_are_read() -> None:
    raw = base64.b64encode(bytes(32)).decode()
    assert parse_public_keys(json.dumps({"keys": [{"id": "a", "key": raw}]}).encode()) == [PublicKey("a", bytes(32))]
    for malformed in (
        b"",
        b"[]",
        b"{}",
        b'{"keys": []}',
        b'{"keys": [{"id": "a", "key": "AA=="}]}',
        b'{"keys": [{"id": "a", "key": "*"}]}',
    ):
        with pytest.raises(ValueError):
            parse_public_keys(malformed)


def test_sealed_update_is_opened_by_its_owner_only() -> None:
    assert _open(seal(b"update", _KEY)) == b"update"
    assert seal(b"update", _KEY) != seal(b"update", _KEY)
