"""Makes the layer of a Debian package: its data tar byte for byte, and what dpkg's status says about it.

For actions (deb_layer.bzl). Standard library and ocilib only; constant memory. The format of packages is deb(5) of Debian 12: an ar archive
of debian-binary, control.tar and data.tar, each tar plain or compressed with gzip, xz or zstd.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import threading
import zlib
from typing import NamedTuple

from ocilib import tarcheck, tarwriter
from ocilib.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO, BinaryIO

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER = 60
_CHUNK = 1 << 20
# Scripts, checksums and texts of one package: more is damage.
_MAX_CONTROL = 64 << 20
# Where distroless puts it and vulnerability scanners look (syft, trivy, grype): one file a package instead of dpkg's one file for all.
_STATUS = "var/lib/dpkg/status.d"


class DebError(Error):
    """A file that is no usable Debian package."""


class Member(NamedTuple):
    """One file of an ar archive: its name, and where its data is."""

    name: str
    offset: int
    size: int


class Decompressors:
    """The locked xz and zstd, run by the dynamic linker and the libraries of their own tree: nothing of the machine."""

    def __init__(self, linker: str, library_path: str, xz: str, zstd: str) -> None:
        self._command = [linker, "--inhibit-cache", "--library-path", library_path]
        self._programs = {"xz": xz, "zst": zstd}

    def copy(self, deb: BinaryIO, member: Member, target: BinaryIO, name: str) -> None:
        """Writes the decompressed content of MEMBER of DEB to TARGET; NAME is for messages.

        Raises:
            DebError: the compression is unknown, or the data is damaged.
        """
        deb.seek(member.offset)
        compression = member.name.partition(".tar")[2].lstrip(".")
        if not compression:
            _copy(deb, target, member.size, name)
        elif compression == "gz":
            _gunzip(deb, target, member, name)
        elif compression in self._programs:
            self._run(compression, deb, member, target, name)
        else:
            raise DebError(f"{name}: {member.name} has a compression that deb(5) of Debian 12 does not know; expected none, gz, xz or zst")

    def _run(self, compression: str, deb: BinaryIO, member: Member, target: BinaryIO, name: str) -> None:
        target.flush()
        # No environment: XZ_OPT and ZSTD_* would be options.
        with subprocess.Popen(
            [*self._command, self._programs[compression], "-dcq"],
            stdin=subprocess.PIPE,
            stdout=target,
            stderr=subprocess.PIPE,
            env={},
        ) as process:
            assert process.stdin and process.stderr
            complaints: list[bytes] = []
            reader = threading.Thread(target=lambda stderr: complaints.append(stderr.read()), args=[process.stderr])
            reader.start()
            # A decompressor that gives up says why; the broken pipe only follows from it.
            with contextlib.suppress(BrokenPipeError), process.stdin:
                _copy(deb, process.stdin, member.size, name)
            reader.join()
        if process.returncode:
            said = b"".join(complaints).decode(errors="replace").strip().splitlines()
            raise DebError(f"{name}: {member.name}: {said[-1] if said else f'the decompressor ended with {process.returncode}'}")
        target.seek(0, os.SEEK_END)


def _copy(source: IO[bytes], target: IO[bytes], size: int, name: str) -> None:
    left = size
    while left:
        data = source.read(min(left, _CHUNK))
        if not data:
            raise DebError(f"{name}: truncated: {left} bytes are missing at the end")
        target.write(data)
        left -= len(data)


def _gunzip(source: BinaryIO, target: BinaryIO, member: Member, name: str) -> None:
    inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # gzip, not zlib
    left = member.size
    try:
        while left and not inflater.eof:
            data = source.read(min(left, _CHUNK))
            left -= len(data)
            while data:
                target.write(inflater.decompress(data, _CHUNK))
                data = inflater.unconsumed_tail
    except zlib.error as error:
        raise DebError(f"{name}: {member.name}: {error}") from error
    if not inflater.eof or inflater.unused_data or left:
        raise DebError(f"{name}: {member.name}: {'data follows the end' if inflater.eof else 'truncated'}")


def ar_members(deb: BinaryIO, name: str) -> Iterator[Member]:
    """Yields the members of an ar archive in the common format, which deb(5) prescribes; NAME is for messages.

    Raises:
        DebError: it is none, or is truncated.
    """
    size = deb.seek(0, os.SEEK_END)
    deb.seek(0)
    if deb.read(len(_AR_MAGIC)) != _AR_MAGIC:
        raise DebError(f"{name}: not a Debian package: it does not begin with the magic {_AR_MAGIC!r} of an ar archive")
    position = len(_AR_MAGIC)
    while position < size:
        deb.seek(position)
        header = deb.read(_AR_HEADER)
        # name[16] mtime[12] uid[6] gid[6] mode[8] size[10] "`\n"
        length = header[48:58].strip()
        if len(header) != _AR_HEADER or header[58:] != b"`\n" or not length.isdigit():
            raise DebError(f"{name}: damaged Debian package: no header of an ar member at byte {position}")
        member = Member(header[:16].decode("latin-1").rstrip(" ").rstrip("/"), position + _AR_HEADER, int(length))
        if member.offset + member.size > size:
            raise DebError(f"{name}: truncated: {member.name} should have {member.size} bytes, {size - member.offset} are left")
        yield member
        # Members begin at even positions.
        position = member.offset + member.size + member.size % 2


def package_members(deb: BinaryIO, name: str) -> tuple[Member, Member]:
    """Returns the control and the data member of a Debian package; NAME is for messages.

    Raises:
        DebError: it is no Debian package of format 2.
    """
    members = list(ar_members(deb, name))
    # deb(5): exactly this order; members whose name begins with "_" may be in between and are to be ignored.
    members = [member for member in members if not member.name.startswith("_")]
    names = [member.name.partition(".tar")[0] for member in members]
    if names != ["debian-binary", "control", "data"]:
        found = ", ".join(member.name for member in members) or "nothing"
        raise DebError(f"{name}: expected debian-binary, control.tar and data.tar in this order, found {found}")
    deb.seek(members[0].offset)
    version = deb.read(members[0].size)
    if not version.startswith(b"2."):
        raise DebError(f"{name}: expected a Debian package of format 2, found {version!r}")
    return members[1], members[2]


def read_control(control: BinaryIO, name: str) -> tuple[str, bytes, bytes]:
    """Returns package name, control file and md5sums (empty if there are none) of a control tar; NAME is for messages.

    Raises:
        DebError: there is no control file, or it names no package.
    """
    files = {"control": b"", "md5sums": b""}
    for member in tarcheck.members(control, f"{name}: control.tar"):
        file = member.path.removeprefix("./")
        if file in files and member.kind == "file":
            position = control.tell()
            control.seek(member.offset)
            files[file] = control.read(member.size)
            control.seek(position)
    for line in files["control"].decode("utf-8", "replace").splitlines():
        field, _, value = line.partition(":")
        if field == "Package" and value.strip():
            return value.strip(), files["control"], files["md5sums"]
    raise DebError(f"{name}: control.tar has no control file that names the package")


def keep_only(paths: list[str], layer: BinaryIO, name: str) -> None:
    """Takes out of the tar LAYER, in place, all but PATHS, what is below them, and the folders that they are in; NAME is for messages.

    Raises:
        DebError: one of PATHS is not there.
    """
    ranges = []
    found = set()
    start = 0
    for member in tarcheck.members(layer, name):
        end = _end(member)
        path = member.path.removeprefix("./").rstrip("/")
        hits = [wanted for wanted in paths if path == wanted or path.startswith(f"{wanted}/")]
        if hits or (member.kind == "directory" and any(wanted.startswith(f"{path}/") for wanted in paths)):
            ranges.append((start, end))
            found.update(hits)
        start = end
    missing = sorted(set(paths) - found)
    if missing:
        raise DebError(f"{name}: the package has no {', '.join(missing)}")
    position = 0
    for first, end in ranges:
        for start in range(first, end, _CHUNK):
            layer.seek(start)
            data = layer.read(min(end - start, _CHUNK))
            layer.seek(position)
            layer.write(data)
            position += len(data)
    layer.seek(position)
    layer.truncate()
    tarwriter.TarWriter(layer).close()


def _end(member: tarcheck.Member) -> int:
    return member.offset + member.size + -member.size % tarwriter.BLOCK


def make_layer(deb: BinaryIO, target: BinaryIO, decompressors: Decompressors, only: list[str], name: str) -> None:
    """Writes the layer of a package.

    Args:
        deb: the package.
        target: a new file, open for reading and writing.
        decompressors: what to decompress with.
        only: if not empty, the layer is no installed package but just these paths of it.
        name: of the package's file, for messages.

    Raises:
        DebError: DEB is no Debian package, or damaged, or has not what ONLY asks for.
        TarError: one of its tars is damaged, or has what must not be in a layer.
    """
    control_member, data_member = package_members(deb, name)
    decompressors.copy(deb, control_member, target, name)
    if target.tell() > _MAX_CONTROL:
        raise DebError(f"{name}: control.tar has {target.tell()} bytes; expected {_MAX_CONTROL} at most")
    package, control, md5sums = read_control(target, name)
    target.seek(0)
    target.truncate()
    decompressors.copy(deb, data_member, target, name)

    tarcheck.check_tar(target, f"{name}: data.tar")
    if only:
        keep_only(only, target, f"{name}: data.tar")
        return
    end = 0
    directories = set()
    for member in tarcheck.members(target, f"{name}: data.tar"):
        end = _end(member)
        if member.kind == "directory":
            directories.add(member.path.removeprefix("./").rstrip("/"))
    # On with the entries, in place of the two zero blocks.
    target.seek(end)
    target.truncate()
    with tarwriter.TarWriter(target) as writer:
        parts = _STATUS.split("/")
        for depth in range(1, len(parts) + 1):
            directory = "/".join(parts[:depth])
            if directory not in directories:
                writer.directory(directory)
        writer.file(f"{_STATUS}/{package}", control)
        if md5sums:
            writer.file(f"{_STATUS}/{package}.md5sums", md5sums)


def main(arguments: list[str]) -> None:
    """Runs the command; raises what make_layer raises, which run.py of ocilib makes one line of."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--deb", required=True, help="the package")
    parser.add_argument("--output", required=True, help="the layer, an uncompressed tar")
    parser.add_argument("--linker", required=True, help="dynamic linker of the decompressors")
    parser.add_argument("--library_path", required=True, help="folders of their libraries, with colons between")
    parser.add_argument("--xz", required=True, help="the program xz")
    parser.add_argument("--zstd", required=True, help="the program zstd")
    parser.add_argument("--only", action="append", default=[], help="a path to keep, with what is below it; without, all and the status")
    options = parser.parse_args(arguments)
    with open(options.deb, "rb") as deb, open(options.output, "w+b") as target:
        decompressors = Decompressors(options.linker, options.library_path, options.xz, options.zstd)
        make_layer(deb, target, decompressors, options.only, os.path.basename(options.deb))


if __name__ == "__main__":
    main(sys.argv[1:])
