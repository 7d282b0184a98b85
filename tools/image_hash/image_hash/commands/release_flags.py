"""The flags that commands about releases share; where the files of releases are."""

import os
import pathlib

from absl import flags
from image_hash import errors, releases

RELEASE = flags.DEFINE_string("release", None, 'The release: vX.Y.Z, or "current" for releases/current.json.')
RELEASES = flags.DEFINE_string("releases", None, "Folder with the files of the releases; releases/ of the checkout if it is not given.")


def checkout() -> pathlib.Path:
    """Root of the checkout: that which `bazel run` was called in, or else the working directory."""
    return pathlib.Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY") or os.getcwd())


def caller() -> pathlib.Path:
    """The folder in which the user has called the command."""
    return pathlib.Path(os.environ.get("BUILD_WORKING_DIRECTORY") or os.getcwd())


def folder() -> pathlib.Path:
    """The folder with the files of the releases."""
    return caller() / RELEASES.value if RELEASES.value else checkout() / "releases"


def release_name() -> str:
    """The value of --release.

    Raises:
        errors.UsageError: it is not given, or no release.
    """
    if not RELEASE.value:
        raise errors.UsageError("expected --release vX.Y.Z")
    return releases.CURRENT if RELEASE.value == releases.CURRENT else releases.check_version(RELEASE.value)
