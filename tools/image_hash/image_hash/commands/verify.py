"""Compares images, or a rebuild, with a release.

    image_hash verify --release vX.Y.Z [[NAME=]IMAGE...] [--public_key FILE] [--releases DIR]

IMAGE is what compute takes: a layout's folder, an archive, or a reference of a registry. Which image of the release it is to be, its path
or repository says (collector, or collector_image), or else NAME. Without images, all are built from this checkout, which must be that of
the release's commit but for releases/. With --public_key, the signature of the release's file, vX.Y.Z.json.sig beside it, is checked first.
What else was published with it, if it is in the folder vX.Y.Z, must be what the file says.

The last line says what to do.
"""

import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence

from absl import flags
from image_hash import drift, errors, hashing, releases, sources
from image_hash.checkout import Checkout
from image_hash.commands import image_flags, release_flag, release_flags
from image_hash.text import printable

_PUBLIC_KEY = flags.DEFINE_string("public_key", None, "PEM file of the key whose signature the release's file must have.")


def main(argv: list[str]) -> None:
    """Verifies, and prints a line for each image and one for all.

    Raises:
        errors.MismatchError: an image is another one than that of the release, or the signature is wrong.
        errors.CheckError: it could not be found out.
        errors.UsageError: no release is given.
    """
    name = release_flag.release_name()
    folder = release_flags.folder()
    path = folder / f"{name}.json"
    data = releases.content(path)
    signed = _check_signature(path, data) if _PUBLIC_KEY.value else "its signature was not checked"
    release = releases.parse(data, str(path), name)
    _check_documents(folder / name, release)
    found = _given(release, argv) if argv else _rebuilt(release)
    wrong = []
    for image, actual in sorted(found.items()):
        expected = dataclasses.replace(release, images={image: release.images[image]})
        differences = expected.differences(dataclasses.replace(release, images={image: actual}))
        print("".join(differences) or f"{image}: {actual.image_hash}: match")
        if differences:
            wrong.append(image)
    if wrong:
        raise errors.MismatchError(
            f"{', '.join(wrong)}: not the image of {name}; do not run or trust it; image_hash compare says what differs"
            f"{' (the build environment had drifted from its lock, which may be why)' if not argv and drift.drift() else ''}"
        )
    how = "equal" if argv else "rebuilt here equal"
    print(f"MATCH: {len(found)} of {len(release.images)} images {how} those of {name}, built from the commit {release.commit}; {signed}")


def _check_signature(path: pathlib.Path, data: bytes) -> str:
    from image_hash import signatures

    key = signatures.load_public_key(pathlib.Path(_PUBLIC_KEY.value or ""))
    signature = releases.content(path.with_name(f"{path.name}.sig"))
    try:
        key.verify(data, signature)
    except errors.MismatchError:
        raise errors.MismatchError(f"{path}: its signature is not by the key {_PUBLIC_KEY.value}; do not trust this file") from None
    return f"its file is signed by the key {key.key_id}"


def _check_documents(folder: pathlib.Path, release: releases.Release) -> None:
    for name, expected in release.documents.items():
        path = folder / name
        if path.exists():
            actual = f"sha256:{hashlib.sha256(releases.content(path)).hexdigest()}"
            if actual != expected:
                raise errors.MismatchError(f"{path}: expected {expected}, found {actual}; do not trust this file")


def _given(release: releases.Release, references: Sequence[str]) -> dict[str, releases.Image]:
    found: dict[str, releases.Image] = {}
    for reference in references:
        name, place = release.name_of(reference)
        if name in found:
            raise errors.UsageError(f"two images are to be the {name} of {release.name}: expected one of each name")
        with sources.open_image(place, image_flags.PLATFORM.value, insecure=image_flags.INSECURE.value) as image:
            hashing.tar_sizes(image.layers)
            if not image.image_hash:
                # The config says what is in the image; the hash of its manifest it does not say.
                if image.config.digest != release.images[name].config_digest:
                    raise errors.MismatchError(
                        f"{name}: its config is {image.config.digest}, not that of {release.name}; do not run or trust it"
                    )
                raise errors.CheckError(
                    f"{printable(place)}: its config is that of {release.name}, but this format keeps no manifest and so no image hash; "
                    "give a layout, an OCI archive, or the image in a registry"
                )
            found[name] = releases.Image(image.image_hash, image.config.digest)
    return found


def _rebuilt(release: releases.Release) -> dict[str, releases.Image]:
    checkout = Checkout(release_flags.checkout())
    changes = checkout.changes(release.commit, ("releases/**",))
    if changes:
        raise errors.CheckError(
            f"this checkout is not that of {release.name}: {len(changes)} files differ, the first: {changes[0]}; "
            f"expected the commit {release.commit}"
        )
    for line in drift.drift():
        print(f"DRIFTED ENVIRONMENT: {line}")
    built = checkout.build()
    if dict(built.build_settings) != dict(release.build_settings):
        raise errors.CheckError(
            f"expected the build settings {dict(release.build_settings)}, found {dict(built.build_settings)}; is there a user.bazelrc?"
        )
    if built.images.keys() != release.images.keys():
        raise errors.CheckError(f"expected the images {', '.join(sorted(release.images))}, found {', '.join(sorted(built.images))}")
    return dict(built.images)
