"""Compares two images, or images with expected hashes: match, or what differs and why.

    image_hash compare A B [--json] [--html FILE] [--platform OS/ARCHITECTURE] [--insecure]
    image_hash compare IMAGE... --expected FILE [the same flags]

A, B and IMAGE are what `image_hash compute` takes. FILE is a list of expected hashes, such as releases/current.json; which of its images an
IMAGE is to be, its last word says (.../collector_image, collector.tar, registry.example/collector:v1), or NAME=IMAGE. Each difference has a
cause of docs/causes.md, and for images of this repository the Bazel target that makes what differs.

Of two images only layers are read whose digests differ; with --expected every blob is hashed.
"""

import pathlib

from absl import flags
from image_hash import errors, releases
from image_hash.commands.image_flags import INSECURE, PLATFORM
from image_hash.commands.json_flag import JSON
from image_hash.comparison import engine, expected
from image_hash.differences import Comparison
from image_hash.report import json, text
from image_hash.sources import open_image

_EXPECTED = flags.DEFINE_string("expected", None, "A list of expected hashes to compare with: releases/current.json or a release's.")
_HTML = flags.DEFINE_string("html", None, "Also write the report to this file, as one HTML page.")


def main(argv: list[str]) -> None:
    """Prints the report.

    Raises:
        errors.MismatchError: something differs.
        errors.CheckError: an image or the list cannot be read, or an image is not in the list; nothing is printed then.
        errors.UsageError: not two images, or not at least one with --expected.
    """
    comparisons = _with_expected(argv, _EXPECTED.value) if _EXPECTED.value is not None else [_two(argv)]
    if _HTML.value is not None:
        from image_hash.report import html

        html.write(_HTML.value, comparisons)
    print(json.render(comparisons) if JSON.value else text.render(comparisons), end="")
    different = [comparison.right for comparison in comparisons if not comparison.same]
    if different:
        raise errors.MismatchError(f"{', '.join(different)}: not as expected" if _EXPECTED.value else f"{' and '.join(argv)} differ")


def _two(references: list[str]) -> Comparison:
    if len(references) != 2:
        raise errors.UsageError(f"compare A B, or compare IMAGE... --expected FILE; expected two images, found {len(references)}")
    left, right = references
    with (
        open_image(left, PLATFORM.value, insecure=INSECURE.value) as a,
        open_image(right, PLATFORM.value, insecure=INSECURE.value) as b,
    ):
        return engine.compare(a, b)


def _with_expected(references: list[str], path: str) -> list[Comparison]:
    if not references:
        raise errors.UsageError("compare IMAGE... --expected FILE; expected an image, found none")
    release = releases.read(pathlib.Path(path))
    # Before any is read: a name that is wrong shows at once.
    named = [release.name_of(reference) for reference in references]
    comparisons = []
    for name, reference in named:
        with open_image(reference, PLATFORM.value, insecure=INSECURE.value) as image:
            comparisons.append(expected.compare(name, release, image))
    return comparisons
