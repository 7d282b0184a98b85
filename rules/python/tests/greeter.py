"""The program of the tests: greets whom a data file names, and says what it runs on."""

import greeting
import os
import sys
import tests.name

if __name__ == "__main__":
    print(greeting.TEXT + tests.name.read(), sys.executable, os.environ["RUNFILES_DIR"], *sys.argv[1:])
