"""The backend of one machine, PostgreSQL and the services' images in one network of their own, as scripts/local_backend.sh starts it.

    local_backend stage FOLDER      puts what it consists of into FOLDER, this program, too: no build changes a backend that runs
    local_backend [--port N] serve  runs it out of the current folder, until SIGTERM or SIGINT

In the folder, `status` says how it goes: the first line is `starting`, `ready`, `stopping` or `failed: <why>`, then comes a line for each
process. `data` holds what is kept: the tables, the blobs and the password. `logs` has a file for each process. Whatever ends by itself is
started again, unless it says that its options are wrong. FCP_OPTS and SECURITY_OPTS reach the Java services.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import http.client
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from absl import flags
from image_hash import errors
from ocilib import errors as ocilib_errors
from ocilib.layout import Image

from tools.containers import forward
from tools.containers.bundle import Mount
from tools.containers.container import Container
from tools.containers.layers import LayerStore, Root
from tools.containers.local_options import DATABASE_PORT, local_options
from tools.proof import bazel

_PORT = flags.DEFINE_integer(
    "port", 8082, "Port of the first service on the loopback address, the others follow; 0 takes free ones.", 0, 65000
)

# In the order of their ports. Task assignment is where its image listens.
SERVICES = ("task_management", "task_assignment", "collector", "task_scheduler", "aggregator", "model_updater", "task_builder")
DATABASE = "postgresql"
_DATABASE_USER = "federatedcompute"
# All run as the user of the images that are not for a TEE, since they share a folder.
_USER = 65532
# nobody: PostgreSQL wants a user with a name, and none of the services may read its files.
_NOBODY = 65534
_PASSED = ("FCP_OPTS", "SECURITY_OPTS")
# An option that is wrong does not become right by another start.
_USAGE = 64
_POLL_SECONDS = 0.5
_LONGEST_PAUSE = 30.0
# After so long a time an end is no longer that of a start.
_SETTLED_SECONDS = 60.0
# More than the 25 s that a service has for the requests under way.
_STOP_SECONDS = 40.0
# linux/sched.h
_CLONE_NEWNS = 0x00020000
_CLONE_NEWNET = 0x40000000
# Where the folder of the backend is seen: nobody but root may enter the cache that it lies in.
_MOUNTED = Path("/mnt")


def stage(layouts: Mapping[str, str], database: Path, folder: Path) -> None:
    """Puts images and PostgreSQL into FOLDER.

    Args:
        layouts: OCI layout of each service's image.
        database: folder of PostgreSQL, with bin, lib and share.
        folder: of the backend; what was staged there before is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # PostgreSQL's user passes through; what nobody else may read has its own mode.
    folder.chmod(0o711)
    new = folder / "new"
    shutil.rmtree(new, ignore_errors=True)
    blobs = new / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for service, layout in layouts.items():
        target = new / "images" / service
        target.mkdir(parents=True)
        for name in ("oci-layout", "index.json"):
            shutil.copyfile(Path(layout) / name, target / name)
        # Layers that images share are there once.
        (target / "blobs").symlink_to("../../blobs")
        for blob in sorted((Path(layout) / "blobs" / "sha256").iterdir()):
            if not (blobs / blob.name).exists():
                shutil.copyfile(blob, blobs / blob.name)
    shutil.copytree(database, new / DATABASE)
    for name in ("blobs", "images", DATABASE):
        shutil.rmtree(folder / name, ignore_errors=True)
        (new / name).rename(folder / name)
    new.rmdir()


def _stage_program(folder: Path) -> None:
    # The launcher finds its modules in the folder with its name and .runfiles.
    runfiles = Path(__file__).absolute().parents[3]
    new = folder / "program.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    shutil.copy(runfiles.with_suffix(""), new / "local_backend")
    shutil.copytree(runfiles, new / runfiles.name)
    shutil.rmtree(folder / "program", ignore_errors=True)
    new.rename(folder / "program")


class _Process(Protocol):
    """Something that was started."""

    def ended(self) -> int | None:
        """The exit code, or None while it runs."""

    def terminate(self) -> None:
        """Asks it to end by itself."""

    def ready(self) -> str:
        """What it lacks; empty if nothing."""

    def close(self) -> None:
        """Ends it, if it has not ended."""


class _Service:
    """A service in its image."""

    def __init__(self, container: Container, port: int) -> None:
        self._container = container.__enter__()
        self._port = port

    def ended(self) -> int | None:
        return self._container.ended()

    def terminate(self) -> None:
        with contextlib.suppress(ocilib_errors.Error, ProcessLookupError):
            os.kill(self._container.pid(), signal.SIGTERM)

    def ready(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)
        try:
            connection.request("GET", "/ready")
            answer = connection.getresponse()
            lines = answer.read().decode("utf-8", "replace").splitlines()
            return "" if answer.status == 200 else next((line for line in lines if line.startswith("Not ready")), f"status {answer.status}")
        except (OSError, http.client.HTTPException):
            return "no answer yet"
        finally:
            connection.close()

    def close(self) -> None:
        self._container.__exit__(None, None, None)


class _Postgres:
    """A PostgreSQL server, as a user of its own in a folder of its own, that only this network reaches. Durable, as its defaults are."""

    def __init__(self, programs: Path, data: Path, log: Path) -> None:
        options = {"listen_addresses": "127.0.0.1", "port": DATABASE_PORT, "unix_socket_directories": "", "max_connections": 500}
        arguments = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*as_nobody(), str(programs / "bin" / "postgres"), "-D", str(data), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={},
                start_new_session=True,
            )

    def ended(self) -> int | None:
        return self._process.poll()

    def terminate(self) -> None:
        # The fast shutdown: who is connected is disconnected.
        self._process.send_signal(signal.SIGINT)

    def ready(self) -> str:
        try:
            with socket.create_connection(("127.0.0.1", DATABASE_PORT), timeout=5):
                return ""
        except OSError:
            return "no answer yet"

    def close(self) -> None:
        if self._process.poll() is None:
            # The immediate shutdown, by which its children end, too.
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()


def as_nobody() -> list[str]:
    """What stands before a command that runs as the user of PostgreSQL, without any rights."""
    return [
        *("setpriv", "--pdeathsig=QUIT", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"),
        *("--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"),
    ]


def make_database(programs: Path, data: Path, log: Path) -> str:
    """Makes the databases in DATA/postgresql, unless they are there; returns the password of the user federatedcompute.

    Raises:
        errors.Error: PostgreSQL does not make them.
    """
    password = data / "password"
    if (data / DATABASE).exists():
        return password.read_text("ascii").strip()
    new = data / f"{DATABASE}.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    os.chown(new, _NOBODY, _NOBODY)
    descriptor = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchown(descriptor, _NOBODY, _NOBODY)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
    initdb = ["initdb", "-D", str(new), f"--username={_DATABASE_USER}", "--auth=scram-sha-256", f"--pwfile={password}"]
    _run(programs, [*initdb, "--locale=C", "--encoding=UTF8"], b"", log)
    _run(programs, ["postgres", "--single", "-D", str(new), "postgres"], b"CREATE DATABASE tasks;\nCREATE DATABASE metrics;\n", log)
    new.rename(data / DATABASE)
    return password.read_text("ascii").strip()


def _run(programs: Path, command: list[str], stdin: bytes, log: Path) -> None:
    with log.open("ab") as output:
        done = subprocess.run(
            [*as_nobody(), str(programs / "bin" / command[0]), *command[1:]],
            input=stdin,
            stdout=output,
            stderr=output,
            env={"LC_ALL": "C"},
            check=False,
        )
    if done.returncode:
        raise errors.Error(f"{command[0]} failed with exit code {done.returncode}; see {log}")


@dataclasses.dataclass
class _Member:
    """One of the processes of the backend, as it goes on from start to start."""

    name: str
    url: str
    process: _Process | None = None
    started: float = 0.0
    starts: int = 0
    # Since it last ran for a while.
    failures: int = 0
    last_end: int | None = None
    lacks: str = "not started"

    def line(self) -> str:
        state = "ready" if not self.lacks else self.lacks
        history = f" (started {self.starts} times; exit code of the last end: {self.last_end})" if self.starts > 1 else ""
        return f"{self.name:16}{self.url:28}{state}{history}"


class Backend:
    """The processes, and what they need."""

    def __init__(self, folder: Path, ports: Mapping[str, int], env: Mapping[str, str]) -> None:
        """Prepares a backend out of what was staged in FOLDER, which is absolute.

        Args:
            folder: of the backend.
            ports: of each service, in this network, and on the loopback address of the machine.
            env: variables for the services.
        """
        self._folder = folder
        self._ports = ports
        self._env = env
        self._data = folder / "data"
        self._logs = folder / "logs"
        self._run = folder / "run"
        self._password = ""
        self._roots: dict[str, Root] = {}
        self._members = {DATABASE: _Member(DATABASE, "")}
        for service in SERVICES:
            self._members[service] = _Member(service, f"http://127.0.0.1:{ports[service]}")

    def prepare(self) -> None:
        """Unpacks the images and makes the databases."""
        shutil.rmtree(self._run, ignore_errors=True)
        for path, mode in ((self._data, 0o711), (self._data / "blobs", 0o700), (self._logs, 0o700), (self._run, 0o700)):
            path.mkdir(exist_ok=True)
            path.chmod(mode)
        os.chown(self._data / "blobs", _USER, _USER)
        for name in self._members:
            with contextlib.suppress(FileNotFoundError):
                self._log(name).rename(self._log(name).with_suffix(".old.log"))
        self._password = make_database(self._folder / DATABASE, self._data, self._log(DATABASE))
        # What is left if all was killed. Its process number is another's by now, which PostgreSQL would take for a server that runs.
        (self._data / DATABASE / "postmaster.pid").unlink(missing_ok=True)
        store = LayerStore(self._folder / "layers")
        for service in SERVICES:
            self._roots[service] = store.make_root(Image(str(self._folder / "images" / service)), self._run / "roots" / service)
        store.prune([layer.diff_id for root in self._roots.values() for layer in root.layers])

    def step(self) -> None:
        """Starts what does not run, and asks what runs whether it is ready."""
        for member in self._members.values():
            process = member.process
            if process and (code := process.ended()) is not None:
                process.close()
                settled = time.monotonic() - member.started > _SETTLED_SECONDS
                member.failures = 1 if settled else member.failures + 1
                member.last_end = code
                member.process = process = None
                member.lacks = f"has ended with exit code {code}; see {self._log(member.name).relative_to(self._folder)}"
            if process:
                member.lacks = process.ready()
            elif self._may_start(member):
                self._start(member)

    def ready(self) -> bool:
        """Whether all was ready when it was last asked."""
        return all(not member.lacks for member in self._members.values())

    def status(self) -> str:
        """A line for each process."""
        return "".join(member.line() + "\n" for member in self._members.values())

    def stop(self) -> None:
        """Ends the services, then the database."""
        services = [self._members[name] for name in SERVICES]
        for members in (services, [self._members[DATABASE]]):
            running = [member.process for member in members if member.process]
            for process in running:
                process.terminate()
            deadline = time.monotonic() + _STOP_SECONDS
            while any(process.ended() is None for process in running) and time.monotonic() < deadline:
                time.sleep(0.05)
            for process in running:
                process.close()
        shutil.rmtree(self._run, ignore_errors=True)

    def _may_start(self, member: _Member) -> bool:
        if member.name != DATABASE and self._members[DATABASE].lacks:
            return False
        if member.last_end == _USAGE:
            return False
        pause = min(_LONGEST_PAUSE, 2.0 ** (member.failures - 1)) if member.failures > 1 else 0.0
        return time.monotonic() - member.started >= pause

    def _start(self, member: _Member) -> None:
        member.started = time.monotonic()
        member.starts += 1
        member.lacks = "starting"
        log = self._log(member.name)
        if member.name == DATABASE:
            member.process = _Postgres(self._folder / DATABASE, self._data / DATABASE, log)
            return
        container = Container(
            self._roots[member.name],
            self._run / f"{member.name}-{member.starts}",
            env=self._variables(member.name),
            mounts=[Mount(self._data / "blobs", "/blobs", writable=True)],
            user=str(_USER),
            own_network=False,
            log=log,
        )
        member.process = _Service(container, self._ports[member.name])

    def _variables(self, service: str) -> dict[str, str]:
        port = str(self._ports[service])
        if service == "task_builder":
            return {"PORT": port, "TASK_MANAGEMENT_SERVER_URL": f"http://127.0.0.1:{self._ports['task_management']}"}
        return {
            **self._env,
            "LOCAL_OPTS": local_options(
                user=_DATABASE_USER,
                password=self._password,
                blob_folder="/blobs",
                public_url=f"http://127.0.0.1:{self._ports['task_assignment']}",
            ),
            "SPRING_PROFILES_ACTIVE": "local",
            "PORT": port,
            # They share the machine's memory.
            "JDK_JAVA_OPTIONS": "-XX:MaxRAMPercentage=12",
        }

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


@contextlib.contextmanager
def _listeners(first: int) -> Iterator[dict[str, socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield {service: stack.enter_context(forward.bind(first and first + position)) for position, service in enumerate(SERVICES)}


def _leave_machine(folder: Path) -> None:
    """Leaves this network for a new one that has only the loopback device, and mounts FOLDER. Sockets stay where they were made.

    Raises:
        errors.Error: this process may not.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET | _CLONE_NEWNS):
        reason = os.strerror(ctypes.get_errno())
        raise errors.Error(f"a network of its own cannot be made: {reason}; it needs root, start it with scripts/local_backend.sh")
    for command in (
        ["ip", "link", "set", "lo", "up"],
        ["mount", "--make-rprivate", "/"],
        ["mount", "--bind", str(folder), str(_MOUNTED)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise errors.Error(f"{' '.join(command)} failed: {' '.join(done.stderr.split())}")


class _Status:
    """The file that says how it goes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = ""

    def write(self, state: str, lines: str = "") -> None:
        text = f"{state}\n{lines}"
        if text != self._last:
            new = self._path.with_suffix(".new")
            new.write_text(text, encoding="utf-8")
            new.rename(self._path)
            self._last = text


def serve(folder: Path, first_port: int, env: Mapping[str, str], stop: threading.Event) -> None:
    """Runs the backend of FOLDER until STOP is set.

    Raises:
        errors.Error: it cannot be started.
    """
    status = _Status(folder / "status")
    status.write("starting")
    try:
        with _listeners(first_port) as listeners, contextlib.ExitStack() as stack:
            ports = {service: int(listener.getsockname()[1]) for service, listener in listeners.items()}
            _leave_machine(folder)
            backend = Backend(_MOUNTED, ports, env)
            backend.prepare()
            for service, listener in listeners.items():
                stack.enter_context(_forwarding(listener, ports[service]))
            was_ready = False
            try:
                while not stop.is_set():
                    backend.step()
                    was_ready = was_ready or backend.ready()
                    state = "ready" if backend.ready() else "not ready" if was_ready else "starting"
                    status.write(state, backend.status())
                    stop.wait(_POLL_SECONDS)
            finally:
                status.write("stopping")
                backend.stop()
        status.write("stopped")
    except (errors.Error, ocilib_errors.Error, OSError) as error:
        status.write(f"failed: {error}")
        raise errors.Error(str(error)) from error


@contextlib.contextmanager
def _forwarding(listener: socket.socket, port: int) -> Iterator[None]:
    with forward.Forwarder(listener, lambda: socket.create_connection(("127.0.0.1", port))) as forwarder:
        threading.Thread(target=forwarder.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            forwarder.shutdown()


def _build() -> tuple[dict[str, str], Path]:
    """Builds what is staged: layouts of the images, and the folder of PostgreSQL."""
    folder = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
    if not folder:
        raise errors.Error("expected the checkout in BUILD_WORKSPACE_DIRECTORY, found none; start it with scripts/local_backend.sh")
    database = "//toolchains/postgresql:postgresql"
    labels = {service: bazel.images()[service] for service in SERVICES} | {DATABASE: database}
    options = ["--show_result=0", "--ui_event_filters=-info,-stdout"] + ([] if sys.stderr.isatty() else ["--noshow_progress"])
    code = subprocess.run(["bazel", "build", *options, "--", *labels.values()], cwd=folder, check=False).returncode
    if code:
        raise errors.Error(f"bazel build failed with exit code {code}; see above")
    outputs = Path(bazel.Workspace(Path(folder)).run("info", "bazel-bin").strip())
    paths = {name: outputs / label.removeprefix("//").replace(":", "/") for name, label in labels.items()}
    return {service: str(paths[service]) for service in SERVICES}, paths[DATABASE]


def main(argv: list[str]) -> None:
    """Runs the command."""
    if argv[:1] == ["stage"] and len(argv) == 2:
        folder = Path(argv[1])
        layouts, database = _build()
        stage(layouts, database, folder)
        _stage_program(folder)
    elif argv == ["serve"]:
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: stop.set())
        serve(Path.cwd(), _PORT.value, {name: os.environ[name] for name in _PASSED if name in os.environ}, stop)
    else:
        raise errors.UsageError(f"expected stage FOLDER or serve, found {' '.join(argv) or 'nothing'}")


if __name__ == "__main__":
    errors.run(main)
