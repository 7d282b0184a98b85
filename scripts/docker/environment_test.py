"""The scripts of the build environment against a small archive on loopback.

Real are bash, apt, dpkg, namespaces and mounts; mmdebstrap is a stub that gives a small tar, since a real root takes minutes.
"""

import hashlib
import http.server
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SCRIPTS = ("docker_run.sh", "engines.sh", "environment.sh", "rootfs_enter.sh")
START = Path("/usr/share/build-environment/start")
ARCHIVE_NAME = "debian"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root here")


@dataclass
class Mirror:
    """A Debian archive on loopback; `requests` are the paths asked for, also through it as a proxy."""

    root: Path
    port: int = 0
    requests: list[str] = field(default_factory=list)

    def debs(self) -> list[str]:
        return [path for path in self.requests if path.endswith(".deb") or path.startswith("CONNECT")]

    def publish(self, name: str, version: str, essential: bool = False, depends: str = "") -> Path:
        """Adds a package; replaces an older version. Returns the file."""
        pool = self.root / "pool" / name
        shutil.rmtree(pool, ignore_errors=True)
        tree = self.root.parent / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        (tree / "DEBIAN").mkdir(parents=True)
        control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: none\nDescription: fixture\n"
        control += "Essential: yes\n" if essential else ""
        control += f"Depends: {depends}\n" if depends else ""
        (tree / "DEBIAN/control").write_text(control)
        pool.mkdir(parents=True)
        deb = pool / f"{name}_{version}_all.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, deb], check=True, stdout=subprocess.DEVNULL)
        self.index()
        return deb

    def index(self) -> None:
        stanzas = []
        for deb in sorted(self.root.glob("pool/*/*.deb")):
            data = deb.read_bytes()
            control = subprocess.run(["dpkg-deb", "-f", deb], check=True, capture_output=True, text=True).stdout
            stanzas.append(
                f"{control}Filename: {deb.relative_to(self.root)}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n\n"
            )
        packages = "".join(stanzas).encode()
        suite = self.root / "dists/testing"
        (suite / "main/binary-amd64").mkdir(parents=True, exist_ok=True)
        (suite / "main/binary-amd64/Packages").write_bytes(packages)
        (suite / "Release").write_text(
            "Suite: testing\nCodename: fixture\nArchitectures: amd64\nComponents: main\nDate: Mon, 01 Jan 2024 00:00:00 UTC\n"
            f"SHA256:\n {hashlib.sha256(packages).hexdigest()} {len(packages)} main/binary-amd64/Packages\n"
        )


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    served = tmp_path / "served"
    found = Mirror(served / ARCHIVE_NAME)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(served))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            found.requests.append(self.path)
            super().do_GET()

        def do_CONNECT(self) -> None:
            found.requests.append(f"CONNECT {self.path}")
            self.send_error(403)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.port = server.server_address[1]
    found.publish("base", "1", essential=True)
    found.publish("lib", "1.0")
    found.publish("tool", "1.0", depends="lib")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


@dataclass
class Checkout:
    """A copy of the scripts with a lock of its own, and the variables that point them to the mirror and to the stub."""

    docker: Path
    cache: Path
    variables: dict[str, str]
    made: Path

    def start(self, *args: str, script: str = "environment.sh", **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.docker / script, *args],
            env=self.variables | variables,
            cwd=self.docker.parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *args: str, script: str = "environment.sh", **variables: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*args, script=script, **variables)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    def locked(self) -> dict[str, list[str]]:
        lines = (self.docker / "environment/environment.lock").read_text().splitlines()
        return {line.split()[0]: line.split() for line in lines if not line.startswith("#")}

    def cached(self, name: str) -> Path:
        return self.cache / "repository/content_addressable/sha256" / self.locked()[name][3] / "file"

    def environments(self) -> list[Path]:
        return sorted((self.cache / "environment").glob("[0-9a-f]*"))

    def times_made(self) -> int:
        return len(self.made.read_text()) if self.made.exists() else 0


@pytest.fixture
def checkout(tmp_path: Path, mirror: Mirror) -> Checkout:
    """A checkout whose path has a space, with the lock that `lock update` wrote."""
    docker = tmp_path / "a checkout/scripts/docker"
    spec = docker / "environment"
    (spec / "modules/empty").mkdir(parents=True)
    for script in SCRIPTS:
        shutil.copy(HERE / script, docker)
    shutil.copy(HERE / "environment/start", spec)
    (spec / "bazelrc").write_text("# empty\n")
    (spec / "packages.txt").write_text("# a comment\ntool\n")
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    made = tmp_path / "made"
    stub = stubs / "mmdebstrap"
    stub.write_text(
        '#!/bin/bash\nset -e\nprintf x >>"$MADE"\nsleep "${STUB_SECONDS:-0}"\n'
        'grep -h ^Package: "$TMPDIR/repository/Packages" >"$OWN_FILES/held"\n'
        'head -c "${STUB_BYTES:-0}" /dev/zero >"$OWN_FILES/large"\n'
        'exec tar -c -C "$OWN_FILES" .\n'
    )
    stub.chmod(0o755)
    (tmp_path / "sources.list").write_text(f"deb http://127.0.0.1:{mirror.port}/{ARCHIVE_NAME} testing main\n")
    config = tmp_path / "apt.conf"
    config.write_text(
        f'Dir::Etc::sourcelist "{tmp_path}/sources.list"; Dir::Etc::sourceparts "/dev/null";\n'
        'Acquire::AllowInsecureRepositories "true"; APT::Get::AllowUnauthenticated "true"; APT::Sandbox::User "root";\n'
        'Acquire::http::Proxy "DIRECT"; Acquire::Retries::Delay "false";\n'
        f'Acquire::https::Proxy::snapshot.debian.org "http://127.0.0.1:{mirror.port}";\n'
    )
    variables = {
        "PATH": f"{stubs}:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "the cache"),
        "APT_CONFIG": str(config),
        "MADE": str(made),
    }
    result = Checkout(docker, tmp_path / "the cache/odp-federatedcompute", variables, made)
    updated = result.run("lock", "update")
    assert updated.returncode == 0, updated.stderr
    assert updated.stdout == "base: none -> 1\nlib: none -> 1.0\ntool: none -> 1.0\n3 of 3 packages differ\n"
    mirror.requests.clear()
    return result


def test_lock_holds_the_closure_by_sha256(checkout: Checkout, mirror: Mirror) -> None:
    lines = (checkout.docker / "environment/environment.lock").read_text().splitlines()
    assert lines[0].startswith("# suite testing snapshot 20")
    for name, version in (("base", "1"), ("lib", "1.0"), ("tool", "1.0")):
        deb = mirror.root / f"pool/{name}/{name}_{version}_all.deb"
        digest = hashlib.sha256(deb.read_bytes()).hexdigest()
        assert f"{name} {version} all {digest} {deb.stat().st_size} pool/{name}/{deb.name}" in lines
    assert "127.0.0.1" not in "\n".join(lines)


def test_lock_report_names_what_moved_and_leaves_the_lock(checkout: Checkout, mirror: Mirror) -> None:
    before = checkout.locked()
    mirror.publish("lib", "1.1")
    report = checkout.run("lock", "report")
    assert report.stdout == "lib: 1.0 locked, on the mirror 1.1\n1 of 3 packages differ\n"
    assert checkout.locked() == before
    assert checkout.run("lock", "update").stdout == "lib: 1.0 -> 1.1\n1 of 3 packages differ\n"
    assert checkout.locked()["lib"][1] == "1.1"


def test_lock_update_that_fails_leaves_the_lock(checkout: Checkout) -> None:
    before = checkout.locked()
    (checkout.docker / "environment/packages.txt").write_text("no-such-package\n")
    failed = checkout.run("lock", "update")
    assert failed.returncode == 1
    assert "apt could not resolve" in failed.stderr
    assert checkout.locked() == before


def test_second_start_does_nothing(checkout: Checkout, mirror: Mirror) -> None:
    first = checkout.run("build")
    assert first.returncode == 0, first.stderr
    home = Path(first.stdout.strip())
    assert (home / "root/held").read_text() == "Package: base\nPackage: lib\nPackage: tool\n"
    assert (home / "root/etc/build-environment.drift").read_text() == ""
    assert home.name == checkout.run("fingerprint").stdout.strip()
    mirror.requests.clear()
    second = checkout.run("build")
    assert (second.stdout, second.stderr) == (first.stdout, "")
    assert mirror.requests == []
    assert checkout.times_made() == 1


def test_a_changed_lock_is_another_environment(checkout: Checkout, mirror: Mirror) -> None:
    first = checkout.run("build").stdout
    mirror.publish("lib", "1.1")
    checkout.run("lock", "update")
    assert checkout.run("build").stdout not in ("", first)


def test_cache_comes_first_then_archive_then_mirror(checkout: Checkout, mirror: Mirror, tmp_path: Path) -> None:
    assert checkout.run("tar").returncode == 0
    mirror.requests.clear()
    assert checkout.run("tar").returncode == 0
    assert mirror.debs() == []

    archive = tmp_path / "archive"
    archived = archive / checkout.cached("lib").relative_to(checkout.cache / "repository")
    archived.parent.mkdir(parents=True)
    checkout.cached("lib").rename(archived)
    checkout.cached("tool").unlink()
    assert checkout.run("tar", INPUT_ARCHIVE=str(archive)).returncode == 0
    assert mirror.debs() == [f"/{ARCHIVE_NAME}/pool/tool/tool_1.0_all.deb"]


def test_missing_everywhere_names_the_input_and_the_ways_out(checkout: Checkout, mirror: Mirror) -> None:
    shutil.rmtree(mirror.root / "pool/lib")
    mirror.index()
    mirror.requests.clear()
    failed = checkout.run("build")
    assert failed.returncode == 1
    assert mirror.debs()[0] == f"/{ARCHIVE_NAME}/pool/base/base_1_all.deb"
    assert mirror.debs().index(f"/{ARCHIVE_NAME}/pool/lib/lib_1.0_all.deb") < mirror.debs().index("CONNECT snapshot.debian.org:443")
    [line] = [line for line in failed.stderr.splitlines() if "missing everywhere" in line]
    assert f"lib=1.0 sha256 {checkout.locked()['lib'][3]}" in line
    assert "tool=" not in line
    assert "INPUT_ARCHIVE" in line and "environment.sh lock update" in line
    assert checkout.environments() == []


def test_wrong_bytes_are_refused(checkout: Checkout, mirror: Mirror) -> None:
    deb = mirror.root / "pool/lib/lib_1.0_all.deb"
    deb.write_bytes(deb.read_bytes()[:-1] + b"!")
    failed = checkout.run("build")
    assert failed.returncode == 1
    assert f"missing everywhere: lib=1.0 sha256 {checkout.locked()['lib'][3]}:" in failed.stderr
    assert not checkout.cached("lib").exists()
    assert checkout.environments() == []


def test_an_archive_with_wrong_bytes_is_refused_and_a_damaged_cache_is_mended(checkout: Checkout, mirror: Mirror, tmp_path: Path) -> None:
    assert checkout.run("tar").returncode == 0
    good = checkout.cached("lib").read_bytes()
    archive = tmp_path / "archive"
    archived = archive / checkout.cached("lib").relative_to(checkout.cache / "repository")
    archived.parent.mkdir(parents=True)
    archived.write_bytes(b"cut off")
    checkout.cached("lib").write_bytes(good[:100])
    mirror.requests.clear()
    assert checkout.run("tar", INPUT_ARCHIVE=str(archive)).returncode == 0
    assert checkout.cached("lib").read_bytes() == good
    assert mirror.debs() == [f"/{ARCHIVE_NAME}/pool/lib/lib_1.0_all.deb"]


@pytest.mark.parametrize("damaged", [False, True])
def test_without_a_mirror_what_the_archive_lacks_is_named(checkout: Checkout, mirror: Mirror, tmp_path: Path, damaged: bool) -> None:
    assert checkout.run("tar").returncode == 0
    archive = tmp_path / "archive"
    (checkout.cache / "repository").rename(archive)
    archived = archive / checkout.cached("lib").relative_to(checkout.cache / "repository")
    archived.unlink()
    if damaged:
        archived.write_bytes(b"cut off")
    shutil.rmtree(mirror.root / "pool")
    mirror.index()
    failed = checkout.run("build", INPUT_ARCHIVE=str(archive))
    assert failed.returncode == 1
    [line] = [line for line in failed.stderr.splitlines() if "missing everywhere" in line]
    digest = checkout.locked()["lib"][3]
    assert f"missing everywhere: lib=1.0 sha256 {digest}: tried the input archive, " in line
    assert (f"{archive} gave other bytes than sha256 {digest}" in line) == damaged
    assert line.endswith("give an input archive (INPUT_ARCHIVE=DIR) or move the lock (environment.sh lock update)")


def test_drift_goes_on_and_is_written_down(checkout: Checkout, mirror: Mirror) -> None:
    mirror.publish("lib", "2.0")
    made = checkout.run("build")
    assert made.returncode == 0, made.stderr
    assert "not to be had as locked from archive, mirror or snapshot.debian.org: lib" in made.stderr
    home = Path(made.stdout.strip())
    assert (home / "root/etc/build-environment.drift").read_text() == "lib locked 1.0 actual 2.0\n"


def test_a_full_disk_is_told_before_anything_is_fetched(checkout: Checkout, mirror: Mirror) -> None:
    df = checkout.made.parent / "stubs/df"
    df.write_text("#!/bin/sh\nprintf 'Avail\\n 17\\n'\n")
    df.chmod(0o755)
    failed = checkout.run("build")
    assert failed.returncode == 1
    assert f"expected 4000 MB free in {checkout.cache}, found 17" in failed.stderr
    assert mirror.requests == []


@pytest.fixture
def small_disk(checkout: Checkout) -> Iterator[Checkout]:
    """The cache on a disk of 64 MB, whose size is asked when something has failed, and not before."""
    df = checkout.made.parent / "stubs/df"
    df.write_text(f"#!/bin/sh\n[ -e '{df}.asked' ] && exec /usr/bin/df \"$@\"\n: >'{df}.asked'\nprintf 'Avail\\n 5000\\n'\n")
    df.chmod(0o755)
    checkout.cache.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", checkout.cache], check=True)
    yield checkout
    subprocess.run(["umount", checkout.cache], check=True)


# It is full when the tree is unpacked, or already when its packages are assembled.
@pytest.mark.parametrize("size", [40_000_000, 80_000_000])
def test_a_disk_that_becomes_full_is_told_and_nothing_half_made_stays(small_disk: Checkout, size: int) -> None:
    failed = small_disk.run("build", STUB_BYTES=str(size))
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.splitlines()[-1] == (
        f"build environment: no space left on device: it could not be made in {small_disk.cache}, and nothing of it is kept; "
        "make room or set XDG_CACHE_HOME"
    )
    assert len(failed.stderr.splitlines()) < 12
    assert sorted(path.name for path in (small_disk.cache / "environment").iterdir()) == [".lock"]
    (small_disk.made.parent / "stubs/df.asked").unlink()
    made = small_disk.run("build")
    assert made.returncode == 0, made.stderr
    assert (Path(made.stdout.strip()) / "root/held").exists()


def test_a_full_disk_gives_no_root_tar(small_disk: Checkout) -> None:
    (small_disk.made.parent / "stubs/df.asked").touch()
    failed = small_disk.run("tar", STUB_BYTES="80000000")
    assert failed.returncode == 1
    assert f"no space left on device: the root tar could not be made in {small_disk.cache}" in failed.stderr
    assert list(small_disk.cache.glob("tar.*")) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_start_is_never_trusted(checkout: Checkout, number: signal.Signals) -> None:
    def interrupt(process: subprocess.Popen[str]) -> None:
        if number == signal.SIGKILL:
            process.kill()  # the script alone: what it started must not go on
        else:
            os.killpg(process.pid, number)
        process.communicate(timeout=60)

    # While mmdebstrap runs; then at any time, which may also be too late, or where apt takes it.
    process = checkout.start("build", STUB_SECONDS="60")
    while not checkout.times_made():
        time.sleep(0.01)
    interrupt(process)
    assert process.returncode != 0
    assert checkout.environments() == []
    for tenths in (0, 1, 2, 4, 6, 9, 12):
        process = checkout.start("build", STUB_SECONDS="0.5")
        time.sleep(tenths / 10)
        interrupt(process)
        for home in checkout.environments():
            assert (home / "complete").exists() and (home / "root/held").exists()
        shutil.rmtree(checkout.cache / "repository", ignore_errors=True)
    made = checkout.run("build")
    assert made.returncode == 0, made.stderr
    assert (Path(made.stdout.strip()) / "root/held").exists()
    assert list((checkout.cache / "environment").glob(".new.*/result")) == []  # an empty work folder may stay until the next is made


def test_two_starts_at_once_make_it_once(checkout: Checkout) -> None:
    processes = [checkout.start("build", STUB_SECONDS="1") for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0][0] == outputs[1][0] != ""
    assert sum("another start is making it; waiting" in err for _, err in outputs) == 1
    assert checkout.times_made() == 1


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ([], "no command given"),
        (["-e"], "'-e'"),
        (["--privileged", "true"], "'--privileged'"),
        (["--cpus=2", "true"], "'--cpus=2'"),
        (["-e", "true"], "-e needs a value"),
        (["-e", "1x=2", "true"], "'1x=2'"),
        (["-v", "relative:/x", "true"], "'relative:/x'"),
        (["-v", "/a:/b:z", "true"], "'/a:/b:z'"),
        (["-w", "relative", "true"], "'relative'"),
        (["--network=bridge", "true"], "'bridge'"),
    ],
)
def test_wrong_usage_is_refused_by_name(checkout: Checkout, args: list[str], named: str) -> None:
    failed = checkout.run(*args, script="docker_run.sh", BUILD_ENGINE="rootfs")
    assert failed.returncode == 64
    assert named in failed.stderr
    assert checkout.times_made() == 0


def test_an_unknown_engine_is_refused(checkout: Checkout) -> None:
    failed = checkout.run("true", script="docker_run.sh", BUILD_ENGINE="lxc")
    assert failed.returncode == 64
    assert "BUILD_ENGINE must be docker, podman or rootfs, found 'lxc'" in failed.stderr


@pytest.fixture
def inside(checkout: Checkout, tmp_path: Path) -> Checkout:
    """A checkout whose environment is the one that the test runs in: what the rootfs engine does is real."""
    if not START.exists():
        pytest.skip("not in the build environment")
    home = tmp_path / "an environment"
    (home / "view").mkdir(parents=True)
    (home / "root").symlink_to("/")
    stub = checkout.docker / "environment.sh"
    stub.write_text(f"#!/bin/sh\necho '{home}'\n")
    checkout.variables["BUILD_ENGINE"] = "rootfs"
    # The trust store is there already: it cannot be made from an environment whose own store is a link.
    bundle = tmp_path / "bundle"
    bundle.write_text("# no certificate\n")
    checkout.variables["SSL_CERT_FILE"] = str(bundle)
    key = hashlib.sha256(bundle.read_bytes() + Path("/etc/build-environment.lock").read_bytes() + START.read_bytes()).hexdigest()[:16]
    (checkout.cache / "trust" / key).mkdir(parents=True)
    return checkout


def test_flags_are_honoured(inside: Checkout, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("content\n")
    script = 'echo "$A $B $C $D $PWD"; cat /d/file; touch /d/file 2>/dev/null || echo refused; echo here >/odp-federatedcompute/written'
    flags = ["-e", "A=1", "-eB=2", "--env=C", "-v", f"{tmp_path}/data:/d:ro", "-w", "/some/where", "--rm", "-i"]
    done = inside.run(*flags, script, script="docker_run.sh", C="a b", D="not passed")
    assert (done.stdout, done.returncode) == ("1 2 a b  /some/where\ncontent\nrefused\n", 0), done.stderr
    assert (inside.docker.parent.parent / "written").read_text() == "here\n"
    assert done.stderr.startswith("build engine: rootfs (BUILD_ENGINE)\n")


def test_network_none_has_loopback_only(inside: Checkout) -> None:
    done = inside.run("--network", "none", "ip -brief address", script="docker_run.sh")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines() if "127.0.0.1" in line] == ["lo"]
    assert len([line for line in done.stdout.splitlines() if "UP" in line or "UNKNOWN" in line]) == 1


@pytest.mark.parametrize(("command", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("no-such-command", 127)])
def test_exit_code_is_the_commands(inside: Checkout, command: str, code: int) -> None:
    assert inside.run(command, script="docker_run.sh").returncode == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_command_and_nothing_stays(inside: Checkout, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    mark = f"86399.{os.getpid()}"
    process = inside.start(f"trap 'echo took {name}; exit 5' {name}; sleep {mark} & echo ready; wait", script="docker_run.sh")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert (out, process.returncode) == (f"took {name}\n", 5)
    assert_gone(mark)


def test_killing_the_script_ends_the_command(inside: Checkout) -> None:
    mark = f"86398.{os.getpid()}"
    process = inside.start(f"echo ready; sleep {mark}", script="docker_run.sh")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.communicate(timeout=60)
    assert_gone(mark)
    assert str(inside.docker) not in Path("/proc/self/mounts").read_text()


def assert_gone(mark: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        running = [p for p in Path("/proc").glob("[0-9]*/cmdline") if mark in read(p).replace("\0", " ")]
        if not running:
            return
        assert time.monotonic() < deadline, f"still running: {running}"
        time.sleep(0.1)


def read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
