"""A registry on loopback that keeps all in memory, remembers what it was asked, and misbehaves as a test wants it to."""

import base64
import contextlib
import hashlib
import http.server
import json
import pathlib
import re
import socket
import ssl
import tempfile
import threading
import urllib.parse
from collections.abc import Callable, Iterator

USER = "alice"
PASSWORD = "correct horse"


class Registry:
    """The state of a registry, and how it behaves.

    Attributes:
        blobs: (repository, digest) -> content.
        manifests: (repository, tag or digest) -> (media type, content).
        requests: "METHOD path" of every request that was not refused for want of a login, in order.
        challenges: how many were refused for that.
        address: host and port.
        scheme: "http" or "https".
        incomplete: tags that were put while a blob or manifest that they need was missing.
        auth: "", "basic" or "token".
        strict: whether manifests need their blobs, as in most registries.
        resumes: whether an upload that broke can be asked about.
        mounts: whether mounts work.
        die_after: bytes after which the connection of the next uploads that are larger breaks, one number for each.
        hook: called with a handler before anything else; answers itself if it returns True.
        digests: what is said instead of a digest, or None to say nothing; gets a request as in `requests`, and the digest.
        tokens: the scopes for which tokens were given.
    """

    def __init__(self) -> None:
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.requests: list[str] = []
        self.challenges = 0
        self.incomplete: list[str] = []
        self.auth = ""
        self.strict = True
        self.resumes = True
        self.mounts = True
        self.die_after: list[int] = []
        self.hook: Callable[[Handler], bool] = lambda _: False
        self.digests: Callable[[str, str], str | None] = lambda _, digest: digest
        self.tokens: list[list[str]] = []
        self.lock = threading.Lock()
        self.address = ""
        self.scheme = "http"

    def count(self, pattern: str) -> int:
        """How many requests match PATTERN."""
        return sum(1 for request in self.requests if re.search(pattern, request))

    def missing(self, repository: str, content: bytes) -> list[str]:
        """What a manifest needs and REPOSITORY does not have."""
        manifest = json.loads(content)
        needed = [part["digest"] for part in [*manifest.get("layers", []), *([manifest["config"]] if "config" in manifest else [])]]
        absent = [digest for digest in needed if (repository, digest) not in self.blobs]
        return absent + [m["digest"] for m in manifest.get("manifests", []) if (repository, m["digest"]) not in self.manifests]


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    registry: Registry

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        """Sends an answer, after what the client still sends."""
        self._drain()
        self.send_response(status)
        for name, value in (headers or {}).items():
            sent = self.registry.digests(f"{self.command} {self.path}", value) if name == "Docker-Content-Digest" else value
            if sent is not None:
                self.send_header(name, sent)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str = "", message: str = "", headers: dict[str, str] | None = None) -> None:
        """Sends an error as registries do."""
        self.answer(status, headers, json.dumps({"errors": [{"code": code, "message": message}]}).encode())

    def _drain(self) -> None:
        while self.left:
            if not self.read(min(self.left, 1 << 16)):
                return

    def read(self, count: int) -> bytes:
        """At most COUNT bytes of the body."""
        data = self.rfile.read(min(count, self.left))
        self.left -= len(data)
        return data

    def handle_request(self) -> None:
        """Does what the registry API says."""
        registry = self.registry
        self.left = int(self.headers.get("Content-Length") or 0)
        parts = urllib.parse.urlsplit(self.path)
        self.query = urllib.parse.parse_qs(parts.query)
        if parts.path == "/token":
            self._token()
            return
        with registry.lock:
            if not self._logged_in():
                registry.challenges += 1
                self._challenge()
                return
            registry.requests.append(f"{self.command} {self.path.partition('?')[0]}")
        if registry.hook(self):
            return
        match = re.fullmatch(r"/v2/(.+)/(blobs/uploads|blobs|manifests)/([^/]*)", parts.path)
        if not match:
            self.refuse(404, "UNSUPPORTED")
            return
        repository, kind, reference = match.groups()
        method = {"blobs/uploads": self._upload, "blobs": self._blob, "manifests": self._manifest}[kind]
        method(repository, reference)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = handle_request  # noqa: N815 - the names are http.server's

    def _logged_in(self) -> bool:
        sent = self.headers.get("Authorization", "")
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.registry.auth == "token":
            return sent.startswith("Bearer fresh-")
        return not self.registry.auth or sent == basic

    def _challenge(self) -> None:
        challenge = 'Basic realm="a, \\"registry\\""'
        if self.registry.auth == "token":
            challenge = f'Bearer realm="{self.registry.scheme}://{self.registry.address}/token",service="fake",scope="x"'
        self.refuse(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": challenge})

    def _token(self) -> None:
        form = self.read(self.left).decode()
        values = urllib.parse.parse_qs(form) if form else self.query
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if values.get("refresh_token", [""])[0] != "refresh-me" and self.headers.get("Authorization") != basic:
            self.refuse(401, "UNAUTHORIZED", "wrong password")
            return
        self.registry.tokens.append([scope for line in values["scope"] for scope in line.split()])
        self.answer(200, {}, json.dumps({"token": f"fresh-{len(self.registry.tokens)}", "expires_in": 60}).encode())

    def _blob(self, repository: str, digest: str) -> None:
        content = self.registry.blobs.get((repository, digest))
        if content is None:
            self.refuse(404, "BLOB_UNKNOWN")
            return
        self.answer(200, {"Docker-Content-Digest": digest, "Content-Length": str(len(content))}, content)

    def _manifest(self, repository: str, reference: str) -> None:
        registry = self.registry
        if self.command != "PUT":
            media_type, content = registry.manifests.get((repository, reference), ("", b""))
            if not content:
                self.refuse(404, "MANIFEST_UNKNOWN")
                return
            digest = "sha256:" + hashlib.sha256(content).hexdigest()
            self.answer(200, {"Content-Type": media_type, "Docker-Content-Digest": digest, "Content-Length": str(len(content))}, content)
            return
        content = self.read(self.left)
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        missing = registry.missing(repository, content)
        if missing and registry.strict:
            self.refuse(400, "MANIFEST_BLOB_UNKNOWN", missing[0])
            return
        if missing and not reference.startswith("sha256:"):
            registry.incomplete.append(reference)
        for name in {reference, digest}:
            registry.manifests[repository, name] = (self.headers["Content-Type"], content)
        self.answer(201, {"Docker-Content-Digest": digest, "Location": f"/v2/{repository}/manifests/{digest}"})

    def _upload(self, repository: str, reference: str) -> None:
        registry = self.registry
        if self.command == "POST":
            digest, source = self.query.get("mount", [""])[0], self.query.get("from", [""])[0]
            if registry.mounts and (source, digest) in registry.blobs:
                registry.blobs[repository, digest] = registry.blobs[source, digest]
                self.answer(201, {"Docker-Content-Digest": digest, "Location": f"/v2/{repository}/blobs/{digest}"})
                return
            with registry.lock:
                reference = f"upload-{len(registry.uploads)}"
                registry.uploads[reference] = bytearray()
            self.answer(202, self._where(repository, reference))
            return
        upload = registry.uploads.get(reference)
        if upload is None:
            self.refuse(404, "BLOB_UPLOAD_UNKNOWN")
        elif self.command == "GET":
            if registry.resumes:
                self.answer(204, self._where(repository, reference))
            else:
                self.refuse(404, "BLOB_UPLOAD_UNKNOWN")
        elif self.command == "PATCH":
            start = self.headers.get("Content-Range", f"{len(upload)}-").partition("-")[0]
            if int(start) != len(upload):
                self.refuse(416, "BLOB_UPLOAD_INVALID")
            elif registry.die_after and self.left > registry.die_after[0]:
                upload += self.read(registry.die_after.pop(0))
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
            else:
                while data := self.read(1 << 16):
                    upload += data
                self.answer(202, self._where(repository, reference))
        else:
            digest = self.query["digest"][0]
            if digest != "sha256:" + hashlib.sha256(upload).hexdigest():
                self.refuse(400, "DIGEST_INVALID")
                return
            registry.blobs[repository, digest] = bytes(upload)
            self.answer(201, {"Docker-Content-Digest": digest, "Location": f"/v2/{repository}/blobs/{digest}"})

    def _where(self, repository: str, reference: str) -> dict[str, str]:
        size = len(self.registry.uploads[reference])
        return {"Location": f"/v2/{repository}/blobs/uploads/{reference}?_state=x", "Range": f"0-{max(size - 1, 0)}"}


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients may hang up."""


@contextlib.contextmanager
def serve(tls: ssl.SSLContext | None = None) -> Iterator[Registry]:
    """A registry that answers until the block ends, over TLS if that is given."""
    registry = Registry()
    server = _Server(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"registry": registry}))
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        registry.scheme = "https"
    registry.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()


def write_layout(folder: pathlib.Path, layers: list[bytes], *, layer_type: str = "application/vnd.oci.image.layer.v1.tar") -> str:
    """Makes the OCI layout of an image with LAYERS; its digest."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    config = {"mediaType": "application/vnd.oci.image.config.v1+json", **blob(json.dumps({"name": folder.name}).encode())}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [{"mediaType": layer_type, **blob(layer)} for layer in layers],
    }
    entry = {"mediaType": manifest["mediaType"], **blob(json.dumps(manifest).encode())}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return str(entry["digest"])


def write_index(folder: pathlib.Path, members: list[pathlib.Path]) -> str:
    """Makes the OCI layout of an index of the images in the layouts MEMBERS; its digest."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    entries = []
    for member in members:
        entries.append(json.loads((member / "index.json").read_bytes())["manifests"][0])
        for path in (member / "blobs/sha256").iterdir():
            (blobs / path.name).write_bytes(path.read_bytes())
    media_type = "application/vnd.oci.image.index.v1+json"
    data = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).encode()
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    entry = {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}
    (folder / "index.json").write_text(json.dumps({"manifests": [entry]}))
    return f"sha256:{digest}"


@contextlib.contextmanager
def login(address: str, password: str = PASSWORD, **fields: str) -> Iterator[dict[str, str]]:
    """An environment whose Docker config has a login for ADDRESS."""
    with tempfile.TemporaryDirectory() as folder:
        entry = fields or {"auth": base64.b64encode(f"{USER}:{password}".encode()).decode()}
        pathlib.Path(folder, "config.json").write_text(json.dumps({"auths": {address: entry}}))
        yield {"DOCKER_CONFIG": folder, "HOME": folder}
