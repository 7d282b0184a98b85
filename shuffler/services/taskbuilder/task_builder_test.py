"""Tests of the process: start, stop, and what it says when it cannot start."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from runfiles import Runfiles

_START_SECONDS = 120


def _program() -> str:
    runfiles = Runfiles.Create()
    assert runfiles is not None
    path = runfiles.Rlocation("com_google_ondevicepersonalization_federatedcompute/shuffler/services/taskbuilder/task_builder")
    assert path is not None
    return path


@contextmanager
def _service(log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Starts the service on a free port, waits until it listens, and yields it with its port."""
    with log.open("wb") as stderr, subprocess.Popen([_program(), "--port=0"], stderr=stderr, stdout=stderr) as process:
        try:
            for _ in range(_START_SECONDS * 10):
                listening = re.search(r"listening on port (\d+)", log.read_text(encoding="utf-8"))
                if listening:
                    break
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(timeout=0.1)
            assert listening, log.read_text(encoding="utf-8")
            yield process, int(listening[1])
        finally:
            process.kill()


def _get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        return str(response.read().decode())


def test_it_serves_after_tensorflow_ran_and_stops_with_0_on_sigterm(tmp_path: Path) -> None:
    with _service(tmp_path / "log") as (process, port):
        assert _get(port, "/healthz") == "Greetings from Task Builder Flask! Health check. \n"
        assert "TensorFlow 2.14.1\n" in _get(port, "/ready")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    assert "Traceback" not in (tmp_path / "log").read_text(encoding="utf-8")


def test_a_port_in_use_stops_the_start_with_one_line() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        done = subprocess.run(
            [_program(), f"--port={taken.getsockname()[1]}"], capture_output=True, text=True, timeout=_START_SECONDS, check=False
        )
    assert done.returncode == 1
    assert re.search(r"cannot start: .*Address already in use", done.stderr)
    assert "Traceback" not in done.stderr
