"""Tests of the lock command, and of the locks that are committed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from toolchains.python import lock

_SHA_A = "a" * 64
_SHA_B = "b" * 64


def _requirements(*specifications: str) -> list[Requirement]:
    return [Requirement(specification) for specification in specifications]


def test_the_committed_locks_go_together() -> None:
    requirements = lock.read_requirements(Path("requirements_lock.txt").read_text(encoding="utf-8"))
    wheels = json.loads(Path("toolchains/python/python.lock.json").read_text(encoding="utf-8"))["wheels"]
    assert len(wheels) > 50
    assert lock.inconsistencies(requirements, wheels) == []


def test_no_committed_lock_holds_an_address() -> None:
    for name in ("requirements_lock.txt", "toolchains/python/python.lock.json"):
        assert "://" not in Path(name).read_text(encoding="utf-8")


def test_every_pin_of_pip_compile_is_read_with_all_its_hashes() -> None:
    text = f"# comment\nFoo.Bar==1.0 \\\n    --hash=sha256:{_SHA_A} \\\n    --hash=sha256:{_SHA_B}\n    # via -r requirements.in\nbaz==2\n"
    assert lock.read_requirements(text) == {"foo-bar": ("1.0", {_SHA_A, _SHA_B}), "baz": ("2", set())}


@pytest.mark.parametrize(
    ("wheels", "problem"),
    [
        ({}, "foo is only in requirements_lock.txt"),
        ({"foo": {"version": "1", "sha256": _SHA_A, "file": "f"}, "bar": {}}, "bar is only in python.lock.json"),
        ({"foo": {"version": "2", "sha256": _SHA_A, "file": "f"}}, "foo is 1 in requirements_lock.txt, 2 in python.lock.json"),
        (
            {"foo": {"version": "1", "sha256": _SHA_B, "file": "f"}},
            "f: its sha256 in python.lock.json is not among the hashes of requirements_lock.txt",
        ),
    ],
)
def test_locks_that_do_not_go_together_are_told(wheels: dict[str, lock.Json], problem: str) -> None:
    assert lock.inconsistencies({"foo": ("1", {_SHA_A})}, wheels) == [problem]


def test_edges_follow_markers_and_extras() -> None:
    metadata = {
        "flask": _requirements("Click>=8", "asgiref; extra == 'async'", "importlib-metadata; python_version < '3.10'"),
        "click": _requirements("colorama; platform_system == 'Windows'"),
        "asgiref": [],
    }
    assert lock.dependencies(metadata, {}) == {"flask": ["click"], "click": [], "asgiref": []}
    assert lock.dependencies(metadata, {"flask": {"async"}})["flask"] == ["asgiref", "click"]


def test_an_edge_to_a_package_that_is_not_locked_is_an_error() -> None:
    with pytest.raises(lock.LockError, match=r"flask needs click, which requirements_lock.txt does not have"):
        lock.dependencies({"flask": _requirements("click")}, {})


def test_newer_libc_comes_first_and_none_is_newer_than_that_of_the_images() -> None:
    tags = [tag for tag in lock.tags() if tag.startswith("manylinux")]
    assert tags[0] == "manylinux_2_36_x86_64"
    assert tags.index("manylinux_2_17_x86_64") + 1 == tags.index("manylinux2014_x86_64")


def test_changes_are_sorted_by_package() -> None:
    assert lock.changes({"a": "1", "b": "1", "c": "1"}, {"a": "2", "c": "1", "d": "3"}) == ["~ a 1 -> 2", "- b 1", "+ d 3"]


def test_of_a_failed_client_one_line_is_told() -> None:
    trace = 'Looking for x\nTraceback (most recent call last):\n  File "x.py", line 1\npip._internal.exceptions.NotFound: No x==1\n'
    assert lock.said(trace) == "Looking for x; No x==1"
    assert lock.said("WARNING: old\nERROR: Cannot install a.\n\n  a 1 depends on b\n") == "Cannot install a.; a 1 depends on b"
