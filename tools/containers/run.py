"""Builds the image of a service, starts it as strictly as production does, shows its log and prints its URL.

    bazel run //tools/containers:run -- [--engine docker|crun] [--port N] [--profile local|gcp] SERVICE

FCP_OPTS and SECURITY_OPTS of the environment reach the service. Ctrl-C stops it and leaves no process, container or root file system
behind. Exit codes: see tools/image_hash/image_hash/errors.py; 0 after Ctrl-C.
"""

import contextlib
import errno
import http.client
import os
import pathlib
import secrets
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from absl import flags
from image_hash import errors
from ocilib import archive
from ocilib import errors as ocilib_errors
from ocilib.layout import Image

from tools.containers.container import Container
from tools.containers.layers import LayerStore
from tools.proof import bazel

_ENGINE = flags.DEFINE_enum(
    "engine", None, ["docker", "crun"], "What starts the image; without it docker if its daemon answers, else crun."
)
_PORT = flags.DEFINE_integer("port", None, "Port on the loopback address; without it the service's own, 0 for a free one.", 0, 65535)
_PROFILE = flags.DEFINE_enum("profile", "local", ["local", "gcp"], "SPRING_PROFILES_ACTIVE of the service.")

# What the operator of a service may set; ENCRYPTION_OPTS is part of the image.
_PASSED = ("FCP_OPTS", "SECURITY_OPTS")
_POLL_SECONDS = 0.1
# More than the 25 s that a service has for the requests under way.
_STOP_SECONDS = 40


class Running(Protocol):
    """A container that was started."""

    def ended(self) -> int | None:
        """The exit code, or None while it runs."""

    def stop(self) -> int:
        """Asks it to end by itself; the exit code."""


def service_port(image: Image) -> int:
    """The one TCP port that the image's config exposes.

    Raises:
        errors.Error: it exposes none, or several.
    """
    config = image.config.get("config")
    exposed = config.get("ExposedPorts") if isinstance(config, dict) else None
    ports = [*exposed] if isinstance(exposed, dict) else []
    if len(ports) != 1 or not ports[0].endswith("/tcp"):
        raise errors.Error(f"{image.path}: expected one exposed port like 8082/tcp, found {', '.join(ports) or 'none'}")
    return int(ports[0].removesuffix("/tcp"))


def bind(port: int) -> socket.socket:
    """A socket on the loopback address, bound to PORT or, for 0, to a free one.

    Raises:
        errors.Error: something else has the port, or it may not be taken.
    """
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
        # Only this fails if another one listens on all addresses.
        bound.listen()
    except OSError as error:
        bound.close()
        reason = "it is taken" if error.errno == errno.EADDRINUSE else error.strerror
        raise errors.Error(f"expected a free port 127.0.0.1:{port}, found that {reason}; choose another with --port") from None
    return bound


class _Forwarder(socketserver.ThreadingTCPServer):
    """Takes connections on a socket of this network and passes each on to the network of a container."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
        super().__init__(("", 0), _Connection, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.connect = connect

    def handle_error(self, request: object, client_address: object) -> None:
        # The service does not listen yet or has ended: the client sees its connection closed, as it would without a forwarder.
        pass


class _Connection(socketserver.BaseRequestHandler):
    server: _Forwarder

    def handle(self) -> None:
        with self.server.connect() as service:
            answers = threading.Thread(target=_copy, args=(service, self.request), daemon=True)
            answers.start()
            _copy(self.request, service)
            answers.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):  # either side may be gone
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def crun(image: Image, listener: socket.socket, env: Mapping[str, str], store: pathlib.Path) -> Iterator[Running]:
    """Starts IMAGE with crun, in a network of its own; LISTENER leads to its port. STORE keeps unpacked layers for the next start.

    Raises:
        errors.Error: this process may not make containers.
    """
    if os.geteuid():
        raise errors.Error(
            f"crun needs root, found uid {os.geteuid()}; start it through scripts/docker/docker_run.sh, or with --engine=docker"
        )
    port = service_port(image)
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".run-", dir=store) as folder:
        root = LayerStore(store).make_root(image, pathlib.Path(folder, "root"))
        with Container(root, pathlib.Path(folder, "bundle"), env=env, inherit_output=True) as container:

            def connect() -> socket.socket:
                return container.in_network(lambda: socket.create_connection(("127.0.0.1", port)))

            with _Forwarder(listener, connect) as forwarder:
                threading.Thread(target=forwarder.serve_forever, daemon=True).start()
                try:
                    yield container
                finally:
                    forwarder.shutdown()


class _Docker:
    """A container of the docker daemon, and the process that follows its log."""

    def __init__(self, name: str, log: "subprocess.Popen[bytes]") -> None:
        self._name = name
        self._log = log

    def ended(self) -> int | None:
        """The exit code, or None while it runs."""
        if self._log.poll() is None:
            return None
        return int(_docker("wait", self._name))

    def stop(self) -> int:
        """Asks it to end by itself; the exit code."""
        _docker("stop", f"--time={_STOP_SECONDS}", self._name)
        self._log.wait()
        return int(_docker("wait", self._name))


def docker_arguments(image: Image, name: str, tag: str, port: int, env: Mapping[str, str]) -> list[str]:
    """The arguments of docker that start the image TAG as tools/containers/bundle.py does. Values of ENV are not among them."""
    config = image.config.get("config")
    user = str(config.get("User") or "0") if isinstance(config, dict) else "0"
    # The images for Confidential Space run as root because they write to its memory file system; the others have none.
    memory = "--shm-size=1g" if user in ("0", "root") else "--ipc=none"
    return [
        "run",
        "--detach",
        f"--name={name}",
        "--pull=never",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        # Docker's own options have noexec, with which Java cannot load the libraries that it unpacks there.
        "--tmpfs=/tmp:rw,exec,nosuid,nodev,mode=1777",
        memory,
        f"--publish=127.0.0.1:{port}:{service_port(image)}",
        *(f"--env={variable}" for variable in sorted(env)),
        tag,
    ]


def _docker(*arguments: str, env: Mapping[str, str] | None = None) -> str:
    # A session of its own: a Ctrl-C is for this process, which then stops the container.
    command = ["docker", *arguments]
    done = subprocess.run(command, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False, start_new_session=True)
    if done.returncode:
        raise errors.Error(f"docker {arguments[0]} failed: {' '.join(done.stderr.split())}")
    return done.stdout.strip()


def _load(image: Image, tag: str) -> None:
    with contextlib.suppress(errors.Error):
        _docker("image", "inspect", tag)
        return
    with subprocess.Popen(
        ["docker", "load", "--quiet"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        assert process.stdin
        # It has said on standard error why it does not read on.
        with contextlib.suppress(BrokenPipeError), process.stdin:
            archive.write(image.path, "docker", [tag], process.stdin)
    if process.returncode:
        raise errors.Error(f"docker load has not taken {tag} (exit code {process.returncode}); see what it says above")


@contextlib.contextmanager
def docker(image: Image, listener: socket.socket, env: Mapping[str, str], service: str) -> Iterator[Running]:
    """Starts IMAGE with the docker daemon, which takes over the port of LISTENER.

    Raises:
        errors.Error: docker fails.
    """
    # Named by its hash: it is loaded once.
    tag = f"{service}_image:{str(image.descriptor['digest']).removeprefix('sha256:')[:16]}"
    _load(image, tag)
    name = f"{service}-{secrets.token_hex(4)}"
    port = listener.getsockname()[1]
    listener.close()
    try:
        _docker(*docker_arguments(image, name, tag, port, env), env=env)
        with subprocess.Popen(["docker", "logs", "--follow", name], start_new_session=True) as log:
            try:
                yield _Docker(name, log)
            finally:
                log.terminate()
    finally:
        _docker("rm", "--force", "--volumes", name)


def docker_answers() -> bool:
    """Whether there is a docker daemon on this machine; the ports of another one's containers are not here."""
    if not os.environ.get("DOCKER_HOST", "unix://").startswith("unix://") or not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def follow(service: str, port: int, started: contextlib.AbstractContextManager[Running]) -> None:
    """Starts a service, prints its URL when it answers there, and stops it on KeyboardInterrupt.

    Raises:
        errors.Error: it ended by itself.
    """
    with started as running:
        answered = False
        try:
            while (code := running.ended()) is None:
                if not answered and _healthy(port):
                    answered = True
                    print(f"{service}: http://127.0.0.1:{port}/ (Ctrl-C stops it)", flush=True)
                time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            print(f"{service}: stopped, exit code {running.stop()}", flush=True)
            return
    raise errors.Error(f"{service} has ended by itself, with exit code {code}; its log above says why")


def start(service: str, layout: str, engine: str, port: int | None, env: Mapping[str, str], store: pathlib.Path) -> None:
    """Runs the image in LAYOUT until a signal SIGINT or SIGTERM.

    Args:
        service: its name.
        layout: folder of the OCI layout.
        engine: `docker` or `crun`.
        port: on the loopback address; 0 for a free one, None for the service's own.
        env: variables over those of the image.
        store: where crun's layers are kept.

    Raises:
        errors.Error: it cannot be started, or ended by itself.
    """
    try:
        image = Image(layout)
        with bind(service_port(image) if port is None else port) as listener:
            number = listener.getsockname()[1]
            started = docker(image, listener, env, service) if engine == "docker" else crun(image, listener, env, store)
            follow(service, number, started)
    except ocilib_errors.Error as error:
        raise errors.Error(str(error)) from error


def _interrupt(_number: int, _frame: object) -> None:
    # Once: a terminal and an init may both pass a Ctrl-C on, and the second one must not end the clean-up.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def catch_signals() -> None:
    """Makes the first SIGINT or SIGTERM a KeyboardInterrupt, and all further ones nothing."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def _build(service: str) -> str:
    folder = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
    if not folder:
        raise errors.Error("expected the checkout in BUILD_WORKSPACE_DIRECTORY, found none; start it with scripts/run_image.sh")
    label = bazel.images()[service]
    options = ["--show_result=0", "--ui_event_filters=-info,-stdout"] + ([] if sys.stderr.isatty() else ["--noshow_progress"])
    code = subprocess.run(["bazel", "build", *options, "--", label], cwd=folder, check=False).returncode
    if code:
        raise errors.Error(f"bazel build {label} failed with exit code {code}; see above")
    package, name = label.removeprefix("//").split(":")
    return os.path.join(bazel.Workspace(pathlib.Path(folder)).run("info", "bazel-bin").strip(), package, name)


def main(argv: list[str]) -> None:
    """Runs the command."""
    if len(argv) != 1 or argv[0] not in bazel.images():
        raise errors.UsageError(f"expected one of the services {', '.join(sorted(bazel.images()))}; found {' '.join(argv) or 'none'}")
    service = argv[0]
    engine = _ENGINE.value or ("docker" if docker_answers() else "crun")
    env = {name: os.environ[name] for name in _PASSED if name in os.environ} | {"SPRING_PROFILES_ACTIVE": _PROFILE.value}
    # What docker_run.sh keeps from one run to the next.
    store = pathlib.Path.home() / ".cache" / "bazel" / "image_layers"
    catch_signals()
    try:
        layout = _build(service)
        print(f"{service}: starting with {engine}, profile {_PROFILE.value}", flush=True)
        start(service, layout, engine, _PORT.value, env, store)
    except KeyboardInterrupt:
        raise errors.Error(f"interrupted before {service} was started") from None


if __name__ == "__main__":
    errors.run(main)
