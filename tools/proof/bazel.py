"""Runs Bazel for a proof: in a checkout of its own, with an output base of its own."""

import dataclasses
import json
import pathlib
import subprocess
import sys
from typing import Any

from tools import errors

IMAGES = {
    "aggregator": "//shuffler/services/aggregator:aggregator_image",
    "collector": "//shuffler/services/collector:collector_image",
    "model_updater": "//shuffler/services/modelupdater:model_updater_image",
    "task_assignment": "//shuffler/services/taskassignment:task_assignment_image",
    "task_builder": "//shuffler/services/taskbuilder:task_builder_image",
    "task_management": "//shuffler/services/taskmanagement:task_management_image",
    "task_scheduler": "//shuffler/services/taskscheduler:task_scheduler_image",
}
"""The seven images: service name -> label."""


@dataclasses.dataclass(frozen=True)
class Workspace:
    """A checkout and how Bazel is called in it.

    Attributes:
        path: root folder of the checkout.
        startup: Bazel's startup options.
        prefix: command that runs Bazel, such as one that changes the user; empty for none.
    """

    path: pathlib.Path
    startup: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()

    def run(self, *arguments: str) -> str:
        """Runs a Bazel command and returns its standard output.

        Raises:
            errors.CheckError: the command failed; its messages went to standard error.
        """
        command = [*self.prefix, "bazel", *self.startup, *arguments]
        result = subprocess.run(command, cwd=self.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if result.returncode:
            sys.stderr.write(result.stderr)
            raise errors.CheckError(f"bazel {arguments[0]} failed with exit code {result.returncode} in {self.path}")
        return result.stdout

    def build(self, *options: str) -> dict[str, str]:
        """Builds the seven images and returns service name -> image hash."""
        labels = [*IMAGES.values(), *(f"{label}.digest" for label in IMAGES.values())]
        self.run("build", "--color=no", "--show_progress_rate_limit=60", *options, "--", *labels)
        return self.hashes()

    def hashes(self) -> dict[str, str]:
        """Image hashes of what was built last: service name -> sha256:<hex>."""
        bin_folder = pathlib.Path(self.run("info", "bazel-bin").strip())
        found = {}
        for service, label in IMAGES.items():
            package, name = label.removeprefix("//").split(":")
            index = json.loads((bin_folder / package / name / "index.json").read_text("utf-8"))
            found[service] = str(index["manifests"][0]["digest"])
        return found

    def actions(self) -> list["Action"]:
        """All actions that the seven images depend on, tools included."""
        query = f"deps(set({' '.join(IMAGES.values())}))"
        graph = json.loads(self.run("aquery", "--output=jsonproto", "--include_commandline", "--include_param_files", query))
        return list(parse_action_graph(graph))


@dataclasses.dataclass(frozen=True)
class Action:
    """One action of Bazel's action graph.

    Attributes:
        mnemonic: kind of the action.
        target: label of its owner.
        arguments: command line, and the content of parameter files.
        outputs: paths relative to the execution root.
        input_roots: the distinct first two path segments of all inputs; enough to tell where an input comes from.
    """

    mnemonic: str
    target: str
    arguments: tuple[str, ...]
    outputs: tuple[str, ...]
    input_roots: tuple[str, ...]


def parse_action_graph(graph: dict[str, Any]) -> list[Action]:
    """Reads what `bazel aquery --output=jsonproto` prints (analysis_v2.proto, ActionGraphContainer)."""
    fragments = {f["id"]: f for f in graph.get("pathFragments", [])}
    paths: dict[int, str] = {}

    def path(fragment_id: int) -> str:
        if fragment_id not in paths:
            fragment = fragments[fragment_id]
            parent = fragment.get("parentId")
            paths[fragment_id] = (path(parent) + "/" if parent else "") + fragment["label"]
        return paths[fragment_id]

    artifacts = {a["id"]: path(a["pathFragmentId"]) for a in graph.get("artifacts", [])}
    targets = {t["id"]: t["label"] for t in graph.get("targets", [])}
    sets = {s["id"]: s for s in graph.get("depSetOfFiles", [])}
    roots: dict[int, frozenset[str]] = {}

    def input_roots(set_id: int) -> frozenset[str]:
        # Depsets are nested deeply: an own stack instead of recursion.
        stack = [set_id]
        while stack:
            top = stack[-1]
            if top in roots:
                stack.pop()
                continue
            children = sets[top].get("transitiveDepSetIds", [])
            open_children = [c for c in children if c not in roots]
            if open_children:
                stack.extend(open_children)
                continue
            own = {"/".join(artifacts[a].split("/")[:2]) for a in sets[top].get("directArtifactIds", [])}
            roots[top] = frozenset(own.union(*(roots[c] for c in children)))
            stack.pop()
        return roots[set_id]

    actions = []
    for action in graph.get("actions", []):
        arguments = list(action.get("arguments", []))
        for file in action.get("paramFiles", []):
            arguments.extend(file.get("arguments", []))
        inputs: set[str] = set()
        for set_id in action.get("inputDepSetIds", []):
            inputs |= input_roots(set_id)
        actions.append(
            Action(
                mnemonic=action["mnemonic"],
                target=targets.get(action.get("targetId", 0), ""),
                arguments=tuple(arguments),
                outputs=tuple(artifacts[o] for o in action.get("outputIds", [])),
                input_roots=tuple(sorted(inputs)),
            )
        )
    return actions
