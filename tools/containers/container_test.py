"""Containers of a small image: an empty root, and this machine's libraries and this test's interpreter mounted into it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from ocilib.tarwriter import TarWriter

from tools.containers.bundle import Mount
from tools.containers.container import Container, ContainerError
from tools.containers.example_image import write_image, write_tar
from tools.containers.layers import LayerStore, Root

SERVER = """
import http.server, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/ready" else 503)
        self.end_headers()
        self.wfile.write(self.path.encode())
def stop(*_):
    print("stopped")
    sys.exit(7)
signal.signal(signal.SIGTERM, stop)
http.server.HTTPServer(("0.0.0.0", 8082), Handler).serve_forever()
"""


def _tree(tar: TarWriter) -> None:
    tar.directory("dev")
    tar.directory("etc")
    tar.file("etc/passwd", b"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")
    tar.symlink("lib", "usr/lib")
    tar.symlink("lib64", "usr/lib64")
    for name in ("proc", "python", "tmp", "usr"):
        tar.directory(name)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    layer = write_tar(tmp_path / "layer.tar", _tree)
    image = write_image(tmp_path / "image", [layer], {"User": "65532", "Env": ["PATH=/python/bin"]})
    return LayerStore(tmp_path / "layers").make_root(image, tmp_path / "root")


def _python(root: Root, folder: Path, code: str, env: Mapping[str, str] | None = None) -> Container:
    interpreter: Sequence[str] = [f"python{sys.version_info.major}.{sys.version_info.minor}", "-I", "-S", "-B", "-c", code]
    mounts = [Mount(Path("/usr"), "/usr"), Mount(Path(os.path.realpath(sys.base_prefix)), "/python")]
    return Container(root, folder, args=interpreter, env=env, mounts=mounts)


def test_it_is_asked_within_its_own_network_and_stops_on_sigterm(root: Root, tmp_path: Path) -> None:
    # The same port twice.
    with _python(root, tmp_path / "a", SERVER) as a, _python(root, tmp_path / "b", SERVER) as b:
        assert a.wait_for(8082, "/ready").body == "/ready"
        assert b.wait_for(8082, "/healthz", status=503).body == "/healthz"
        assert a.stop() == 7
        assert a.stdout == "stopped\n"


def test_it_has_no_rights_and_can_write_to_tmp_only(root: Root, tmp_path: Path) -> None:
    code = """
import os, socket
print(os.getpid(), os.getuid(), os.getgid(), os.getgroups(), os.environ["HOME"], socket.gethostname(), os.environ["NAME"])
print(*[line.split()[1] for line in open("/proc/self/status") if line.startswith(("Cap", "NoNewPrivs"))])
for folder in ["/", "/etc", "/dev/shm", "/usr", "/proc/sys/vm", "/tmp"]:
    try:
        open(folder + "/file", "w").write("x")
        print(folder)
    except OSError:
        pass
"""
    with _python(root, tmp_path / "bundle", code, env={"NAME": "value"}) as container:
        assert container.wait() == 0, container.stderr
        zero = "0000000000000000"
        assert container.stdout.splitlines() == [
            "1 65532 65532 [] /home/nonroot container value",
            f"{zero} {zero} {zero} {zero} {zero} 1",
            "/tmp",
        ]


def test_it_reads_what_is_written_to_it(root: Root, tmp_path: Path) -> None:
    with _python(root, tmp_path / "bundle", "print(input())") as container:
        container.write("text\n")
        assert container.wait() == 0
        assert container.stdout == "text\n"
        with pytest.raises(ContainerError, match="can be written once"):
            container.write("more")


def test_one_that_ended_is_told_with_its_exit_code_and_output(root: Root, tmp_path: Path) -> None:
    started = _python(root, tmp_path / "bundle", "import sys; sys.exit('no such table')")
    with started as container, pytest.raises(ContainerError, match=r"(?s)exit code 1.*no such table"):
        container.wait_for(8082, "/ready", seconds=30)


def test_one_that_hangs_is_killed(root: Root, tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    with _python(root, tmp_path / "bundle", code) as container:
        while container.stdout != "up\n":
            time.sleep(0.01)
        pid = container.pid()
        with pytest.raises(ContainerError, match="to end within 0 s"):
            container.stop(seconds=0.2)
    assert not Path(f"/proc/{pid}").exists()


def test_it_dies_with_who_started_it(root: Root, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    starter = os.fork()
    if not starter:
        with _python(root, tmp_path / "bundle", "import time; time.sleep(600)") as container:
            os.write(writer, b"%d\n" % container.pid())
            signal.pause()
    os.close(writer)
    with os.fdopen(reader) as answer:
        pid = int(answer.readline())
    assert Path(f"/proc/{pid}").exists()
    os.kill(starter, signal.SIGKILL)
    os.waitpid(starter, 0)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_program_that_does_not_exist_is_told_in_the_runtimes_words(root: Root, tmp_path: Path) -> None:
    started = Container(root, tmp_path / "bundle", args=["/no/such/program"])
    with started as container, pytest.raises(ContainerError, match=r"(?s)ended with exit code 1.*/no/such/program"):
        container.wait_for(8082, "/ready", seconds=30)
