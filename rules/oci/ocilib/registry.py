"""A client of the registry API (OCI distribution-spec 1.1): standard library only, constant memory, safe to use from threads.

Requests that fail for now (a broken connection, 408, 429, 5xx) are repeated with growing delays, or after the time that the registry asks
for. An upload that breaks goes on where the registry says that it has got to, a download where it broke. What a registry says about
digests is compared with what they have to be: a registry that says another one has stored something else, which is an error.
"""

from __future__ import annotations

import base64
import email.utils
import http.client
import os
import random
import re
import select
import socket
import ssl
import threading
import time
import urllib.parse
import urllib.request

from ocilib import jsontext
from ocilib.credentials import Keychain
from ocilib.digest import digest_of
from ocilib.errors import Error
from ocilib.layout import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocilib.credentials import Credential

DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
_ACCEPT = f"{OCI_MANIFEST}, {OCI_INDEX}, {DOCKER_MANIFEST}, {DOCKER_INDEX}"

_HUB = "docker.io"
_HUB_API = "registry-1.docker.io"
# distribution-spec, "Pulling manifests".
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_HOST = re.compile(r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?")

_ATTEMPTS = 6
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 60.0
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_CONNECT_SECONDS = 30
_ANSWER_SECONDS = 60
# A registry may hash a large blob, or move it in its storage, before it says that it has it.
_COMMIT_SECONDS = 900
_MAX_ANSWER = 16 << 20
_CHUNK = 1 << 20
_REDIRECTS = 5
_MAKE_IT = "; a registry that makes no repositories by pushes wants it made first"
# Where distributions keep their certificates (crypto/x509/root_linux.go of Go), for an interpreter that was built elsewhere.
_CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class RegistryError(Error):
    """The registry cannot be reached, refuses, or says what cannot be."""


class NameFormatError(Error):
    """A malformed name of a repository or tag."""


class _BrokenError(Exception):
    """A request that may succeed when it is repeated: no answer, or an answer that says so."""

    def __init__(self, reason: str, delay: float | None = None) -> None:
        super().__init__(reason)
        self.delay = delay


class Repository:
    """A repository of a registry.

    Attributes:
        registry: host, with port if there is one, as users write it.
        name: the path behind it.
        scheme: "http", "https", or "" if it was not written.
    """

    __slots__ = ("name", "registry", "scheme")

    def __init__(self, registry: str, name: str, scheme: str = "") -> None:
        self.registry = registry
        self.name = name
        self.scheme = scheme

    def __str__(self) -> str:
        return f"{self.registry}/{self.name}"


def parse_repository(text: str) -> Repository:
    """Reads `HOST[:PORT]/PATH`, also with `http://` or `https://` before it; without a host it is Docker Hub's, as everywhere.

    Raises:
        NameFormatError: it is no repository, or has a tag or digest behind it.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    if scheme not in ("", "http", "https"):
        raise NameFormatError(f"expected a repository like registry.example/path, found the scheme {scheme!r} in {text!r}")
    registry, slash, name = rest.partition("/")
    if not slash or not ("." in registry or ":" in registry or registry == "localhost" or scheme):
        registry, name = _HUB, rest if slash else f"library/{rest}"
    if "@" in name or ":" in name:
        raise NameFormatError(f"expected a repository without tag or digest, found {text!r}")
    if registry == "index.docker.io":
        registry = _HUB
    if not _HOST.fullmatch(registry) or not _REPOSITORY.fullmatch(name):
        raise NameFormatError(
            f"expected a repository like registry.example:5000/path/name (host, then lower case words with . _ - / between), found {text!r}"
        )
    return Repository(registry, name, scheme)


def mirrors(repository: Repository, text: str) -> list[Repository]:
    """Where the environment variable OCI_MIRRORS, whose value is TEXT, says that REPOSITORY is, too; as oci_pull reads it.

    Args:
        repository: what is wanted.
        text: words like `registry.example=[http[s]://]mirror.example[:port][/path]`.

    Raises:
        NameFormatError: a word has another form.
    """
    found = []
    for word in text.split():
        name, _, mirror = word.partition("=")
        host = mirror.rpartition("://")[2].partition("/")[0]
        try:
            place = parse_repository(f"{mirror.rstrip('/')}/{repository.name}")
        except NameFormatError:
            place = None
        if not name or not place or place.registry != host:
            raise NameFormatError(f"OCI_MIRRORS: expected words like registry.example=mirror.example/path, found {word!r}")
        if name == repository.registry:
            found.append(place)
    return found


def check_tag(tag: str) -> str:
    """TAG, if it is one.

    Raises:
        NameFormatError: it is none.
    """
    if not _TAG.fullmatch(tag):
        raise NameFormatError(f"expected a tag of at most 128 letters, digits and . _ - that starts with no . or -, found {tag!r}")
    return tag


def is_loopback(host: str) -> bool:
    """Whether HOST, which may have a port, is this machine."""
    name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    if name in ("localhost", "::1") or name.endswith(".localhost"):
        return True
    parts = name.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdigit() for part in parts)


def tls_context() -> ssl.SSLContext:
    """TLS that verifies certificates with those of the machine, or of SSL_CERT_FILE, wherever the interpreter was built."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not paths.capath:
        for file in _CA_FILES:
            if os.path.exists(file):
                context.load_verify_locations(file)
                break
    return context


def parse_challenges(header: str) -> list[tuple[str, dict[str, str]]]:
    """The challenges of a WWW-Authenticate header (RFC 9110, 11.6.1): scheme in lower case, and parameters with names in lower case.

    Raises:
        RegistryError: it does not have that grammar.
    """
    challenges: list[tuple[str, dict[str, str]]] = []
    position = 0
    while position < len(header):
        if separator := _SEPARATOR.match(header, position):
            position = separator.end()
            continue
        parameter = _PARAMETER.match(header, position)
        if parameter and challenges:
            name, quoted, token = parameter.groups()
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else token
            if name.lower() in challenges[-1][1]:
                raise RegistryError(f"the registry's WWW-Authenticate has {name} twice")
            challenges[-1][1][name.lower()] = value
            position = parameter.end()
            continue
        scheme = _SCHEME.match(header, position)
        if not scheme:
            raise RegistryError(f"the registry's WWW-Authenticate is malformed at character {position}: {header[:200]!r}")
        challenges.append((scheme.group(1).lower(), {}))
        position = scheme.end()
    return challenges


_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SEPARATOR = re.compile(r"[ \t]*,[ \t]*|[ \t]+")
_PARAMETER = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))(?=[ \t]*(?:,|$))')
_SCHEME = re.compile(rf"({_TOKEN})(?=[ \t]+|,|$)")


class Response:
    """An answer: status, headers (names in lower case), body; or, if that was asked for, what the body is to be read from."""

    __slots__ = ("body", "headers", "open", "status")

    def __init__(
        self,
        status: int,
        headers: dict[str, str],
        body: bytes,
        opened: tuple[http.client.HTTPConnection, http.client.HTTPResponse] | None = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.open = opened


class File:
    """The body of a request: what a file has from START on. MOVED is told how many bytes have been sent."""

    def __init__(self, path: str, start: int, size: int, moved: Callable[[int], None]) -> None:
        self.path = path
        self.start = start
        self.length = size - start
        self.moved = moved
        self._sent = 0

    def chunks(self) -> Iterator[memoryview]:
        """The content, in parts, each reported when the next is asked for; one buffer serves all."""
        if self._sent:
            self.moved(-self._sent)
            self._sent = 0
        buffer = memoryview(bytearray(min(_CHUNK, self.length)))
        with open(self.path, "rb", buffering=0) as file:
            file.seek(self.start)
            left = self.length
            while left:
                count = file.readinto(buffer[:left])
                if not count:
                    raise RegistryError(f"{self.path} became shorter while it was uploaded")
                left -= count
                yield buffer[:count]
                self._sent += count
                self.moved(count)


class Client:
    """Speaks with one registry."""

    def __init__(
        self,
        repository: Repository,
        *,
        insecure: bool = False,
        reads_only: bool = False,
        keychain: Keychain | None = None,
        log: Callable[[str], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Makes a client for the registry of REPOSITORY; nothing is sent yet.

        Args:
            repository: a repository of the registry.
            insecure: speaks http instead of https.
            reads_only: asks for no more than the right to pull; anonymous users often have no other.
            keychain: where credentials come from.
            log: is told of every request, without secrets.
            sleep: waits for a time in seconds.

        Raises:
            RegistryError: the repository asks for http with a host that is not loopback, without INSECURE.
        """
        self.registry = repository.registry
        loopback = is_loopback(self.registry)
        scheme = repository.scheme or ("http" if insecure or loopback else "https")
        if scheme == "http" and not loopback and not insecure:
            raise RegistryError(
                f"{self.registry}: plain http would show the credentials to the network, and takes place with loopback only; "
                "use https, or --insecure if you accept that"
            )
        self._insecure = insecure
        self._reads_only = reads_only
        self._origin = (scheme, _HUB_API if self.registry == _HUB else self.registry)
        self._keychain = keychain or Keychain()
        self._log = log
        self._sleep = sleep
        self._idle: dict[tuple[str, str], list[http.client.HTTPConnection]] = {}
        self._lock = threading.Lock()
        self._login = threading.Lock()
        self._credential: Credential | None = None
        self._looked = False
        self._challenge: tuple[str, dict[str, str]] | None = None
        self._authorization: dict[tuple[str, ...], str] = {}
        self._tls: ssl.SSLContext | None = None
        self._stopped = threading.Event()

    def close(self) -> None:
        """Closes the connections that are not in use."""
        with self._lock:
            for connections in self._idle.values():
                for connection in connections:
                    connection.close()
            self._idle.clear()

    def stop(self) -> None:
        """Lets uploads in other threads end with an error."""
        self._stopped.set()

    # What registries have.

    def head_manifest(self, repository: str, reference: str) -> str | None:
        """The digest under which the registry has the manifest with the tag or digest REFERENCE; None if it has none."""
        what = f"asking for {repository}:{reference}"
        response = self.request("HEAD", f"/v2/{repository}/manifests/{reference}", self.pull_scopes(repository), {"Accept": _ACCEPT})
        if response.status == 404:
            return None
        self.expect(response, (200,), what)
        return response.headers.get("docker-content-digest") or self.get_manifest(repository, reference)[0]

    def get_manifest(self, repository: str, reference: str) -> tuple[str, bytes, str]:
        """Digest, of what really comes, bytes and media type, as the registry says, of a manifest.

        Raises:
            RegistryError: it is not there, or the registry names another digest for it.
        """
        what = f"reading {repository}:{reference}"
        response = self.request("GET", f"/v2/{repository}/manifests/{reference}", self.pull_scopes(repository), {"Accept": _ACCEPT})
        self.expect(response, (200,), what)
        digest = digest_of(response.body)
        self.same_digest(response, digest, what)
        return digest, response.body, response.headers.get("content-type", "").partition(";")[0].strip()

    def put_manifest(self, repository: str, reference: str, media_type: str, data: bytes) -> None:
        """Stores a manifest under the tag or digest REFERENCE.

        Raises:
            RegistryError: the registry refuses, or says that it has stored something else.
        """
        what = f"storing the manifest {repository}:{reference}"
        response = self.request("PUT", f"/v2/{repository}/manifests/{reference}", _push(repository), {"Content-Type": media_type}, data)
        self.expect(response, (201,), what)
        self.same_digest(response, digest_of(data), what)

    def open_blob(self, repository: str, digest: str, size: int) -> Download:
        """Starts to read a blob, of which SIZE bytes are expected; what comes is not compared with the digest.

        Raises:
            RegistryError: it is not there, or the registry refuses.
        """
        return Download(self, repository, digest, size)

    def has_blob(self, repository: str, digest: str, size: int) -> bool:
        """Whether the registry has a blob.

        Raises:
            RegistryError: it has one of another size.
        """
        what = f"asking for the blob {digest} of {repository}"
        response = self.request("HEAD", f"/v2/{repository}/blobs/{digest}", self.pull_scopes(repository), {})
        if response.status == 404:
            return False
        self.expect(response, (200,), what)
        self.same_digest(response, digest, what)
        length = response.headers.get("content-length", "")
        if length.isdigit() and int(length) != size:
            raise RegistryError(f"{self.registry} says that the blob {digest} of {repository} has {length} bytes; it has {size}")
        return True

    def upload_blob(
        self, repository: str, digest: str, path: str, size: int, moved: Callable[[int], None], mount_from: str | None = None
    ) -> bool:
        """Brings a blob, the content of the file PATH, to the registry.

        Args:
            repository: where it is to be.
            digest: of the file.
            path: of the file.
            size: of the file.
            moved: is told how many bytes have been sent; less than zero if they were lost.
            mount_from: another repository of the registry, which is known to have the blob.

        Returns:
            Whether the blob was mounted from there, so that nothing was sent.

        Raises:
            RegistryError: the registry refuses, or the connection breaks again and again.
        """
        upload = _Upload(self, repository, digest, path, size, moved, mount_from)
        return upload.run()

    # One request, until there is an answer.

    def request(self, method: str, target: str, scopes: tuple[str, ...], headers: dict[str, str], body: bytes | File = b"") -> Response:
        """Sends a request again and again until there is an answer that stays; that may be a refusal."""
        failures = 0
        while True:
            try:
                return self.attempt(method, target, scopes, headers, body)
            except _BrokenError as error:  # noqa: PERF203 - it waits anyway
                failures += 1
                self.wait(failures, error)

    def wait(self, failures: int, error: _BrokenError) -> None:
        """Waits before the next attempt.

        Raises:
            RegistryError: there were enough.
        """
        if failures >= _ATTEMPTS or self._stopped.is_set():
            raise RegistryError(f"{self.registry}: {error} (after {failures} attempts)")
        delay = error.delay
        if delay is None:
            # Not all at once again, when many have failed at once.
            delay = min(_FIRST_DELAY * 2 ** (failures - 1), _LONGEST_DELAY) * random.uniform(0.8, 1.2)
        if self._log:
            self._log(f"{error}; again in {delay:.1f} s")
        self._sleep(min(delay, _LONGEST_DELAY))

    def attempt(
        self,
        method: str,
        target: str,
        scopes: tuple[str, ...],
        headers: dict[str, str],
        body: bytes | File = b"",
        *,
        opened: bool = False,
    ) -> Response:
        """Sends a request, with a login if one is wanted; with OPENED, the body of an answer that is no refusal is left to be read.

        Raises:
            _BrokenError: it may be repeated.
        """
        origin, path = self._resolve(target)
        logins = 0
        redirects = 0
        while True:
            authorization = self._known_authorization(scopes) if origin == self._origin else None
            login = {"Authorization": authorization} if authorization else {}
            response = self._send(origin, method, path, headers | login, body, opened=opened)
            if response.status == 401 and origin == self._origin and logins < 2:
                logins += 1
                if self._log_in(response, scopes, authorization):
                    continue
            if response.status in (301, 302, 303, 307, 308) and method in ("GET", "HEAD") and redirects < _REDIRECTS:
                redirects += 1
                origin, path = self._resolve(urllib.parse.urljoin(f"{origin[0]}://{origin[1]}{path}", response.headers.get("location", "")))
                continue
            if response.status in _AGAIN:
                raise _BrokenError(f"{method} {_shown(path)}: {response.status} {self.said(response)}".rstrip(), _retry_after(response))
            return response

    def _resolve(self, target: str) -> tuple[tuple[str, str], str]:
        """Origin and path of TARGET: a path, or an address that the registry has given."""
        if target.startswith("/"):
            return self._origin, target
        parts = urllib.parse.urlsplit(target)
        if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.netloc):
            raise RegistryError(f"{self.registry} sends us to {target[:200]!r}, which is no address of the web")
        if parts.scheme == "http" and self._origin[0] == "https":
            raise RegistryError(
                f"{self.registry} sends us from https to http://{parts.netloc}: the registry, or a proxy before it, is set up wrongly"
            )
        return (parts.scheme, parts.netloc), (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def _send(
        self, origin: tuple[str, str], method: str, path: str, headers: dict[str, str], body: bytes | File, *, opened: bool = False
    ) -> Response:
        """Sends a request over a connection that is open already, or a new one."""
        started = time.monotonic()
        with self._lock:
            connections = self._idle.get(origin)
            connection = connections.pop() if connections else None
        reused = connection is not None
        if connection is None:
            connection = self._connect(origin)
        try:
            try:
                response = self._exchange(connection, origin, method, path, headers, body, opened)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                if not reused or isinstance(body, File):
                    raise
                # An idle connection may be closed at any time; that says nothing about the registry.
                connection.close()
                connection = self._connect(origin)
                response = self._exchange(connection, origin, method, path, headers, body, opened)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise _BrokenError(f"{method} {_shown(path)}: {_reason(error)}") from error
        except BaseException:
            connection.close()
            raise
        if self._log:
            self._log(f"{method} {origin[1]}{_shown(path)}: {response.status} ({time.monotonic() - started:.2f} s)")
        if connection.sock is None or response.open:
            return response
        with self._lock:
            self._idle.setdefault(origin, []).append(connection)
        return response

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        origin: tuple[str, str],
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes | File,
        opened: bool,
    ) -> Response:
        # An http proxy wants the whole address.
        direct = origin[0] == "https" or (connection.host, connection.port) == _address(origin)
        connection.sock.settimeout(_COMMIT_SECONDS if method == "PUT" else _ANSWER_SECONDS)
        connection.putrequest(method, path if direct else f"http://{origin[1]}{path}", skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", origin[1])
        connection.putheader("User-Agent", "rules_oci")
        for name, value in headers.items():
            connection.putheader(name, value)
        length = body.length if isinstance(body, File) else len(body)
        if length or method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(length))
        complete = True
        if isinstance(body, File):
            connection.endheaders()
            complete = self._send_file(connection, body)
        else:
            connection.endheaders(body or None)
        response = connection.getresponse()
        stays_open = opened and response.status in (200, 206)
        content = b"" if stays_open else response.read(_MAX_ANSWER + 1)
        if len(content) > _MAX_ANSWER:
            raise RegistryError(f"{self.registry} answers {method} {_shown(path)} with more than {_MAX_ANSWER} bytes")
        if not complete:
            # The rest of the request will never come.
            connection.close()
            if response.status < 400:
                raise http.client.HTTPException("the registry has answered before it had the whole request")
        answer: dict[str, str] = {}
        for name, value in response.getheaders():
            # One header in several lines is one list.
            answer[name.lower()] = f"{answer[name.lower()]}, {value}" if name.lower() in answer else value
        return Response(response.status, answer, content, (connection, response) if stays_open else None)

    def _send_file(self, connection: http.client.HTTPConnection, body: File) -> bool:
        """Sends BODY; whether all of it went, or the registry has answered before."""
        plain = not isinstance(connection.sock, ssl.SSLSocket)
        try:
            for chunk in body.chunks():
                if self._stopped.is_set():
                    raise RegistryError("the upload was stopped")
                # Over TLS there may be something to read that is no answer.
                if plain and select.select([connection.sock], [], [], 0)[0]:
                    return False
                connection.send(chunk)
        except (BrokenPipeError, ConnectionResetError):
            # It may have said why, before it hung up.
            if not select.select([connection.sock], [], [], 1)[0]:
                raise
            return False
        return True

    def _connect(self, origin: tuple[str, str]) -> http.client.HTTPConnection:
        scheme, authority = origin
        host, port = _address(origin)
        proxy = None if is_loopback(authority) or urllib.request.proxy_bypass(authority) else urllib.request.getproxies().get(scheme)
        via = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else None
        first = (via.hostname or "", via.port or 80) if via else (host, port)
        connection: http.client.HTTPConnection
        if scheme == "https":
            connection = http.client.HTTPSConnection(*first, timeout=_CONNECT_SECONDS, context=self._context())
        else:
            connection = http.client.HTTPConnection(*first, timeout=_CONNECT_SECONDS)
        if via and scheme == "https":
            login = {}
            if via.username:
                pair = f"{urllib.parse.unquote(via.username)}:{urllib.parse.unquote(via.password or '')}"
                login["Proxy-Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            connection.set_tunnel(host, port, login)
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            raise RegistryError(
                f"{authority}: the certificate cannot be verified: {error.verify_message}; "
                "if it is from an authority of your own, name the file with its certificates in SSL_CERT_FILE"
            ) from None
        except socket.gaierror as error:
            if error.errno == socket.EAI_NONAME:
                raise RegistryError(f"{authority}: there is no such host; is the name of the registry right?") from None
            raise _BrokenError(f"looking up {authority}: {_reason(error)}") from error
        except (OSError, http.client.HTTPException) as error:
            where = ("" if origin == self._origin else f" to {authority}") + (f" through the proxy {first[0]}" if via else "")
            raise _BrokenError(f"cannot connect{where}: {_reason(error)}") from error
        return connection

    def _context(self) -> ssl.SSLContext:
        with self._lock:
            if self._tls is None:
                self._tls = tls_context()
            return self._tls

    # Logging in.

    def _bearer(self) -> bool:
        return self._challenge is not None and self._challenge[0] == "bearer"

    def _known_authorization(self, scopes: tuple[str, ...]) -> str | None:
        """What a request is sent with; None as long as the registry has not asked for a login."""
        if not self._bearer():
            return self._authorization.get(())
        if scopes not in self._authorization:
            # It wants a token for every scope: a request without one would only be refused.
            with self._login:
                if scopes not in self._authorization:
                    self._authorize(scopes, None)
        return self._authorization.get(scopes)

    def _log_in(self, response: Response, scopes: tuple[str, ...], used: str | None) -> bool:
        """Gets what the challenge of RESPONSE asks for; False if that has been tried already, or there are no credentials."""
        with self._login:
            challenges = dict(parse_challenges(response.headers.get("www-authenticate", "")))
            kind = "bearer" if "bearer" in challenges else "basic"
            current = self._authorization.get(scopes if kind == "bearer" else ())
            if current is not None and current != used:
                # Another thread was faster.
                return True
            if kind not in challenges:
                known = ", ".join(challenges) or "no way"
                raise RegistryError(f"{self.registry} wants a login and offers {known} to do it; Basic and Bearer are supported")
            self._challenge = (kind, challenges[kind])
            return self._authorize(scopes, used)

    def _authorize(self, scopes: tuple[str, ...], used: str | None) -> bool:
        """Does what the challenge asks for, as _log_in."""
        assert self._challenge
        kind, parameters = self._challenge
        credential = self._find_credential(scopes)
        if kind == "basic":
            if used is not None or credential is None or not credential.password:
                return False
            self._authorization[()] = _basic(credential)
            return True
        if credential and credential.registry_token:
            if used is not None:
                return False
            token = credential.registry_token
        else:
            token = self._token(parameters, scopes, credential)
        self._authorization[scopes] = f"Bearer {token}"
        return True

    def _find_credential(self, scopes: tuple[str, ...]) -> Credential | None:
        if not self._looked:
            self._credential = self._keychain.find(self.registry, scopes[0].split(":")[1])
            self._looked = True
        return self._credential

    def _token(self, challenge: dict[str, str], scopes: tuple[str, ...], credential: Credential | None) -> str:
        """Exchanges the credential for a token (distribution, docs/spec/auth: token.md, oauth.md)."""
        realm = challenge.get("realm", "")
        parts = urllib.parse.urlsplit(realm)
        allowed = parts.scheme == "https" or (parts.scheme == "http" and (self._insecure or is_loopback(parts.netloc)))
        if not allowed or not _HOST.fullmatch(parts.netloc):
            raise RegistryError(
                f"{self.registry} wants a token from {realm[:200]!r}: expected an https address; no credentials are sent there"
            )
        origin = (parts.scheme, parts.netloc)
        query = [("service", challenge["service"])] if "service" in challenge else []
        headers = {}
        path = parts.path or "/"
        if credential and credential.identity_token:
            form = [("grant_type", "refresh_token"), ("client_id", "rules_oci"), ("refresh_token", credential.identity_token)]
            body = urllib.parse.urlencode([*form, *query, ("scope", " ".join(scopes))]).encode()
            path += f"?{parts.query}" if parts.query else ""
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            method = "POST"
        else:
            asked = urllib.parse.urlencode([*query, *(("scope", scope) for scope in scopes)])
            path += f"?{parts.query}&{asked}" if parts.query else f"?{asked}"
            body = b""
            method = "GET"
            if credential and credential.password:
                headers["Authorization"] = _basic(credential)
        response = self._send(origin, method, path, headers, body)
        if response.status in _AGAIN:
            raise _BrokenError(f"{parts.netloc} gives no token: {response.status}", _retry_after(response))
        if response.status in (400, 401, 403):
            raise RegistryError(
                f"{parts.netloc} gives no token for {self.registry} ({response.status}): {self._login_hint()}{self.said(response, ': ')}"
            )
        self.expect(response, (200,), f"getting a token from {parts.netloc}")
        answer = jsontext.parse_object(response.body, f"the token of {parts.netloc}")
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token:
            raise RegistryError(f"{parts.netloc} gives no usable token for {self.registry}")
        return token

    def _login_hint(self) -> str:
        if self._credential:
            who = f" of user {self._credential.username}" if self._credential.username else ""
            return f"it does not take the credentials{who} from {self._credential.source}"
        if not self._looked:
            return "no credentials were asked for"
        looked = ", ".join(self._keychain.tried)
        return f"there are no credentials for {self.registry}; looked in {looked}; log in with docker login or podman login"

    def _refused_hint(self, response: Response) -> str:
        """Why a request was refused although what could be done about it was done."""
        if not self._challenge or not self._credential or self._credential.registry_token or not self._bearer():
            return self._login_hint()
        giver = urllib.parse.urlsplit(self._challenge[1].get("realm", "")).netloc
        who = f"user {self._credential.username}" if self._credential.username else "the login"
        who += f" from {self._credential.source}"
        # RFC 6750, 3.1.
        if dict(parse_challenges(response.headers.get("www-authenticate", ""))).get("bearer", {}).get("error") == "insufficient_scope":
            return f"the token that {giver} gives does not allow that; may {who} do it?"
        return f"it does not take the token that {giver} gives for {who}; are the clocks of both right, and do they trust each other?"

    def pull_scopes(self, repository: str) -> tuple[str, ...]:
        """What a token is to allow for reading from REPOSITORY."""
        # A push asks before it writes, and one token is to do for both.
        return (f"repository:{repository}:pull",) if self._reads_only else _push(repository)

    # What goes wrong.

    def expect(self, response: Response, statuses: tuple[int, ...], what: str) -> None:
        """Raises what is to be said about an answer that is not one of STATUSES."""
        if response.status in statuses:
            return
        by = self._credential.source if self._credential else self._login_hint()
        explained = {
            400: "it takes the request for wrong",
            401: self._refused_hint(response) if response.status == 401 else "",
            403: f"it forbids that; may this login {'pull from' if self._reads_only else 'push'} there? {by}",
            404: "it has nothing by that name" + ("" if self._reads_only else _MAKE_IT),
            405: "it does not take pushes; is it read-only, or a cache of another registry?",
            413: "too large; it, or a proxy before it, has a limit",
            415: "it does not take this kind of manifest",
            416: "it has another part of the blob than it said",
            507: "it has no space left",
        }
        reason = explained.get(response.status, "expected " + " or ".join(map(str, statuses)))
        raise RegistryError(f"{self.registry}: {what}: {response.status}, {reason}{self.said(response, ': ')}")

    def said(self, response: Response, before: str = "") -> str:
        """What the registry says about an error, in one line and without our secrets."""
        try:
            errors = jsontext.parse_object(response.body, "").get("errors")
        except Error:
            return ""
        found = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
        lines = [" ".join(str(error[key]) for key in ("code", "message") if error.get(key)) for error in found]
        text = " ".join("; ".join(lines).split())[:300]
        for secret in self._credential.secrets() if self._credential else ():
            text = text.replace(secret, "***")
        return f"{before}{text}" if text else ""

    def same_digest(self, response: Response, digest: str, what: str) -> None:
        """Raises if an answer names another digest than DIGEST."""
        said = response.headers.get("docker-content-digest")
        if said is not None and said != digest:
            raise RegistryError(
                f"{self.registry}: {what}: it says that the digest is {said[:100]}, expected {digest}; do not use what it has there"
            )


class Download:
    """One blob on its way to us."""

    def __init__(self, client: Client, repository: str, digest: str, size: int) -> None:
        self._client = client
        self._path = f"/v2/{repository}/blobs/{digest}"
        self._scopes = client.pull_scopes(repository)
        self._size = size
        self._what = f"reading the blob {digest} of {repository}"
        self._offset = 0
        self._failures = 0
        self._open: tuple[http.client.HTTPConnection, http.client.HTTPResponse] | None = None
        self._again()

    def readinto(self, buffer: memoryview) -> int:
        """Fills BUFFER from its start as far as something has come; 0 at the end.

        Raises:
            RegistryError: the connection breaks again and again, or the registry refuses.
        """
        while True:
            try:
                count = self._open[1].readinto(buffer) if self._open else 0
                if count or self._offset >= self._size:
                    self._offset += count
                    # A long download may break many times, as long as it gets on.
                    self._failures = 0
                    return count
                raise _BrokenError(f"{self._what}: it ends after {self._offset} of {self._size} bytes")
            except (OSError, http.client.HTTPException, _BrokenError) as error:
                self._broke(error)
            self._again()

    def close(self) -> None:
        """Hangs up."""
        if self._open:
            connection, response = self._open
            response.close()
            connection.close()
            self._open = None

    def _again(self) -> None:
        """Asks for what is missing."""
        while not self._open:
            wanted = {"Range": f"bytes={self._offset}-"} if self._offset else {}
            try:
                response = self._client.attempt("GET", self._path, self._scopes, wanted, opened=True)
                self._client.expect(response, (200, 206), self._what)
                self._open = response.open
                if not self._offset:
                    return
                begins = response.headers.get("content-range", "").startswith(f"bytes {self._offset}-")
                if response.status == 206 and not begins:
                    raise RegistryError(f"{self._client.registry}: {self._what}: it has sent another part than was asked for")
                if response.status == 200:
                    self._skip(self._offset)
            except (OSError, http.client.HTTPException, _BrokenError) as error:
                self._broke(error)

    def _skip(self, left: int) -> None:
        """Reads what has come before, of a registry that knows no ranges."""
        while left and self._open:
            data = self._open[1].read(min(left, _CHUNK))
            if not data:
                raise _BrokenError(f"{self._what}: it ends before it gets to where it broke before")
            left -= len(data)

    def _broke(self, error: Exception) -> None:
        self.close()
        self._failures += 1
        self._client.wait(self._failures, error if isinstance(error, _BrokenError) else _BrokenError(f"{self._what}: {_reason(error)}"))


class _Upload:
    """One blob on its way."""

    def __init__(
        self,
        client: Client,
        repository: str,
        digest: str,
        path: str,
        size: int,
        moved: Callable[[int], None],
        mount_from: str | None,
    ) -> None:
        self._client = client
        self._repository = repository
        self._digest = digest
        self._path = path
        self._size = size
        self._moved = moved
        self._mount_from = mount_from
        self._what = f"uploading the blob {digest} of {repository}"
        # Where the upload goes on: the address that the registry gave last, and how much the registry has.
        self._location = ""
        self._offset = 0
        self._shown = 0

    def run(self) -> bool:
        failures = 0
        resumed = False
        best = 0
        while True:
            try:
                if not self._location and self._start():
                    return True
                resumed = resumed or self._offset > 0
                self._send_rest()
                if self._commit(resumed):
                    return False
                # What the registry had put together was not the blob: from the start, once.
                resumed = False
                self._restart()
            except _BrokenError as error:  # noqa: PERF203 - likewise
                failures += 1
                self._client.wait(failures, error)
                if self._find_out():
                    return False
                if self._offset > best:
                    # A long upload may break many times, as long as it gets on.
                    best, failures = self._offset, 0

    def _scopes(self) -> tuple[str, ...]:
        scopes = _push(self._repository)
        return (*scopes, f"repository:{self._mount_from}:pull") if self._mount_from else scopes

    def _attempt(self, method: str, target: str, headers: dict[str, str], body: bytes | File = b"") -> Response:
        return self._client.attempt(method, target, _push(self._repository), headers, body)

    def _start(self) -> bool:
        """Opens the upload; whether the blob could be mounted instead."""
        target = f"/v2/{self._repository}/blobs/uploads/"
        scopes = _push(self._repository)
        if self._mount_from:
            target += "?" + urllib.parse.urlencode({"mount": self._digest, "from": self._mount_from})
            scopes = self._scopes()
        response = self._client.attempt("POST", target, scopes, {})
        if response.status == 201 and self._mount_from:
            self._client.same_digest(response, self._digest, self._what)
            return True
        # A second attempt is a plain upload.
        self._mount_from = None
        self._client.expect(response, (202,), self._what)
        self._take_location(response, target)
        return False

    def _take_location(self, response: Response, target: str) -> None:
        location = response.headers.get("location")
        if not location:
            raise RegistryError(f"{self._client.registry}: {self._what}: the answer has no Location to go on with")
        if not location.startswith(("http://", "https://", "/")):
            location = urllib.parse.urljoin(target, location)
        self._location = location

    def _send_rest(self) -> None:
        while self._offset < self._size:
            headers = {"Content-Type": "application/octet-stream"}
            if self._offset:
                headers["Content-Range"] = f"{self._offset}-{self._size - 1}"
            body = File(self._path, self._offset, self._size, self._count)
            response = self._attempt("PATCH", self._location, headers, body)
            if response.status in (404, 416):
                # The upload was forgotten, or stands elsewhere.
                raise _BrokenError(f"{self._what}: {response.status}")
            self._client.expect(response, (201, 202, 204), self._what)
            self._take_location(response, self._location)
            end = _range_end(response)
            if end is not None and end <= self._offset:
                raise _BrokenError(f"{self._what}: the registry has taken nothing")
            self._goto(self._size if end is None else min(end, self._size))

    def _commit(self, resumed: bool) -> bool:
        separator = "&" if "?" in self._location else "?"
        target = f"{self._location}{separator}digest={urllib.parse.quote(self._digest)}"
        response = self._attempt("PUT", target, {"Content-Type": "application/octet-stream"})
        if response.status == 404:
            raise _BrokenError(f"{self._what}: 404")
        if response.status == 400 and resumed:
            return False
        if response.status == 400:
            said = self._client.said(response, ": ")
            raise RegistryError(
                f"{self._client.registry}: {self._what}: it got other bytes than that digest is of{said}; is {self._path} damaged?"
            )
        self._client.expect(response, (201,), self._what)
        self._client.same_digest(response, self._digest, self._what)
        return True

    def _find_out(self) -> bool:
        """After a failure: whether the registry has the blob; if not, where the upload goes on."""
        if self._client.has_blob(self._repository, self._digest, self._size):
            self._goto(self._size)
            return True
        if self._location:
            response = self._client.request("GET", self._location, _push(self._repository), {})
            end = _range_end(response) if response.status in (200, 204) else None
            if end is None or end > self._size:
                self._restart()
            else:
                if response.headers.get("location"):
                    self._take_location(response, self._location)
                self._goto(end)
        return False

    def _restart(self) -> None:
        self._location = ""
        self._goto(0)

    def _goto(self, offset: int) -> None:
        self._offset = offset
        self._count(offset - self._shown)

    def _count(self, moved: int) -> None:
        self._shown += moved
        self._moved(moved)


def _push(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull,push",)


def _address(origin: tuple[str, str]) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(f"//{origin[1]}")
    return parts.hostname or "", parts.port or (443 if origin[0] == "https" else 80)


def _basic(credential: Credential) -> str:
    return "Basic " + base64.b64encode(f"{credential.username}:{credential.password}".encode()).decode()


def _shown(path: str) -> str:
    # Queries have signatures in them.
    return path.partition("?")[0]


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _retry_after(response: Response) -> float | None:
    """The delay that the registry asks for, in seconds (RFC 9110, 10.2.3)."""
    value = response.headers.get("retry-after", "")
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _range_end(response: Response) -> int | None:
    """How many bytes of an upload the registry has; None if it does not say. "0-0" is what registries say for none, too."""
    match = re.fullmatch(r"(?:bytes=)?0-(\d+)", response.headers.get("range", ""))
    if not match:
        return None
    last = int(match.group(1))
    return last + 1 if last else None
