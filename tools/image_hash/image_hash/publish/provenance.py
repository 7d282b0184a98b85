"""How the images of a release were built: an in-toto Statement v1 with SLSA provenance v1, https://slsa.dev/spec/v1.0/provenance.

The build type is BUILD_TYPE. External parameters: `commit` of the repository that was built; `build_settings`, name -> value; `command`,
which builds the same images in a checkout of the commit. Resolved dependencies: the commit, each lock, and each external input that is in
an image or helps to make one; the annotations contained_in and used_for name the images. There is no time in it: the same commit gives the
same statement.
"""

import json
from collections.abc import Sequence
from typing import Any

from image_hash import releases
from image_hash.publish import inputs

MEDIA_TYPE = "application/vnd.in-toto+json"
BUILD_TYPE = "urn:com_google_ondevicepersonalization_federatedcompute:image-build:v1"
BUILDER = "urn:com_google_ondevicepersonalization_federatedcompute:build-environment:v1"
ENVIRONMENT_LOCK = "scripts/docker/environment/environment.lock"
"""What the build environment is made of; its digest says which one it was."""


def statement(release: releases.Release, found: Sequence[inputs.Input]) -> bytes:
    """The statement about all images of a release.

    Args:
        release: what is released; its documents do not count.
        found: all inputs.
    """
    content = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": f"{name}_image", "digest": _digest(image.image_hash)} for name, image in sorted(release.images.items())],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "commit": release.commit,
                    "build_settings": dict(release.build_settings),
                    "command": release.rebuild,
                },
                "resolvedDependencies": [
                    {"name": "commit", "digest": {"gitCommit": release.commit}},
                    *({"name": path, "digest": _digest(digest)} for path, digest in sorted(release.locks.items())),
                    *(_dependency(item) for item in found if item.contained_in or item.used_for),
                ],
            },
            "runDetails": {
                "builder": {
                    "id": BUILDER,
                    "builderDependencies": [{"name": ENVIRONMENT_LOCK, "digest": _digest(release.locks[ENVIRONMENT_LOCK])}],
                }
            },
        },
    }
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def _digest(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}


def _dependency(item: inputs.Input) -> dict[str, Any]:
    return {
        "name": f"{item.kind} {item.name} {item.version}",
        "uri": item.purl(),
        "digest": {"sha256": item.sha256},
        "annotations": {"contained_in": list(item.contained_in), "used_for": list(item.used_for)},
    }
