"""unpack.py --jar JAR --output FOLDER --linker LINKER --library_path PATH --xz XZ: unpacks PostgreSQL out of embedded-postgres-binaries.

The jar holds one tar, compressed with xz. xz is run by the dynamic linker and the libraries of its own tree: nothing of the machine.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tarfile
import zipfile

from ocilib import tarcheck
from ocilib.errors import Error


class UnpackError(Error):
    """The jar is not what it should be."""


def unpack(jar: str, output: str, xz: list[str]) -> None:
    """Unpacks JAR into the folder OUTPUT; the command XZ decompresses its standard input.

    Raises:
        UnpackError: the jar holds no tar or several, or the tar is damaged.
    """
    with zipfile.ZipFile(jar) as archive:
        names = [name for name in archive.namelist() if name.endswith(".txz")]
        if len(names) != 1:
            raise UnpackError(f"{jar}: expected one *.txz, found {len(names)}: is it embedded-postgres-binaries?")
        # No environment: XZ_OPT would be options.
        done = subprocess.run([*xz, "-dcq"], input=archive.read(names[0]), stdout=subprocess.PIPE, env={}, check=False)
    if done.returncode:
        raise UnpackError(f"{jar}: {names[0]}: xz ended with {done.returncode}")
    # Nothing leaves OUTPUT; the filters of tarfile are newer than the Python of actions.
    tarcheck.check_tar(io.BytesIO(done.stdout), f"{jar}: {names[0]}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        tar.extractall(output)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("jar", "output", "linker", "library_path", "xz"):
        parser.add_argument(f"--{name}", required=True)
    flags = parser.parse_args()
    try:
        unpack(flags.jar, flags.output, [flags.linker, "--inhibit-cache", "--library-path", flags.library_path, flags.xz])
    except (Error, tarfile.TarError, zipfile.BadZipFile) as error:
        sys.exit(f"unpack: {error}")


if __name__ == "__main__":
    main()
