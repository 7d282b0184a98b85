"""What the check of the documentation finds, and what it leaves alone."""

import pathlib
import stat

import pytest
from image_hash import errors

from docs import check


def _page(root: pathlib.Path, text: str) -> pathlib.Path:
    (root / "docs").mkdir()
    (root / "docs" / "page.md").write_text(text, "utf-8")
    return root / "docs" / "page.md"


def test_links_must_lead_to_files_and_headings(tmp_path: pathlib.Path) -> None:
    (tmp_path / "README.md").write_text("# One `thing`, two\n```\n# not a heading\n```\n", "utf-8")
    page = _page(
        tmp_path,
        "[a](../README.md) [b](../README.md#one-thing-two) [c](https://example.org/x) [d](gone.md) [e](../README.md#not-a-heading)\n"
        "[f](../../outside.md) [g](#own) \n# Own",
    )
    assert list(check.dead_links(tmp_path, page)) == [
        "docs/page.md: the link gone.md leads to no file of this repository",
        "docs/page.md: the link ../README.md#not-a-heading leads to no heading of README.md",
        "docs/page.md: the link ../../outside.md leads to no file of this repository",
    ]


def test_paths_must_exist_but_placeholders_and_labels_are_no_paths(tmp_path: pathlib.Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "run.sh").touch()
    page = _page(
        tmp_path,
        "`./scripts/run.sh` scripts/gone.sh. tools/<name>/x toolchains/debian/*.lock.json //tools/inputs:list "
        "/var/lib/scripts/x `docs/page.md`, https://example.org/docs/none",
    )
    assert list(check.dead_paths(tmp_path, page)) == ["docs/page.md: scripts/gone.sh does not exist"]


def test_labels_are_found_and_placeholders_and_urls_are_not() -> None:
    text = """bazel run //tools/inputs:list, `//images/base:java17_debian12`. (//shuffler/native:libtensorflow-jni.so) //docs
    https://example.org/a //shuffler/services/<name>:<name>_image @rules_oci//oci:defs.bzl //toolchains/debian:<package>_amd64.tar
    --//shuffler/services:encryption_opts=X  bazel test //shuffler/native/..."""
    assert check.labels(text) == {
        "//tools/inputs:list",
        "//images/base:java17_debian12",
        "//shuffler/native:libtensorflow-jni.so",
        "//docs",
        "//shuffler/services:encryption_opts",
        "//shuffler/native",
    }


def _bazel(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A bazel on the PATH that is this script."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "bazel"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")


def test_labels_that_bazel_does_not_know_are_unknown(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "BUILD.bazel").touch()
    (tmp_path / "tools" / "defs.bzl").touch()
    _bazel(tmp_path, monkeypatch, "echo //a:b; echo //c/d:d; exit 3")
    named = ["//a:b", "//c/d", "//a:gone", "//tools", "//tools:defs.bzl", "//tools:gone.bzl", "//gone"]
    assert check.unknown_labels(tmp_path, named) == {"//a:gone", "//tools:gone.bzl", "//gone"}


def test_a_bazel_that_fails_is_no_answer(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _bazel(tmp_path, monkeypatch, "echo broken >&2; exit 1")
    with pytest.raises(errors.CheckError, match="exit code 1: broken"):
        check.unknown_labels(tmp_path, ["//a:b"])
