"""The commands as processes, and a repository with a Bazel that builds what a test wants."""

import copy
import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Mapping

from image_hash import checkout, releases, sources
from tests import images

LOCK = "scripts/docker/environment/environment.lock"

# What image_hash.checkout asks of Bazel; whatever else is an error.
_BAZEL = r"""#!/usr/bin/env bash
set -euo pipefail
[[ ${FAIL:-} != "$1" ]] || { echo "it fails" >&2; exit 7; }
case "$1 ${*: -1}" in
"build //shuffler/services:build_settings") ;;
"info execution_root") echo "$OUTPUTS" ;;
"cquery //shuffler/services:build_settings") echo build_settings.json ;;
"cquery //shuffler/services:images") (cd "$OUTPUTS" && printf '%s\n' out/*_image) ;;
"query kind("*) echo //scripts/docker:environment/environment.lock; echo //:requirements_lock.txt ;;
"run --json") cat "$OUTPUTS/inputs.json" ;;
*) echo "unexpected: $*" >&2; exit 64 ;;
esac
"""

_ADVERSE = """#!/usr/bin/env bash
[[ $* == --nocanary ]] || exit 64
touch "$OUTPUTS/rebuilt"
exit "${ADVERSE:-0}"
"""


def image_hash(*arguments: object, folder: pathlib.Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a folder, with that environment only; FIRST_ON_PATH is a folder of modules that come first."""
    path = [*([environment["FIRST_ON_PATH"]] if "FIRST_ON_PATH" in environment else []), *sys.path]
    return subprocess.run(
        [sys.executable, "-m", "image_hash.main", *map(str, arguments)],
        cwd=folder,
        env={"PYTHONPATH": os.pathsep.join(path), "HOME": str(folder), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


class Repository:
    """A git checkout of two images.

    Attributes:
        root: its folder.
        environment: what the commands need to be called with.
        layouts: image -> folder of its layout.
        hashes: image -> its hash.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        """Makes it in a folder, with its first commit."""
        self.place(folder)
        root = self.root
        self.layouts: dict[str, pathlib.Path] = {}
        self.hashes: dict[str, str] = {}
        (folder / "programs").mkdir()
        self._program(folder / "programs/bazel", _BAZEL)
        for folder in (root / "releases", (root / LOCK).parent, self._outputs):
            folder.mkdir(parents=True)
        self._program(root / "scripts/adverse_rebuild.sh", _ADVERSE)
        (root / "code").write_text("code")
        (root / LOCK).write_text("bazel 7.7.1\n")
        (root / "requirements_lock.txt").write_text("x==1\n")
        self.build({"collector": b"collector", "task_builder": b"task_builder"})
        self.settings({"layer_compression": "none"})
        self.inputs([{"name": "libc6", "kind": "deb", "contained_in": ["collector", "task_builder"], "used_for": []}])
        self.update()
        self._git("init", "--quiet")
        self.commit()

    def place(self, folder: pathlib.Path) -> None:
        """Says where it is."""
        self.root = folder / "checkout"
        self._outputs = folder / "outputs"
        self.environment = {"PATH": f"{folder / 'programs'}:{os.environ['PATH']}", "OUTPUTS": str(self._outputs)}

    def copy(self, folder: pathlib.Path) -> "Repository":
        """The same in another folder: quicker than to make it again."""
        shutil.copytree(self.root.parent, folder, dirs_exist_ok=True)
        result = copy.copy(self)
        result.place(folder)
        result.layouts = {name: folder / layout.relative_to(self.root.parent) for name, layout in self.layouts.items()}
        return result

    def build(self, contents: Mapping[str, bytes]) -> None:
        """What Bazel builds from now on: image -> content of its only file."""
        for folder in self.layouts.values():
            shutil.rmtree(folder)
        self.layouts = {}
        for name, content in contents.items():
            layout = images.Layout(self._outputs / "out" / f"{name}_image")
            layout.finish(layout.image([images.tar({"file": content})], {"Entrypoint": [f"/{name}"], "Labels": {"name": name}}))
            self.layouts[name] = layout.root
        self.hashes = {name: image.image_hash for name, image in self._images().items()}

    def settings(self, settings: Mapping[str, str]) -> None:
        """The build settings from now on."""
        (self._outputs / "build_settings.json").write_text(json.dumps(settings))

    def inputs(self, entries: list[dict[str, object]]) -> None:
        """The inputs from now on; what is not given is made up."""
        made_up = {"version": "1", "sha256": "c" * 64, "size": 1, "licence": "MIT"}
        (self._outputs / "inputs.json").write_text(json.dumps({"inputs": [made_up | entry for entry in entries]}))

    def built(self) -> releases.Release:
        """What is recorded of the build."""
        settings = json.loads((self._outputs / "build_settings.json").read_text())
        return releases.Release(releases.CURRENT, settings, self._images())

    def update(self) -> None:
        """Writes releases/current.json."""
        (self.root / "releases/current.json").write_text(self.built().text())

    def record(self, version: str) -> None:
        """Writes a release of what is checked out, without documents."""
        built = self.built()
        release = releases.Release(version, built.build_settings, built.images, self.head(), "git checkout", {LOCK: images.digest(b"")})
        (self.root / f"releases/{version}.json").write_text(release.text())

    def commit(self) -> None:
        """Commits everything."""
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message", "x")

    def head(self) -> str:
        """The commit that is checked out."""
        return self._git("rev-parse", "HEAD").strip()

    def rebuilt(self) -> bool:
        """Whether the adverse rebuild has run."""
        return (self._outputs / "rebuilt").exists()

    def oci_archive(self, name: str, path: pathlib.Path) -> pathlib.Path:
        """The layout of an image as a tar."""
        root = self.layouts[name]
        path.write_bytes(images.tar({str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}))
        return path

    def docker_archive(self, name: str, path: pathlib.Path) -> pathlib.Path:
        """What docker save made of an image before version 25."""
        with sources.open_image(str(self.layouts[name])) as image:
            config = image.config.data
            with image.layers[0].open_tar() as stream:
                layer = stream.read()
        manifest = json.dumps([{"Config": "config.json", "RepoTags": None, "Layers": ["layer.tar"]}]).encode()
        path.write_bytes(images.tar({"config.json": config, "layer.tar": layer, "manifest.json": manifest}))
        return path

    def _images(self) -> dict[str, releases.Image]:
        found = {}
        for name, layout in self.layouts.items():
            with sources.open_image(str(layout)) as image:
                found[name] = checkout.recorded(image)
        return found

    def _git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=x", "-c", "user.email=x@example", "-c", "commit.gpgsign=false")
        return subprocess.run(["git", *identity, *arguments], cwd=self.root, stdout=subprocess.PIPE, text=True, check=True).stdout

    def _program(self, path: pathlib.Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)
