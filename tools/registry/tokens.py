"""A token service on loopback for tests, as registries send their clients to.

It speaks both of its protocols (distribution, docs/content/spec/auth: token.md, GET with basic authentication; oauth.md, POST with a
refresh token), and signs what it gives as JSON Web Tokens (jwt.md there, RFC 7519) whose certificate a registry trusts.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import ssl
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_SERVICE = "registry of the tests"
_ISSUER = "token service of the tests"
_SECONDS = 300
# docker-registry takes tokens for a minute longer than they say (registry/auth/token, Leeway).
_LONG_AGO = 600


@dataclass(frozen=True)
class Certificate:
    """Files in PEM form."""

    certificate: Path
    key: Path


def make_certificate(folder: Path, name: str) -> Certificate:
    """A certificate for the host 127.0.0.1, signed by itself."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(made.key), "-out", str(made.certificate)]
    subprocess.run(command, capture_output=True, check=True)
    return made


@dataclass(frozen=True)
class User:
    """Somebody who may log in.

    Attributes:
        password: for the GET protocol.
        refresh_token: for the POST protocol.
        actions: what a token may allow: "pull", "push".
    """

    password: str
    refresh_token: str = ""
    actions: frozenset[str] = frozenset({"pull", "push"})


class TokenService:
    """Gives tokens.

    Attributes:
        given: "USER SCOPE..." of every token that was given, in order.
        refused: how many requests were refused.
        expired: how many of the next tokens have expired when they are given.
    """

    def __init__(self, certificate: Certificate, users: Mapping[str, User]) -> None:
        self.given: list[str] = []
        self.refused = 0
        self.expired = 0
        self.address = ""
        self._certificate = certificate
        self._users = users
        der = ssl.PEM_cert_to_DER_cert(certificate.certificate.read_text("ascii"))
        self._header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}

    def registry_settings(self) -> dict[str, str]:
        """What a docker-registry that wants these tokens has in its configuration."""
        bundle = str(self._certificate.certificate)
        return {"realm": f"http://{self.address}/token", "service": _SERVICE, "issuer": _ISSUER, "rootcertbundle": bundle}

    def answer(self, form: Mapping[str, list[str]], authorization: str) -> dict[str, object] | None:
        """The answer to a request with the parameters FORM and the header AUTHORIZATION; None to a wrong login."""
        user = self._user(form, authorization)
        if user is None or form.get("service") != [_SERVICE]:
            self.refused += 1
            return None
        scopes = [scope for line in form.get("scope", []) for scope in line.split()]
        self.given.append(" ".join([user, *scopes]))
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            allowed = sorted(self._users[user].actions.intersection(actions.split(",")))
            access.append({"type": kind, "name": name, "actions": allowed})
        now = int(time.time()) - (_LONG_AGO if self.expired else 0)
        self.expired = max(0, self.expired - 1)
        claims = {
            "iss": _ISSUER,
            "sub": user,
            "aud": _SERVICE,
            "nbf": now - 1,
            "iat": now,
            "exp": now + _SECONDS,
            "jti": "1",
            "access": access,
        }
        return {"token": self._sign(claims), "expires_in": _SECONDS}

    def _user(self, form: Mapping[str, list[str]], authorization: str) -> str | None:
        for name, user in self._users.items():
            if "grant_type" in form:
                if form["grant_type"] == ["refresh_token"] and user.refresh_token and form.get("refresh_token") == [user.refresh_token]:
                    return name
            elif authorization == "Basic " + base64.b64encode(f"{name}:{user.password}".encode()).decode():
                return name
        return None

    def _sign(self, claims: Mapping[str, object]) -> str:
        text = ".".join(_encode(json.dumps(part).encode()) for part in (self._header, claims))
        command = ["openssl", "dgst", "-sha256", "-sign", str(self._certificate.key)]
        return f"{text}.{_encode(subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout)}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: TokenService

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def handle_request(self) -> None:
        """Gives a token, or refuses."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        parts = urllib.parse.urlsplit(self.path)
        answer = self.service.answer(urllib.parse.parse_qs(body or parts.query), self.headers.get("Authorization", ""))
        data = json.dumps(answer or {"errors": [{"code": "UNAUTHORIZED", "message": "wrong login"}]}).encode()
        self.send_response(200 if answer else 401)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = handle_request  # noqa: N815 - the names are http.server's


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


@contextlib.contextmanager
def serve(folder: Path, users: Mapping[str, User]) -> Iterator[TokenService]:
    """A token service that answers until the block ends; FOLDER gets its key and its certificate."""
    service = TokenService(make_certificate(folder, "tokens"), users)
    server = _Server(("127.0.0.1", 0), type("BoundHandler", (_Handler,), {"service": service}))
    service.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
