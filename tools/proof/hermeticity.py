"""Image bytes depend on inputs only: no action of an image may touch a compiler, JDK, Python or shell of the machine.

    bazel run //tools/proof:hermeticity

Reads Bazel's action graph of the seven images. Exit codes: see tools/image_hash/image_hash/errors.py.
"""

import os
import pathlib
import re
from collections.abc import Iterable

from image_hash import errors

from tools.proof import bazel

# Folders of compilers, JDKs, interpreters and libraries of a machine, at the start of a word of a command line. A path *in an image* may
# well be /usr/bin/java: such words are parameters of our own packers, which never run or read what they name.
_TOOL_OF_THE_MACHINE = re.compile(
    r"(?:^|[=:,\s\"'])(/(?:usr/)?(?:local/)?s?bin/[\w.+-]+|/usr/lib/jvm|/usr/lib/gcc|/usr/lib/llvm|/usr/lib/python|/usr/include|/opt/|/root/|/home/)"
)
_DATA_OF_PACKERS = frozenset({"OCILayer", "OCIImage"})

# Repositories that stand for what the machine has.
_REPOSITORY_OF_THE_MACHINE = re.compile(r"external/\S*(local_jdk|local_config_cc|local_config_python|local_config_sh|autodetect)\S*")


def findings(actions: Iterable[bazel.Action]) -> list[str]:
    """What reaches out of the declared inputs: one line each, sorted."""
    found = set()
    for action in actions:
        where = f"{action.mnemonic} of {action.target}"
        for number, argument in enumerate(action.arguments):
            if number and action.mnemonic in _DATA_OF_PACKERS:
                continue
            match = _TOOL_OF_THE_MACHINE.search(argument)
            if match:
                found.add(f"{where}: command line names {match.group(1)} in {argument[:120]!r}")
        for path in action.inputs:
            if path.startswith("/") or _REPOSITORY_OF_THE_MACHINE.match(path):
                found.add(f"{where}: input {path}")
    return sorted(found)


def main(argv: list[str]) -> None:
    """Checks the workspace that `bazel run` was called in."""
    if argv:
        raise errors.UsageError(f"hermeticity takes no arguments, found {argv[0]!r}")
    workspace = bazel.Workspace(pathlib.Path(os.environ["BUILD_WORKSPACE_DIRECTORY"]))
    actions = workspace.actions().actions
    if len(actions) < len(bazel.images()):
        raise errors.CheckError(f"expected the actions of {len(bazel.images())} images, found only {len(actions)} actions")
    found = findings(actions)
    for line in found:
        print(line)
    if found:
        raise errors.MismatchError(f"{len(found)} uses of the machine's tools in the actions of the images")
    print(f"{len(actions)} actions of {len(bazel.images())} images use declared inputs only")


if __name__ == "__main__":
    errors.run(main)
