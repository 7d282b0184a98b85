"""push.py RUNFILES CONFIG [flag...]: pushes service images; what `bazel run ..._image_publish` starts.

CONFIG is JSON with `images` (each a `name`, and a `layout` within RUNFILES), and the build settings `registry`, `repository_prefix`, `tag`.
Images that were built in a drifted environment are not published. Prints a line for each image, with the digest that the registry serves.
"""

import argparse
import json
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ocilib import push, push_command, registry
from ocilib.errors import Error


class PushError(Error):
    """Nothing is pushed, for a reason that can be mended."""


def repository(name: str, settings: Mapping[str, Any], flags: argparse.Namespace) -> str:
    """Where the image NAME is pushed to.

    Raises:
        PushError: no registry is set.
    """
    if flags.repository:
        return str(flags.repository)
    host = flags.registry or settings["registry"]
    if not host:
        raise PushError(
            "no registry is set: expected --//shuffler/services:registry=HOST on Bazel's command line or in user.bazelrc, "
            "or `-- --repository HOST/PATH` behind `bazel run`"
        )
    return "/".join([part.strip("/") for part in (host, settings["repository_prefix"], name) if part.strip("/")])


def tags(settings: Mapping[str, Any], flags: argparse.Namespace) -> list[str]:
    """The tags of the command line, or else the one that is set.

    Raises:
        PushError: there is none.
    """
    if not flags.tag and not settings["tag"]:
        raise PushError(
            "no tag is set: expected --//shuffler/services:tag=TAG on Bazel's command line or in user.bazelrc, "
            "or `-- --tag TAG` behind `bazel run`"
        )
    return push_command.tags(flags, [] if flags.tag else [settings["tag"]])


def push_images(runfiles: str, settings: Mapping[str, Any], drifted: Sequence[str], arguments: Sequence[str]) -> None:
    """Pushes all images over one connection, so that a layer of several images is sent once.

    Raises:
        Error: an image could not be pushed; those before it were.
    """
    parser = push_command.parser("Pushes service images, with the credentials of docker login or podman login.")
    parser.add_argument("--registry", help="host and path below which the repositories are, instead of the build setting")
    flags = parser.parse_args(arguments)
    images = settings["images"]
    if flags.repository and len(images) > 1:
        parser.error(f"--repository is for one image, this publishes {len(images)}: expected --registry")
    if drifted:
        raise PushError(
            f"nothing is published from a drifted build environment ({len(drifted)} packages, the first: {drifted[0]}); "
            "see docs/build-environment.md"
        )
    wanted = tags(settings, flags)
    targets = [registry.parse_repository(repository(image["name"], settings, flags)) for image in images]
    # All layouts are whole before anything is sent.
    artifacts = [push.read(f"{runfiles}/{image['layout']}", foreign=flags.allow_nondistributable_artifacts) for image in images]
    connection = push_command.client(flags, targets[0])
    progress = push_command.Progress(sys.stderr)
    pusher = push.Pusher(connection, progress.moved)
    try:
        for target, artifact in zip(targets, artifacts, strict=True):
            progress.start(str(target), sum(blob.size for blob in artifact.blobs))
            result = pusher.push(artifact, target.name, wanted)
            progress.finish()
            print(push_command.summary(target, artifact.digest, wanted, result), flush=True)
        # The pusher has read every tag back, and stops at the first that is another.
        print(f"{len(artifacts)} published: every digest that {targets[0].registry} serves equals the image hash that was built")
    except KeyboardInterrupt:
        progress.finish()
        print("interrupted: no tag was moved to an incomplete image", file=sys.stderr)
        sys.exit(push_command.INTERRUPTED)
    finally:
        connection.close()


def main(runfiles: str, config: str, arguments: Sequence[str]) -> None:
    """Publishes what CONFIG says."""
    sys.path.append(str(pathlib.Path(os.path.abspath(__file__)).parents[1] / "image_hash"))
    from image_hash.drift import drift

    push_images(runfiles, json.loads(pathlib.Path(config).read_text("utf-8")), drift(), arguments)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
