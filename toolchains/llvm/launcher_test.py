"""The LLVM tools run with nothing of the machine but its kernel."""

import os
import pathlib
import re
import subprocess

import pytest

_DIRECTORY = pathlib.Path(os.environ["READELF"]).parent


def _run(*command: str | pathlib.Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env={}, capture_output=True, text=True, check=False)


def test_a_launcher_is_static() -> None:
    headers = _run(_DIRECTORY / "llvm-readelf", "--program-headers", "--dynamic-table", _DIRECTORY / "llvm-readelf")
    assert headers.returncode == 0, headers.stderr
    assert "LOAD" in headers.stdout
    assert "INTERP" not in headers.stdout
    assert "NEEDED" not in headers.stdout


@pytest.mark.parametrize("tool", ["llvm-ar", "llvm-nm", "llvm-objcopy", "llvm-readelf", "llvm-strip"])
def test_a_launcher_runs_the_tool_of_its_name_without_an_environment(tool: str) -> None:
    version = _run(_DIRECTORY / tool, "--version")
    assert version.returncode == 0, version.stderr
    assert re.search(r"LLVM version 16\.0\.6", version.stdout)


def test_arguments_and_exit_codes_are_passed_on() -> None:
    result = _run(_DIRECTORY / "llvm-readelf", "--file-header", "no such file")
    assert result.returncode == 1
    assert "no such file" in result.stderr


def test_a_launcher_outside_of_the_toolchain_says_what_is_missing(tmp_path: pathlib.Path) -> None:
    stray = tmp_path / "clang"
    stray.write_bytes((_DIRECTORY / "llvm-readelf").read_bytes())
    stray.chmod(0o755)
    result = _run(stray)
    assert result.returncode == 127
    assert result.stderr.startswith("llvm launcher: cannot execute ")
    assert result.stderr.count("\n") == 1
