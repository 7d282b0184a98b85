"""The comparison build and the canary of DESIGN.md section 9.

    bazel run //tools/proof:comparison

Builds the seven images once more, from a copy of this checkout at another path, as another user where the caller is root, sharing only
verified downloads. The hashes must equal those of the build that is here, and every action that makes image bytes must have run there:
one that was answered from a cache proves nothing. Then one byte in one service's class must change exactly that image's hash, and one byte
in a shared class exactly its dependents'. Exit codes: see tools/errors.py.
"""

import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from absl import flags

from tools import errors
from tools.proof import bazel, checkout

_CANARY = flags.DEFINE_bool("canary", True, "Also change one byte and see whose hash follows.")

# Where the canary changes one byte, and whose hash must follow.
_SERVICE_CLASS = "shuffler/services/collector/CollectorApplication.java"
_SHARED_CLASS = "shuffler/common/web/HealthController.java"
_JAVA_SERVICES = frozenset(bazel.IMAGES) - {"task_builder"}


def different(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    """Names whose hashes differ, or that only one side has; sorted."""
    return sorted(name for name in {*first, *second} if first.get(name) != second.get(name))


def log_entries(text: str) -> Iterator[dict[str, Any]]:
    """Entries of an execution log in JSON form: objects one after the other (spawn.proto, SpawnExec)."""
    decoder = json.JSONDecoder()
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        entry, position = decoder.raw_decode(text, position)
        yield entry


def not_executed(actions: Iterable[bazel.Action], entries: Iterable[dict[str, Any]]) -> list[str]:
    """Actions that did not run as a process of that build: one line each, sorted."""
    ran: set[str] = set()
    hits: set[str] = set()
    for entry in entries:
        outputs = set(entry.get("listedOutputs", [])) | {output["path"] for output in entry.get("actualOutputs", [])}
        (hits if entry.get("cacheHit") else ran).update(outputs)
    lines = set()
    for action in actions:
        if not action.arguments:
            continue  # Bazel does it itself (writes a small file, makes a link); only processes are logged and cached
        outputs = set(action.outputs)
        if outputs & hits:
            lines.add(f"{action.mnemonic} of {action.target} was a cache hit")
        elif not outputs & ran:
            lines.add(f"{action.mnemonic} of {action.target} did not run ({action.outputs[0]})")
    return sorted(lines)


def flip_byte(path: pathlib.Path) -> None:
    """Changes one byte in the first string literal of a Java source, so that one byte of the class file changes.

    Raises:
        errors.CheckError: there is no such file, or no string literal in a statement.
    """
    try:
        lines = path.read_text("utf-8").splitlines(keepends=True)
    except OSError as error:
        raise errors.CheckError(f"the canary needs {path.name}: {error.strerror}") from error
    for number, line in enumerate(lines):
        start = line.find('"')
        code = not line.lstrip().startswith(("*", "//", "/*", "@", "import", "package"))
        if code and start >= 0 and line[start + 1].isalpha():
            swapped = "x" if line[start + 1] != "x" else "y"
            lines[number] = line[: start + 1] + swapped + line[start + 2 :]
            path.write_text("".join(lines), "utf-8")
            return
    raise errors.CheckError(f"the canary needs a string literal in {path}")


def _expect(what: str, changed: list[str], expected: Iterable[str]) -> None:
    if changed != sorted(expected):
        raise errors.MismatchError(f"canary: {what} must change {', '.join(sorted(expected))}; changed: {', '.join(changed) or 'none'}")
    print(f"canary: {what} changes exactly {', '.join(changed)}")


def _canary(second: bazel.Workspace, hashes: dict[str, str]) -> None:
    for what, path, expected in [
        ("one byte in a class of collector", _SERVICE_CLASS, {"collector"}),
        ("one byte in a class that all Java services share", _SHARED_CLASS, _JAVA_SERVICES),
    ]:
        source = second.path / path
        before = source.read_bytes() if source.exists() else b""
        flip_byte(source)
        _expect(what, different(hashes, second.build()), expected)
        source.write_bytes(before)


def main(argv: list[str]) -> None:
    """Compares the workspace that `bazel run` was called in with a fresh build of it."""
    if argv:
        raise errors.UsageError(f"comparison takes no arguments, found {argv[0]!r}")
    workspace = bazel.Workspace(pathlib.Path(os.environ["BUILD_WORKSPACE_DIRECTORY"]))
    first = workspace.build()
    with checkout.fresh(workspace.path, user=1000 if os.getuid() == 0 else None) as second:
        log = second.path.parent / "execution.json"
        hashes = second.build(
            f"--execution_log_json_file={log}", "--disk_cache=", "--remote_cache=", "--noexperimental_convenience_symlinks"
        )
        wrong = different(first, hashes)
        for service in sorted(hashes):
            print(f"{service:16} {hashes[service]}{'  here: ' + first[service] if service in wrong else ''}")
        if wrong:
            raise errors.MismatchError(f"the comparison build gives other hashes for {', '.join(wrong)}")
        skipped = not_executed(second.actions().actions, log_entries(log.read_text("utf-8")))
        for line in skipped:
            print(line)
        if skipped:
            raise errors.MismatchError(f"{len(skipped)} actions of the images did not run in the comparison build")
        print("the comparison build gives the same hashes, and every action of the images ran in it")
        if _CANARY.value:
            _canary(second, hashes)


if __name__ == "__main__":
    errors.run(main)
