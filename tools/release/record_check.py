"""Records the build that is here as a release in a temporary folder, with all documents, and lets `verify` compare the images with it.

    bazel run //tools/release:record_check

So what `publish` asks of Bazel and git is known to work before somebody needs it. Exit codes: see tools/image_hash/image_hash/errors.py.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

from image_hash import checkout, errors, releases
from image_hash.publish import record

from tools.inputs import workspace

_VERSION = "v0.0.0"


def main(argv: list[str]) -> None:
    """Records and verifies the workspace that `bazel run` was called in."""
    if argv:
        raise errors.UsageError(f"record_check takes no arguments, found {argv[0]!r}")
    here = checkout.Checkout(workspace.root())
    release, documents = record.describe(here, here.build(), _VERSION, here.commit())
    with tempfile.TemporaryDirectory(prefix="record.") as folder:
        path = record.write(pathlib.Path(folder), record.Record(release, documents, is_new=True))
        if releases.read(path) != release:
            raise errors.MismatchError(f"{path.name} is read as another release than was written")
        command = [sys.executable, "-m", "image_hash.main", "verify", f"--release={_VERSION}", f"--releases={folder}"]
        images = [f"{name}={layout}" for name, layout in here.layouts().items()]
        done = subprocess.run([*command, *images], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, check=False)
    if done.returncode:
        raise errors.MismatchError(f"verify ended with exit code {done.returncode}, see above")
    print(f"{len(documents)} documents, {len(release.locks)} locks")


if __name__ == "__main__":
    errors.run(main)
