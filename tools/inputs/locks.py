"""Every external input of this repository, read from its locks.

An input is one file, named by its sha256. Locks may share inputs: libc6 is in the images and in the sysroot.
"""

import dataclasses
import functools
import json
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from image_hash import errors

DEB = "deb"
GO = "go"
MAVEN = "maven"
NPM = "npm"
WHEEL = "wheel"

ENVIRONMENT = "build environment"
"""The place of inputs that make the build environment; no repository of Bazel."""

ENVIRONMENT_LOCK = "scripts/docker/environment/environment.lock"
_DEBIAN_FOLDER = "toolchains/debian"
_MAVEN_LOCK = "toolchains/maven/maven.lock.json"
_PYTHON_LOCK = "toolchains/python/python.lock.json"
_REQUIREMENTS = "requirements_lock.txt"

# Which repository is made of which Debian lock: the repositories.bzl files below toolchains/ declare them.
_REPOSITORY_OF_DEBIAN_LOCK = {
    "build_tools": "debian12_tools",
    "chromium": "debian12_chromium",
    "googletest": "googletest",
    "images": "debian12",
    "jdk17": "remotejdk17_linux",
    "llvm16": "llvm16",
    "machine": "debian12_machine",
    "registry_tools": "debian12_registry_tools",
    "sysroot": "debian12_sysroot",
}
# The same for the sets of Go modules.
_REPOSITORY_OF_GO_LOCK = {
    "toolchains/go/go.lock.json": "go_modules",
    "toolchains/go/pubsub/go.lock.json": "go_pubsub_modules",
}
_PYTHON_REPOSITORY = "python3_10"


@dataclasses.dataclass(frozen=True, order=True)
class Input:
    """One external file.

    Attributes:
        kind: deb, go, maven, npm or wheel.
        name: of the package; a Maven artifact's is group:artifact[:type:classifier], a Go module's its path.
        version: of the package.
        sha256: of the file, 64 hexadecimal digits.
        size: of the file, in bytes.
        places: where the file goes, sorted: a repository of Bazel, without what Bazel adds to its name, followed by a blank and the path
            of the file where the repository has one for it; or ENVIRONMENT.
    """

    kind: str
    name: str
    version: str
    sha256: str
    size: int
    places: tuple[str, ...]

    @property
    def key(self) -> str:
        """Kind, name and version: what a person calls it. Two inputs never have the same."""
        return f"{self.kind} {self.name} {self.version}"

    @property
    def repositories(self) -> tuple[str, ...]:
        """The repositories of Bazel that need the file, sorted."""
        return tuple(sorted({place.split(" ")[0] for place in self.places if place != ENVIRONMENT}))


def target_name(package: str) -> str:
    """The name of a PyPI package in labels, as toolchains/python/wheel.bzl has it."""
    return re.sub(r"[-.]", "_", package).lower()


def _maven_path(name: str, version: str) -> str:
    group, artifact, *rest = name.split(":")
    file_type, classifier = rest or ("jar", "")
    suffix = f"-{classifier}" if classifier else ""
    return f"{group.replace('.', '/')}/{artifact}/{version}/{artifact}-{version}{suffix}.{file_type}"


def _debian(path: pathlib.Path) -> Iterator[Input]:
    name = path.name.removesuffix(".lock.json")
    if name not in _REPOSITORY_OF_DEBIAN_LOCK:
        raise errors.CheckError(f"{path}: no repository is known that is made of this lock; tell tools/inputs/locks.py")
    repository = _REPOSITORY_OF_DEBIAN_LOCK[name]
    for package in json.loads(path.read_text("utf-8"))["packages"]:
        # Only the packages of the images stay files; the others are unpacked into one tree.
        place = f"{repository} {package['name']}.deb" if name == "images" else repository
        yield Input(DEB, package["name"], package["version"], package["sha256"], package["size"], (place,))


def _environment(path: pathlib.Path) -> Iterator[Input]:
    text = path.read_text("utf-8")
    if not text.endswith("\n"):
        raise ValueError("the last line is cut off")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, version, _, sha256, size, _ = line.split()
            yield Input(DEB, name, version, sha256, int(size), (ENVIRONMENT,))


def _go(path: pathlib.Path, repository: str) -> Iterator[Input]:
    for module, entry in json.loads(path.read_text("utf-8"))["modules"].items():
        name, _, version = module.partition("@")
        yield Input(GO, name, version, entry["sha256"], entry["size"], (repository,))


def _artifact(coordinate: str, entry: dict[str, Any], place: str | None) -> Input:
    name, _, version = coordinate.rpartition(":")
    return Input(MAVEN, name, version, entry["sha256"], entry["size"], (place or f"maven jars/{_maven_path(name, version)}",))


def _maven(path: pathlib.Path) -> Iterator[Input]:
    for coordinate, entry in json.loads(path.read_text("utf-8"))["artifacts"].items():
        yield _artifact(coordinate, entry, None)


def _python(path: pathlib.Path, requirements: pathlib.Path) -> Iterator[Input]:
    lock = json.loads(path.read_text("utf-8"))
    for coordinate, entry in lock["interpreter"].items():
        yield _artifact(coordinate, entry, _PYTHON_REPOSITORY)
    for package, entry in lock["npm"].items():
        name, _, version = package.rpartition("@")
        yield Input(NPM, name, version, entry["sha256"], entry["size"], (f"npm_{name.rpartition('/')[2]}",))
    allowed = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", requirements.read_text("utf-8")))
    for name, entry in lock["wheels"].items():
        if entry["sha256"] not in allowed:
            raise errors.CheckError(
                f"{path}: the sha256 of {entry['file']} is not in {requirements.name}; run: bazel run //toolchains/python:lock -- update"
            )
        yield Input(WHEEL, name, entry["version"], entry["sha256"], entry["size"], (f"pypi_{target_name(name)}",))


def _read_lock(path: pathlib.Path, reader: Callable[[pathlib.Path], Iterator[Input]]) -> list[Input]:
    try:
        return list(reader(path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.CheckError(f"{path}: expected a lock of this repository, found {type(error).__name__}: {error}") from error


def _all(root: pathlib.Path) -> Iterator[Input]:
    for path in sorted((root / _DEBIAN_FOLDER).glob("*.lock.json")):
        yield from _read_lock(path, _debian)
    yield from _read_lock(root / ENVIRONMENT_LOCK, _environment)
    for lock, repository in _REPOSITORY_OF_GO_LOCK.items():
        yield from _read_lock(root / lock, functools.partial(_go, repository=repository))
    yield from _read_lock(root / _MAVEN_LOCK, _maven)
    yield from _read_lock(root / _PYTHON_LOCK, lambda path: _python(path, root / _REQUIREMENTS))


def read(root: pathlib.Path) -> list[Input]:
    """Reads every lock of a checkout.

    Args:
        root: folder of the checkout, or of its runfiles.

    Returns:
        The inputs, sorted, each file once.

    Raises:
        errors.CheckError: a lock is missing, cannot be read, or contradicts another.
    """
    merged: dict[str, Input] = {}
    keys: dict[str, Input] = {}
    for item in _all(root):
        if not re.fullmatch(r"[0-9a-f]{64}", item.sha256):
            raise errors.CheckError(f"{item.key}: expected a sha256 of 64 hexadecimal digits in its lock, found {item.sha256!r}")
        same = merged.get(item.sha256, item)
        other = keys.setdefault(item.key, item)
        if same.key != item.key or other.sha256 != item.sha256 or same.size != item.size:
            contrary = other if same is item else same
            raise errors.CheckError(
                f"two locks contradict each other: {item.key}, {item.size} bytes, {item.sha256}; "
                f"{contrary.key}, {contrary.size} bytes, {contrary.sha256}"
            )
        merged[item.sha256] = dataclasses.replace(item, places=tuple(sorted({*same.places, *item.places})))
    return sorted(merged.values())
