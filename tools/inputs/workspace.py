"""The checkout that `bazel run` was called in: its locks, and the cache of verified downloads."""

import os
import pathlib
import subprocess
from collections.abc import Iterable

from image_hash import errors
from runfiles import runfiles

from tools.inputs import locks

EXTENSION = "_main~inputs~"
"""What Bazel 7 puts before the names of the repositories of the extension `inputs` of dependencies.bzl."""


def runfile(path: str) -> pathlib.Path:
    """A file of this repository that came along with the tool.

    Raises:
        errors.CheckError: it is not there.
    """
    found = runfiles.Create()
    location = found.Rlocation(f"com_google_ondevicepersonalization_federatedcompute/{path}", "") if found else None
    if not location or not os.path.exists(location):
        raise errors.CheckError(f"expected {path} in the runfiles; start this tool by `bazel run`")
    return pathlib.Path(location)


def locked() -> list[locks.Input]:
    """Every input of the checkout."""
    return locks.read(runfile(locks.ENVIRONMENT_LOCK).parents[3])


def root() -> pathlib.Path:
    """Root folder of the checkout, to write to."""
    return pathlib.Path(os.environ["BUILD_WORKSPACE_DIRECTORY"])


def repository_cache() -> pathlib.Path:
    """Bazel's cache of downloads with a sha256.

    Raises:
        errors.CheckError: Bazel does not say where it is.
    """
    command = ["bazel", "info", "repository_cache"]
    result = subprocess.run(command, cwd=root(), capture_output=True, text=True, check=False)
    if result.returncode:
        raise errors.CheckError(f"{' '.join(command)} failed: {result.stderr.strip().splitlines()[-1]}")
    return pathlib.Path(result.stdout.strip())


def fetch(inputs: Iterable[locks.Input], cache: pathlib.Path) -> None:
    """Has Bazel fetch what is not in its repository cache, as a build would do it: inputs that no build here needed yet.

    Raises:
        errors.CheckError: something cannot be fetched; Bazel's message names it.
    """
    needed = sorted({item.repositories[0] for item in inputs if item.repositories and not file_in(cache, item.sha256).exists()})
    if not needed:
        return
    print(f"fetching {', '.join(needed)}", flush=True)
    # Canonical: MODULE.bazel makes only the repositories visible that BUILD files name.
    command = ["bazel", "fetch", "--force", "--noshow_progress", *(f"--repo=@@{EXTENSION}{repository}" for repository in needed)]
    if subprocess.run(command, cwd=root(), check=False).returncode:
        raise errors.CheckError(f"{' '.join(command)} failed, see above")


def file_in(cache: pathlib.Path, sha256: str) -> pathlib.Path:
    """Where a repository cache, or an archive of inputs, has the file of a sha256."""
    return cache / "content_addressable" / "sha256" / sha256 / "file"


def where_missing(item: locks.Input, cache: pathlib.Path) -> str:
    """One line for a person: an input that is not in the cache, and what brings it there."""
    if item.repositories:
        # Canonical: MODULE.bazel makes only the repositories visible that BUILD files name.
        remedy = f"bazel fetch --force --repo=@@{EXTENSION}{item.repositories[0]}"
    else:
        remedy = "on the host: ./scripts/docker/environment.sh tar > /dev/null"
    return f"missing: {item.key}, sha256 {item.sha256}, is not in the repository cache {cache}; fetch it: {remedy}"
