"""Tests of the process: start, stop, and what it says when it cannot start."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import shuffler.proto.task_builder_pb2 as task_builder_pb2
import tensorflow as tf
from runfiles import Runfiles

_START_SECONDS = 120


def _program() -> str:
    runfiles = Runfiles.Create()
    assert runfiles is not None
    path = runfiles.Rlocation("com_google_ondevicepersonalization_federatedcompute/shuffler/services/taskbuilder/task_builder")
    assert path is not None
    return path


def _env(port: str) -> dict[str, str]:
    return {**os.environ, "PORT": port, "TASK_MANAGEMENT_SERVER_URL": "http://127.0.0.1:1"}


def _refused(port: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_program(), env=_env(port), capture_output=True, text=True, timeout=_START_SECONDS, check=False)


@contextmanager
def _service(log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Starts the service on a free port, waits until it listens, and yields it with its port."""
    with log.open("wb") as stderr, subprocess.Popen(_program(), env=_env("0"), stderr=stderr, stdout=stderr) as process:
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


def test_models_are_loaded_and_built_by_the_threads_that_serve(tmp_path: Path) -> None:
    model = tf.keras.Sequential([tf.keras.layers.InputLayer(input_shape=(2,)), tf.keras.layers.Dense(1)])
    model.compile(loss="mse")
    model.save(tmp_path / "model.keras")
    request = task_builder_pb2.BuildTaskRequest()
    request.saved_model.inline_resource.data = (tmp_path / "model.keras").read_bytes()
    request.task_config.population_name = "p"
    request.task_config.federated_learning.learning_process.runtime_config.report_goal = 2
    request.task_config.differential_privacy.clip_norm = 1
    request.flags.skip_dp_aggregator = True
    with _service(tmp_path / "log") as (_, port):
        post = urllib.request.Request(f"http://127.0.0.1:{port}/taskbuilder/v1:build-task-group", request.SerializeToString())
        with urllib.request.urlopen(post, timeout=_START_SECONDS) as response:
            answer = task_builder_pb2.BuildTaskResponse.FromString(response.read())
    # Everything is built before task management is asked, which is not there.
    assert answer.error_info.error_message.startswith("task management cannot be reached at http://127.0.0.1:1")


def test_a_port_in_use_stops_the_start_with_one_line() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        done = _refused(str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert re.search(r"cannot start: .*Address already in use", done.stderr)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("port", ["x", "-1", "65536", "1_0"])
def test_a_malformed_port_stops_the_start_with_one_line(port: str) -> None:
    done = _refused(port)
    assert done.returncode == 64
    assert f"cannot start: PORT: expected a number from 0 to 65535, found '{port}'" in done.stderr
    assert "Traceback" not in done.stderr
