"""A checkout of the repository that the images come from: what it is at, and what Bazel makes of it.

Git and Bazel are run in it; Bazel is in the build environment.
"""

import dataclasses
import datetime as dt
import hashlib
import pathlib
import subprocess
from collections.abc import Mapping, Sequence

from image_hash import errors, hashing, releases, sources, strict_json
from image_hash.image import Descriptor, Image

_IMAGES = "//shuffler/services:images"
_SETTINGS = "//shuffler/services:build_settings"
_LOCKS = "//tools/inputs:locks_of_all_inputs"
_QUIET = ("--noshow_progress", "--show_result=0", "--ui_event_filters=-info,-stdout")


@dataclasses.dataclass(frozen=True)
class Checkout:
    """A checkout.

    Attributes:
        root: its folder.
    """

    root: pathlib.Path

    def commit(self) -> str:
        """The commit that is checked out.

        Raises:
            errors.CheckError: it is no checkout.
        """
        return self._git("rev-parse", "--verify", "HEAD^{commit}").strip()

    def time(self, commit: str) -> str:
        """When a commit was made, in UTC: 2026-01-31T12:00:00Z.

        Raises:
            errors.CheckError: there is no such commit here.
        """
        seconds = int(self._git("show", "--no-patch", "--format=%ct", commit))
        return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    def changes(self, commit: str, besides: Sequence[str]) -> list[str]:
        """What is different from a commit, files that git does not know included.

        Args:
            commit: any that is here.
            besides: patterns of paths that do not count, from the root.

        Returns:
            Paths, sorted.

        Raises:
            errors.CheckError: there is no such commit here.
        """
        self._git("cat-file", "-e", f"{commit}^{{commit}}", advice=f"expected the commit {commit}; git fetch --tags brings it")
        paths = ("--", ".", *(f":(exclude,glob){pattern}" for pattern in besides))
        changed = self._git("diff", "--name-only", "--no-ext-diff", "-z", commit, *paths)
        unknown = self._git("ls-files", "--others", "--exclude-standard", "-z", *paths)
        return sorted({path for path in (changed + unknown).split("\0") if path})

    def locks(self) -> dict[str, str]:
        """Path and digest of every lock.

        Raises:
            errors.CheckError: Bazel does not say which there are.
        """
        labels = self._bazel("query", "--noshow_progress", "--ui_event_filters=-info", f'kind("source file", deps({_LOCKS}))').split()
        paths = sorted(label.removeprefix("//").replace(":", "/").lstrip("/") for label in labels)
        return {path: f"sha256:{hashlib.sha256(releases.content(self.root / path)).hexdigest()}" for path in paths}

    def inputs(self) -> bytes:
        """What `bazel run //tools/inputs:list -- --json` prints."""
        return self._bazel("run", *_QUIET, "//tools/inputs:list", "--", "--json").encode()

    def build(self) -> releases.Release:
        """Builds the images, and hashes all that is in them.

        Returns:
            What is recorded of them; as a list without a name of its own.

        Raises:
            errors.CheckError: they cannot be built, or are damaged.
        """
        self._bazel("build", *_QUIET, "--", _IMAGES, _SETTINGS)
        (settings,) = self._outputs(_SETTINGS)
        images = {}
        seen: set[tuple[Descriptor | None, str]] = set()
        for name, path in self.layouts().items():
            with sources.open_image(str(path)) as image:
                images[name] = recorded(image)
                # Layers that images share are hashed once.
                hashing.tar_sizes(layer for layer in image.layers if (layer.descriptor, layer.diff_id) not in seen)
                seen.update((layer.descriptor, layer.diff_id) for layer in image.layers)
        return releases.Release(releases.CURRENT, _settings(settings), images)

    def layouts(self) -> dict[str, pathlib.Path]:
        """Name and OCI layout of every image, as it was built last."""
        return {path.name.removesuffix("_image"): path for path in self._outputs(_IMAGES)}

    def rebuild_adversely(self) -> None:
        """Builds the images once more with everything varied that must not matter.

        Raises:
            errors.MismatchError: that gives other hashes.
            errors.CheckError: it could not be done.
        """
        code = subprocess.run([str(self.root / "scripts/adverse_rebuild.sh"), "--nocanary"], cwd=self.root, check=False).returncode
        if code == errors.MISMATCH:
            raise errors.MismatchError("the adverse rebuild gives other hashes, see above: this commit is not reproducible")
        if code:
            raise errors.CheckError(f"the adverse rebuild ended with exit code {code}, see above")

    def _outputs(self, target: str) -> list[pathlib.Path]:
        root = pathlib.Path(self._bazel("info", "execution_root").strip())
        paths = self._bazel("cquery", "--noshow_progress", "--ui_event_filters=-info", "--output=files", target).split()
        return [root / path for path in paths]

    def _bazel(self, *arguments: str) -> str:
        return self._run(["bazel", *arguments], show=True, advice="start it in the build environment: ./scripts/docker/docker_run.sh")

    def _git(self, *arguments: str, advice: str = "expected a git checkout of the repository") -> str:
        return self._run(["git", *arguments], advice=advice)

    def _run(self, command: list[str], *, show: bool = False, advice: str = "") -> str:
        try:
            done = subprocess.run(
                command,
                cwd=self.root,
                stdout=subprocess.PIPE,
                stderr=None if show else subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
        except OSError as error:
            raise errors.CheckError(f"{command[0]} cannot be started in {self.root}: {error.strerror}; {advice}") from None
        if done.returncode:
            said = "see above" if show else " ".join(done.stderr.split()) + f"; {advice}"
            raise errors.CheckError(f"{' '.join(command[:2])} failed with exit code {done.returncode} in {self.root}: {said}")
        return done.stdout


def recorded(image: Image) -> releases.Image:
    """What a list of a release has of an image.

    Raises:
        errors.CheckError: the image does not have all that is recorded.
    """
    settings = image.config.content.get("config") or {}
    labels, entrypoint = settings.get("Labels") or {}, settings.get("Entrypoint") or []
    if image.index or not image.manifest or not entrypoint:
        raise errors.CheckError(f"{image.name}: expected the plain manifest of an image with an entrypoint")
    return releases.Image(
        image_hash=image.manifest.digest,
        config_digest=image.config.digest,
        layers=tuple(
            releases.Layer(layer.descriptor.digest, layer.diff_id, layer.descriptor.size) for layer in image.layers if layer.descriptor
        ),
        labels=labels,
        entrypoint=tuple(entrypoint),
    )


def _settings(path: pathlib.Path) -> Mapping[str, str]:
    return strict_json.parse_object(releases.content(path), str(path))
