"""What scripts/run_image.sh does with an image: a real one with crun, and the calls of a docker that only records them."""

from __future__ import annotations

import contextlib
import http.client
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from multiprocessing.context import ForkProcess
from pathlib import Path

import pytest
from image_hash import errors
from ocilib.layout import Image
from runfiles import Runfiles

from tools.containers import forward, run
from tools.containers.example_image import write_image
from tools.containers.local_options import ALONE

_DOCKER = """#!/bin/sh
echo "$@" >>"$RECORD"
case $1 in
image)
    case $2 in
    inspect) exit "${KNOWN:-1}" ;;
    ls) echo "$TAGS" ;;
    rm) exit 1 ;;
    esac
    ;;
load) cat >"$RECORD.tar" ;;
run) printf '%s\\n' "$FCP_OPTS" >>"$RECORD"; if [ -n "$REFUSED" ]; then printf 'port is\\nallocated\\n' >&2; exit 125; fi ;;
logs) echo log of the service ;;
wait) echo 64 ;;
esac
"""


_LOCAL = {"SPRING_PROFILES_ACTIVE": "local", "LOCAL_OPTS": ALONE}


def _free_port() -> int:
    with forward.bind(0) as listener:
        return int(listener.getsockname()[1])


def _get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def _collector() -> str:
    runfiles = Runfiles.Create()
    layout = runfiles and runfiles.Rlocation(os.environ["IMAGE"])
    assert layout
    return layout


def _start(output: Path, port: int, env: Mapping[str, str], store: Path) -> ForkProcess:
    """Starts the collector with crun, in a process of its own whose output is a file; its exit code is 2 for an error that is told."""

    def command() -> None:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout = os.fdopen(1, "w")
        run.catch_signals()
        try:
            run.start("collector", _collector(), "rootfs", port, env, store)
        except errors.Error as error:
            print(error, flush=True)
            os._exit(2)
        sys.stdout.flush()
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=command)
    process.start()
    return process


def _processes_below(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if str(folder).encode() in (process / "cmdline").read_bytes():
                found.append(process.name)
    return found


def test_one_that_was_killed_leaves_no_process_and_the_next_start_removes_its_files(tmp_path: Path) -> None:
    store, output, port = tmp_path / "store", tmp_path / "output", _free_port()
    killed = _start(output, port, _LOCAL, store)
    deadline = time.monotonic() + 200
    while "Starting CollectorApplication" not in (output.read_text("utf-8") if output.exists() else ""):
        assert killed.is_alive() and time.monotonic() < deadline
        time.sleep(0.1)
    killed.kill()
    killed.join()
    while _processes_below(store):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert len(list(store.glob(".run-*"))) == 1
    old_layer, unpacking = store / ("0" * 64), store / ".new-0"
    old_layer.mkdir()
    unpacking.mkdir()
    _start(tmp_path / "again", port, {"FCP_OPTS": "--no_such_option 'x'"}, store).join(120)
    assert "Collector cannot start: FCP_OPTS: " in (tmp_path / "again").read_text("utf-8")
    assert list(store.glob(".*")) == []
    layers = [path.name for path in store.iterdir() if len(path.name) == 64]
    assert layers and old_layer.name not in layers
    assert {f"sha256:{name}" for name in layers} == set((store / "started/collector").read_text("ascii").splitlines())


def test_what_runs_is_not_removed_by_another_start(tmp_path: Path, record: Path) -> None:
    with run._run_folder(tmp_path) as first:
        (first / "container").write_text("one")
        with run._run_folder(tmp_path) as second:
            assert first.exists() and second.exists()
    assert not record.exists()
    # As SIGKILL leaves it.
    (tmp_path / ".run-killed").mkdir()
    (tmp_path / ".run-killed/container").write_text("killed")
    with run._run_folder(tmp_path):
        assert record.read_text("utf-8") == "rm --force --volumes killed\n"
        assert not (tmp_path / ".run-killed").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_url_answers_outside_of_the_container_and_a_signal_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    output, port, store = tmp_path / "output", _free_port(), tmp_path / "store"
    process = _start(output, port, _LOCAL, store)
    try:
        deadline = time.monotonic() + 200
        while f"collector: http://127.0.0.1:{port}/ (" not in output.read_text("utf-8") if output.exists() else True:
            assert process.is_alive(), output.read_text("utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert _get(port, "/healthz") == (200, "Greetings from Collector Spring Boot! Health check. \n")
        assert '1 profile is active: "local"' in output.read_text("utf-8")
        assert _processes_below(store)
        with pytest.raises(errors.Error, match=rf"^expected a free port 127.0.0.1:{port}, found that it is taken; choose"):
            run.start("collector", _collector(), "rootfs", port, {}, store)
        assert process.pid
        # As when a terminal and an init both pass it on.
        os.kill(process.pid, number)
        os.kill(process.pid, number)
        process.join(60)
    finally:
        process.kill()
    assert process.exitcode == 0, output.read_text("utf-8")
    assert output.read_text("utf-8").endswith("collector: stopped, exit code 143\n")
    assert _processes_below(store) == []
    assert [path.name for path in store.iterdir() if path.name.startswith(".")] == []
    with forward.bind(port):  # it is free again
        pass


def test_a_service_that_ends_by_itself_is_told_with_its_exit_code(tmp_path: Path) -> None:
    output, store = tmp_path / "output", tmp_path / "store"
    process = _start(output, 0, {"FCP_OPTS": "--no_such_option 'x'"}, store)
    process.join(120)
    process.kill()
    assert process.exitcode == 2
    text = output.read_text("utf-8")
    assert "Collector cannot start: FCP_OPTS: " in text
    assert text.endswith("\ncollector has ended by itself, with exit code 64; its log above says why\n")
    assert [path.name for path in store.iterdir() if path.name.startswith(".")] == []


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What docker was called with: a line each."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(_DOCKER, encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("RECORD", str(tmp_path / "record"))
    return tmp_path / "record"


def _image(folder: Path, user: str, ports: tuple[str, ...] = ("8082/tcp",)) -> Image:
    return write_image(folder, [], {"User": user, "ExposedPorts": {port: {} for port in ports}})


def test_docker_loads_once_starts_without_rights_and_removes(
    tmp_path: Path, record: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    image = _image(tmp_path / "image", "65532")
    monkeypatch.setenv("TAGS", f"older\n{str(image.descriptor['digest'])[7:23]}")
    port = _free_port()
    with pytest.raises(errors.Error, match=r"^service has ended by itself, with exit code 64"):
        run.start("service", image.path, "docker", port, {"FCP_OPTS": "a secret"}, tmp_path)
    lines = record.read_text("utf-8").splitlines()
    tag = f"localhost/service_image:{str(image.descriptor['digest'])[7:23]}"
    name = lines[-1].split()[-1]
    assert lines == [
        f"image inspect {tag}",
        "load --quiet",
        "image ls --format={{.Tag}} --filter=reference=localhost/service_image",
        "image rm localhost/service_image:older",
        (
            f"run --detach --name={name} --pull=never --read-only --cap-drop=ALL --security-opt=no-new-privileges"
            " --tmpfs=/tmp:rw,exec,nosuid,nodev,mode=1777 --ipc=none"
            f" --publish=127.0.0.1:{port}:8082 --env=FCP_OPTS {tag}"
        ),
        "a secret",
        f"logs --follow {name}",
        f"wait {name}",
        f"rm --force --volumes {name}",
    ]
    assert capfd.readouterr().out == "log of the service\n"
    assert tag.encode() in Path(f"{record}.tar").read_bytes()


def test_docker_that_refuses_is_told_in_one_line(tmp_path: Path, record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFUSED", "yes")
    monkeypatch.setenv("KNOWN", "0")
    with pytest.raises(errors.Error, match=r"^docker run failed: port is allocated$"):
        run.start("service", _image(tmp_path / "image", "65532").path, "docker", 0, {}, tmp_path)
    lines = record.read_text("utf-8").splitlines()
    assert [line.split()[0] for line in lines if line] == ["image", "run", "rm"]


def test_images_that_run_as_root_get_a_memory_file_system(tmp_path: Path) -> None:
    arguments = run.docker_arguments(_image(tmp_path / "image", "0"), "name", "tag", 1, {})
    assert "--shm-size=1g" in arguments
    assert "--ipc=none" not in arguments


@pytest.mark.parametrize("ports", [(), ("8082/udp",), ("1/tcp", "2/tcp")])
def test_an_image_needs_one_port(tmp_path: Path, ports: tuple[str, ...]) -> None:
    with pytest.raises(errors.Error, match="expected one exposed port like 8082/tcp, found "):
        run.service_port(_image(tmp_path / "image", "0", ports))


def test_a_port_that_another_has_on_all_addresses_is_taken() -> None:
    with socket.create_server(("0.0.0.0", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(errors.Error, match=f"expected a free port 127.0.0.1:{port}, found that it is taken"):
            forward.bind(port)


@pytest.mark.parametrize("arguments", [[], ["no_such_service"], ["collector", "aggregator"]])
def test_an_unknown_service_is_told_with_the_seven_names(arguments: list[str]) -> None:
    names = "aggregator, collector, model_updater, task_assignment, task_builder, task_management, task_scheduler"
    with pytest.raises(errors.UsageError, match=f"^expected one of the services {names}; found {' '.join(arguments) or 'none'}$"):
        run.main(arguments)


def test_build_engine_says_what_starts_it(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://other.example:2375")
    for engine, expected in (("", "rootfs"), ("rootfs", "rootfs")):
        monkeypatch.setenv("BUILD_ENGINE", engine)
        assert run.engine() == expected
    monkeypatch.setenv("BUILD_ENGINE", "podman")
    with pytest.raises(errors.Error, match=r"^expected an answer of podman on this machine, found none at tcp://other.example:2375; start"):
        run.engine()
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/docker.sock")
    for engine, expected in (("", "docker"), ("podman", "podman"), ("rootfs", "rootfs")):
        monkeypatch.setenv("BUILD_ENGINE", engine)
        assert run.engine() == expected
    monkeypatch.setenv("BUILD_ENGINE", "lxc")
    with pytest.raises(errors.UsageError, match="^BUILD_ENGINE must be docker, podman or rootfs, found 'lxc'$"):
        run.engine()
    assert record.read_text("utf-8").splitlines() == ["version", "version"]


def test_a_daemon_on_another_machine_is_not_taken(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/docker.sock")
    assert run.docker_answers()
    monkeypatch.setenv("DOCKER_HOST", "tcp://other.example:2375")
    assert not run.docker_answers()
    assert record.read_text("utf-8").splitlines() == ["version"]
