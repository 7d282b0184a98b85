"""image_hash: compute, compare, explain, lint, publish and verify hashes of container images.

Usage: image_hash COMMAND [FLAG...] [ARGUMENT...], and image_hash COMMAND --help
"""

import importlib
import os
import sys
from typing import NoReturn

from image_hash import errors

COMMANDS = {
    "compute": "digests of an image, each with the Confidential Space claim that it becomes",
    "compare": "match or mismatch, and what differs and why",
    "lint": "what the Confidential Space launcher makes of an image",
    "publish": "records a release: hashes, SBOMs, provenance, signatures",
    "verify": "compares images, or a rebuild, with a release",
    "which": "the release, image and commit that a digest belongs to",
}


def _dispatch(arguments: list[str]) -> None:
    """Runs the command that the first argument names; others are not even imported."""
    # Paths are relative to where the user is, also under `bazel run`.
    os.chdir(os.environ.get("BUILD_WORKING_DIRECTORY", "."))
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        names = "\n".join(f"  {name:<8} {summary}" for name, summary in COMMANDS.items())
        print(f"{__doc__}\nCommands:\n{names}\n\n{errors.EXIT_CODES}")
        if not arguments:
            raise errors.UsageError(f"expected a command, one of {', '.join(COMMANDS)}")
        return
    if arguments[0] not in COMMANDS:
        raise errors.UsageError(f"expected a command, one of {', '.join(COMMANDS)}; found {arguments[0]!r}")
    command = importlib.import_module(f"image_hash.commands.{arguments[0]}")
    errors.run_flags(command.main, arguments)


def main() -> NoReturn:
    """Runs the command line."""
    errors.exit_with(lambda: _dispatch(sys.argv[1:]))


if __name__ == "__main__":
    main()
