"""Runs pytest for a pytest_test: what Bazel's environment says becomes options."""

from __future__ import annotations

import os
import sys

import pytest


def main() -> int:
    """Returns pytest's exit code."""
    # Without a cache there is nothing to write beside the sources; the file at the root has the settings.
    options = ["--config-file=pyproject.toml", "--rootdir=.", "-p", "no:cacheprovider", "-rfEs"]
    temporary = os.environ.get("TEST_TMPDIR")
    if temporary:
        options.append(f"--basetemp={temporary}/pytest")
    report = os.environ.get("XML_OUTPUT_FILE")
    if report:
        options.append(f"--junitxml={report}")
    chosen = os.environ.get("TESTBRIDGE_TEST_ONLY")
    if chosen:
        options += ["-k", chosen]
    return pytest.main([*options, *sys.argv[1:]])


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main())
