"""packages.bzl, by a Bazel of its own: where packages are sought, what a tree has, and what is refused.

Nothing here needs a network: mirrors and archives are folders, and the snapshot service is behind a proxy that does not answer.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest

_HERE = pathlib.Path(__file__).parent
_MODULE = """\
module(name = "test")
debian_packages = use_repo_rule("//:packages.bzl", "debian_packages")
debian_tree = use_repo_rule("//:packages.bzl", "debian_tree")
"""


class Workspace:
    """A workspace with packages.bzl, a mirror that apt is configured with, and an input archive, all empty at first."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.mirror = root / "mirror/debian"
        self.archive = root / "archive"
        (root / "work/toolchains").mkdir(parents=True)
        shutil.copy(_HERE / "packages.bzl", root / "work/packages.bzl")
        shutil.copy(_HERE.parent / "inputs.bzl", root / "work/toolchains/inputs.bzl")
        (root / "work/toolchains/BUILD.bazel").write_text("")
        (root / "work/BUILD.bazel").write_text("")
        (root / "work/tree.BUILD.bazel").write_text('exports_files(["usr/bin/tool"])\n')
        (root / "sources.list").write_text(f"deb [trusted=yes] file:{self.mirror}/ bookworm main\n")
        (root / "apt.conf").write_text(f'Dir::Etc::sourcelist "{root}/sources.list"; Dir::Etc::sourceparts "/dev/null";\n')
        self.startup = [f"--output_user_root={root}/bazel", "--host_jvm_args=-Xmx512m", "--max_idle_secs=60"]

    def reset(self) -> None:
        shutil.rmtree(self.mirror, ignore_errors=True)
        shutil.rmtree(self.archive, ignore_errors=True)
        shutil.rmtree(self.root / "cache", ignore_errors=True)

    def lock(self, name: str, content: bytes, version: str = "1.0+1") -> str:
        """Writes the lock of one package, foo, with CONTENT; returns the package's path on a mirror."""
        filename = f"pool/main/f/foo/foo_{version}_amd64.deb"
        package = {
            "name": "foo",
            "version": version,
            "architecture": "amd64",
            "suite": "bookworm",
            "filename": filename,
            "size": len(content),
        }
        package["sha256"] = hashlib.sha256(content).hexdigest()
        sources = {"bookworm": {"archive": "debian", "snapshot": "20260712T101637Z"}}
        (self.root / f"work/{name}.lock.json").write_text(json.dumps({"version": 1, "sources": sources, "packages": [package]}))
        return filename

    def put(self, path: pathlib.Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def put_archive(self, content: bytes) -> None:
        self.put(self.archive / f"content_addressable/sha256/{hashlib.sha256(content).hexdigest()}/file", content)

    def fetch(self, rule: str = 'debian_packages(name = "it", locks = ["//:a.lock.json"])') -> tuple[int, str]:
        """Fetches the repository `it` that RULE declares; returns exit code and what Bazel said."""
        (self.root / "work/MODULE.bazel").write_text(f"{_MODULE}{rule}\n")
        environment = {
            **os.environ,
            "APT_CONFIG": f"{self.root}/apt.conf",
            "INPUT_ARCHIVE": str(self.archive),
            "HOME": str(self.root),
            "http_proxy": "http://127.0.0.1:1",
            "https_proxy": "http://127.0.0.1:1",
        }
        options = [f"--repository_cache={self.root}/cache", "--lockfile_mode=off", "--http_connector_attempts=1", "--color=no"]
        command = ["bazel", *self.startup, "fetch", "--force", *options, "@it//:all"]
        result = subprocess.run(command, cwd=self.root / "work", env=environment, capture_output=True, text=True, check=False)
        return result.returncode, result.stderr

    def fetched(self, path: str) -> pathlib.Path:
        command = ["bazel", *self.startup, "info", "output_base"]
        base = subprocess.run(command, cwd=self.root / "work", capture_output=True, text=True, check=True).stdout.strip()
        (repository,) = pathlib.Path(base, "external").glob("*~it")
        return repository / path


@pytest.fixture(name="shared", scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    # One server for all tests: it takes seconds to start.
    workspace = Workspace(tmp_path_factory.mktemp("w"))
    yield workspace
    subprocess.run(["bazel", *workspace.startup, "shutdown"], cwd=workspace.root / "work", check=True)


@pytest.fixture(name="workspace")
def _workspace(shared: Workspace) -> Workspace:
    shared.reset()
    return shared


def test_a_package_comes_from_the_mirror_of_apt_without_a_warning(workspace: Workspace) -> None:
    workspace.put(workspace.mirror / workspace.lock("a", b"mirrored"), b"mirrored")
    code, said = workspace.fetch()
    assert code == 0, said
    assert "WARNING" not in said
    assert workspace.fetched("foo.deb").read_bytes() == b"mirrored"
    assert '"foo": "1.0+1"' in workspace.fetched("packages.bzl").read_text()


def test_the_input_archive_comes_before_the_mirror(workspace: Workspace) -> None:
    workspace.put(workspace.mirror / workspace.lock("a", b"archived"), b"spoiled")
    workspace.put_archive(b"archived")
    code, said = workspace.fetch()
    assert code == 0, said
    assert "WARNING" not in said


def test_the_repository_cache_comes_before_all(workspace: Workspace) -> None:
    path = workspace.mirror / workspace.lock("a", b"cached")
    workspace.put(path, b"cached")
    assert workspace.fetch()[0] == 0
    path.unlink()
    code, said = workspace.fetch()
    assert code == 0, said
    assert "WARNING" not in said


def test_a_package_that_is_nowhere_is_an_error_with_all_that_one_needs(workspace: Workspace) -> None:
    workspace.lock("a", b"lost")
    code, said = workspace.fetch()
    assert code != 0
    (message,) = {line for line in said.splitlines() if line.startswith("Error in fail: Debian package foo")}
    places = f"file:///{str(workspace.mirror).lstrip('/')}/pool/main/f/foo/foo_1.0+1_amd64.deb, https://snapshot."
    for part in ("foo 1.0+1", hashlib.sha256(b"lost").hexdigest(), places, "/20260712T101637Z/pool/", "INPUT_ARCHIVE", "-- update"):
        assert part in message


def test_a_wrong_sha256_in_a_lock_stops_the_build(workspace: Workspace) -> None:
    workspace.put(workspace.mirror / workspace.lock("a", b"expected"), b"something else")
    code, said = workspace.fetch()
    assert code != 0
    assert f"wanted {hashlib.sha256(b'expected').hexdigest()}" in said
    assert f"foo 1.0+1, sha256 {hashlib.sha256(b'expected').hexdigest()}: not in Bazel's repository cache" in said


def test_locks_that_contradict_each_other_are_refused(workspace: Workspace) -> None:
    workspace.lock("a", b"one")
    workspace.lock("b", b"two", "2.0")
    code, said = workspace.fetch('debian_packages(name = "it", locks = ["//:a.lock.json", "//:b.lock.json"])')
    assert code != 0
    assert "b.lock.json: foo is version 2.0 here and 1.0+1 in another lock" in said


@pytest.mark.parametrize("text", ["{", '{"version": 7}'])
def test_what_is_no_lock_is_refused(workspace: Workspace, text: str) -> None:
    (workspace.root / "work/a.lock.json").write_text(text)
    code, said = workspace.fetch()
    assert code != 0
    assert "a.lock.json: expected a lock of Debian packages, version 1" in said


def test_a_tree_is_unpacked_with_links_that_stay_inside(workspace: Workspace) -> None:
    root = workspace.root / "deb"
    shutil.rmtree(root, ignore_errors=True)
    for path in ("usr/bin/tool", "usr/share/doc/foo/copyright", "etc/foo.conf", "usr/lib/libfoo.so.1"):
        workspace.put(root / path, path.encode())
    (root / "usr/lib/foo.conf").symlink_to("/etc/foo.conf")
    (root / "usr/lib/doc").symlink_to("../share/doc/foo")
    (root / "usr/lib/passwd").symlink_to("/etc/passwd")
    workspace.put(
        root / "DEBIAN/control", b"Package: foo\nVersion: 1.0+1\nArchitecture: amd64\nMaintainer: x <x@example.org>\nDescription: x\n"
    )
    deb = workspace.root / "foo.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(root), str(deb)], check=True, capture_output=True)
    workspace.put(workspace.mirror / workspace.lock("a", deb.read_bytes()), deb.read_bytes())
    links = '{"usr/bin/libfoo.so.1": "../lib/libfoo.so.1"}'
    code, said = workspace.fetch(
        f'debian_tree(name = "it", build_file = "//:tree.BUILD.bazel", links = {links}, locks = ["//:a.lock.json"])'
    )
    assert code == 0, said
    tree = workspace.fetched("")
    assert (tree / "usr/lib/foo.conf").readlink() == pathlib.Path("../../etc/foo.conf")
    assert (tree / "usr/bin/libfoo.so.1").read_bytes() == b"usr/lib/libfoo.so.1"
    # Out of the tree, excluded, and where the package itself was.
    for gone in ("usr/lib/passwd", "usr/lib/doc", "usr/share", "_deb"):
        assert not os.path.lexists(tree / gone), gone


def test_what_is_no_package_cannot_become_a_tree(workspace: Workspace) -> None:
    workspace.put(workspace.mirror / workspace.lock("a", b"no package" * 9), b"no package" * 9)
    code, said = workspace.fetch('debian_tree(name = "it", build_file = "//:tree.BUILD.bazel", locks = ["//:a.lock.json"])')
    assert code != 0
    assert "dpkg-deb --extract _deb/foo.deb .: dpkg-deb: error: '_deb/foo.deb' is not a Debian format archive" in said
