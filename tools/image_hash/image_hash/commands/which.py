"""Says which release, image and commit a digest belongs to.

    image_hash which DIGEST [--releases DIR]

DIGEST is any that is recorded in the files of releases/: image hash (`image_digest` of a token), config digest (`image_id`), layer, diff
id, lock, document. It may stand behind a repository: registry.example/collector_image@sha256:... Prints a line for each place.
A digest that is in none of them is a mismatch.
"""

import re

from image_hash import errors, releases
from image_hash.commands import release_flags


def main(argv: list[str]) -> None:
    """Prints where the digest is recorded.

    Raises:
        errors.MismatchError: nowhere.
        errors.CheckError: the files of the releases cannot be read.
        errors.UsageError: no digest is given.
    """
    if len(argv) != 1:
        raise errors.UsageError(f"which DIGEST; expected one argument, found {len(argv)}")
    digest = re.fullmatch(r"(?:[^@]*@)?(?:sha256:)?([0-9a-fA-F]{64})", argv[0])
    if not digest:
        raise errors.UsageError(
            f"expected a digest of 64 hexadecimal digits, with or without sha256: before it, found {ascii(argv[0])[:200]}"
        )
    value = f"sha256:{digest[1].lower()}"
    lists = releases.read_all(release_flags.folder())
    found = releases.find(lists, value)
    for match in found:
        commit = f"commit {match.release.commit}" if match.release.commit else "the commit that holds this current.json"
        print("  ".join(part for part in (match.release.name, match.image, match.kind, commit) if part))
    if not found:
        raise errors.MismatchError(
            f"{value} is in none of {', '.join(release.name for release in lists)}; was it built from another commit?"
        )
