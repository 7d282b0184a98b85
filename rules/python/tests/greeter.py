"""The program of the tests: greets whom a data file names, and says what it runs on."""

import os
import sys

import greeting  # type: ignore[import-not-found]
import tests.name  # type: ignore[import-not-found]

if __name__ == "__main__":
    print(greeting.TEXT + tests.name.read(), sys.executable, os.environ["RUNFILES_DIR"], *sys.argv[1:])
