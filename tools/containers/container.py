"""Starts the content of an image with crun, and talks to it from within its network.

Every container has a network of its own, so that ports never collide; what connects to it does so on a thread that has entered that
network. A container is in a process namespace whose first process dies with whoever started it: nothing of it survives, whatever happens.
Needs root (that of a user namespace will do) and the commands crun, setpriv and unshare.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from ocilib.errors import Error

from tools.containers.bundle import Mount, runtime_config
from tools.containers.layers import Root

# linux/sched.h
_CLONE_NEWNET = 0x40000000
# crun refuses to start where both versions of control groups are mounted, even if told to use none; so it gets to see neither.
_RUN = 'mount -t tmpfs tmpfs /sys/fs/cgroup; exec crun "$1" --cgroup-manager=disabled run "$2" container'
_POLL_SECONDS = 0.05
# For what the runtime itself does, on a slow machine.
_RUNTIME_SECONDS = 60.0

T = TypeVar("T")


class ContainerError(Error):
    """A container that did not do what it was started for."""


@dataclass(frozen=True)
class Response:
    """An answer over HTTP."""

    status: int
    body: str


class Container:
    """The process of an image. Leaving the `with` block ends it at once; `stop` asks it to end by itself.

    Its standard streams are a pipe (input) and files (output, below the folder of its bundle), or one log, or this process's own output.
    """

    def __init__(
        self,
        root: Root,
        folder: Path,
        *,
        args: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        mounts: Sequence[Mount] = (),
        user: str | None = None,
        own_network: bool = True,
        inherit_output: bool = False,
        log: Path | None = None,
    ) -> None:
        """Prepares a bundle in FOLDER, which must not exist; see bundle.runtime_config for the other arguments.

        With INHERIT_OUTPUT it writes to where this process does, with LOG at the end of that file; then the properties stdout and stderr
        stay empty.
        """
        self.root = root
        self._folder = folder
        self._config = runtime_config(root, args=args, env=env, mounts=mounts, user=user, own_network=own_network)
        self._stdout = folder / "stdout"
        self._stderr = folder / "stderr"
        self._inherit_output = inherit_output
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Container:
        self._folder.mkdir(parents=True)
        (self._folder / "config.json").write_text(json.dumps(self._config), encoding="utf-8")
        command = ["setpriv", "--pdeathsig=KILL", "unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"]
        command += ["sh", "-ec", _RUN, "sh", f"--root={self._folder}/state", f"--bundle={self._folder}"]
        with contextlib.ExitStack() as files:
            stdout = files.enter_context((self._log or self._stdout).open("ab"))
            stderr = stdout if self._log else files.enter_context(self._stderr.open("ab"))
            output = (None, None) if self._inherit_output else (stdout, stderr)
            # A session of its own: the Ctrl-C of a terminal is for this process, which then ends the container.
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output[0], stderr=output[1], start_new_session=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        process = self._running()
        if process.stdin:
            process.stdin.close()
        if process.poll() is None:
            # When the first process of a namespace has ended, all others in it have, too; without one yet, it ends with its parent.
            for child in _children(process.pid) or [process.pid]:
                _kill(child)
            process.wait()

    @property
    def stdout(self) -> str:
        """What the container has written so far."""
        return _read(self._stdout)

    @property
    def stderr(self) -> str:
        """What the container has written so far, or what crun has to say about it."""
        return _read(self._stderr)

    def pid(self) -> int:
        """The first process of the container, as this process sees it.

        Raises:
            ContainerError: it has ended.
        """
        process = self._running()
        deadline = time.monotonic() + _RUNTIME_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            for runtime in _children(process.pid):
                for child in _children(runtime):
                    # crun has other children while it prepares the container; the first process of a process namespace has the number 1.
                    if _namespaced_pids(child)[2:] == ["1"]:
                        return child
            time.sleep(_POLL_SECONDS)
        raise ContainerError(f"expected a running container, found that {self._state()}")

    def write(self, text: str) -> None:
        """Writes TEXT to the standard input, and closes that."""
        stdin = self._running().stdin
        if stdin is None or stdin.closed:
            raise ContainerError("the standard input is closed: it can be written once")
        with stdin:
            stdin.write(text.encode())

    def in_network(self, function: Callable[[], T]) -> T:
        """Calls FUNCTION within the network of the container. Sockets that it makes stay there, and may be used anywhere."""
        # A thread of its own: the namespace is the thread's, and ends with it.
        with open(f"/proc/{self.pid()}/ns/net", "rb") as namespace, ThreadPoolExecutor(1) as thread:

            def enter() -> T:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(namespace.fileno(), _CLONE_NEWNET):
                    number = ctypes.get_errno()
                    raise OSError(number, f"setns: {os.strerror(number)}")
                return function()

            return thread.submit(enter).result()

    def get(self, port: int, path: str, timeout: float = 10) -> Response:
        """Asks with HTTP's GET on the loopback address.

        Raises:
            OSError, http.client.HTTPException: no answer, or none of HTTP.
        """
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        connection.sock = self.in_network(lambda: socket.create_connection(("127.0.0.1", port), timeout))
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return Response(answer.status, answer.read().decode("utf-8", "replace"))
        finally:
            connection.close()

    def wait_for(self, port: int, path: str, status: int = 200, seconds: float = 120) -> Response:
        """Asks until the answer has STATUS.

        Raises:
            ContainerError: it had not after SECONDS, or the container ended.
        """
        deadline = time.monotonic() + seconds
        last = "no answer"
        while time.monotonic() < deadline:
            try:
                response = self.get(port, path)
                if response.status == status:
                    return response
                last = f"status {response.status}: {response.body.strip()!r}"
            except (OSError, http.client.HTTPException) as error:
                last = f"{type(error).__name__}: {error}"
            time.sleep(_POLL_SECONDS)
        raise ContainerError(f"expected status {status} from port {port}{path} within {seconds:.0f} s, found {last}; {self._state()}")

    def ended(self) -> int | None:
        """The exit code, or None while it runs; see wait."""
        return self._running().poll()

    def wait(self, seconds: float = 120) -> int:
        """The exit code of the container, which ends by itself; 128 + N if it was a signal N.

        Raises:
            ContainerError: it runs after SECONDS.
        """
        try:
            return self._running().wait(seconds)
        except subprocess.TimeoutExpired:
            raise ContainerError(f"expected the container to end within {seconds:.0f} s, found that {self._state()}") from None

    def stop(self, seconds: float = 60) -> int:
        """Sends SIGTERM to the first process of the container; the exit code. See wait."""
        os.kill(self.pid(), signal.SIGTERM)
        return self.wait(seconds)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ContainerError("the container was not started: use it in a with statement")
        return self._process

    def _state(self) -> str:
        code = self._running().poll()
        output = f"\n--- stdout\n{self.stdout[-4000:]}\n--- stderr\n{self.stderr[-4000:]}"
        return ("it runs; its output:" if code is None else f"it ended with exit code {code}; its output:") + output


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _namespaced_pids(pid: int) -> list[str]:
    """The numbers of a process, from the namespace of this process inwards."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
