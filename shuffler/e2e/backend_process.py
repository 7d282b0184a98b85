"""A local backend from the real images, for tests that kill its processes and look into its tables."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from shuffler.e2e.runfile import runfile
from tools.containers import local_backend

# A cold start of seven services on a slow machine.
_SECONDS = 300.0
_POLL_SECONDS = 0.1
# What stands last in an argument of a process that is no Java service.
_PROGRAMS = {local_backend.DATABASE: "bin/postgres", "task_builder": "/task_builder/task_builder"}


def _descendants(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text("ascii").split():
                found += [int(child), *_descendants(int(child))]
    return found


def ready(status: list[str]) -> bool:
    """Whether all is ready."""
    return status[:1] == ["ready"]


def _starts(status: list[str], name: str) -> int:
    line = next((line for line in status if line.startswith(name + " ")), "")
    again = re.search(r"\(started (\d+) times;", line)
    return int(again[1]) if again else 1


def stage(folder: Path) -> Path:
    """Puts into FOLDER what scripts/local_backend.sh puts there; returns it."""
    layouts = {service: str(runfile(f"{service.upper()}_IMAGE")) for service in local_backend.SERVICES}
    local_backend.stage(layouts, runfile("POSTGRES"), folder)
    return folder


def sql(folder: Path, statement: str) -> list[str]:
    """Runs a statement of one line in the database of tasks of a backend that does not run; returns the values that it gives."""
    postgres = ["/mnt/postgresql/bin/postgres", "--single", "-D", "/mnt/data/postgresql", "tasks"]
    # As the backend sees its folder.
    mount = ["unshare", "--mount", "--", "sh", "-ec", 'mount --bind "$1" /mnt; shift; exec "$@"', "sh", str(folder)]
    done = subprocess.run(
        [*mount, *local_backend.as_nobody(), *postgres], input=statement + "\n", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "ERROR" not in done.stderr, done.stderr
    return re.findall(r'^\t.* = "(.*)"\t\(typeid', done.stdout, re.MULTILINE)


class BackendProcess:
    """A backend that runs, as scripts/local_backend.sh starts it."""

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None, port: int = 0) -> None:
        self.folder = folder
        (folder / "status").unlink(missing_ok=True)
        # As scripts/local_backend.sh does it.
        namespace = ["unshare", "--user", "--map-users=0,0,65536", "--map-groups=0,0,65536"]
        self._process = subprocess.Popen(
            [*namespace, str(runfile("LOCAL_BACKEND")), f"--port={port}", "serve"],
            cwd=folder,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )

    def __enter__(self) -> BackendProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()

    def status(self) -> list[str]:
        """The lines of its status; none before it has one."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "status").read_text("utf-8").splitlines()
        return []

    def wait_for(self, reached: Callable[[list[str]], bool]) -> list[str]:
        """Waits for a status."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            status = self.status()
            if reached(status):
                return status
            assert self._process.poll() is None, (status, self._logs())
            time.sleep(_POLL_SECONDS)
        raise AssertionError(f"not reached within {_SECONDS:.0f} s: {self.status()}\n{self._logs()}")

    def wait(self) -> int:
        """Waits for its end; the exit code."""
        return self._process.wait(_SECONDS)

    def url(self, service: str) -> str:
        """Where a service answers."""
        return next(line.split()[1] for line in self.status() if line.startswith(service + " "))

    def processes(self) -> list[int]:
        """The numbers of all its processes."""
        return [self._process.pid, *_descendants(self._process.pid)]

    def kill(self, name: str) -> None:
        """Kills the process of a service, or the server of the database, and waits until all is ready again."""
        before = _starts(self.status(), name)
        os.kill(self._pid(name), signal.SIGKILL)
        self.wait_for(lambda status: ready(status) and _starts(status, name) > before)

    def memory(self, name: str) -> int:
        """Bytes that a service, or the server of the database with its children, has in memory; its share of what others use, too."""
        pid, total = self._pid(name), 0
        for member in (pid, *_descendants(pid)):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int(re.findall(r"^Pss: +(\d+) kB", Path(f"/proc/{member}/smaps_rollup").read_text("ascii"), re.MULTILINE)[0])
        return total << 10

    def stop(self) -> None:
        """Ends it, and looks whether anything is left."""
        before = self.processes()
        self._process.terminate()
        assert self.wait() == 0
        assert self.status() == ["stopped"]
        # What is a zombie is only not waited for yet, by an init that is none of ours.
        left = [pid for pid in before if Path(f"/proc/{pid}/exe").exists()]
        assert left == []

    def _pid(self, name: str) -> int:
        program = _PROGRAMS.get(name, f"{name}_application.jar")
        for pid in self.processes():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                if any(argument.endswith(program) for argument in arguments):
                    return pid
        raise AssertionError(f"{name} does not run: {self.status()}")

    def _logs(self) -> str:
        logs = sorted((self.folder / "logs").glob("*.log"))
        return "\n".join(f"== {path}\n{path.read_text('utf-8', 'replace')[-3000:]}" for path in logs)
