"""Builds the image of a service, starts it as strictly as production does, shows its log and prints its URL.

    bazel run //tools/containers:run -- [--port N] [--profile local|gcp] SERVICE

BUILD_ENGINE says what starts it: `docker` and `podman`, whose daemon answers to the docker client; `rootfs`, which is crun. FCP_OPTS,
SECURITY_OPTS and LOCAL_OPTS reach the service. Ctrl-C stops it and leaves no process, container or root file system behind; what stays if
this process is killed, the next start removes. Exit codes: see tools/image_hash/image_hash/errors.py; 0 after Ctrl-C.
"""

import contextlib
import fcntl
import http.client
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Protocol

from absl import flags
from image_hash import errors
from ocilib import archive
from ocilib import errors as ocilib_errors
from ocilib.layout import Image

from tools.containers import forward
from tools.containers.container import Container
from tools.containers.layers import LayerStore, Root
from tools.containers.local_options import ALONE
from tools.proof import bazel

_PORT = flags.DEFINE_integer("port", None, "Port on the loopback address; without it the service's own, 0 for a free one.", 0, 65535)
_PROFILE = flags.DEFINE_enum("profile", "local", ["local", "gcp"], "SPRING_PROFILES_ACTIVE of the service.")

# What the operator of a service may set; ENCRYPTION_OPTS is part of the image.
_PASSED = ("FCP_OPTS", "LOCAL_OPTS", "SECURITY_OPTS")
_POLL_SECONDS = 0.1
# In the folder of a run, and in the store itself.
_LOCK = "lock"
# In the folder of a run with docker: the name of its container.
_CONTAINER = "container"
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


@contextlib.contextmanager
def _run_folder(store: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder in STORE for one run: locked as long as the run goes on, so that the next one knows what it may remove.

    Until the block is entered, and in `_exclusively`, no other run starts.
    """
    with contextlib.ExitStack() as stack:
        with _exclusively(store):
            for old in sorted(store.glob(".run-*")):
                with contextlib.suppress(BlockingIOError), (old / _LOCK).open("a") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if (old / _CONTAINER).exists():
                        _docker("rm", "--force", "--volumes", (old / _CONTAINER).read_text("ascii"))
                    shutil.rmtree(old)
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".run-", dir=store)))
            fcntl.flock(stack.enter_context((folder / _LOCK).open("a")), fcntl.LOCK_EX)
        yield folder


@contextlib.contextmanager
def _exclusively(store: pathlib.Path) -> Iterator[None]:
    store.mkdir(parents=True, exist_ok=True)
    with (store / _LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_root(image: Image, service: str, store: pathlib.Path, folder: pathlib.Path) -> Root:
    """The root file system of IMAGE in FOLDER. STORE keeps the layers of the image that was started last, for each service."""
    with _exclusively(store):
        layers = LayerStore(store)
        root = layers.make_root(image, folder / "root")
        started = store / "started"
        started.mkdir(exist_ok=True)
        (started / service).write_text("".join(f"{layer.diff_id}\n" for layer in root.layers), "ascii")
        layers.prune([line for path in started.iterdir() for line in path.read_text("ascii").splitlines()])
        return root


@contextlib.contextmanager
def crun(image: Image, listener: socket.socket, env: Mapping[str, str], service: str, store: pathlib.Path) -> Iterator[Running]:
    """Starts IMAGE with crun, in a network of its own; LISTENER leads to its port. STORE keeps unpacked layers for the next start.

    Raises:
        errors.Error: this process may not make containers.
    """
    if os.geteuid():
        raise errors.Error(f"crun needs root, found uid {os.geteuid()}; start it with scripts/run_image.sh")
    port = service_port(image)
    with _run_folder(store) as folder:
        root = _make_root(image, service, store, folder)
        with Container(root, folder / "bundle", env=env, inherit_output=True) as container:

            def connect() -> socket.socket:
                return container.in_network(lambda: socket.create_connection(("127.0.0.1", port)))

            with forward.Forwarder(listener, connect) as forwarder:
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


def _load(image: Image, name: str, tag: str) -> None:
    """Gives the daemon IMAGE as NAME:TAG, if it does not have that, and takes the other images called NAME away."""
    with contextlib.suppress(errors.Error):
        _docker("image", "inspect", f"{name}:{tag}")
        return
    with subprocess.Popen(
        ["docker", "load", "--quiet"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        assert process.stdin
        # It has said on standard error why it does not read on.
        with contextlib.suppress(BrokenPipeError), process.stdin:
            archive.write(image.path, "docker", [f"{name}:{tag}"], process.stdin)
    if process.returncode:
        raise errors.Error(f"docker load has not taken {name}:{tag} (exit code {process.returncode}); see what it says above")
    for other in _docker("image", "ls", "--format={{.Tag}}", f"--filter=reference={name}").split():
        if other != tag:
            with contextlib.suppress(errors.Error):  # another run has it
                _docker("image", "rm", f"{name}:{other}")


@contextlib.contextmanager
def docker(image: Image, listener: socket.socket, env: Mapping[str, str], service: str, store: pathlib.Path) -> Iterator[Running]:
    """Starts IMAGE with the docker daemon, which takes over the port of LISTENER. STORE keeps a note of what runs.

    Raises:
        errors.Error: docker fails.
    """
    # Named by its hash: it is loaded once. Podman needs the host.
    name = f"localhost/{service}_image"
    tag = str(image.descriptor["digest"]).removeprefix("sha256:")[:16]
    container = f"{service}-{secrets.token_hex(4)}"
    with _run_folder(store) as folder:
        _load(image, name, tag)
        port = listener.getsockname()[1]
        listener.close()
        (folder / _CONTAINER).write_text(container, "ascii")
        try:
            _docker(*docker_arguments(image, container, f"{name}:{tag}", port, env), env=env)
            with subprocess.Popen(["docker", "logs", "--follow", container], start_new_session=True) as log:
                try:
                    yield _Docker(container, log)
                finally:
                    log.terminate()
        finally:
            _docker("rm", "--force", "--volumes", container)


def docker_answers() -> bool:
    """Whether there is a docker daemon on this machine; the ports of another one's containers are not here."""
    if not os.environ.get("DOCKER_HOST", "unix://").startswith("unix://") or not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0


def engine() -> str:
    """What BUILD_ENGINE says (the build environment always does); without it docker, if it is there.

    Raises:
        errors.UsageError: it says something else.
        errors.Error: it says docker or podman, and no daemon of this machine answers.
    """
    chosen = os.environ.get("BUILD_ENGINE")
    if not chosen:
        return "docker" if docker_answers() else "rootfs"
    if chosen not in ("docker", "podman", "rootfs"):
        raise errors.UsageError(f"BUILD_ENGINE must be docker, podman or rootfs, found {chosen!r}")
    if chosen != "rootfs" and not docker_answers():
        raise errors.Error(
            f"expected an answer of {chosen} on this machine, found none at {os.environ.get('DOCKER_HOST') or 'the default socket'}; "
            "start it, or set BUILD_ENGINE=rootfs"
        )
    return chosen


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
        engine: `docker`, `podman` or `rootfs`; see the head of this file.
        port: on the loopback address; 0 for a free one, None for the service's own.
        env: variables over those of the image.
        store: folder that is kept from one start to the next.

    Raises:
        errors.Error: it cannot be started, or ended by itself.
    """
    try:
        image = Image(layout)
        with forward.bind(service_port(image) if port is None else port) as listener:
            number = listener.getsockname()[1]
            by = crun if engine == "rootfs" else docker
            follow(service, number, by(image, listener, env, service, store))
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
    chosen = engine()
    env = {"LOCAL_OPTS": ALONE} | {name: os.environ[name] for name in _PASSED if name in os.environ}
    env["SPRING_PROFILES_ACTIVE"] = _PROFILE.value
    # What docker_run.sh keeps from one run to the next.
    store = pathlib.Path.home() / ".cache" / "bazel" / "image_layers"
    catch_signals()
    try:
        layout = _build(service)
        print(f"{service}: starting with {'crun' if chosen == 'rootfs' else chosen}, profile {_PROFILE.value}", flush=True)
        start(service, layout, chosen, _PORT.value, env, store)
    except KeyboardInterrupt:
        raise errors.Error(f"interrupted before {service} was started") from None


if __name__ == "__main__":
    errors.run(main)
