"""pack_layer.py TAR DESCRIPTOR OPTION...: packs files into a layer, and describes it.

Options, in any order, each an argument; a path is the one in the image, with its leading "/":
    file PATH SOURCE: a file, or the folder SOURCE with all below it. A PATH that ends with "/" takes the last part of SOURCE as the name.
    directory PATH, symlink PATH TARGET
    mode PATH OCTAL, owner PATH UID:GID: exceptions for a path that is packed; the PATH "" stands for all files.
"""

from __future__ import annotations

import os
import sys

from ocilib.digest import HashingWriter
from ocilib.layer import Layer
from ocilib.tarwriter import TarError, TarWriter, path_error

_ARITY = {"file": 2, "directory": 1, "symlink": 2, "mode": 2, "owner": 2}


def main(arguments: list[str]) -> None:
    """Packs what the arguments say."""
    tar, descriptor = arguments[:2]
    # Path in the tar to kind and source or target.
    entries: dict[str, tuple[str, str]] = {}
    modes: dict[str, int] = {}
    owners: dict[str, tuple[int, int]] = {}
    rest = iter(arguments[2:])
    for kind in rest:
        path, *values = [next(rest) for _ in range(_ARITY[kind])]
        value = values[0] if values else ""
        if kind == "mode":
            modes[_relative(path)] = _mode(path, value)
        elif kind == "owner":
            owners[_relative(path)] = _owner(path, value)
        elif kind == "file":
            name = _relative(path + os.path.basename(value) if path.endswith("/") else path)
            if os.path.isdir(value):
                _add(entries, name, "directory", "")
                _tree(entries, name, value)
            else:
                _add(entries, name, "file", value)
        else:
            _add(entries, _relative(path), kind, value)
    _parents(entries)
    for path in [*modes, *owners]:
        if path and path not in entries:
            raise TarError(f"mode or owner for /{path}, which is not in the layer")

    default_mode = modes.get("", 0o644)
    default_owner = owners.get("", (0, 0))
    with open(tar, "wb", buffering=1 << 20) as file:
        sink = HashingWriter(file)
        with TarWriter(sink) as writer:
            for path in sorted(entries):
                kind, value = entries[path]
                uid, gid = owners.get(path, default_owner)
                if kind == "file":
                    writer.file(path, value, modes.get(path, default_mode), uid, gid)
                elif kind == "directory":
                    writer.directory(path, modes.get(path, 0o755), uid, gid)
                else:
                    writer.symlink(path, value)
    layer = Layer(sink.digest(), sink.digest(), "", sink.size)
    with open(descriptor, "w", encoding="utf-8") as out:
        out.write(layer.to_json())


def _relative(path: str) -> str:
    """PATH without its leading slash; "" stays."""
    if not path:
        return path
    relative = path[1:]
    problem = "does not start with a slash" if path[0] != "/" else path_error(relative)
    if problem:
        raise TarError(f"the path {path!r} for the layer {problem}")
    return relative


def _mode(path: str, text: str) -> int:
    if not text or text.strip("01234567") or int(text, 8) > 0o7777:
        raise TarError(f"the mode {text!r} of {path!r} is not octal within 0 to 7777")
    return int(text, 8)


def _owner(path: str, text: str) -> tuple[int, int]:
    uid, colon, gid = text.partition(":")
    if not (uid.isascii() and uid.isdigit() and colon and gid.isascii() and gid.isdigit()):
        raise TarError(f"the owner {text!r} of {path!r} is not uid:gid in numbers")
    return int(uid), int(gid)


def _add(entries: dict[str, tuple[str, str]], path: str, kind: str, value: str) -> None:
    if path in entries and entries[path][0] == kind == "directory":
        return
    if path in entries:
        raise TarError(f"the layer has two entries /{path}")
    entries[path] = (kind, value)


def _tree(entries: dict[str, tuple[str, str]], path: str, folder: str) -> None:
    """Adds what is in FOLDER. Links are followed: in a folder that a rule has made, and in a sandbox, all files may be links."""
    for name in os.listdir(folder):
        inner = f"{path}/{name}"
        source = f"{folder}/{name}"
        if os.path.isdir(source):
            _add(entries, inner, "directory", "")
            _tree(entries, inner, source)
        else:
            _add(entries, inner, "file", source)


def _parents(entries: dict[str, tuple[str, str]]) -> None:
    """Adds the folders that entries lie in: without an entry, their mode is up to the runtime."""
    for path in list(entries):
        parent = path.rpartition("/")[0]
        while parent:
            kind = entries.setdefault(parent, ("directory", ""))[0]
            if kind != "directory":
                raise TarError(f"/{path} lies below /{parent}, which is no folder in this layer")
            parent = parent.rpartition("/")[0]


if __name__ == "__main__":
    main(sys.argv[1:])
