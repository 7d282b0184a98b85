"""A library of the program."""

import os


def read() -> str:
    """Reads whom to greet."""
    path = os.path.join(os.environ["RUNFILES_DIR"], "rules_python_layers/tests/name.txt")
    with open(path, encoding="utf-8") as f:
        return f.read().strip()
