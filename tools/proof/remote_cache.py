"""A remote cache: a second clone gets every action from it and the same hashes, and a poisoned entry is refused or detected.

    bazel run //tools/proof:remote_cache

Starts bazel-remote on loopback with an empty store. A first clone with nothing but verified downloads builds images and fills the store; a
second one, in another folder, must run nothing itself. Then the store lies in two ways:

- A blob has other bytes than its digest says: Bazel checks the digest of what it downloads, and refuses it by name.
- The result of an action names another blob, which is what its digest says: nothing that Bazel could check. The build goes through, with
  another image hash than a build without the cache has, and comparing the two builds names the action.

Exit codes: see tools/image_hash/image_hash/errors.py.
"""

import collections
import contextlib
import dataclasses
import hashlib
import pathlib
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from image_hash import errors
from runfiles import runfiles

from tools.inputs import workspace
from tools.proof import bazel, comparison, conditions

# One of Java alone, one with both native libraries.
_SERVICES = ("aggregator", "collector")
_POISONED = "collector"
_LAYER = "bazel-out/k8-opt/bin/shuffler/services/collector/binary_tar.tar"
_JAR = "bazel-out/k8-opt/bin/shuffler/services/collector/collector_application.jar"
_ELSEWHERE = (conditions.WORKSPACE_PATH, conditions.OUTPUT_BASE)


@dataclasses.dataclass(frozen=True)
class Store:
    """A bazel-remote with a store of its own.

    Attributes:
        folder: of the store: `cas.v2` has the blobs, `ac.v2` the results of actions.
        grpc: address for Bazel.
        http: address for everybody else.
    """

    folder: pathlib.Path
    grpc: str
    http: str

    def blob(self, sha256: str) -> pathlib.Path:
        """The file of a blob: `<sha256>-<size>-<number>` and a suffix for the format."""
        found = list(self.folder.glob(f"cas.v2/{sha256[:2]}/{sha256}-*"))
        if len(found) != 1:
            raise errors.CheckError(f"expected one file of the blob {sha256} in the store, found {len(found)}")
        return found[0]

    def put(self, content: bytes) -> str:
        """Adds a blob, as any client may who can write; returns its sha256."""
        sha256 = hashlib.sha256(content).hexdigest()
        request = urllib.request.Request(f"http://{self.http}/cas/{sha256}", content, method="PUT")
        with urllib.request.urlopen(request, timeout=60):
            return sha256

    def results_with(self, sha256: str) -> list[pathlib.Path]:
        """The files of the results of actions that name a blob."""
        return [path for path in self.folder.glob("ac.v2/*/*") if sha256.encode() in path.read_bytes()]


def _free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@contextlib.contextmanager
def _bazel_remote(folder: pathlib.Path) -> Iterator[Store]:
    found = runfiles.Create()
    program = found.Rlocation("go_bazel_remote/bazel-remote") if found else None
    if not program:
        raise errors.CheckError("expected bazel-remote in the runfiles; start this tool by `bazel run`")
    store = Store(folder / "store", _free_address(), _free_address())
    command = [program, f"--dir={store.folder}", "--max_size=20", "--storage_mode=uncompressed", "--access_log_level=none"]
    command += [f"--grpc_address={store.grpc}", f"--http_address={store.http}"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait(process, store, folder / "log")
            yield store
        finally:
            process.kill()


def _wait(process: subprocess.Popen[bytes], store: Store, log: pathlib.Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"http://{store.http}/status", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                last = log.read_text("utf-8", "replace").strip().splitlines()[-1:]
                raise errors.CheckError(f"bazel-remote does not answer on {store.http}: {' '.join(last) or error}") from error
        time.sleep(0.1)


def from_cache(entries: Iterable[Mapping[str, Any]]) -> tuple[collections.Counter[str], list[str]]:
    """Reads an execution log (spawn.proto, SpawnExec).

    Returns:
        How many actions of each kind came from the remote cache; those that did not, a line each, sorted.
    """
    hits: collections.Counter[str] = collections.Counter()
    ran = []
    for entry in entries:
        if entry.get("runner") == "remote cache hit":
            hits[entry["mnemonic"]] += 1
        else:
            ran.append(f"{entry['mnemonic']} of {entry.get('targetLabel', '')} ran: {entry.get('runner')}")
    return hits, sorted(ran)


def _same(what: str, hashes: Mapping[str, str], rebuilt: Mapping[str, str]) -> None:
    wrong = comparison.different(hashes, rebuilt)
    if wrong:
        raise errors.MismatchError(f"{what} has other hashes for {', '.join(wrong)}")


def _everything_is_a_hit(second: bazel.Workspace, hashes: Mapping[str, str]) -> None:
    log = pathlib.Path(second.path.parent, "output", "execution.json")
    _same("the clone that reads the cache", hashes, second.build(f"--execution_log_json_file={log}"))
    hits, ran = from_cache(comparison.log_entries(log.read_text("utf-8")))
    for line in ran:
        print(line)
    if ran:
        raise errors.MismatchError(f"{len(ran)} actions ran although another clone had put their results into the cache")
    if not hits:
        raise errors.CheckError("expected actions in the execution log, found none")
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(hits.items()))
    print(f"second clone: the same hashes; {hits.total()} actions, all of them remote cache hits: {kinds}", flush=True)


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def _poisoned_blob(second: bazel.Workspace, store: Store, before: Mapping[str, str]) -> None:
    """A blob with other bytes is refused, by its digest."""
    sha256 = before[_LAYER]
    file = store.blob(sha256)
    good = file.read_bytes()
    file.write_bytes(_flipped(good))
    second.run("clean", *second.options)
    code, said = second.try_build()
    named = f"Expected digest '{sha256}/{len(good)}' does not match received digest"
    # Bazel 7.7.1 says it as an error of the build, or, for a file of the image itself, as an internal error.
    if not code or named not in said.replace("\\'", "'"):
        raise errors.MismatchError(f"expected a build that fails with {named!r}, found exit code {code}: {said[-2000:].strip()}")
    file.write_bytes(good)
    print(f"poisoned blob: Bazel refuses it: {named} ...", flush=True)


def _poisoned_result(
    here: bazel.Workspace, second: bazel.Workspace, store: Store, hashes: Mapping[str, str], before: Mapping[str, str]
) -> None:
    """A result that names another blob goes through, gives another hash, and is found by comparing with a build without the cache."""
    evil = store.put(_flipped(store.blob(before[_JAR]).read_bytes()))
    results = store.results_with(before[_JAR])
    if len(results) != 1:
        raise errors.CheckError(f"expected one result that names {_JAR}, found {len(results)}")
    (result,) = results
    result.write_bytes(result.read_bytes().replace(before[_JAR].encode(), evil.encode()))
    second.run("clean", *second.options)
    wrong = comparison.different(hashes, second.build())
    if wrong != [_POISONED]:
        raise errors.MismatchError(f"expected another hash for {_POISONED}, found one for {', '.join(wrong) or 'none'}")
    found = comparison.partings_of_all(here, second, before)[_POISONED]
    if [parting.path for parting in found] != [_JAR]:
        raise errors.MismatchError(f"expected {_JAR} as the first differing file, found {', '.join(map(str, found)) or 'none'}")
    print(f"poisoned result: {_POISONED} has another hash than without the cache; first differing file: {found[0]}", flush=True)


def main(argv: list[str]) -> None:
    """Fills a cache from a clone of the workspace that `bazel run` was called in, reads it from another, and poisons it."""
    if argv:
        raise errors.UsageError(f"remote_cache takes no arguments, found {argv[0]!r}")
    here = bazel.Workspace(workspace.root(), images={service: bazel.images()[service] for service in _SERVICES})
    hashes = here.build("--disk_cache=", "--remote_cache=")
    before = here.sums()
    # On the disk of Bazel's own cache: the temporary folder of the build environment is in memory.
    parent = pathlib.Path.home() / ".cache" / "bazel"
    with tempfile.TemporaryDirectory(prefix="remote.", dir=parent) as name, _bazel_remote(pathlib.Path(name)) as store:
        options = ("--disk_cache=", f"--remote_cache=grpc://{store.grpc}", "--noexperimental_convenience_symlinks")
        writer = dataclasses.replace(here, options=(*options, "--remote_upload_local_results"))
        with conditions.under(writer, _ELSEWHERE, pathlib.Path(), comparison.shims()) as first:
            _same("the clone that fills the cache", hashes, first.build())
        print("first clone: the same hashes, and the cache is filled", flush=True)
        reader = dataclasses.replace(here, options=(*options, "--noremote_upload_local_results"))
        with conditions.under(reader, _ELSEWHERE, pathlib.Path(), comparison.shims()) as second:
            _everything_is_a_hit(second, hashes)
            _poisoned_blob(second, store, before)
            _poisoned_result(here, second, store, hashes, before)


if __name__ == "__main__":
    errors.run(main)
