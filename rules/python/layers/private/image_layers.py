"""The actions of py_image_layers: compile modules, pack a layer, write the application layer, check that the three go together.

    image_layers.py compile  OUTPUT ROOT FILES
    image_layers.py pack     OUTPUT LIST ROOT FILES [BYTECODE...]
    image_layers.py app      OUTPUT ROOT FILES STARTER BYTECODE [LIST...]
    image_layers.py check    OUTPUT ROOT FILES APP [LAYER...]

ROOT is the runfiles tree in the image (`<service>/<service>.runfiles`). FILES is a text file with two lines an item: a path below ROOT, and
the file or directory that goes there. BYTECODE is a tar of compiled modules, which `compile` makes; LIST the paths below ROOT that are in a
layer, a line each; STARTER the start script; APP the application layer, which `check` copies to OUTPUT if all is well.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
from importlib.util import cache_from_source

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import bytecode
from ocilib.errors import Error
from ocilib.tarwriter import TarWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Where the content of a file of a layer comes from: a file, bytes, or a part (position, size) of a tar of compiled modules.
Source = str | bytes | tuple[str, int, int]


class LayerError(Error):
    """Layers that cannot be made of what they should be made of; str() is one line for the user."""


def read_items(path: str) -> list[tuple[str, str]]:
    """Reads FILES: [(path below the root, file or directory)]."""
    with open(path, encoding="utf-8") as f:
        lines = f.read().splitlines()
    return list(zip(lines[::2], lines[1::2], strict=True))


def walk(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Finds all files: {path below the root: file}, sorted, with directories entered and links followed.

    Raises:
        LayerError: two files have one path, or a directory holds something else than files and directories.
    """
    found: dict[str, str] = {}
    for destination, source in items:
        for path, file in _files(destination, source):
            # Lists and manifests are lines of UTF-8.
            if not path.isprintable():
                raise LayerError(f"{file!r} has a name with control characters or without an encoding; such a file cannot be in an image")
            if path in found:
                raise LayerError(f"{found[path]} and {file} have the same place in the image: {path}; rename one or drop a dependency")
            found[path] = file
    return dict(sorted(found.items()))


def _files(destination: str, source: str) -> Iterator[tuple[str, str]]:
    if not os.path.isdir(source):
        if not os.path.isfile(source):
            raise LayerError(f"{source} is neither a file nor a directory; only these can be in an image")
        yield destination, source
        return
    with os.scandir(source) as entries:
        for entry in entries:
            # What an interpreter that is used elsewhere may have left.
            if entry.name != "__pycache__":
                yield from _files(f"{destination}/{entry.name}", entry.path)


def compile_modules(output: str, root: str, files: dict[str, str]) -> None:
    """Writes a tar with the .pyc of every module that the interpreter accepts."""
    with open(output, "wb") as f, TarWriter(f) as tar:
        for path, file in files.items():
            if path.endswith(".py"):
                with open(file, "rb") as source:
                    compiled = bytecode.compile_module(source.read(), f"/{root}/{path}")
                if compiled is not None:
                    tar.file(cache_from_source(path), compiled)


def _compiled(bundles: Iterable[str]) -> Iterator[tuple[str, Source]]:
    for bundle in bundles:
        with tarfile.open(bundle, "r:") as tar:
            for member in tar:
                yield member.name, (bundle, member.offset_data, member.size)


def write_layer(output: str, entries: dict[str, Source], programs: frozenset[str] = frozenset()) -> None:
    """Writes a layer, sorted, with an entry for every directory: without it, container runtimes make one as they like.

    Args:
        output: the tar.
        entries: {path in the image, without the slash: content}.
        programs: those entries that have mode 0755 whatever they are.
    """
    known: set[str] = set()
    with open(output, "wb") as f, TarWriter(f) as tar:
        for path in sorted(entries):
            for parent in _parents(path, known):
                tar.directory(parent)
            source = entries[path]
            if isinstance(source, tuple):
                source = _part(*source)
            tar.file(path, source, mode=0o755 if path in programs or is_program(path, source) else 0o644)


def _parents(path: str, known: set[str]) -> list[str]:
    """Returns the directories of PATH that are not in KNOWN, outermost first, and adds them."""
    missing = []
    parent = path.rpartition("/")[0]
    while parent and parent not in known:
        known.add(parent)
        missing.append(parent)
        parent = parent.rpartition("/")[0]
    return missing[::-1]


def _part(tar: str, position: int, size: int) -> bytes:
    with open(tar, "rb") as f:
        f.seek(position)
        return f.read(size)


def is_program(path: str, source: str | bytes) -> bool:
    """Tells by the content what is to be executable, since no mode survives all the ways to a build machine.

    A script has a first line with its interpreter; an ELF file is a program if it is executable or position-independent (e_type at byte 16:
    System V ABI, chapter 4) and its name does not say library.
    """
    name = path.rpartition("/")[2]
    if name.endswith((".py", ".pyc")) or ".so" in name:
        return False
    if isinstance(source, bytes):
        start = source[:18]
    else:
        with open(source, "rb") as f:
            start = f.read(18)
    return start[:2] == b"#!" or (start[:4] == b"\x7fELF" and start[16:18] in (b"\2\0", b"\3\0"))


def manifest_line(path: str, target: str) -> str:
    """One line of a runfiles manifest, with Bazel's escapes for blanks and backslashes (Bazel 7.4: SourceManifestAction)."""
    if " " not in path and "\\" not in path:
        return f"{path} {target}\n"
    key = path.replace("\\", "\\b").replace(" ", "\\s")
    value = target.replace("\\", "\\b")
    return f" {key} {value}\n"


def pack(output: str, listing: str, root: str, files: dict[str, str], bundles: Iterable[str]) -> None:
    """Writes a layer of the runfiles tree, and the list of the paths that it has."""
    entries: dict[str, Source] = {**files, **dict(_compiled(bundles))}
    write_layer(output, {f"{root}/{path}": source for path, source in entries.items()})
    with open(listing, "w", encoding="utf-8") as f:
        f.writelines(f"{path}\n" for path in sorted(entries))


def application(output: str, root: str, files: dict[str, str], starter: str, bundle: str, listings: Iterable[str]) -> None:
    """Writes the layer with the start script, the manifest of all three layers, and the application's own files."""
    program = root.removesuffix(".runfiles")
    entries: dict[str, Source] = {**files, **dict(_compiled([bundle]))}
    paths = set(entries)
    for listing in listings:
        with open(listing, encoding="utf-8") as f:
            paths.update(f.read().splitlines())
    manifest = "".join(manifest_line(path, f"/{root}/{path}") for path in sorted(paths))
    layer = {f"{root}/{path}": source for path, source in entries.items()}
    layer[program] = starter
    layer[f"{root}_manifest"] = manifest.encode()
    write_layer(output, layer, programs=frozenset([program]))


def check(root: str, files: dict[str, str], layers: list[str]) -> None:
    """Checks that the layers are disjoint, together are the runfiles tree, and are what the manifest says.

    Raises:
        LayerError: they are not.
    """
    program, manifest_path = root.removesuffix(".runfiles"), f"{root}_manifest"
    found: dict[str, str] = {}
    manifest = b""
    for layer in layers:
        with tarfile.open(layer, "r:") as tar:
            for member in tar:
                if member.isdir():
                    continue
                if member.name in found:
                    raise LayerError(f"/{member.name} is in {found[member.name]} and in {layer}; the layers must be disjoint")
                found[member.name] = layer
                if member.name == manifest_path:
                    content = tar.extractfile(member)
                    manifest = content.read() if content else b""
    expected = {f"{root}/{path}" for path in files} | {program, manifest_path}
    expected |= found.keys() & {cache_from_source(path) for path in expected if path.endswith(".py")}
    for missing in sorted(expected - found.keys()):
        raise LayerError(f"/{missing} is in no layer, but belongs to the runfiles of the program")
    for surplus in sorted(found.keys() - expected):
        raise LayerError(f"/{surplus} is in {found[surplus]}, but does not belong to the runfiles of the program")
    tree = sorted(path.removeprefix(f"{root}/") for path in found.keys() - {program, manifest_path})
    if manifest.decode() != "".join(manifest_line(path, f"/{root}/{path}") for path in tree):
        raise LayerError(f"/{manifest_path} does not list exactly the files of the layers")


def main(arguments: list[str]) -> None:
    """Runs one action."""
    match arguments:
        case ["compile", output, root, items]:
            compile_modules(output, root, walk(read_items(items)))
        case ["pack", output, listing, root, items, *bundles]:
            pack(output, listing, root, walk(read_items(items)), bundles)
        case ["app", output, root, items, starter, bundle, *listings]:
            application(output, root, walk(read_items(items)), starter, bundle, listings)
        case ["check", output, root, items, app, *layers]:
            check(root, walk(read_items(items)), [app, *layers])
            shutil.copyfile(app, output)
        case _:
            raise LayerError(f"unknown arguments: {arguments}")


if __name__ == "__main__":
    main(sys.argv[1:])
