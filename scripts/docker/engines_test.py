"""docker_run.sh with Docker, with Podman and with the rootfs engine, as root and as an ordinary user, for real.

They run on a machine of the test's own: a root file system of locked Debian 12 packages, in namespaces for mounts, network and host name,
with its own docker daemon. Its network leads nowhere: all inputs come from the verified downloads of the build environment. Nothing of it
stays, and nothing is installed anywhere.

The root tar is made twice: by root, for Docker and Podman, and by an ordinary user, whose rootfs engine unpacks it. The machine's root uses
the environment that the test runs in. Each of them builds three images with an empty output base; the hashes have to be those of the
images that this Bazel has built.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest
from ocilib.layout import Image

from tools.proof import checkout

HERE = Path(__file__).parent
REPOSITORY_CACHE = Path("/var/cache/bazel-repository")
IMAGES = ("collector", "task_assignment", "task_management")
USER = 1000
INSIDE = "/odp-federatedcompute"

# MACHINE TREE WORK [HOST:INSIDE...]: becomes the machine, says so, and stays until its standard input is closed.
_MACHINE = r"""
set -euo pipefail
tree=$1 work=$2
shift 2
mount -t tmpfs -o mode=755 tmpfs "$work/view"
mkdir "$work"/view/{upper,work,root}
mount -t overlay -o "lowerdir=$tree,upperdir=$work/view/upper,workdir=$work/view/work" overlay "$work/view/root"
cd "$work/view/root"
mkdir -p proc sys dev run tmp old root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
for m; do
    if [[ -d ${m%%:*} ]]; then mkdir -p ".${m#*:}"; else install -D /dev/null ".${m#*:}"; fi
    mount --rbind "${m%%:*}" ".${m#*:}"
done
ip link set lo up
hostname machine
perl -e 'my ($new, $old) = (".", "old"); syscall(155, $new, $old) == 0 or die "pivot_root: $!\n"'
PATH=/usr/sbin:/usr/bin:/sbin:/bin
hash -r
umount -l /old
rmdir /old
# What Debian's maintainer scripts make.
cp /usr/share/base-passwd/passwd.master /etc/passwd
cp /usr/share/base-passwd/group.master /etc/group
echo machine >/etc/hostname
echo '127.0.0.1 localhost machine' >/etc/hosts
echo 'user:x:1000:1000::/home/user:/bin/bash' >>/etc/passwd
printf 'user:x:1000:\ndocker:x:999:user\n' >>/etc/group
echo user:100000:65536 | tee /etc/subuid >/etc/subgid
# The kernel's overlayfs for ordinary users, too, who without it (and without fuse-overlayfs) get copies of all layers.
cat >/etc/containers/storage.conf <<'Y'
[storage]
driver = "overlay"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
Y
# Without systemd: plain control groups, and limits that a container without CAP_SYS_RESOURCE may set.
cat >/etc/containers/containers.conf <<'Y'
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
Y
echo ready
read -r _ || true
"""

# Instead of environment.sh, for the machine's root: the root tar was made before, and the environment is the one that the test runs in.
_MADE_BEFORE = """#!/bin/bash
case $1 in
tar) exec cat /srv/root.tar ;;
build) echo /srv/environment ;;
*) exec /srv/original/scripts/docker/environment.sh "$@" ;;
esac
"""


@dataclass
class Machine:
    """The machine, as long as its first process lives; `disk` is what /srv is there."""

    first: subprocess.Popen[str]
    disk: Path

    def entered(self, uid: int, directory: str, *command: str, **variables: str) -> list[str]:
        """A command line that runs COMMAND there: by exec only, so that a signal to the process is one to the command."""
        home = "/home/user" if uid else "/root"
        ids = [f"--reuid={uid}", f"--regid={uid}", "--init-groups"] if uid else ["--clear-groups"]
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": home, "TERM": "dumb"} | variables
        namespaces = [f"--{name}=/proc/{self.first.pid}/ns/{kind}" for name, kind in (("mount", "mnt"), ("net", "net"), ("uts", "uts"))]
        settings = [f"{name}={value}" for name, value in sorted(env.items())]
        return ["nsenter", *namespaces, f"--wdns={directory}", "--", "setpriv", *ids, "--", "env", "-i", *settings, *command]

    def run(self, *command: str, uid: int = 0, directory: str = "/", timeout: float = 600) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.entered(uid, directory, *command), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
        )

    def output(self, *command: str, uid: int = 0) -> str:
        done = self.run(*command, uid=uid)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@dataclass
class Caller:
    """Somebody on the machine who starts docker_run.sh in a checkout of theirs, with one engine."""

    machine: Machine
    engine: str
    uid: int
    directory: str
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, *args: str) -> list[str]:
        return self.machine.entered(
            self.uid, self.directory, "./scripts/docker/docker_run.sh", *args, BUILD_ENGINE=self.engine, **self.environment
        )

    def run(self, *args: str, stdin: str = "", timeout: float = 600) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*args), input=stdin, capture_output=True, text=True, timeout=timeout, check=False)

    def output(self, *args: str, stdin: str = "") -> str:
        done = self.run(*args, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @property
    def checkout(self) -> Path:
        """Its folder, as the test sees it."""
        return self.machine.disk / self.directory.removeprefix("/srv/")


# What the kernel says where it has no namespaces, control groups or overlayfs for us.
_REFUSALS = re.compile(r"(?i)not permitted|permission denied|not supported|not implemented|no such device|not mounted")


def _cannot(reason: str) -> NoReturn:
    """Skips the tests if the kernel refuses what engines need, and else fails."""
    if _REFUSALS.search(reason):
        pytest.skip(f"this machine does not let engines run: {reason}")
    pytest.fail(reason)


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    if not Path("/usr/share/build-environment/start").exists():
        pytest.skip("not in the build environment, whose verified downloads are needed")
    if os.geteuid() or Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]:
        pytest.skip("a docker daemon needs the machine's root, and somebody else has entered the build environment")
    if Path("/etc/build-environment.drift").read_text():
        pytest.skip("the build environment has drifted: it cannot be made again without a network")
    # On disk: the root of the build environment is in memory.
    work = Path(os.environ["TEST_TMPDIR"]).resolve() / "machine"
    inside = {name: f"/{name}" for name in ("srv", "root", "home/user", "var/lib/docker", "var/lib/containers", "var/tmp")}
    for name in [*inside, "view"]:
        (work / name).mkdir(parents=True)
    os.chown(work / "home/user", USER, USER)
    (work / "var/tmp").chmod(0o1777)
    mounts = [f"{work}/{name}:{path}" for name, path in inside.items()]
    cache = "/root/.cache/odp-federatedcompute"
    mounts += [f"{REPOSITORY_CACHE}:{path}" for path in (f"{cache}/repository", "/srv/downloads")]
    # The environment that the test runs in, and the trust store that it was entered with.
    mounts += ["/:/srv/environment/root", f"/var/cache/build-environment-trust:{cache}/trust"]
    certificates = Path("/usr/local/share/host-certificates.crt")
    if certificates.exists():
        mounts.append(f"{certificates}:/etc/ssl/certs/ca-certificates.crt")
    (work / "srv/environment/view").mkdir(parents=True)
    tree = Path(os.environ["MACHINE"]).resolve().parents[2]
    command = ["setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--net", "--uts", "--"]
    command += ["bash", "-c", _MACHINE, "machine", str(tree), str(work), *mounts]
    groups = _control_groups()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as first:
        assert first.stdout and first.stderr
        if first.stdout.readline() != "ready\n":
            _cannot(first.stderr.read().strip())
        network = os.readlink(f"/proc/{first.pid}/ns/net")
        yield Machine(first, work / "srv")
        # An ordinary user's podman leaves a process behind, by which later ones find their namespaces.
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended
                if os.readlink(process / "ns/net") == network and process.name != str(first.pid):
                    os.kill(int(process.name), signal.SIGKILL)
    subprocess.run(["rm", "-rf", str(work)], check=True)
    for group in sorted(_control_groups() - groups, reverse=True):
        with contextlib.suppress(OSError):  # another docker's, which has come meanwhile
            group.rmdir()


def _control_groups() -> set[Path]:
    """Control groups of docker and of podman, of the whole machine."""
    hierarchies = Path("/sys/fs/cgroup")
    tops = [top for name in ("docker", "libpod_parent") for top in (*hierarchies.glob(name), *hierarchies.glob(f"*/{name}"))]
    return {Path(folder) for top in tops for folder, _, _ in os.walk(top)}


def _sources(machine: Machine, name: str, uid: int, made_before: bool) -> str:
    """Copies the checkout to /srv/NAME, which belongs to UID, and returns that."""
    os.environ |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    folder = machine.disk / name
    checkout.copy((HERE / "docker_run.sh").resolve().parents[2], folder)
    if made_before:
        (folder / "scripts/docker/environment.sh").write_text(_MADE_BEFORE)
    subprocess.run(["chown", "-R", f"{uid}:{uid}", str(folder)], check=True)
    return f"/srv/{name}"


@pytest.fixture(scope="session")
def root_tar(machine: Machine) -> Iterator[Callable[[], Path]]:
    """Starts to make the root tar; what it gives waits for the end, and returns the file."""
    script = _sources(machine, "original", 0, made_before=False) + "/scripts/docker/environment.sh"
    tar = machine.disk / "root.tar"
    command = machine.entered(0, "/", script, "tar")
    with tar.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE) as process:

        def wait() -> Path:
            if process.poll() is None:
                _, said = process.communicate()
                assert process.returncode == 0, said
            return tar

        yield wait


@pytest.fixture(scope="session")
def docker(machine: Machine) -> Iterator[None]:
    """The docker daemon of the machine, and that it starts containers."""
    log = machine.disk / "dockerd.log"
    command = machine.entered(0, "/", "dockerd", "--iptables=false")
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as daemon:
        try:
            deadline = time.monotonic() + 60
            while machine.run("docker", "version").returncode:
                if daemon.poll() is not None or time.monotonic() > deadline:
                    _cannot(log.read_text("utf-8").strip().splitlines()[-1])
                time.sleep(0.2)
            machine.output("bash", "-c", "tar -c -C /usr/bin perl | docker import - probe")
            libraries = ["--volume=/lib:/lib", "--volume=/lib64:/lib64"]
            done = machine.run("docker", "run", "--rm", "--network=none", *libraries, "probe", "/perl", "-e", "1")
            if done.returncode:
                _cannot(done.stderr.strip())
            yield
        finally:
            daemon.terminate()
            daemon.wait(60)


USERS_ROOTFS = "rootfs of an ordinary user"
CONTAINERS = ("docker", "docker of an ordinary user", "podman", "podman of an ordinary user")


@pytest.fixture(scope="session", params=[USERS_ROOTFS, "rootfs", *CONTAINERS])
def caller(request: pytest.FixtureRequest, machine: Machine, root_tar: Callable[[], Path]) -> Iterator[Caller]:
    """Each of the ways to start docker_run.sh, with what it needs. Afterwards the disk has its space back."""
    engine, _, user = request.param.partition(" of ")
    if engine == "docker":
        request.getfixturevalue("docker")
    if engine != "rootfs":
        root_tar()
    uid = USER if user else 0
    made_before = engine != "rootfs" or not user
    environment = {"INPUT_ARCHIVE": "/srv/downloads"} if uid else {}  # root has them in its cache
    yield Caller(machine, engine, uid, _sources(machine, request.param.replace(" ", "_"), uid, made_before), environment)
    if engine == "podman":
        machine.output("podman", "image", "rm", "--all", "--force", uid=uid)
    cache = machine.disk.parent / ("home/user" if uid else "root") / ".cache/odp-federatedcompute"
    subprocess.run(["rm", "-rf", str(cache / "bazel"), str(cache / "environment")], check=True)


def _processes(mark: str) -> list[str]:
    """Numbers of the processes with MARK in their command lines."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if mark.encode() in (process / "cmdline").read_bytes():
                found.append(process.name)
    return found


def _assert_nothing_runs(caller: Caller, mark: str) -> None:
    deadline = time.monotonic() + 20
    while left := _processes(mark) + _processes("podman\0system\0service"):
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.1)
    if caller.engine != "rootfs":
        assert caller.machine.output(caller.engine, "ps", "--all", "--quiet", uid=caller.uid) == ""


def _only(*callers: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("caller", callers, indirect=True, scope="session")


@_only(USERS_ROOTFS)
def test_an_interrupted_start_leaves_nothing_and_is_not_trusted(caller: Caller) -> None:
    cache = caller.machine.disk.parent / "home/user/.cache/odp-federatedcompute/environment"
    for number in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen(caller.command("true"), stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
            assert process.stderr
            for line in process.stderr:
                if "assembling" in line:
                    break
            time.sleep(3)
            assert _processes("mmdebstrap")
            # A terminal sends it to all, an init to the script.
            (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
            process.communicate(timeout=60)
        assert process.returncode != 0
        deadline = time.monotonic() + 20
        while running := caller.machine.run("pgrep", "-u", str(USER)).stdout.split():
            assert time.monotonic() < deadline, running
            time.sleep(0.1)
        assert list(cache.glob("*/complete")) == []


def test_it_is_the_locked_environment(caller: Caller) -> None:
    lock = (HERE / "environment/environment.lock").read_text("utf-8")
    assert caller.output("cat /etc/build-environment.lock; bazel --version").splitlines() == [*lock.splitlines(), "bazel 7.7.1"]


@_only(USERS_ROOTFS, *CONTAINERS)
def test_the_root_tar_has_the_same_bytes_whoever_made_it(caller: Caller, root_tar: Callable[[], Path]) -> None:
    digest = hashlib.sha256()
    with root_tar().open("rb") as tar:
        while block := tar.read(1 << 20):
            digest.update(block)
    expected = digest.hexdigest()
    if caller.engine == "rootfs":
        [complete] = (caller.machine.disk.parent / "home/user/.cache/odp-federatedcompute/environment").glob("*/complete")
        assert complete.read_text("ascii") == f"{expected}\n"
    else:
        key = caller.machine.output(f"{caller.directory}/scripts/docker/environment.sh", "fingerprint")
        name = f"localhost/odp-federatedcompute-build:{key}"
        form = "{{range .RootFS.Layers}}{{.}} {{end}}"
        layers = caller.machine.output(caller.engine, "image", "inspect", "--format", form, name, uid=caller.uid)
        assert layers.split()[0] == f"sha256:{expected}"


# Not by an ordinary user of docker, too: it is the same daemon and image, half a minute dearer.
@_only(USERS_ROOTFS, "docker", "podman", "podman of an ordinary user")
def test_images_have_the_same_hashes(caller: Caller) -> None:
    expected = [Path(path).read_text("ascii").strip() for path in os.environ["DIGESTS"].split()]
    labels = " ".join(f"//shuffler/services/{name.replace('_', '')}:{name}_image.digest" for name in IMAGES)
    files = " ".join(f"bazel-bin/shuffler/services/{name.replace('_', '')}/{name}_image.json.sha256" for name in IMAGES)
    done = caller.run(f"bazel build --noshow_progress --ui_event_filters=-info --show_result=0 {labels} && cat {files}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == expected


def test_files_in_the_working_directory_are_the_callers(caller: Caller) -> None:
    caller.output("mkdir made && echo text >made/file")
    for path in (caller.checkout / "made", caller.checkout / "made/file"):
        assert (path.stat().st_uid, path.stat().st_gid) == (caller.uid, caller.uid)


def test_flags_are_honoured(caller: Caller) -> None:
    data = caller.checkout / "data"
    data.mkdir()
    (data / "file").write_text("content\n")
    script = 'echo "$A $PWD"; cat /data/file; touch /data/file 2>/dev/null || echo refused'
    assert caller.output("-e", "A=1 2", "-v", f"{caller.directory}/data:/data:ro", "-w", "/srv", script) == "1 2 /srv\ncontent\nrefused"
    networks = caller.output("--network", "none", "ip -brief address").splitlines()
    assert [line.split()[0] for line in networks if "127.0.0.1" in line] == ["lo"]


def test_a_flag_that_only_containers_have_is_honoured_or_refused_by_name(caller: Caller) -> None:
    # With the host's network, which is the default, docker would give the host's name.
    done = caller.run("--network", "none", "--hostname=named", "cat /proc/sys/kernel/hostname")
    if caller.engine == "rootfs":
        assert done.returncode == 64
        assert "the rootfs engine cannot honour the docker flag '--hostname=named'" in done.stderr
    else:
        assert (done.stdout, done.returncode) == ("named\n", 0), done.stderr


def test_standard_input_and_exit_code_are_the_commands(caller: Caller) -> None:
    done = caller.run("cat; exit 7", stdin="piped\n")
    assert (done.stdout, done.returncode) == ("piped\n", 7)


def test_sandboxes_can_be_made_inside(caller: Caller) -> None:
    assert caller.output("unshare --user --map-root-user --mount true && echo yes") == "yes"


# Podman 4.3, of Debian 12, ends itself on signals when an ordinary user has started it, with exit code 0 (docs/build-environment.md).
_PASSES_SIGNALS = (USERS_ROOTFS, "rootfs", "docker", "docker of an ordinary user", "podman")


@_only(*_PASSES_SIGNALS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_command_and_nothing_stays(caller: Caller, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    mark = f"86397.{number.value}"
    command = caller.command(f"trap 'echo took {name}; exit 5' {name}; sleep {mark} & echo ready; wait")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.communicate(timeout=60)[0] == f"took {name}\n"
    assert process.returncode == 5
    _assert_nothing_runs(caller, mark)


@_only(*_PASSES_SIGNALS)
@pytest.mark.parametrize("flags", [[], ["--tty"]], ids=["", "with a terminal inside"])
def test_ctrl_c_on_a_terminal_ends_all(caller: Caller, flags: Sequence[str]) -> None:
    mark = f"86396.{len(flags)}"
    controller, terminal = pty.openpty()

    command = caller.command(*flags, f"sleep {mark} & echo ready; sleep {mark}")
    with subprocess.Popen(["setsid", "--ctty", *command], stdin=terminal, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        said = b""
        while b"ready" not in said:
            assert select.select([controller], [], [], 60)[0], said
            said += os.read(controller, 4096)
        os.write(controller, b"\x03")
        assert process.wait(60) == 130, said
    os.close(controller)
    _assert_nothing_runs(caller, mark)


@_only("docker")
def test_docker_is_chosen_first_and_podman_where_no_daemon_answers(caller: Caller) -> None:
    for variables, chosen in (({}, "docker"), ({"DOCKER_HOST": "unix:///nowhere"}, "podman")):
        command = caller.machine.entered(caller.uid, caller.directory, "./scripts/docker/docker_run.sh", "echo $BUILD_ENGINE", **variables)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr.splitlines()[0]) == (f"{chosen}\n", f"build engine: {chosen}")


def _start_collector(caller: Caller) -> tuple[subprocess.Popen[str], str]:
    """run_image.sh, and the URL that it has printed."""
    command = ["./scripts/run_image.sh", "--port", "0", "collector"]
    process = subprocess.Popen(
        caller.machine.entered(caller.uid, caller.directory, *command, BUILD_ENGINE=caller.engine, **caller.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("collector: http://"):
            return process, line.split()[1]
    raise AssertionError("".join(said))


@_only(USERS_ROOTFS, "docker", "podman")
def test_run_image_leaves_nothing_and_removes_what_a_killed_one_left(caller: Caller) -> None:
    mark = "collector_application.jar"
    process, _ = _start_collector(caller)
    [left] = _processes(mark)
    for number in _processes("tools/containers/run.py"):
        os.kill(int(number), signal.SIGKILL)
    process.communicate(timeout=60)
    if caller.engine == "rootfs":
        _assert_nothing_runs(caller, mark)

    process, url = _start_collector(caller)
    answer = subprocess.run(
        ["nsenter", f"--net=/proc/{caller.machine.first.pid}/ns/net", "curl", "-sS", f"{url}healthz"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.startswith("Greetings from Collector Spring Boot!")
    [service] = _processes(mark)
    assert service != left
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{service}/status").read_text("utf-8").splitlines() if ":\t" in line)
    assert {status[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    # Fields 5 and 6 of mountinfo (proc(5)): where, and with which options.
    mounts = [line.split() for line in Path(f"/proc/{service}/mountinfo").read_text("utf-8").splitlines()]
    assert ["ro" in mount[5].split(",") for mount in mounts if mount[4] == "/"] == [True]
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=90)
    assert process.returncode == 0, said
    assert said.endswith("collector: stopped, exit code 143\n")
    _assert_nothing_runs(caller, mark)


# In a user namespace nobody is in the group docker.
@_only("rootfs", *CONTAINERS)
@pytest.mark.usefixtures("docker")
def test_a_docker_client_inside_has_its_daemon(caller: Caller) -> None:
    command = "docker version --format '{{(index .Server.Components 0).Name}}'"
    expected = "Podman Engine" if caller.engine == "podman" else "Engine"
    assert caller.output(command) == expected


@pytest.mark.usefixtures("docker")
@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_archives_of_images_can_be_loaded(machine: Machine, engine: str) -> None:
    shutil.copy(os.environ["ARCHIVE"], machine.disk / "archive.tar")
    said = machine.output(engine, "load", "--input", "/srv/archive.tar")
    name = said.split()[-1]
    config = Image(os.environ["IMAGE"]).manifest["config"]
    assert isinstance(config, dict)
    assert f"sha256:{machine.output(engine, 'image', 'inspect', '--format', '{{.Id}}', name).removeprefix('sha256:')}" == config["digest"]
    machine.output(engine, "image", "rm", name)
