"""Records a release in a checkout: releases/vX.Y.Z.json, and in releases/vX.Y.Z/ an SBOM for each image and the provenance of all."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping

from image_hash import errors, files, releases
from image_hash.checkout import Checkout
from image_hash.publish import inputs, provenance, sbom

PROVENANCE = "provenance.json"
"""Name of the in-toto statement."""

REBUILD = './scripts/docker/docker_run.sh "./scripts/build_images.sh"'


@dataclasses.dataclass(frozen=True)
class Record:
    """What is published.

    Attributes:
        release: its content.
        documents: name -> content of what goes along with it.
        is_new: whether releases/ does not have it yet.
    """

    release: releases.Release
    documents: Mapping[str, bytes]
    is_new: bool


def make(checkout: Checkout, version: str) -> Record:
    """Builds the images of a checkout and says what their release has to be.

    A version that is recorded already is made again, of the commit that it names, and must come out the same.

    Raises:
        errors.CheckError: the checkout has changes, or cannot be built.
        errors.MismatchError: the build is not what the commit's releases/current.json says, or the version exists with another content.
    """
    folder = checkout.root / "releases"
    path = folder / f"{version}.json"
    existing = releases.read_named(folder, version) if path.exists() else None
    commit = existing.commit if existing else checkout.commit()
    # With releases/ the commit that records a release differs from the one that was released.
    changes = checkout.changes(commit, ("releases/**",) if existing else (f"releases/{version}/**",))
    if changes:
        what = f"{version} exists, of the commit {commit}, from which this checkout differs" if existing else "the checkout has changes"
        advice = "publish another version" if existing else "commit them or put them away"
        raise errors.CheckError(f"{what}: {len(changes)} files, the first: {changes[0]}; {advice}")
    built = checkout.build()
    _demand_same(releases.read_named(folder, releases.CURRENT), built, "run ./scripts/build_images.sh --update and commit the result")
    release, documents = describe(checkout, built, version, commit)
    if existing:
        _demand_same(existing, release, "publish another version")
        if existing != release:
            raise errors.MismatchError(f"{version} exists with other locks, documents or layers than this build; publish another version")
    return Record(release, documents, existing is None)


def describe(checkout: Checkout, built: releases.Release, version: str, commit: str) -> tuple[releases.Release, dict[str, bytes]]:
    """Says what is recorded of a build.

    Args:
        checkout: that was built.
        built: its images.
        version: of the release.
        commit: that is checked out.

    Returns:
        The release, and its documents: name -> content.

    Raises:
        errors.CheckError: Bazel or git does not say what has to be known.
    """
    found = inputs.parse(checkout.inputs())
    release = dataclasses.replace(built, name=version, commit=commit, rebuild=REBUILD, locks=checkout.locks())
    time = checkout.time(commit)
    documents = {
        f"{name}.spdx.json": sbom.document(name, image, version, commit, time, found) for name, image in sorted(release.images.items())
    }
    documents[PROVENANCE] = provenance.statement(release, found)
    digests = {name: f"sha256:{hashlib.sha256(data).hexdigest()}" for name, data in documents.items()}
    return dataclasses.replace(release, documents=digests), documents


def write(folder: pathlib.Path, record: Record) -> pathlib.Path:
    """Writes what is missing in a folder of releases, the release's own file last: where it is, all is.

    Returns:
        The path of that file.
    """
    path = folder / f"{record.release.name}.json"
    beside = folder / record.release.name
    beside.mkdir(parents=True, exist_ok=True)
    for name, data in record.documents.items():
        files.write(beside / name, data)
    if record.is_new:
        files.write(path, record.release.text().encode())
    return path


def _demand_same(expected: releases.Release, built: releases.Release, advice: str) -> None:
    differences = expected.differences(built)
    if differences:
        raise errors.MismatchError(f"this build is not what releases/{expected.name}.json says: {'; '.join(differences)}; {advice}")
