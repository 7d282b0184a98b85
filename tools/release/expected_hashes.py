"""Image hashes of the build that is here: a table, a comparison with releases/current.json, or a new releases/current.json.

    bazel run //tools/release:expected_hashes -- [--check | --update] [--seconds NAME=SECONDS]...

tools/image_hash/image_hash/releases.py says what is in that file. Exit codes: see tools/image_hash/image_hash/errors.py.
"""

import dataclasses
import pathlib
from collections.abc import Mapping

from absl import flags
from image_hash import checkout, drift, errors, files, hashing, releases, sources, strict_json

from tools.inputs import workspace
from tools.proof import bazel

_CHECK = flags.DEFINE_bool("check", False, "Compare with releases/current.json; exit code 1 if they differ.")
_UPDATE = flags.DEFINE_bool("update", False, "Rewrite releases/current.json.")
_SECONDS = flags.DEFINE_multi_string("seconds", [], "NAME=SECONDS: build time to show for an image.")


@dataclasses.dataclass(frozen=True)
class Size:
    """How large an image is.

    Attributes:
        tars: bytes of all layers, uncompressed.
        pull: bytes of config and layers as a registry sends them.
    """

    tars: int
    pull: int


def table(hashes: Mapping[str, str], sizes: Mapping[str, Size], seconds: Mapping[str, str]) -> str:
    """The table that build_images.sh prints: sizes in MB of 1,000,000 bytes."""
    rows = [("image", "image hash", "size on disk", "pull size", "build time")]
    for name, image_hash in sorted(hashes.items()):
        time = f"{seconds[name]} s" if name in seconds else "-"
        rows.append((name, image_hash, f"{sizes[name].tars / 1e6:.1f} MB", f"{sizes[name].pull / 1e6:.1f} MB", time))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}  {row[4]:>{widths[4]}}" for row in rows
    )


def read_image(path: pathlib.Path, tar_sizes: dict[str, int]) -> tuple[releases.Image, Size]:
    """Reads what is recorded and shown of the image whose OCI layout is the folder PATH.

    Args:
        path: of the folder.
        tar_sizes: diff id -> size of the layers that other images have shown; those of this one are added.
    """
    with sources.open_image(str(path)) as image:
        new = [layer for layer in image.layers if layer.diff_id not in tar_sizes]
        tar_sizes.update(zip((layer.diff_id for layer in new), hashing.tar_sizes(new), strict=True))
        recorded = checkout.recorded(image)
        return recorded, Size(
            tars=sum(tar_sizes[layer.diff_id] for layer in image.layers),
            pull=len(image.config.data) + sum(layer.size for layer in recorded.layers),
        )


def _layout(service: str) -> pathlib.Path:
    return workspace.runfile(bazel.images()[service].removeprefix("//").replace(":", "/"))


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
    tar_sizes: dict[str, int] = {}
    found = {service: read_image(_layout(service), tar_sizes) for service in bazel.images()}
    images = {service: image for service, (image, _) in found.items()}
    settings = workspace.runfile("shuffler/services/build_settings.json")
    built = releases.Release(releases.CURRENT, strict_json.parse_object(releases.content(settings), str(settings)), images)
    hashes = {service: image.image_hash for service, image in images.items()}
    print(table(hashes, {service: size for service, (_, size) in found.items()}, seconds))
    drifted = drift.drift()
    for line in drifted:
        print(f"DRIFTED ENVIRONMENT: {line}")
    folder = workspace.root() / "releases"
    if _UPDATE.value:
        if drifted:
            raise errors.CheckError("hashes are not recorded from a drifted build environment; see docs/build-environment.md")
        files.write(folder / f"{releases.CURRENT}.json", built.text().encode())
        print("releases/current.json is up to date")
    if _CHECK.value:
        differences = releases.read_named(folder, releases.CURRENT).differences(built)
        for line in differences:
            print(line)
        if differences:
            raise errors.MismatchError(
                "this build is not what releases/current.json records; if it should be: ./scripts/build_images.sh --update"
            )
        print("all hashes equal releases/current.json")


if __name__ == "__main__":
    errors.run(main)
