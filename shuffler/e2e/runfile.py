"""Files that come with a program."""

from __future__ import annotations

import os
from pathlib import Path

from image_hash import errors
from runfiles import Runfiles


def runfile(variable: str) -> Path:
    """A file that comes with this program; Bazel says where in an environment variable.

    Raises:
        errors.Error: it was not started by Bazel.
    """
    runfiles = Runfiles.Create()
    path = runfiles and runfiles.Rlocation(os.environ.get(variable, ""))
    if not path:
        raise errors.Error(f"{variable} is not set: expected to be started by bazel run or bazel test")
    return Path(path)
