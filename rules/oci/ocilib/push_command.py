"""The command line of pushes: what `bazel run` of an oci_push takes."""

from __future__ import annotations

import argparse
import sys
import threading
import time

from ocilib import push, registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, TextIO

    from ocilib.registry import Client

USAGE = 64
"""The exit code for wrong usage (EX_USAGE of sysexits.h)."""

INTERRUPTED = 130

_BAR = 30
_SECONDS_BETWEEN = 0.1


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviations and ends with exit code 64 and one line for what it does not know."""

    def error(self, message: str) -> NoReturn:
        """Ends the process."""
        self.exit(USAGE, f"usage: {message}; --help says what there is\n")


def parser(description: str) -> Parser:
    """The flags that all pushes have; upstream's."""
    result = Parser(prog="push", description=description, allow_abbrev=False)
    result.add_argument("-r", "--repository", help="where to push to, instead of what the target says: HOST[:PORT]/PATH")
    result.add_argument("-t", "--tag", action="append", default=[], help="tag for the image; may come several times")
    result.add_argument("--insecure", action="store_true", help="speak plain http with a registry that is not loopback")
    result.add_argument("-v", "--verbose", action="store_true", help="print every request")
    result.add_argument("--allow-nondistributable-artifacts", action="store_true", help="push layers that are not to be distributed, too")
    return result


class Progress:
    """A bar on a terminal; nothing in a pipe."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream if stream.isatty() else None
        self._clock = clock
        self._lock = threading.Lock()
        self._name = ""
        self._total = 0
        self._done = 0
        self._next = 0.0

    def start(self, name: str, total: int) -> None:
        """Begins a new bar for TOTAL bytes."""
        self._name, self._total, self._done, self._next = name, total, 0, 0.0

    def moved(self, count: int) -> None:
        """Moves the bar by COUNT bytes."""
        with self._lock:
            self._done += count
            if self._stream and self._clock() >= self._next:
                self._next = self._clock() + _SECONDS_BETWEEN
                part = self._done / self._total if self._total else 1.0
                bar = "#" * int(part * _BAR)
                self._stream.write(f"\r{self._name} [{bar:<{_BAR}}] {self._done / 1e6:.1f}/{self._total / 1e6:.1f} MB\x1b[K")
                self._stream.flush()

    def finish(self) -> None:
        """Takes the bar away."""
        if self._stream:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def client(flags: argparse.Namespace, repository: registry.Repository) -> Client:
    """A client as the flags want it."""
    log = (lambda line: print(line, file=sys.stderr, flush=True)) if flags.verbose else None
    return registry.Client(repository, insecure=flags.insecure, log=log)


def tags(flags: argparse.Namespace, others: list[str]) -> list[str]:
    """The tags of the command line, then OTHERS, each once.

    Raises:
        NameFormatError: one is malformed.
    """
    return [registry.check_tag(tag) for tag in dict.fromkeys([*flags.tag, *others])]


def summary(repository: registry.Repository, digest: str, wanted: list[str], result: push.Result) -> str:
    """One line about a push."""
    if result.unchanged:
        what = "unchanged"
    else:
        what = f"{result.uploaded} blobs uploaded ({result.sent / 1e6:.1f} MB), {result.mounted} mounted, {result.present} already there"
    return f"{repository}@{digest}{''.join(f' :{tag}' for tag in wanted)}: {what}"


def run(flags: argparse.Namespace, layout: str, repository: str, others: list[str]) -> None:
    """Pushes the image of one layout, and prints what it did.

    Args:
        flags: of the command line.
        layout: folder of the OCI layout.
        repository: where to, unless the flags say otherwise; may be empty.
        others: tags besides those of the flags.

    Raises:
        Error: it did not succeed.
    """
    where = flags.repository or repository
    if not where:
        raise registry.NameFormatError("no repository: expected --repository HOST[:PORT]/PATH, or the attribute repository of the target")
    target = registry.parse_repository(where)
    wanted = tags(flags, others)
    artifact = push.read(layout, foreign=flags.allow_nondistributable_artifacts)
    progress = Progress(sys.stderr)
    connection = client(flags, target)
    progress.start(str(target), sum(blob.size for blob in artifact.blobs))
    try:
        result = push.Pusher(connection, progress.moved).push(artifact, target.name, wanted)
    except KeyboardInterrupt:
        progress.finish()
        print("interrupted: no tag was moved to an incomplete image", file=sys.stderr)
        sys.exit(INTERRUPTED)
    finally:
        progress.finish()
        connection.close()
    print(summary(target, artifact.digest, wanted, result))
