"""Where the files of releases are."""

import os
import pathlib

from absl import flags

RELEASES = flags.DEFINE_string("releases", None, "Folder with the files of the releases; releases/ of the checkout if it is not given.")


def checkout() -> pathlib.Path:
    """Root of the checkout that the command was called in; the working directory if it was called in none."""
    here = pathlib.Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY") or os.getcwd())
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)


def folder() -> pathlib.Path:
    """The folder with the files of the releases."""
    return pathlib.Path(RELEASES.value) if RELEASES.value else checkout() / "releases"
