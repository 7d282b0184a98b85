"""lock: manifests, locks, and what apt says. Also: the committed locks fit their manifests and each other."""

from __future__ import annotations

import hashlib
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterator

import pytest

from toolchains.debian import lock

_HERE = pathlib.Path(__file__).parent
_MANIFEST = "suite: bookworm\narchitecture: amd64\nclosure: {closure}\npackages:\n  - hello\n"

# apt-get update --print-uris, of a machine with Debian testing and somebody's packages
_PRINTED_INDEXES = """\
'https://packages.example/apt/dists/stable/InRelease' packages.example_apt_dists_stable_InRelease 0
'http://mirror.example/debian/dists/testing/InRelease' mirror.example_debian_dists_testing_InRelease 0
'http://mirror.example/debian/dists/testing/main/binary-amd64/Packages.xz' mirror.example_debian_dists_testing_main_binary-amd64_Packages 0
"""
_HASH = "0" * 63 + "1"
_BOOKWORM = "http://mirror.example/debian/"
_SECURITY = "http://mirror.example/debian-security/"


def package(name: str, version: str, sha256: str = _HASH) -> lock.Package:
    return lock.Package(name, version, "amd64", "bookworm", f"pool/main/{name}_{version}_amd64.deb", 1, sha256)


def a_lock(*packages: lock.Package) -> lock.Lock:
    return lock.Lock((lock.Source("bookworm", "debian", "20260712T101637Z"),), packages)


def test_a_manifest_is_read() -> None:
    assert lock.read_manifest(_MANIFEST.format(closure="true"), "x.yaml") == lock.Manifest("bookworm", "amd64", True, ("hello",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected exactly the keys suite, architecture, closure, packages, found no mapping"),
        ("suite: bookworm\n", "found suite"),
        ("suite: [\n", "not YAML"),
        (_MANIFEST.format(closure="maybe"), "closure should be of type bool, found 'maybe'"),
        (_MANIFEST.format(closure="true") + "  - hello\n", "a list of different names"),
        (_MANIFEST.format(closure="true") + "  - 'he llo=1'\n", "'he llo=1' is no name of a Debian package"),
    ],
)
def test_a_bad_manifest_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(lock.LockError, match=f"^x.yaml: .*{message}") as caught:
        lock.read_manifest(text, "x.yaml")
    assert "\n" not in str(caught.value)


def test_a_lock_is_read_back_as_it_was_written() -> None:
    written = a_lock(package("a", "1"), package("b", "2~rc1+x"))
    assert lock.Lock.parse(written.text(), "x.lock.json") == written


def test_the_order_of_packages_does_not_change_a_lock() -> None:
    assert a_lock(package("a", "1"), package("b", "2")).text() == a_lock(package("b", "2"), package("a", "1")).text()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2}', '{"version": 1, "sources": {}, "packages": [{"name": "a"}]}'])
def test_what_is_no_lock_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(lock.LockError, match=r"^x.lock.json: ") as caught:
        lock.Lock.parse(text, "x.lock.json")
    assert "\n" not in str(caught.value)


def test_the_mirror_of_the_same_suite_is_the_first_choice() -> None:
    printed = _PRINTED_INDEXES + "'http://other.example/deb/dists/bookworm/InRelease' x 0\n"
    assert lock.find_mirror(printed, "bookworm") == "http://other.example/deb/"


def test_another_suite_of_the_same_archive_serves_as_well() -> None:
    assert lock.find_mirror(_PRINTED_INDEXES, "bookworm") == _BOOKWORM


def test_the_security_archive_is_sought_beside_the_main_one() -> None:
    assert lock.find_mirror(_PRINTED_INDEXES, "bookworm-security") == _SECURITY


def test_no_mirror_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(lock.LockError, match="no mirror of the archive 'debian'.*add one to"):
        lock.find_mirror(_PRINTED_INDEXES.splitlines()[0], "bookworm")


def test_what_apt_would_fetch_is_read_with_epochs_and_pluses() -> None:
    printed = f"""\
Reading package lists...
'{_BOOKWORM}pool/main/z/zlib/zlib1g_1.2.13.dfsg-1%2bb1_amd64.deb' zlib1g_1%3a1.2.13.dfsg-1+b1_amd64.deb 86684 SHA256:{_HASH}
'{_SECURITY}pool/updates/main/t/tzdata/tzdata_2026f_all.deb' tzdata_2026f_all.deb 12 SHA256:{_HASH}
"""
    assert lock.parse_uris(printed, {"bookworm": _BOOKWORM, "bookworm-security": _SECURITY}) == (
        lock.Package("tzdata", "2026f", "all", "bookworm-security", "pool/updates/main/t/tzdata/tzdata_2026f_all.deb", 12, _HASH),
        lock.Package(
            "zlib1g", "1:1.2.13.dfsg-1+b1", "amd64", "bookworm", "pool/main/z/zlib/zlib1g_1.2.13.dfsg-1+b1_amd64.deb", 86684, _HASH
        ),
    )


def test_a_package_from_elsewhere_is_refused() -> None:
    with pytest.raises(lock.LockError, match="apt would take a from http://evil.example/a_1_all.deb"):
        lock.parse_uris(f"'http://evil.example/a_1_all.deb' a_1_all.deb 1 SHA256:{_HASH}", {"bookworm": _BOOKWORM})


def test_the_snapshot_is_a_day_after_the_release() -> None:
    assert lock.snapshot_time("Suite: x\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n", "InRelease") == "20260712T101637Z"


def test_a_release_without_a_date_is_refused() -> None:
    with pytest.raises(lock.LockError, match="^InRelease: no `Date"):
        lock.snapshot_time("Suite: x\n", "InRelease")


def test_changes_are_named_one_by_one() -> None:
    old = a_lock(package("down", "2"), package("gone", "1"), package("rebuilt", "1"), package("same", "1"), package("up", "1"))
    new = a_lock(package("down", "1"), package("new", "1"), package("rebuilt", "1", "f" * 64), package("same", "1"), package("up", "2"))
    assert [re.sub(" +", " ", line) for line in lock.changes(old, new, {"down": False, "up": True})] == [
        "lowered down 2 -> 1 (bookworm)",
        "removed gone 1",
        "added new 1",
        f"rebuilt rebuilt 1: the same version with other content (sha256 {_HASH} -> {'f' * 64})",
        "upgraded up 1 -> 2 (bookworm)",
    ]


def test_a_package_in_two_versions_is_a_contradiction() -> None:
    locks = {
        "images": a_lock(package("libc6", "2"), package("x", "1")),
        "llvm": a_lock(package("libc6", "2")),
        "sysroot": a_lock(package("libc6", "1")),
    }
    assert lock.conflicts(locks) == ["libc6 is 2 in images, llvm but 1 in sysroot"]


class Archive:
    """An archive in a folder, unsigned, with suites of `hello`, which needs `libhello`; and a machine whose apt is set up for it."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.sources: list[str] = []

    def add(self, archive: str, suite: str, versions: dict[str, str]) -> None:
        folder = self.root / archive / "dists" / suite
        (folder / "main/binary-amd64").mkdir(parents=True)
        text = ""
        for name, version in versions.items():
            depends = "Depends: libhello\n" if name == "hello" else ""
            text += f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n{depends}"
            sha256 = hashlib.sha256(f"{name} {version}".encode()).hexdigest()
            text += f"Filename: pool/{name}_{version}_amd64.deb\nSize: 5\nSHA256: {sha256}\n\n"
        (folder / "main/binary-amd64/Packages").write_text(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        (folder / "Release").write_text(
            f"Suite: {suite}\nCodename: {suite}\nDate: Sat, 11 Jul 2026 10:16:37 UTC\nArchitectures: amd64\nComponents: main\n"
            f"SHA256:\n {digest} {len(text.encode())} main/binary-amd64/Packages\n"
        )
        self.sources.append(f"deb [trusted=yes] file://{self.root}/{archive}/ {suite} main\n")


@pytest.fixture(name="archive")
def _archive() -> Iterator[Archive]:
    # apt makes the path of an archive the name of a file, and pytest's own folders are too long for that.
    with tempfile.TemporaryDirectory() as root:
        yield Archive(pathlib.Path(root))


@pytest.fixture(name="locks")
def _locks(archive: Archive, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Calls `update` or `report` on folder locks/, with an archive of two suites."""
    archive.add("debian", "bookworm", {"hello": "1.0-1", "libhello": "2:1.0+dfsg-1"})
    archive.add("debian-security", "bookworm-security", {"hello": "1.0-1+deb12u1"})
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "sources.list").write_text("".join(archive.sources))
    (etc / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{etc}/sources.list"; Dir::Etc::sourceparts "/dev/null"; Dir::State::status "/dev/null";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(etc / "apt.conf"))
    monkeypatch.setattr(lock, "_trust", lambda: "[trusted=yes] ")
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/greet.yaml").write_text(_MANIFEST.format(closure="true"))

    def call(verb: Callable[..., list[str]], *arguments: object) -> list[str]:
        return [re.sub(" +", " ", line) for line in verb(tmp_path / "locks", ["greet"], *arguments)]

    return call


def test_update_locks_the_closure_and_says_so(locks: Callable[..., list[str]], tmp_path: pathlib.Path) -> None:
    assert locks(lock.update, "main") == [
        "greet.lock.json: 2 packages, 0.0 MB; 2 changed",
        " added hello 1.0-1",
        " added libhello 2:1.0+dfsg-1",
    ]
    made = lock.Lock.parse((tmp_path / "locks/greet.lock.json").read_text(), "greet")
    assert made.sources == (lock.Source("bookworm", "debian", "20260712T101637Z"),)
    assert made.packages[1].filename == "pool/libhello_2:1.0+dfsg-1_amd64.deb"
    assert made.packages[1].sha256 == hashlib.sha256(b"libhello 2:1.0+dfsg-1").hexdigest()


def test_without_closure_only_what_is_named_is_locked(locks: Callable[..., list[str]], tmp_path: pathlib.Path) -> None:
    (tmp_path / "locks/greet.yaml").write_text(_MANIFEST.format(closure="false"))
    assert locks(lock.update, "main") == ["greet.lock.json: 1 packages, 0.0 MB; 1 changed", " added hello 1.0-1"]


def test_a_second_update_changes_nothing(locks: Callable[..., list[str]], tmp_path: pathlib.Path) -> None:
    locks(lock.update, "main")
    before = (tmp_path / "locks/greet.lock.json").read_bytes()
    assert locks(lock.update, "main") == ["greet.lock.json: 2 packages, 0.0 MB; 0 changed"]
    assert (tmp_path / "locks/greet.lock.json").read_bytes() == before


def test_report_names_what_the_security_suite_has_newer(locks: Callable[..., list[str]]) -> None:
    locks(lock.update, "main")
    assert locks(lock.report) == [
        "greet: hello 1.0-1 -> 1.0-1+deb12u1 (bookworm-security)",
        "2 locked packages in 1 sets; 1 newer versions",
    ]


def test_the_security_channel_moves_on_purpose_and_main_moves_back(locks: Callable[..., list[str]], tmp_path: pathlib.Path) -> None:
    locks(lock.update, "main")
    assert locks(lock.update, "security")[1:] == [" upgraded hello 1.0-1 -> 1.0-1+deb12u1 (bookworm-security)"]
    made = lock.Lock.parse((tmp_path / "locks/greet.lock.json").read_text(), "greet")
    assert {source.suite: source.archive for source in made.sources} == {"bookworm": "debian", "bookworm-security": "debian-security"}
    assert locks(lock.update, "main")[1:] == [" lowered hello 1.0-1+deb12u1 -> 1.0-1 (bookworm)"]


def test_an_update_that_would_contradict_another_lock_changes_nothing(locks: Callable[..., list[str]], tmp_path: pathlib.Path) -> None:
    locks(lock.update, "main")
    before = (tmp_path / "locks/greet.lock.json").read_bytes()
    (tmp_path / "locks/other.lock.json").write_bytes(before)
    with pytest.raises(lock.LockError, match=r"none was changed: hello is 1\.0-1\+deb12u1 in greet but 1\.0-1 in other\. Update"):
        locks(lock.update, "security")
    assert (tmp_path / "locks/greet.lock.json").read_bytes() == before


def test_an_unknown_package_is_an_error_in_one_line(locks: Callable[..., list[str]], tmp_path: pathlib.Path) -> None:
    (tmp_path / "locks/greet.yaml").write_text(_MANIFEST.format(closure="true") + "  - nosuch\n")
    with pytest.raises(lock.LockError, match="apt-get install .*failed: E: Unable to locate package nosuch$"):
        locks(lock.update, "main")
    assert not (tmp_path / "locks/greet.lock.json").exists()


def test_dpkg_decides_what_is_newer() -> None:
    assert lock.is_newer("1:1", "2")
    assert not lock.is_newer("1~rc1", "1")


def test_the_committed_locks_have_what_their_manifests_want_and_agree() -> None:
    locks = {path.name.removesuffix(".lock.json"): lock.Lock.parse(path.read_text(), path.name) for path in _HERE.glob("*.lock.json")}
    assert sorted(locks) == sorted(path.stem for path in _HERE.glob("*.yaml"))
    assert "images" in locks
    for name, made in locks.items():
        manifest = lock.read_manifest((_HERE / f"{name}.yaml").read_text(), name)
        names = {entry.name for entry in made.packages}
        assert set(manifest.packages) <= names if manifest.closure else set(manifest.packages) == names, name
        assert {entry.suite for entry in made.packages} == {source.suite for source in made.sources}, name
        assert made.text() == (_HERE / f"{name}.lock.json").read_text(), name
    assert lock.conflicts(locks) == []


def test_no_lock_names_a_host() -> None:
    for path in _HERE.glob("*.lock.json"):
        assert "://" not in path.read_text(), path.name
