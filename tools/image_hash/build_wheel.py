"""build_wheel.py OUTPUT SETUPTOOLS [SOURCE DESTINATION]...: builds the wheel of image_hash, the same bytes everywhere.

The files SOURCE are copied to DESTINATION in a copy of the repository, as the project's pyproject.toml finds them; SETUPTOOLS is the folder
that setuptools is imported from.
"""

import contextlib
import importlib
import os
import pathlib
import shutil
import sys
import tempfile

_PROJECT = "tools/image_hash"
# A zip has no earlier time (1980-01-01), and modes are part of a wheel.
_TIME = "315532800"
_MODE = 0o644


def build(output: pathlib.Path, setuptools: pathlib.Path, files: dict[str, str]) -> None:
    """Writes the wheel; FILES is {destination: source}."""
    sys.path.insert(0, str(setuptools.absolute()))
    os.environ["SOURCE_DATE_EPOCH"] = _TIME
    output = output.absolute()
    with tempfile.TemporaryDirectory() as folder:
        for destination, source in sorted(files.items()):
            copy = pathlib.Path(folder, destination)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
            copy.chmod(_MODE)
        os.chdir(pathlib.Path(folder, _PROJECT))
        os.umask(0o022)
        build_meta = importlib.import_module("setuptools.build_meta")
        # What it does is of no interest, unless it fails.
        with open("log", "w", encoding="utf-8") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            name = build_meta.build_wheel("dist")
        shutil.copyfile(f"dist/{name}", output)


if __name__ == "__main__":
    out, site, *pairs = sys.argv[1:]
    build(pathlib.Path(out), pathlib.Path(site), dict(zip(pairs[1::2], pairs[::2], strict=True)))
