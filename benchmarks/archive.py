"""How long an archive of all inputs takes next to `cp` of the same files, both until they are on disk.

    bazel run //benchmarks:archive

In the build environment, where the repository cache and the archive are different mounts, the archive is a copy. By turns, three times
each. Prints medians, and fails if the target is missed: at most 1.5 times the time of cp.
"""

import pathlib
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence

from image_hash import errors

from tools.inputs import archive, locks, workspace

_TURNS = 3
_MOST_RATIO = 1.5


def _copy(inputs: Sequence[locks.Input], cache: pathlib.Path, folder: pathlib.Path) -> None:
    names = [str(workspace.file_in(pathlib.Path(), item.sha256)) for item in inputs]
    subprocess.run(["cp", "--parents", f"--target-directory={folder}", *names], cwd=cache, check=True)
    subprocess.run(["sync", "--file-system", str(folder)], check=True)


def _archive(inputs: Sequence[locks.Input], cache: pathlib.Path, folder: pathlib.Path) -> None:
    missing = archive.write(inputs, cache, folder)
    if missing:
        raise errors.CheckError(f"the archive is not whole: {missing[0]}")


def _seconds(make: Callable[[Sequence[locks.Input], pathlib.Path, pathlib.Path], None], inputs: Sequence[locks.Input]) -> float:
    # On the disk of Bazel's own cache: the temporary folder of the build environment is in memory.
    with tempfile.TemporaryDirectory(prefix="benchmark.", dir=pathlib.Path.home() / ".cache" / "bazel") as folder:
        start = time.monotonic()
        make(inputs, workspace.repository_cache(), pathlib.Path(folder))
        return time.monotonic() - start


def main(argv: list[str]) -> None:
    """Runs the benchmark on the inputs of the workspace that `bazel run` was called in."""
    if argv:
        raise errors.UsageError(f"archive takes no arguments, found {argv[0]!r}")
    inputs = workspace.locked()
    workspace.fetch(inputs, workspace.repository_cache())
    turns = [(_seconds(_copy, inputs), _seconds(_archive, inputs)) for _ in range(_TURNS)]
    copying, archiving = (statistics.median(side) for side in zip(*turns, strict=True))
    print(f"{len(inputs)} inputs, {sum(item.size for item in inputs) / 1e6:.0f} MB; medians of {_TURNS}")
    print(f"cp, sync   {copying:6.2f} s")
    print(f"archive    {archiving:6.2f} s")
    print(f"ratio      {archiving / copying:6.2f} (at most {_MOST_RATIO})")
    if archiving > _MOST_RATIO * copying:
        raise errors.MismatchError("the target is missed")


if __name__ == "__main__":
    errors.run(main)
