"""Writes every input of this commit, the whole build environment included, to a folder from which all can be built without a network.

    bazel run //tools/inputs:archive -- DIR

DIR gets the layout of Bazel's repository cache, `content_addressable/sha256/<hash>/file`, so `--repository_cache=DIR` and the environment
variable INPUT_ARCHIVE=DIR both take it as it is; and index.json, which names each file. What is there already with the right sha256
stays: the next run goes on where one was interrupted. index.json is written last: an archive that has it is whole. What this machine has
not fetched yet is fetched first, but for packages of the build environment, which the host fetches.
Exit codes: see tools/image_hash/image_hash/errors.py.
"""

import errno
import hashlib
import json
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from concurrent import futures

from image_hash import errors

from tools.inputs import locks, workspace

INDEX = "index.json"
_PARTIAL = ".partial."
_BUFFER = 1 << 20


def sha256_of(path: pathlib.Path) -> str:
    """The sha256 of a file, in hexadecimal digits; in constant memory."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_BUFFER))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            digest.update(buffer[:size])
    return digest.hexdigest()


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
    """Makes target the same file as source, or, across file systems, a copy of it."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
            raise
        # In the kernel, by sendfile.
        shutil.copyfile(source, target)


def _is_file_of(path: pathlib.Path, item: locks.Input) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == item.size and sha256_of(path) == item.sha256


def add(item: locks.Input, cache: pathlib.Path, folder: pathlib.Path) -> str | None:
    """Brings one input from a repository cache into an archive.

    Returns:
        None if the archive has it now; else one line that says what is missing.
    """
    target = workspace.file_in(folder, item.sha256)
    if _is_file_of(target, item):
        return None
    source = workspace.file_in(cache, item.sha256)
    if not source.exists():
        return workspace.where_missing(item, cache)
    with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=folder) as partial:
        new = pathlib.Path(partial, "file")
        _copy(source, new)
        if not _is_file_of(new, item):
            return f"damaged: {item.key}: {source} does not have the sha256 of the lock, {item.sha256}; delete that file and fetch it again"
        target.parent.mkdir(parents=True, exist_ok=True)
        new.replace(target)
    return None


def index_text(inputs: Iterable[locks.Input]) -> str:
    """The text of index.json: sorted, one input a line."""
    lines = [
        json.dumps({"name": item.name, "version": item.version, "sha256": item.sha256, "size": item.size, "kind": item.kind})
        for item in sorted(inputs)
    ]
    return '{"inputs": [\n' + ",\n".join(lines) + "\n]}\n"


def write(inputs: Sequence[locks.Input], cache: pathlib.Path, folder: pathlib.Path) -> list[str]:
    """Writes an archive.

    Args:
        inputs: what it must hold.
        cache: the repository cache that has them.
        folder: of the archive; made if it is not there.

    Returns:
        What is missing, a line each; empty if the archive is whole, and only then it has a new index.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # What an interrupted run left. Nobody else writes here.
    for leftover in folder.glob(_PARTIAL + "*"):
        shutil.rmtree(leftover, ignore_errors=True)
    # Hashing is what takes time, and hashlib lets other threads run meanwhile.
    with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        missing = [line for line in pool.map(lambda item: add(item, cache, folder), inputs) if line]
    if not missing:
        # The files must be on disk before the index that vouches for them.
        subprocess.run(["sync", "--file-system", str(folder)], check=True)
        with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=folder) as partial:
            new = pathlib.Path(partial, INDEX)
            new.write_text(index_text(inputs), "utf-8")
            new.replace(folder / INDEX)
    return missing


def main(argv: list[str]) -> None:
    """Archives the inputs of the workspace that `bazel run` was called in."""
    if len(argv) != 1:
        raise errors.UsageError(f"bazel run //tools/inputs:archive -- DIR; expected one folder, found {len(argv)} arguments")
    folder = pathlib.Path(os.environ["BUILD_WORKING_DIRECTORY"], argv[0])
    inputs = workspace.locked()
    cache = workspace.repository_cache()
    workspace.fetch(inputs, cache)
    try:
        missing = write(inputs, cache, folder)
    except OSError as error:
        raise errors.CheckError(f"the archive in {folder} is not whole: {error}") from error
    for line in missing:
        print(line)
    if missing:
        raise errors.CheckError(
            f"the archive in {folder} is not whole, see above: {len(missing)} of {len(inputs)} inputs; then run it again"
        )
    print(f"{len(inputs)} inputs, {sum(item.size for item in inputs) / 1e6:.0f} MB, verified in {folder}")


if __name__ == "__main__":
    errors.run(main)
