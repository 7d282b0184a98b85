"""A deterministic tar, written as a stream.

The format is GNU tar's (magic "ustar  ", long names as ././@LongLink entries, large numbers in base 256: GNU tar manual, "Basic Tar
Format"), which every container runtime reads. Nothing of the machine enters: the time is one number, owners are numbers without names.
Entries come out in the order of the calls: callers sort.
"""

from __future__ import annotations

import os

from ocilib.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Protocol

    class Sink(Protocol):
        """What a tar is written to."""

        def write(self, data: bytes, /) -> object:
            """Takes all of DATA."""

    Source = str | os.PathLike[str] | bytes

BLOCK = 512
# GNU tar's default record of 20 blocks; readers of tapes want it and readers of files do not mind.
RECORD = 20 * BLOCK
# Large enough to be I/O bound, small enough to stay in the processor's cache.
_CHUNK = 1 << 18
_MAGIC_AND_OWNER_NAMES = b"ustar  \0" + bytes(64)
_DEVICE_AND_PREFIX = bytes(183)


class TarError(Error):
    """A tar that is not what it should be, or an entry that must not be in one."""


def path_error(path: str) -> str | None:
    """Says what is wrong with a path for an entry of a layer, or None: it has to be relative, and to stay below the root."""
    if not path:
        return "is empty"
    if path[0] == "/":
        return "is absolute"
    if "\0" in path:
        return "has a NUL"
    if ".." in path and ".." in path.split("/"):
        return 'has a ".." component'
    return None


def _strict_path(path: str) -> str:
    problem = path_error(path)
    if problem is None and ("//" in path or path[-1] == "/" or "/./" in f"/{path}/"):
        problem = 'is not normal (no empty and no "." component, no final slash)'
    if problem is not None:
        raise TarError(f"the path {path!r} of a tar entry {problem}")
    return path


def _number(value: int, width: int) -> bytes:
    """A field of WIDTH bytes: octal with a final NUL; base 256 with the top bit set where that is too short."""
    if value < 0:
        raise TarError(f"negative number {value} in a tar entry")
    digits = b"%0*o\0" % (width - 1, value)
    if len(digits) == width:
        return digits
    return b"\x80" + value.to_bytes(width - 1, "big")


class TarWriter:
    """Writes entries to FILEOBJ, which stays open; the end of the archive is written when the `with` block ends without an error.

    Paths are relative, with "/", without "./" and final slash. A path may come once. Parents are not added: an entry for a directory
    that a lower layer has, too, would replace its mode and owner.
    """

    def __init__(self, fileobj: Sink, mtime: int = 0) -> None:
        self._write = fileobj.write
        self._mtime = _number(mtime, 12)
        self._position = 0
        self._paths: set[str] = set()

    def __enter__(self) -> TarWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()

    def directory(self, path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> None:
        """Adds a directory."""
        self._emit(self._header(path, b"5", mode, uid, gid))

    def file(self, path: str, source: Source, mode: int = 0o644, uid: int = 0, gid: int = 0) -> None:
        """Adds a regular file: SOURCE is its content (bytes) or the path of a file with it, which is followed if it is a link.

        Raises:
            TarError: SOURCE is no regular file, or changes while it is read.
            OSError: SOURCE cannot be read.
        """
        if isinstance(source, bytes):
            data = source + bytes(-len(source) % BLOCK)
            self._emit(self._header(path, b"0", mode, uid, gid, len(source)) + data)
            return
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if status.st_mode & 0o170000 != 0o100000:
                raise TarError(f"{os.fspath(source)} (for {path}) is no regular file")
            size = status.st_size
            chunk = os.read(descriptor, min(size, _CHUNK)) if size else b""
            left = size - len(chunk)
            # One write for a small file: most are.
            header = self._header(path, b"0", mode, uid, gid, size)
            self._emit(header + chunk + bytes(-size % BLOCK) if not left else header + chunk)
            while left and chunk:
                chunk = os.read(descriptor, min(left, _CHUNK))
                left -= len(chunk)
                self._emit(chunk)
                if not left:
                    self._emit(bytes(-size % BLOCK))
            if left or os.read(descriptor, 1):
                raise TarError(f"{os.fspath(source)} (for {path}) changed while it was read")
        finally:
            os.close(descriptor)

    def symlink(self, path: str, target: str) -> None:
        """Adds a symbolic link; TARGET is written as it is."""
        self._emit(self._header(path, b"2", 0o777, 0, 0, link=target))

    def hardlink(self, path: str, target: str) -> None:
        """Adds a hard link to TARGET, the path of an entry that came before."""
        if target not in self._paths:
            raise TarError(f"the hard link {path!r} names {target!r}, which is not in the tar so far")
        self._emit(self._header(path, b"1", 0o644, 0, 0, link=target))

    def close(self) -> None:
        """Writes the end of the archive."""
        end = 2 * BLOCK
        self._emit(bytes(end + -(self._position + end) % RECORD))

    def _emit(self, data: bytes) -> None:
        self._position += len(data)
        self._write(data)

    def _header(self, path: str, kind: bytes, mode: int, uid: int, gid: int, size: int = 0, link: str = "") -> bytes:
        if _strict_path(path) in self._paths:
            raise TarError(f"two tar entries have the path {path!r}")
        self._paths.add(path)
        if mode & ~0o7777:
            raise TarError(f"mode {mode:o} of {path!r} is not within 0 to 7777")
        name = path.encode("utf-8", "surrogateescape") + (b"/" if kind == b"5" else b"")
        target = link.encode("utf-8", "surrogateescape")
        if kind in b"12" and (not target or b"\0" in target):
            raise TarError(f"the link {path!r} has the target {link!r}")
        long = b""
        if len(target) > 100:
            long += _long(target, b"K")
        if len(name) > 100:
            long += _long(name, b"L")
        return long + _block(name[:100], mode, uid, gid, size, self._mtime, kind, target[:100])


def _block(name: bytes, mode: int, uid: int, gid: int, size: int, mtime: bytes, kind: bytes, link: bytes) -> bytes:
    start = b"%b%b%b%b%b%b" % (name.ljust(100, b"\0"), _number(mode, 8), _number(uid, 8), _number(gid, 8), _number(size, 12), mtime)
    rest = b"%b%b%b%b" % (kind, link.ljust(100, b"\0"), _MAGIC_AND_OWNER_NAMES, _DEVICE_AND_PREFIX)
    # The sum takes the checksum field as eight blanks; it is six digits, NUL, blank.
    return b"%b%06o\0 %b" % (start, sum(start) + sum(rest) + 8 * 32, rest)


def _long(name: bytes, kind: bytes) -> bytes:
    data = name + b"\0"
    return _block(b"././@LongLink", 0o644, 0, 0, len(data), _number(0, 12), kind, b"") + data + bytes(-len(data) % BLOCK)
