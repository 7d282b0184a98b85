"""The archive of inputs: whole, verified, continued, and honest about what is missing."""

import errno
import hashlib
import json
import os
import pathlib
import shutil

import pytest

from tools.inputs import archive, locks, workspace


@pytest.fixture
def cache(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "archive"


def _input(name: str, content: bytes, places: tuple[str, ...] = ("debian12 x.deb",)) -> locks.Input:
    return locks.Input(locks.DEB, name, "1", hashlib.sha256(content).hexdigest(), len(content), places)


def _put(cache: pathlib.Path, item: locks.Input, content: bytes) -> pathlib.Path:
    path = workspace.file_in(cache, item.sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _leftovers(folder: pathlib.Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(archive._PARTIAL)]


def test_an_archive_has_each_file_by_its_hash_and_an_index(cache: pathlib.Path, folder: pathlib.Path) -> None:
    contents = {"b": b"second", "a": b"first" * 1_000_000}
    inputs = sorted(_input(name, content) for name, content in contents.items())
    for item in inputs:
        _put(cache, item, contents[item.name])

    assert archive.write(inputs, cache, folder) == []

    for item in inputs:
        assert workspace.file_in(folder, item.sha256).read_bytes() == contents[item.name]
    index = json.loads((folder / "index.json").read_text("utf-8"))["inputs"]
    assert [entry["name"] for entry in index] == ["a", "b"]
    assert index[0] == {"name": "a", "version": "1", "sha256": inputs[0].sha256, "size": 5_000_000, "kind": "deb"}
    assert not _leftovers(folder)


def test_what_is_missing_is_named_with_the_way_out_and_the_next_run_goes_on(cache: pathlib.Path, folder: pathlib.Path) -> None:
    there, gone, environment = _input("there", b"1"), _input("gone", b"2"), _input("bash", b"3", (locks.ENVIRONMENT,))
    _put(cache, there, b"1")

    missing = archive.write([there, gone, environment], cache, folder)

    assert len(missing) == 2
    assert f"deb gone 1, sha256 {gone.sha256}" in missing[0]
    assert missing[0].endswith("bazel fetch --force --repo=@@_main~inputs~debian12")
    assert missing[1].endswith("./scripts/docker/environment.sh tar > /dev/null")
    assert workspace.file_in(folder, there.sha256).exists()
    assert not workspace.file_in(folder, gone.sha256).parent.exists()
    assert not (folder / "index.json").exists()
    assert not _leftovers(folder)

    _put(cache, gone, b"2")
    _put(cache, environment, b"3")
    assert archive.write([there, gone, environment], cache, folder) == []
    assert (folder / "index.json").exists()


@pytest.mark.parametrize("wrong", [b"other", b"shor", b""])
def test_a_damaged_file_in_the_cache_never_gets_into_the_archive(cache: pathlib.Path, folder: pathlib.Path, wrong: bytes) -> None:
    item = _input("x", b"right")
    _put(cache, item, wrong)

    assert archive.write([item], cache, folder)[0].startswith("damaged: deb x 1")
    assert not workspace.file_in(folder, item.sha256).exists()
    assert not (folder / "index.json").exists()


def test_a_damaged_file_in_the_archive_is_replaced_and_a_good_one_stays(cache: pathlib.Path, folder: pathlib.Path) -> None:
    good, bad = _input("good", b"good"), _input("bad", b"bad")
    _put(cache, bad, b"bad")
    kept = _put(folder, good, b"good")
    _put(folder, bad, b"bat")
    before = kept.stat().st_ino

    assert archive.write([good, bad], cache, folder) == []

    assert kept.stat().st_ino == before
    assert workspace.file_in(folder, bad.sha256).read_bytes() == b"bad"


def test_what_an_interrupted_run_left_goes(cache: pathlib.Path, folder: pathlib.Path) -> None:
    item = _input("x", b"x")
    _put(cache, item, b"x")
    (folder / ".partial.abc").mkdir(parents=True)
    (folder / ".partial.abc" / "file").write_bytes(b"half")

    assert archive.write([item], cache, folder) == []
    assert not _leftovers(folder)


def _other_file_system(*_: object) -> None:
    raise OSError(errno.EXDEV, "another file system")


def test_across_file_systems_it_is_a_copy(cache: pathlib.Path, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = os.urandom(3_000_000)
    item = _input("x", content)
    source = _put(cache, item, content)
    monkeypatch.setattr(os, "link", _other_file_system)

    assert archive.write([item], cache, folder) == []

    target = workspace.file_in(folder, item.sha256)
    assert target.read_bytes() == content
    assert target.stat().st_ino != source.stat().st_ino


def test_a_full_disk_leaves_no_half_file_and_no_index(cache: pathlib.Path, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_source: pathlib.Path, target: pathlib.Path) -> None:
        target.write_bytes(b"ha")
        raise OSError(errno.ENOSPC, "No space left on device")

    item = _input("x", b"half")
    _put(cache, item, b"half")
    monkeypatch.setattr(os, "link", _other_file_system)
    monkeypatch.setattr(shutil, "copyfile", full)

    with pytest.raises(OSError, match="No space left"):
        archive.write([item], cache, folder)

    assert not workspace.file_in(folder, item.sha256).exists()
    assert not (folder / "index.json").exists()
    assert not _leftovers(folder)
