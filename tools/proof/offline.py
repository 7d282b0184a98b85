"""An input that the archive lacks, or has damaged, is named in the error of a build without a network.

    bazel run //tools/proof:offline

Of each repository two inputs are taken, since each kind of repository has its own way to fetch: one is removed from an archive of this
commit, the other gets other bytes; where a repository is one file, one after the other. The error must name exactly these by name, version
and sha256, say which state the archive is in, and what to do. That a whole archive is enough is part of the adverse rebuild. Needs root.
Exit codes: see tools/image_hash/image_hash/errors.py.
"""

import pathlib
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence

from image_hash import errors

from tools.inputs import locks, workspace
from tools.proof import bazel, comparison, conditions

_WITHOUT_NETWORK = tuple(c for c in conditions.ALL if c in (conditions.OUTPUT_BASE, conditions.ARCHIVE) or "--net" in c.namespaces)

# Nobody will answer: the clients need not ask again.
_IMPATIENT = ("PIP_RETRIES=0", "npm_config_fetch_retries=0")

_REMOVED = "nor in the input archive"
_DAMAGED = "and damaged in the input archive"


def samples(inputs: Iterable[locks.Input]) -> list[tuple[str, dict[locks.Input, str]]]:
    """What is spoiled in one run after the other: (repository, input -> state). The smallest inputs; of PyPI's repositories only one."""
    of_repository: dict[str, list[locks.Input]] = {}
    for item in sorted(inputs, key=lambda item: (item.size, item)):
        for repository in item.repositories:
            of_repository.setdefault(repository, []).append(item)
    found: list[tuple[str, dict[locks.Input, str]]] = []
    wheels = False
    for repository, items in sorted(of_repository.items()):
        if items[0].kind == locks.WHEEL:
            if wheels:
                continue
            wheels = True
        if len(items) > 1:
            found.append((repository, {items[0]: _REMOVED, items[1]: _DAMAGED}))
        else:
            found += [(repository, {items[0]: state}) for state in (_REMOVED, _DAMAGED)]
    return found


def unnamed(said: str, spoiled: dict[locks.Input, str]) -> list[str]:
    """What is wrong with an error message: a line each; none if it is as it should be."""
    # The other lines of Bazel's are where in which rule it happened, and what was tried before.
    error = " ".join(line for line in said.splitlines() if line.startswith("Error in fail: "))
    lines = []
    for item, state in spoiled.items():
        name = item.name.removesuffix(":" + item.version)
        if not re.search(
            rf"{re.escape(name)}[ :]{re.escape(item.version)}, sha256 {item.sha256}: not in Bazel's repository cache, {state}", error
        ):
            lines.append(f"{item.key} is not named as {state!r}")
    others = set(re.findall(r"sha256 ([0-9a-f]{64}): not in", error)) - {item.sha256 for item in spoiled}
    lines += [f"named too, but whole: {sha256}" for sha256 in sorted(others)]
    if "INPUT_ARCHIVE=" not in error or "lock -- update" not in error:
        lines.append("the ways out are not named")
    return lines


def _fetch(second: bazel.Workspace, repository: str) -> tuple[int, str]:
    fetch = ["fetch", "--force", f"--repo=@@{workspace.EXTENSION}{repository}", *second.options]
    command = [*second.prefix, "env", *_IMPATIENT, "bazel", *second.startup, *fetch]
    result = subprocess.run(command, cwd=second.path, capture_output=True, text=True, check=False)
    return result.returncode, result.stderr


def _spoil(archive: pathlib.Path, spoiled: dict[locks.Input, str]) -> Iterator[tuple[pathlib.Path, pathlib.Path]]:
    for item, state in spoiled.items():
        file = workspace.file_in(archive, item.sha256)
        kept = file.rename(archive / item.sha256)
        if state == _DAMAGED:
            file.write_bytes(b"x" * item.size)
        yield kept, file


def _try_all(second: bazel.Workspace, archive: pathlib.Path, runs: Sequence[tuple[str, dict[locks.Input, str]]]) -> int:
    wrong = 0
    for repository, spoiled in runs:
        moved = list(_spoil(archive, spoiled))
        code, said = _fetch(second, repository)
        lines = unnamed(said, spoiled) if code else ["the fetch succeeded"]
        wrong += bool(lines)
        names = ", ".join(f"{item.key} {'removed' if state == _REMOVED else 'damaged'}" for item, state in spoiled.items())
        print(f"{repository}: {names}: {'; '.join(lines) + chr(10) + said if lines else 'named'}", flush=True)
        for kept, file in moved:
            kept.replace(file)
    return wrong


def main(argv: list[str]) -> None:
    """Removes and damages inputs of one repository after the other."""
    if argv:
        raise errors.UsageError(f"offline takes no arguments, found {argv[0]!r}")
    if conditions.possible() != conditions.ALL:
        raise errors.CheckError(
            "expected root in the build environment, which a network namespace needs; use BUILD_ENGINE=rootfs or podman"
        )
    first = bazel.Workspace(workspace.root())
    runs = samples(workspace.locked())
    with tempfile.TemporaryDirectory(prefix="archive.", dir=pathlib.Path.home() / ".cache" / "bazel") as name:
        archive = pathlib.Path(name)
        comparison.make_archive(archive)
        with conditions.under(first, _WITHOUT_NETWORK, archive, comparison.shims()) as second:
            wrong = _try_all(second, archive, runs)
    if wrong:
        raise errors.MismatchError(f"{wrong} of {len(runs)} errors do not name what is missing")
    print(f"{len(runs)} errors name what is missing")


if __name__ == "__main__":
    errors.run(main)
