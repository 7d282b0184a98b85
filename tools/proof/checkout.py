"""A second checkout of what is being worked on, for a proof that changes or rebuilds it."""

import os
import pathlib
import shutil
import subprocess

from image_hash import errors


def files(workspace: pathlib.Path) -> list[str]:
    """What git tracks, and what it would track: paths relative to the workspace, sorted.

    Raises:
        errors.CheckError: the workspace is no git checkout.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    result = subprocess.run(command, cwd=workspace, capture_output=True, check=False)
    if result.returncode:
        raise errors.CheckError(f"expected a git checkout at {workspace}: {result.stderr.decode().strip()}")
    return sorted({os.fsdecode(name) for name in result.stdout.split(b"\0") if name})


def copy(workspace: pathlib.Path, target: pathlib.Path) -> None:
    """Copies the files of a checkout, without its history and its ignored files."""
    for name in files(workspace):
        source = workspace / name
        if not source.is_symlink() and not source.exists():
            continue  # deleted, and the deletion is not committed yet
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target / name, follow_symlinks=False)
