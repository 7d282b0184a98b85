"""Runs a program of the runfiles in the directory in which the user called `bazel run`.

Usage: run_tool.py RUNFILE [ARG...]
"""

from __future__ import annotations

import os
import sys

from runfiles import Runfiles


def main() -> None:
    """Becomes the program."""
    runfiles = Runfiles.Create()
    program = runfiles.Rlocation(sys.argv[1]) if runfiles else None
    if program is None:
        sys.exit(f"run_tool: {sys.argv[1]} is not among the runfiles")
    os.chdir(os.environ.get("BUILD_WORKING_DIRECTORY", os.curdir))
    os.execv(program, [program, *sys.argv[2:]])


if __name__ == "__main__":
    main()
