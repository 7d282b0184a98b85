"""Records a release of this checkout, and publishes the record.

    image_hash publish --release vX.Y.Z [--sign KEY --registry HOST[:PORT][/PATH]] [--github OWNER/NAME]

Runs in the build environment. Builds the images, compares them with releases/current.json, and builds them once more with everything varied
that must not matter. Then writes releases/vX.Y.Z.json, and in releases/vX.Y.Z/ an SBOM for each image (SPDX 2.3) and the provenance of all
(in-toto, SLSA 1.0), to be committed. Nothing is recorded of a checkout with changes, or from a drifted build environment.

A version that is recorded already is built again and must come out the same; so the flags below can be given later, and a run that broke
off is taken up by the next.

--sign writes vX.Y.Z.json.sig, a detached signature of vX.Y.Z.json that openssl checks, too, and adds a signature object for each image in
the registry, where Confidential Space looks for it. KEY is a private key in PEM: ECDSA on P-256, or RSA. If it is encrypted, its password
is in the environment variable SIGNING_KEY_PASSWORD, or asked for.

--github makes the release on GitHub, with these files. The token is in the environment variable GH_TOKEN or GITHUB_TOKEN; GITHUB_API_URL is
the address of the API where it is not github.com's.
"""

import getpass
import os
import pathlib
import sys

from absl import flags
from image_hash import drift, errors, files, releases, signatures
from image_hash.checkout import Checkout
from image_hash.commands import release_flag, release_flags
from image_hash.publish import github, provenance, record, sbom, signature_objects
from ocilib import registry

_SIGN = flags.DEFINE_string("sign", None, "File with the private key that signs.")
_REGISTRY = flags.DEFINE_string("registry", None, "Where the images are, as <registry>/<image>_image: for the signatures beside them.")
_GITHUB = flags.DEFINE_string("github", None, "Repository on GitHub, OWNER/NAME, that gets the release.")

_MEDIA_TYPES = {".spdx.json": sbom.MEDIA_TYPE, record.PROVENANCE: provenance.MEDIA_TYPE, ".json": "application/json"}


def main(argv: list[str]) -> None:
    """Publishes.

    Raises:
        errors.MismatchError: something differs that must be the same; nothing was recorded.
        errors.CheckError: something is missing; nothing was recorded, unless the message says so.
        errors.UsageError: flags are missing or do not belong together.
    """
    version = release_flag.release_name()
    if argv:
        raise errors.UsageError(f"publish takes no arguments, found {argv[0]!r}")
    if bool(_SIGN.value) != bool(_REGISTRY.value):
        raise errors.UsageError("--sign and --registry belong together: signatures are put beside the images")
    # What can be wrong without a build is said before it.
    key = signatures.load_private_key(pathlib.Path(_SIGN.value), _password) if _SIGN.value else None
    client = _github() if _GITHUB.value else None
    drifted = drift.drift()
    if drifted:
        raise errors.CheckError(
            f"nothing is recorded from a drifted build environment ({len(drifted)} packages, the first: {drifted[0]}); "
            "see docs/build-environment.md"
        )
    checkout = Checkout(release_flags.checkout())
    found = record.make(checkout, version)
    if found.is_new:
        checkout.rebuild_adversely()
    path = record.write(checkout.root / "releases", found)
    print(f"{'wrote' if found.is_new else 'unchanged:'} releases/{version}.json, and {len(found.documents)} files in releases/{version}/")
    files = {path.name: path.read_bytes(), **found.documents}
    if key:
        files[f"{path.name}.sig"] = _sign_file(path, key)
        _sign_images(found.release, key)
    if client:
        assets = [github.Asset(name, _media_type(name), data) for name, data in sorted(files.items())]
        print(client.publish(version, found.release.commit, notes(found.release), assets))
    print(f"{version} is {len(found.release.images)} images of the commit {found.release.commit}; commit what is new in releases/")


def notes(release: releases.Release) -> str:
    """The text of a release on GitHub, in Markdown."""
    rows = [f"| {name} | `{image.image_hash}` |" for name, image in sorted(release.images.items())]
    return "\n".join(
        [
            f"Built from the commit {release.commit}. In a checkout of it, this gives the same hashes:",
            "",
            f"    {release.rebuild}",
            "",
            "| image | image hash |",
            "|---|---|",
            *rows,
            "",
        ]
    )


def _password() -> str:
    password = os.environ.get(signatures.PASSWORD)
    if password is None and sys.stdin.isatty():
        return getpass.getpass("Password of the private key: ")
    if password is None:
        raise errors.CheckError(f"the private key is encrypted: expected its password in the environment variable {signatures.PASSWORD}")
    return password


def _github() -> github.Github:
    # As GitHub's own command line does it: https://cli.github.com/manual/gh_help_environment
    token = os.environ.get("GH_TOKEN") or os.environ.get("GITHUB_TOKEN")
    if not token:
        raise errors.CheckError("expected a token for GitHub in the environment variable GH_TOKEN or GITHUB_TOKEN, found none")
    return github.Github(_GITHUB.value or "", token, api=os.environ.get("GITHUB_API_URL") or github.API)


def _sign_file(path: pathlib.Path, key: signatures.PrivateKey) -> bytes:
    """Writes the signature beside a file, unless it is there; its bytes."""
    beside = path.with_name(f"{path.name}.sig")
    if beside.exists():
        found = releases.content(beside)
        try:
            key.public.verify(path.read_bytes(), found)
        except errors.MismatchError:
            raise errors.MismatchError(f"{beside} is there, and not by the key {key.public.key_id}; delete it to sign again") from None
        return found
    signature = key.sign(path.read_bytes())
    files.write(beside, signature)
    print(f"wrote releases/{beside.name}, by the key {key.public.key_id}")
    return signature


def _sign_images(release: releases.Release, key: signatures.PrivateKey) -> None:
    for name, image in sorted(release.images.items()):
        repository = registry.parse_repository(f"{_REGISTRY.value}/{name}_image")
        client = registry.Client(repository)
        try:
            added = signature_objects.add(client, repository, image.image_hash, key)
        finally:
            client.close()
        print(f"{repository}:{signature_objects.tag_of(image.image_hash)}: {'signed' if added else 'signed already'}")


def _media_type(name: str) -> str:
    return next((kind for suffix, kind in _MEDIA_TYPES.items() if name.endswith(suffix)), "application/octet-stream")
