"""A second checkout of what is being worked on, for a proof that changes or rebuilds it."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

from tools import errors
from tools.proof import bazel


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


@contextlib.contextmanager
def fresh(workspace: pathlib.Path, user: int | None = None) -> Iterator[bazel.Workspace]:
    """A copy of a checkout at another path, with a Bazel that shares nothing but verified downloads; gone at the end.

    Args:
        workspace: root folder of the checkout to copy.
        user: id of the user (and group) that runs Bazel there; None for the caller. Needs root.
    """
    # On the disk of Bazel's own cache: the temporary folder of the build environment is in memory.
    parent = pathlib.Path.home() / ".cache" / "bazel"
    parent.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="proof.", dir=parent))
    prefix: tuple[str, ...] = ()
    try:
        copy(workspace, folder / "a-checkout-elsewhere")
        if user is not None:
            (folder / "home").mkdir()
            for path in [folder, *folder.rglob("*")]:
                os.chown(path, user, user, follow_symlinks=False)
            # Only the way to the folder, not what is in it.
            for ancestor in parent.relative_to("/").parents:
                reachable = pathlib.Path("/") / ancestor
                if reachable != pathlib.Path("/"):
                    reachable.chmod(reachable.stat().st_mode | 0o011)
            parent.chmod(parent.stat().st_mode | 0o011)
            prefix = (
                "setpriv",
                f"--reuid={user}",
                f"--regid={user}",
                "--clear-groups",
                "env",
                f"HOME={folder / 'home'}",
                f"USER=user{user}",
            )
        second = bazel.Workspace(
            path=folder / "a-checkout-elsewhere",
            startup=(f"--output_user_root={folder / 'output'}", "--host_jvm_args=-Xmx2g"),
            prefix=prefix,
        )
        yield second
        second.run("shutdown")
    finally:
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)
