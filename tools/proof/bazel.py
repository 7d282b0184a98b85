"""Runs Bazel for a proof: in a checkout of its own, with an output base of its own."""

import dataclasses
import functools
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from image_hash import errors

from tools.inputs import workspace

_BIN = "bazel-out/k8-opt/bin"


@functools.cache
def images() -> dict[str, str]:
    """The seven images: service name -> label."""
    found: dict[str, str] = json.loads(workspace.runfile("shuffler/services/images.json").read_text("utf-8"))
    return found


@dataclasses.dataclass(frozen=True)
class Workspace:
    """A checkout and how Bazel is called in it.

    Attributes:
        path: root folder of the checkout.
        startup: Bazel's startup options.
        prefix: command that runs Bazel, such as one that changes the user; empty for none.
        options: of every command that builds or analyses.
        images: service name -> label.
    """

    path: pathlib.Path
    startup: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    images: Mapping[str, str] = dataclasses.field(default_factory=images)

    def run(self, *arguments: str) -> str:
        """Runs a Bazel command and returns its standard output.

        Raises:
            errors.CheckError: the command failed; its messages went to standard error.
        """
        command = [*self.prefix, "bazel", *self.startup, *arguments]
        result = subprocess.run(command, cwd=self.path, capture_output=True, text=True, check=False)
        if result.returncode:
            sys.stderr.write(result.stderr)
            raise errors.CheckError(f"bazel {arguments[0]} failed with exit code {result.returncode} in {self.path}")
        return result.stdout

    def try_build(self, *options: str) -> tuple[int, str]:
        """Builds the images; returns Bazel's exit code and messages."""
        command = ["build", "--color=no", "--show_progress_rate_limit=60", *self.options, *options, "--", *self.images.values()]
        result = subprocess.run(
            [*self.prefix, "bazel", *self.startup, *command], cwd=self.path, capture_output=True, text=True, check=False
        )
        return result.returncode, result.stderr

    def build(self, *options: str) -> dict[str, str]:
        """Builds the images and returns service name -> image hash.

        Raises:
            errors.CheckError: the build failed; Bazel's messages went to standard error.
        """
        code, said = self.try_build(*options)
        if code:
            sys.stderr.write(said)
            raise errors.CheckError(f"bazel build failed with exit code {code} in {self.path}")
        return self.hashes()

    def hashes(self) -> dict[str, str]:
        """Image hashes of what was built last: service name -> sha256:<hex>."""
        bin_folder = self.bin_folder()
        found = {}
        for service, label in self.images.items():
            package, name = label.removeprefix("//").split(":")
            # By a program that sees what Bazel sees: that may be in namespaces of its own.
            command = [*self.prefix, "cat", str(bin_folder / package / name / "index.json")]
            index = json.loads(subprocess.run(command, cwd=self.path, capture_output=True, check=True).stdout)
            found[service] = str(index["manifests"][0]["digest"])
        return found

    def bin_folder(self) -> pathlib.Path:
        """Where the outputs are, as Bazel sees it."""
        return pathlib.Path(self.run("info", *self.options, "bazel-bin").strip())

    def output(self, service: str) -> str:
        """Path of an image's layout, relative to the execution root."""
        package, name = self.images[service].removeprefix("//").split(":")
        return "/".join(part for part in (_BIN, package, name) if part)

    def sums(self) -> dict[str, str]:
        """What is in the folder of outputs, but for blobs: path relative to the execution root -> SHA-256, links followed."""
        script = f"find -L {_BIN} -type f -not -path '*.runfiles/*' -not -path '*/blobs/sha256/*' -print0 | xargs -0 sha256sum"
        root = self.run("info", *self.options, "execution_root").strip()
        command = [*self.prefix, "sh", "-c", f'cd "$1" && {script}', "sh", root]
        result = subprocess.run(command, cwd=self.path, capture_output=True, text=True, check=False)
        return {path: digest for digest, _, path in (line.partition("  ") for line in result.stdout.splitlines())}

    def actions(self) -> "ActionGraph":
        """The actions that the images are made by, tools included."""
        query = f"deps(set({' '.join(self.images.values())}))"
        return ActionGraph(
            json.loads(self.run("aquery", *self.options, "--output=jsonproto", "--include_commandline", "--include_param_files", query))
        )


@dataclasses.dataclass(frozen=True)
class Action:
    """One action of Bazel's action graph.

    Attributes:
        mnemonic: kind of the action.
        target: label of its owner.
        arguments: command line, and the content of parameter files.
        inputs: paths relative to the execution root, sorted.
        outputs: likewise.
    """

    mnemonic: str
    target: str
    arguments: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class ActionGraph:
    """What `bazel aquery --output=jsonproto` prints (analysis_v2.proto, ActionGraphContainer).

    Attributes:
        actions: those that an image is made by. What Bazel could make besides, and nobody needs for an image (source jars, interface
            jars of what nobody compiles against), is left out.
    """

    def __init__(self, graph: dict[str, Any], makers: frozenset[str] = frozenset({"OCIImage"})) -> None:
        """Reads a graph; MAKERS are the mnemonics of the actions at the end, whose inputs are followed."""
        self._fragments = {f["id"]: f for f in graph.get("pathFragments", [])}
        self._artifacts = {a["id"]: a["pathFragmentId"] for a in graph.get("artifacts", [])}
        self._sets = {s["id"]: s for s in graph.get("depSetOfFiles", [])}
        targets = {t["id"]: t["label"] for t in graph.get("targets", [])}
        self.actions = [
            Action(
                mnemonic=action["mnemonic"],
                target=targets.get(action.get("targetId", 0), ""),
                arguments=tuple(action.get("arguments", []))
                + tuple(a for f in action.get("paramFiles", []) for a in f.get("arguments", [])),
                inputs=tuple(sorted(map(self._path, inputs))),
                outputs=tuple(self._path(output) for output in action.get("outputIds", [])),
            )
            for action, inputs in self._needed(graph.get("actions", []), makers)
        ]

    def _needed(self, actions: list[dict[str, Any]], makers: frozenset[str]) -> Iterator[tuple[dict[str, Any], set[int]]]:
        producers = {output: action for action in actions for output in action.get("outputIds", [])}
        todo = [action for action in actions if action["mnemonic"] in makers]
        seen = {id(action) for action in todo}
        while todo:
            action = todo.pop()
            inputs = self._inputs(action)
            yield action, inputs
            for artifact in inputs:
                producer = producers.get(artifact)
                if producer is not None and id(producer) not in seen:
                    seen.add(id(producer))
                    todo.append(producer)

    def _inputs(self, action: dict[str, Any]) -> set[int]:
        # Depsets are nested deeply: a stack instead of recursion.
        inputs: set[int] = set()
        todo = list(action.get("inputDepSetIds", []))
        seen = set(todo)
        while todo:
            depset = self._sets[todo.pop()]
            inputs.update(depset.get("directArtifactIds", []))
            for child in depset.get("transitiveDepSetIds", []):
                if child not in seen:
                    seen.add(child)
                    todo.append(child)
        return inputs

    def _path(self, artifact: int) -> str:
        names = []
        fragment_id: int | None = self._artifacts[artifact]
        while fragment_id:
            fragment = self._fragments[fragment_id]
            names.append(fragment["label"])
            fragment_id = fragment.get("parentId")
        return "/".join(reversed(names))
