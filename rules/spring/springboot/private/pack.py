"""Writes a Spring Boot jar whose bytes depend on nothing but the content of its inputs.

    pack.py PARAMETERS

PARAMETERS is a file of options, one word a line:

    --output JAR --target LABEL --start_class CLASS --launcher_class CLASS --loader JAR
    --classes JAR         unpacked into BOOT-INF/classes (repeated)
    --library NAME JAR    becomes BOOT-INF/lib/NAME (repeated; the order is that of the class path)

Layout: https://docs.spring.io/spring-boot/specification/executable-jar/nested-jars.html. All entries are stored: the loader maps nested
jars, and no compressor's version can change a byte.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator

# Of entries without a time of their own, as Bazel's own jar tools write it (third_party/ijar, "DEFAULT_TIMESTAMP").
_TIME = (2010, 1, 1, 0, 0, 0)
_CHUNK = 1 << 20
_CLASSES = "BOOT-INF/classes/"
_LIBRARIES = "BOOT-INF/lib/"
_MANIFEST = "META-INF/MANIFEST.MF"


class PackError(Exception):
    """The jar cannot be made; the message is one line."""


def manifest(start_class: str, launcher_class: str) -> bytes:
    """Returns META-INF/MANIFEST.MF."""
    attributes = {
        "Manifest-Version": "1.0",
        "Main-Class": launcher_class,
        "Start-Class": start_class,
        "Spring-Boot-Classes": _CLASSES,
        "Spring-Boot-Lib": _LIBRARIES,
    }
    lines = []
    for key, value in attributes.items():
        line = f"{key}: {value}".encode()
        # The JAR file specification: no line is longer than 72 bytes; a continuation begins with a space.
        lines.append(line[:72])
        lines += [b" " + line[i : i + 71] for i in range(72, len(line), 71)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def build_data(target: str, launcher_class: str) -> bytes:
    """Returns build-data.properties, with those keys of Bazel's own that say nothing of time, host or user."""
    return f"build.target={target}\nmain.class={launcher_class}\n".encode()


class JarWriter:
    """A jar of stored entries with one time. Directories are written before what they hold."""

    def __init__(self, jar: zipfile.ZipFile) -> None:
        self._jar = jar
        self._names: set[str] = set()

    def write(self, name: str, content: bytes) -> None:
        """Writes a small file."""
        self._directories_of(name)
        self._jar.writestr(self._entry(name, len(content)), content)

    def copy_member(self, name: str, source: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
        """Writes a file out of another archive."""
        self._directories_of(name)
        with source.open(member) as reader, self._jar.open(self._entry(name, member.file_size), "w") as writer:
            shutil.copyfileobj(reader, writer, _CHUNK)

    def copy_file(self, name: str, path: str) -> None:
        """Writes a file as it is."""
        self._directories_of(name)
        with open(path, "rb") as reader, self._jar.open(self._entry(name, os.path.getsize(path)), "w") as writer:
            shutil.copyfileobj(reader, writer, _CHUNK)

    def directory(self, name: str) -> None:
        """Writes a directory, and those above it, once. The loader finds nested folders, and Spring packages, by such entries."""
        self._directories_of(name)
        if name not in self._names:
            self._jar.writestr(self._entry(name, 0), b"")

    def _directories_of(self, name: str) -> None:
        parts = name.rstrip("/").split("/")[:-1]
        for i in range(len(parts)):
            parent = "/".join(parts[: i + 1]) + "/"
            if parent not in self._names:
                self._jar.writestr(self._entry(parent, 0), b"")

    def _entry(self, name: str, size: int) -> zipfile.ZipInfo:
        if name in self._names:
            raise PackError(f"two files would be {name}")
        self._names.add(name)
        entry = zipfile.ZipInfo(name, _TIME)
        entry.create_system = 3  # Unix: ZIP application note 4.4.2; the default is that of the machine
        entry.external_attr = 0o40755 << 16 | 0x10 if name.endswith("/") else 0o100644 << 16
        entry.file_size = size
        return entry


def members(archive: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    """Yields the files of a jar, sorted by name, without its manifest."""
    for member in sorted(archive.infolist(), key=lambda member: member.filename):
        if not member.is_dir() and member.filename != _MANIFEST:
            yield member


def open_jar(path: str) -> zipfile.ZipFile:
    """Opens a jar for reading.

    Raises:
        PackError: the file is no ZIP archive.
    """
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise PackError(f"{os.path.basename(path)}: not a jar: {error}") from error


def pack(options: argparse.Namespace) -> None:
    """Writes options.output.

    Raises:
        PackError: an input is no jar, the loader has no launcher, or two inputs hold the same file.
    """
    with zipfile.ZipFile(options.output, "w", zipfile.ZIP_STORED) as archive:
        jar = JarWriter(archive)
        jar.write(_MANIFEST, manifest(options.start_class, options.launcher_class))
        jar.write("build-data.properties", build_data(options.target, options.launcher_class))
        with open_jar(options.loader) as loader:
            launcher = options.launcher_class.replace(".", "/") + ".class"
            if launcher not in loader.namelist():
                raise PackError(f"{os.path.basename(options.loader)}: holds no {launcher}; see boot_launcher_class")
            for member in members(loader):
                if member.filename.startswith("META-INF/services/") or not member.filename.startswith("META-INF/"):
                    jar.copy_member(member.filename, loader, member)
        jar.directory(_CLASSES)
        for path in options.classes:
            with open_jar(path) as classes:
                for member in members(classes):
                    jar.copy_member(_CLASSES + member.filename, classes, member)
        jar.directory(_LIBRARIES)
        for name, path in options.library:
            with open_jar(path):  # only to see that it is one
                jar.copy_file(_LIBRARIES + name, path)


def main() -> None:
    """Packs; on failure prints one line, leaves no jar, and exits with 1."""
    parser = argparse.ArgumentParser(fromfile_prefix_chars="@", allow_abbrev=False)
    for option in ("--output", "--target", "--start_class", "--launcher_class", "--loader"):
        parser.add_argument(option, required=True)
    parser.add_argument("--classes", action="append", required=True)
    parser.add_argument("--library", action="append", nargs=2, default=[])
    options = parser.parse_args(["@" + sys.argv[1]])
    try:
        pack(options)
    except (PackError, OSError) as error:
        if os.path.exists(options.output):
            os.remove(options.output)
        sys.exit(f"springboot {options.target}: {error}")


if __name__ == "__main__":
    main()
