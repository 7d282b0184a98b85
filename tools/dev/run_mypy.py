"""Runs mypy, which finds the packages that this program depends on, in the directory in which the user called `bazel run`."""

from __future__ import annotations

import os

from mypy.__main__ import console_entry

if __name__ == "__main__":
    os.chdir(os.environ.get("BUILD_WORKING_DIRECTORY", os.curdir))
    console_entry()
