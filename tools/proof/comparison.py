"""The adverse rebuild, which is the comparison build, and the canary of DESIGN.md section 9.

    bazel run //tools/proof:comparison

Builds the seven images once more with everything varied that must not matter (conditions.py), sharing only verified downloads. The hashes
must equal those of the build that is here, and every action that makes image bytes must have run there: one that was answered from a cache
proves nothing. If a hash differs, nothing is varied at first, and then one condition after the other alone, to name the guilty one and the
first differing file. If none differs, one byte in one service's class must change exactly that image's hash, and one byte in a shared class
exactly its dependents'. Exit codes: see tools/image_hash/image_hash/errors.py.
"""

import dataclasses
import json
import os
import pathlib
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

from absl import flags
from image_hash import errors

from tools.inputs import archive as input_archive
from tools.inputs import workspace
from tools.proof import bazel, conditions

_CANARY = flags.DEFINE_bool("canary", True, "Also change one byte and see whose hash follows.")

_FRESH = ("--disk_cache=", "--remote_cache=", "--noexperimental_convenience_symlinks")

# Where the canary changes one byte, and whose hash must follow.
_SERVICE_CLASS = "shuffler/services/collector/CollectorApplication.java"
_SHARED_CLASS = "shuffler/common/web/HealthController.java"
_PYTHON_SERVICES = frozenset({"task_builder"})


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
        ("one byte in a class that all Java services share", _SHARED_CLASS, bazel.images().keys() - _PYTHON_SERVICES),
    ]:
        source = second.path / path
        before = source.read_bytes() if source.exists() else b""
        flip_byte(source)
        _expect(what, different(hashes, second.build()), expected)
        source.write_bytes(before)


def shims() -> pathlib.Path:
    """Folder of the libraries that an adverse rebuild preloads."""
    return workspace.runfile("tools/proof/shims/libclock.so").parent


def make_archive(folder: pathlib.Path) -> None:
    """Archives the inputs of what is built, without those of the build environment, which runs already.

    Raises:
        errors.CheckError: some are not in the repository cache.
    """
    inputs = [item for item in workspace.locked() if item.repositories]
    cache = workspace.repository_cache()
    workspace.fetch(inputs, cache)
    missing = input_archive.write(inputs, cache, folder)
    for line in missing:
        print(line)
    if missing:
        raise errors.CheckError(f"the archive of inputs is not whole, see above: {len(missing)} of {len(inputs)} inputs")
    folder.chmod(0o755)


@dataclasses.dataclass(frozen=True, order=True)
class Parting:
    """Where two builds of the same actions part: an output that differs, made from inputs that do not.

    Attributes:
        path: of the file, relative to the execution root.
        mnemonic: kind of the action that makes it.
        target: label of the action's owner.
    """

    path: str
    mnemonic: str
    target: str

    def __str__(self) -> str:
        return f"{self.path}, by {self.mnemonic} of {self.target}"


def partings(image: str, actions: Iterable[bazel.Action], before: Mapping[str, str], after: Mapping[str, str]) -> list[Parting]:
    """Finds where two builds of an image part: upstream of it, through files that differ, the first file of each action that is the first.

    Args:
        image: path of its layout, relative to the execution root.
        actions: of one of the builds.
        before: path -> sha256 of the outputs of one.
        after: likewise, of the other.

    Returns:
        Sorted; empty if the image is the same.
    """
    differing = {path for path, digest in before.items() if after.get(path, digest) != digest}
    # An output may be a folder.
    reached = differing | {str(folder) for path in differing for folder in pathlib.PurePath(path).parents}
    found = set()
    for action in _upstream(image, actions, reached):
        if reached.isdisjoint(action.inputs):
            own = min(path for path in differing if any(path == output or path.startswith(output + "/") for output in action.outputs))
            found.add(Parting(own, action.mnemonic, action.target))
    return sorted(found)


def _upstream(image: str, actions: Iterable[bazel.Action], through: Set[str] | None = None) -> Iterator[bazel.Action]:
    """The actions behind an image, as far as they are reached through some files; through all if that is None."""
    producers = {output: action for action in actions for output in action.outputs}
    todo = [image]
    seen = {image}
    while todo:
        path = todo.pop()
        # Files of the workspace and of repositories have no action.
        if path in producers and (through is None or path in through):
            action = producers[path]
            yield action
            todo += set(action.inputs) - seen
            seen.update(action.inputs)


@dataclasses.dataclass(frozen=True)
class Cause:
    """Why the image of a service differs.

    Attributes:
        condition: its name.
        parting: the first differing file, while that condition alone is varied.
    """

    condition: str
    parting: Parting


def partings_of_all(first: bazel.Workspace, second: bazel.Workspace, before: Mapping[str, str]) -> dict[str, list[Parting]]:
    """Finds where the images of the second build part from those of the first, whose outputs' sums are BEFORE."""
    actions = first.actions().actions
    after = second.sums()
    return {service: partings(first.output(service), actions, before, after) for service in second.images}


def _alike(parted: Mapping[str, Sequence[Parting]], work: Mapping[str, int]) -> dict[frozenset[str], list[str]]:
    """Services whose builds part at actions of the same kinds, most likely for the same reason; those with the least work first."""
    groups: dict[frozenset[str], list[str]] = {}
    for service in sorted(parted, key=lambda service: (work[service], service)):
        groups.setdefault(frozenset(parting.mnemonic for parting in parted[service]), []).append(service)
    return groups


def guilty(
    first: bazel.Workspace,
    parted: Mapping[str, Sequence[Parting]],
    before: Mapping[str, str],
    chosen: Sequence[conditions.Condition],
    archive: pathlib.Path,
) -> dict[str, Cause]:
    """Varies one condition after the other alone, until one is found for each image.

    Of images that part alike only the one with the fewest actions is built; once its condition is found, so are the others under that.

    Args:
        first: the workspace, built.
        parted: service name -> where an adverse rebuild of its image parts from that.
        before: path -> sha256 of the outputs there.
        chosen: the conditions to try.
        archive: of inputs.

    Returns:
        service name -> cause; without the images that no condition changes alone.
    """
    hashes = first.hashes()
    actions = first.actions().actions
    work = {service: len({action.outputs for action in _upstream(first.output(service), actions)}) for service in parted}
    found: dict[str, Cause] = {}
    while True:
        groups = _alike({service: where for service, where in parted.items() if service not in found}, work)
        known = len(found)
        for condition in chosen:
            # Of each group the one image, until it is explained.
            pending = {members[0]: members for members in groups.values() if members[0] not in found}
            if not pending:
                break
            start = time.monotonic()
            few = dataclasses.replace(first, images={service: first.images[service] for service in pending})
            with conditions.under(few, [condition], archive, shims()) as second:
                hit = different({service: hashes[service] for service in pending}, second.build(*_FRESH))
                members = [service for one in hit for service in pending[one]]
                if hit:
                    all_of_them = dataclasses.replace(second, images={service: first.images[service] for service in members})
                    all_of_them.build(*_FRESH)
                    for service, where in partings_of_all(first, all_of_them, before).items():
                        if where:
                            found[service] = Cause(condition.name, where[0])
            what = f"other hashes for {', '.join(hit)}" if hit else f"the same hash for {', '.join(sorted(pending))}"
            print(f"varied alone: {condition.name}: {what} ({time.monotonic() - start:.0f} s)", flush=True)
        if len(found) in (known, len(parted)):
            return found


def _explain(first: bazel.Workspace, parted: Mapping[str, Sequence[Parting]], before: Mapping[str, str], archive: pathlib.Path) -> str:
    """Prints why images differ; returns the names of the conditions, for a message."""
    found = guilty(first, parted, before, (conditions.AGAIN, *conditions.ALL) if os.getuid() == 0 else (), archive)
    for service, together in parted.items():
        if service in found:
            print(f"{service}: differs by {found[service].condition}; first differing file: {found[service].parting}")
        else:
            print(f"{service}: differs by no condition alone; varied together, by {'; '.join(map(str, together))}")
    return ", ".join(sorted({cause.condition for cause in found.values()})) or "no condition alone"


def _adverse(first: bazel.Workspace, archive: pathlib.Path) -> None:
    hashes = first.build()
    chosen = conditions.possible()
    for condition in conditions.ALL:
        print(f"{'varied' if condition in chosen else 'NOT varied, it needs root'}: {condition.name}")
    with conditions.under(first, chosen, archive, shims()) as second:
        log = pathlib.Path(second.path.parent, "output", "execution.json")
        rebuilt = second.build(f"--execution_log_json_file={log}", *_FRESH)
        wrong = different(hashes, rebuilt)
        for service in sorted(rebuilt):
            print(f"{service:16} {rebuilt[service]}{'  here: ' + hashes[service] if service in wrong else ''}", flush=True)
        if not wrong:
            skipped = not_executed(second.actions().actions, log_entries(log.read_text("utf-8")))
            for line in skipped:
                print(line)
            if skipped:
                raise errors.MismatchError(f"{len(skipped)} actions of the images did not run in the adverse rebuild")
            print("the adverse rebuild gives the same hashes, and every action of the images ran in it")
            if _CANARY.value:
                _canary(second, rebuilt)
            return
        before = first.sums()
        parted = partings_of_all(first, dataclasses.replace(second, images={service: second.images[service] for service in wrong}), before)
    names = _explain(first, parted, before, archive)
    raise errors.MismatchError(f"the adverse rebuild gives other hashes for {', '.join(wrong)}; they differ by {names}")


def main(argv: list[str]) -> None:
    """Compares the workspace that `bazel run` was called in with an adverse rebuild of it."""
    if argv:
        raise errors.UsageError(f"comparison takes no arguments, found {argv[0]!r}")
    # On the disk of Bazel's own cache: the temporary folder of the build environment is in memory.
    parent = pathlib.Path.home() / ".cache" / "bazel"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="archive.", dir=parent) as archive:
        make_archive(pathlib.Path(archive))
        _adverse(bazel.Workspace(workspace.root()), pathlib.Path(archive))


if __name__ == "__main__":
    errors.run(main)
