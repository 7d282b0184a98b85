"""Image hashes of the build that is here: a table, a comparison with releases/current.json, or a new releases/current.json.

    bazel run //tools/release:expected_hashes -- [--check | --update] [--seconds NAME=SECONDS]...

releases/current.json: `schema` (1), `build_settings` (name -> value) and `images` (service -> image_hash, config_digest), sorted, one image
a line. Exit codes: see tools/image_hash/image_hash/errors.py.
"""

import dataclasses
import json
import os
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

from absl import flags
from image_hash import errors
from ocilib import compression, layout
from runfiles import runfiles

from tools.proof import bazel
from tools.release.drift import drift

_CHECK = flags.DEFINE_bool("check", False, "Compare with releases/current.json; exit code 1 if they differ.")
_UPDATE = flags.DEFINE_bool("update", False, "Rewrite releases/current.json.")
_SECONDS = flags.DEFINE_multi_string("seconds", [], "NAME=SECONDS: build time to show for an image.")

_SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class Image:
    """What is recorded and shown of an image.

    Attributes:
        image_hash: digest of the manifest.
        config_digest: digest of the config.
        size: bytes of all layers, uncompressed.
        pull_size: bytes of config and layers as a registry sends them.
    """

    image_hash: str
    config_digest: str
    size: int
    pull_size: int


def to_json(images: Mapping[str, Image], settings: Mapping[str, str]) -> str:
    """The text of releases/current.json."""
    lines = [
        f'    "{name}": {json.dumps({"image_hash": image.image_hash, "config_digest": image.config_digest})}'
        for name, image in sorted(images.items())
    ]
    return (
        "{\n"
        f'  "schema": {_SCHEMA},\n'
        f'  "build_settings": {json.dumps(dict(sorted(settings.items())))},\n'
        '  "images": {\n' + ",\n".join(lines) + "\n  }\n}\n"
    )


def differences(expected: Mapping[str, Any], images: Mapping[str, Image], settings: Mapping[str, str]) -> list[str]:
    """What differs from the content of a releases file: one line each.

    Raises:
        errors.CheckError: the file's schema is not ours.
    """
    if expected.get("schema") != _SCHEMA:
        raise errors.CheckError(f"expected schema {_SCHEMA} in releases/current.json, found {expected.get('schema')!r}")
    lines = []
    if expected["build_settings"] != dict(settings):
        lines.append(f"build settings: expected {expected['build_settings']}, found {dict(settings)}")
    recorded = expected["images"]
    for name in sorted({*recorded, *images}):
        wanted = recorded.get(name, {}).get("image_hash", "no such image")
        found = images[name].image_hash if name in images else "no such image"
        if wanted != found:
            lines.append(f"{name}: expected {wanted}, found {found}")
    return lines


def table(images: Mapping[str, Image], seconds: Mapping[str, str]) -> str:
    """The table that build_images.sh prints: sizes in MB of 1,000,000 bytes."""
    rows = [("image", "image hash", "size on disk", "pull size", "build time")]
    for name, image in sorted(images.items()):
        time = f"{seconds[name]} s" if name in seconds else "-"
        rows.append((name, image.image_hash, f"{image.size / 1e6:.1f} MB", f"{image.pull_size / 1e6:.1f} MB", time))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}  {row[4]:>{widths[4]}}" for row in rows
    )


def write_atomically(path: pathlib.Path, text: str) -> None:
    """Replaces a file as a whole: it has the old content or the new, whatever happens."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".new.", delete=False) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def _runfile(path: str) -> pathlib.Path:
    found = runfiles.Create()
    location = found.Rlocation(f"com_google_ondevicepersonalization_federatedcompute/{path}", "") if found else None
    if not location or not os.path.exists(location):
        raise errors.CheckError(f"expected {path} in the runfiles; start this tool by `bazel run`")
    return pathlib.Path(location)


def read_image(path: pathlib.Path) -> Image:
    """Reads what is recorded of the image whose OCI layout is the folder PATH."""
    image = layout.Image(str(path))
    manifest: Any = image.manifest
    size = 0
    for blob, _ in image.layers():
        with open(blob, "rb") as stream:
            kind = compression.magic(stream)
            size += sum(map(len, compression.decompress(stream, kind, blob))) if kind else os.fstat(stream.fileno()).st_size
    return Image(
        image_hash=str(image.descriptor["digest"]),
        config_digest=str(manifest["config"]["digest"]),
        size=size,
        pull_size=int(manifest["config"]["size"]) + sum(int(layer["size"]) for layer in manifest["layers"]),
    )


def _layout(service: str) -> pathlib.Path:
    package, name = bazel.images()[service].removeprefix("//").split(":")
    return _runfile(f"{package}/{name}")


def main(argv: list[str]) -> None:
    """Prints the table, and does what --check or --update ask for."""
    if argv:
        raise errors.UsageError(f"expected_hashes takes no arguments, found {argv[0]!r}")
    if _CHECK.value and _UPDATE.value:
        raise errors.UsageError("--check and --update exclude each other")
    seconds = {}
    for item in _SECONDS.value:
        name, separator, value = item.partition("=")
        if not separator or name not in bazel.images():
            raise errors.UsageError(f"--seconds takes NAME=SECONDS with the name of an image, found {item!r}")
        seconds[name] = value
    images = {service: read_image(_layout(service)) for service in bazel.images()}
    settings = json.loads(_runfile("shuffler/services/build_settings.json").read_text("utf-8"))
    print(table(images, seconds))
    drifted = drift()
    for line in drifted:
        print(f"DRIFTED ENVIRONMENT: {line}")
    current = pathlib.Path(os.environ["BUILD_WORKSPACE_DIRECTORY"], "releases", "current.json")
    if _UPDATE.value:
        if drifted:
            raise errors.CheckError("hashes are not recorded from a drifted build environment; see docs/build-environment.md")
        write_atomically(current, to_json(images, settings))
        print("releases/current.json is up to date")
    if _CHECK.value:
        try:
            expected = json.loads(current.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise errors.CheckError(f"expected hashes in releases/current.json: {error}") from error
        found = differences(expected, images, settings)
        for line in found:
            print(line)
        if found:
            raise errors.MismatchError(
                "this build is not what releases/current.json records; if it should be: ./scripts/build_images.sh --update"
            )
        print("all hashes equal releases/current.json")


if __name__ == "__main__":
    errors.run(main)
