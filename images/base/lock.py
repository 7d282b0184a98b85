"""Looks up the digests of the bases that --//images/base:source=registry takes: registry.lock.bzl.

    bazel run //images/base:lock -- update
    bazel run //images/base:lock -- report

`update` asks the registries which image each tag names now, writes the digests to the lock, and prints what changed. `report` prints what
`update` would change, and changes nothing. Credentials are those of docker login and podman login; the environment variable OCI_MIRRORS
names mirrors (rules/oci/docs/defs.md, oci_pull), which are asked first.
"""

import ast
import json
import os
import pathlib
from collections.abc import Mapping

from image_hash import errors
from ocilib import jsontext, registry
from ocilib.credentials import Keychain
from ocilib.errors import Error as OcilibError

PATH = "images/base/registry.lock.bzl"
"""Path of the lock in the checkout."""

_NAME = "REGISTRY_BASES"
_KEYS = ("image", "tag", "digest")
_OS, _ARCHITECTURE = "linux", "amd64"

Bases = dict[str, dict[str, str]]


def read(path: pathlib.Path) -> tuple[str, Bases]:
    """Reads a lock: what stands before the bases, and these: name -> image, tag, digest ("" if it has none yet).

    Raises:
        errors.CheckError: it is no lock.
    """
    text = path.read_text("utf-8")
    head, found, rest = text.partition(f"\n{_NAME} = ")
    try:
        bases = ast.literal_eval(rest)
        whole = bool(found) and all(
            tuple(base) == _KEYS and all(isinstance(value, str) for value in base.values()) for base in bases.values()
        )
    except (ValueError, SyntaxError, AttributeError, TypeError):
        whole = False
    if not whole:
        raise errors.CheckError(f"{path}: expected {_NAME}, a dict of name to image, tag and digest; restore the file from git")
    return head, bases


def write(path: pathlib.Path, head: str, bases: Bases) -> None:
    """Writes a lock as buildifier formats it."""
    lines = [head, f"{_NAME} = {{"]
    for name, base in bases.items():
        lines += [f"    {json.dumps(name)}: {{", *(f"        {json.dumps(key)}: {json.dumps(base[key])}," for key in _KEYS), "    },"]
    new = path.with_name(path.name + ".new")
    new.write_text("\n".join([*lines, "}\n"]), "utf-8")
    new.replace(path)


def look_up(base: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """The digest of the image that the tag names now.

    Raises:
        OcilibError: no registry answers, or the answer cannot be used.
        errors.CheckError: the image is for other machines.
    """
    repository = registry.parse_repository(base["image"])
    tag = registry.check_tag(base["tag"])
    failures = []
    for place in [*registry.mirrors(repository, environ.get("OCI_MIRRORS", "")), repository]:
        client = registry.Client(place, reads_only=True, keychain=Keychain(environ))
        try:
            digest, data, _ = client.get_manifest(place.name, tag)
        except OcilibError as error:
            failures.append(str(error))
            continue
        finally:
            client.close()
        _check_platform(data, f"{base['image']}:{tag}")
        return digest
    raise registry.RegistryError("; ".join(failures))


def _check_platform(data: bytes, image: str) -> None:
    """Of an index; what an image itself is for is in its config, which oci_pull compares."""
    entries = jsontext.parse_object(data, image).get("manifests")
    platforms = [entry.get("platform") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    if isinstance(entries, list) and not any(
        isinstance(platform, dict) and (platform.get("os"), platform.get("architecture")) == (_OS, _ARCHITECTURE) for platform in platforms
    ):
        raise errors.CheckError(f"{image}: expected an image for {_OS}/{_ARCHITECTURE} in its index, found none")


def changes(path: pathlib.Path, environ: Mapping[str, str], *, apply: bool) -> list[str]:
    """Compares the lock PATH with the registries; with APPLY, writes what they say.

    Returns:
        A line for each base: what its tag names, and what the lock has.

    Raises:
        OcilibError, errors.CheckError: as look_up; the lock stays as it is.
    """
    head, bases = read(path)
    lines = []
    for name, base in bases.items():
        digest = look_up(base, environ)
        change = "unchanged" if digest == base["digest"] else f"was {base['digest'] or 'not locked'}"
        lines.append(f"{name}: {base['image']}:{base['tag']} is {digest}, {change}")
        base["digest"] = digest
    if apply:
        write(path, head, bases)
    return lines


def main(argv: list[str]) -> None:
    """Runs one of the two commands in the checkout that `bazel run` was called in."""
    if argv not in (["update"], ["report"]):
        raise errors.UsageError(f"expected update or report, found {' '.join(argv) or 'nothing'}")
    path = pathlib.Path(os.environ["BUILD_WORKSPACE_DIRECTORY"], PATH)
    for line in changes(path, os.environ, apply=argv == ["update"]):
        print(line)


if __name__ == "__main__":
    errors.run(main)
