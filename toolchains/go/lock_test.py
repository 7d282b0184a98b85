"""Tests of the lock command, and of the locks that are committed."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from toolchains.go import lock

_FOLDERS = (Path("toolchains/go"), Path("toolchains/go/pubsub"))


@pytest.mark.parametrize("folder", _FOLDERS)
def test_the_committed_locks_go_together(folder: Path) -> None:
    locked = json.loads((folder / "go.lock.json").read_text("utf-8"))["modules"]
    assert sorted(locked) == sorted(lock.modules((folder / "modules.txt").read_text("utf-8")))
    summed = {f"{path}@{version}" for path, version, _ in map(str.split, (folder / "go.sum").read_text("utf-8").splitlines())}
    assert set(locked) <= summed
    for entry in locked.values():
        assert re.fullmatch("[0-9a-f]{64}", entry["sha256"])
        assert entry["size"] > 0


@pytest.mark.parametrize("folder", _FOLDERS)
def test_no_committed_lock_holds_an_address(folder: Path) -> None:
    for name in ("go.lock.json", "go.mod", "go.sum", "modules.txt"):
        assert "://" not in (folder / name).read_text("utf-8"), name


def test_modules_without_packages_are_not_needed() -> None:
    text = """\
# example.org/a v1.0.0
## explicit; go 1.24
example.org/a
example.org/a/b
# example.org/graph-only v1.0.0
## explicit
# example.org/c v2.0.0+incompatible
example.org/c
# example.org/c => ../c
"""
    assert lock.modules(text) == ["example.org/a@v1.0.0", "example.org/c@v2.0.0+incompatible"]


def test_objects_that_stand_one_after_the_other_are_read() -> None:
    assert lock.json_objects('{\n"a": {"b": 1}\n}\n{\n"c": "}"\n}\n') == [{"a": {"b": 1}}, {"c": "}"}]


def test_changes_are_named() -> None:
    assert lock.changes(["a@v1", "b@v1", "c@v1"], ["b@v2", "c@v1", "d@v1"]) == ["- a v1", "~ b v1 -> v2", "+ d v1"]


def test_the_lock_is_sorted_and_has_hash_and_size(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"zip")
    locked = json.loads(lock.lock_text({"b@v1": tmp_path / "x.zip", "a@v1": tmp_path / "x.zip"}))["modules"]
    assert list(locked) == ["a@v1", "b@v1"]
    assert locked["a@v1"] == {"sha256": hashlib.sha256(b"zip").hexdigest(), "size": 3}
