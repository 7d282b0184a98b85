"""Tests of which file goes to which linter, and of what lint says."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from tools.dev import lint


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "tracked.py").write_text("")
    (tmp_path / "untracked.py").write_text("")
    (tmp_path / "link.py").symlink_to("tracked.py")
    subprocess.run(["git", "add", "tracked.py", "link.py"], cwd=tmp_path, check=True)
    return tmp_path


def _program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_only_tracked_files_are_looked_at_and_links_are_not(repository: Path) -> None:
    assert lint.tracked_files(repository) == [Path("tracked.py")]


def test_a_folder_without_git_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(lint.LintError, match="cannot list the files of"):
        lint.tracked_files(tmp_path)


@pytest.mark.parametrize("name", ["BUILD.bazel", "llvm16.BUILD.bazel", "MODULE.bazel", "WORKSPACE", "a.bzl"])
def test_bazel_files_are_starlark(name: str) -> None:
    assert lint.is_starlark(Path(name))


def test_a_script_without_ending_is_known_by_its_first_line(tmp_path: Path) -> None:
    for name, first, expected in (
        ("run", "#!/usr/bin/env bash", True),
        ("tool", "#!/usr/bin/env python3", False),
        ("LICENSE", "Apache", False),
    ):
        (tmp_path / name).write_text(first + "\n")
        assert lint.is_shell(tmp_path / name) is expected


def test_findings_are_printed_and_counted(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = _program(repository / "tool", 'echo "$@"; exit 3')
    assert not lint.lint(["shellcheck", "ruff"], repository, lambda _: program)
    output = capsys.readouterr().out.splitlines()
    assert output[0] == "shellcheck: 0 files, nothing found"
    assert output[1].endswith("tracked.py")
    assert output[2] == "ruff: findings (exit code 3) in 1 files"


def test_a_program_that_does_not_exist_is_an_error(repository: Path) -> None:
    with pytest.raises(lint.LintError, match="cannot run /nothing"):
        lint.lint(["ruff"], repository, lambda _: "/nothing")
