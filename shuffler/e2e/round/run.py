"""Runs federated rounds on a local backend: builds tasks, has devices train, waits for the models, and reports.

    ./scripts/federated_round.sh [flags...]

starts the backend, calls this, and ends the backend. Exit codes: 0 all rounds are done, 1 they are not, 64 wrong usage.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import urllib3
from absl import app, flags
from google.protobuf import text_format
from runfiles import Runfiles
from shuffler.proto.task_builder_pb2 import BuildTaskResponse, TaskConfig

from shuffler.e2e.population import behaviour
from shuffler.e2e.population.client import Client
from shuffler.e2e.population.payload import parse_public_keys
from shuffler.e2e.population.population import Population, Settings
from shuffler.e2e.population.training import Trainer
from shuffler.e2e.round import blobs, default_task, digits, report
from shuffler.e2e.round.results import Results, Round, Task

_BACKEND = flags.DEFINE_string("backend", None, "Folder of the backend that runs: where scripts/local_backend.sh keeps it.", required=True)
_MODEL = flags.DEFINE_string("saved_model", None, "SavedModel folder or .keras file; without it a small network that reads digits.")
_CONFIG = flags.DEFINE_string("task_config", None, "TaskConfig in text format; needed with --saved_model.")
_EXAMPLES = flags.DEFINE_string("examples", None, "Folder with a TFRecord file of tf.Examples for each device; needed with --saved_model.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds of the default task.", lower_bound=1, upper_bound=10_000)
_GOAL = flags.DEFINE_integer("report_goal", 10, "Contributions of a round of the default task.", lower_bound=1)
_DEVICES = flags.DEFINE_integer("devices", 30, "Devices that share the default data.", lower_bound=1, upper_bound=1000)
_THREADS = flags.DEFINE_integer("threads", 8, "Devices that are busy at a time.", lower_bound=1)
_BEHAVIOURS = flags.DEFINE_string("behaviours", "", "Shares of devices that misbehave, such as drop_out=0.1,garbage=0.1.")
_PRIVATE = flags.DEFINE_bool("dp", False, "Add the noise that the config asks for; a few devices learn little then.")
_SEED = flags.DEFINE_integer("seed", 1, "Of the first weights, the split of the data, and the devices' behaviour.")
_REPORT = flags.DEFINE_string("report", "federated-round.html", "File for the page with curves, counts and times.")
_MINUTES = flags.DEFINE_float("minutes", 20, "How long the rounds may take.", lower_bound=0)

_POLL_SECONDS = 0.2
_MODELS = "data/blobs/blobs/fcp-local-m-0"
_KEYS = ".well-known/odp/v1/public-keys"


class RoundError(Exception):
    """The rounds are not done. The message is one line."""


@dataclass(frozen=True)
class Inputs:
    """What is trained, with what.

    Attributes:
        model: a SavedModel folder or .keras file.
        config: file of a TaskConfig.
        examples: TFRecord file of each device.
    """

    model: Path
    config: Path
    examples: Sequence[Path]


def services(folder: Path) -> dict[str, str]:
    """URLs of the services of a backend, by name.

    Raises:
        RoundError: it does not run.
    """
    try:
        lines = (folder / "status").read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise RoundError(f"--backend: expected the folder of a backend that runs, found no status in {folder}") from error
    if lines[0] != "ready":
        raise RoundError(f"--backend: expected a backend that is ready, found: {lines[0]}")
    return {match[1]: match[2] for line in lines if (match := re.match(r"(\w+)\s+(http://\S+)", line))}


def image_hashes(folder: Path) -> dict[str, str]:
    """Image hash of each service of a backend."""
    found = {}
    for index in sorted((folder / "images").glob("*/index.json")):
        found[index.parent.name] = json.loads(index.read_text(encoding="utf-8"))["manifests"][0]["digest"]
    return found


def _runfile(variable: str) -> Path:
    """A file that comes with this program; Bazel says where in an environment variable."""
    runfiles = Runfiles.Create()
    path = runfiles and runfiles.Rlocation(os.environ.get(variable, variable))
    if not path:
        raise RoundError(f"{variable} is not set; start this with scripts/federated_round.sh")
    return Path(path)


def _inputs(folder: Path) -> Inputs:
    if _MODEL.value:
        if not _CONFIG.value or not _EXAMPLES.value:
            raise app.UsageError("--saved_model needs --task_config and --examples")
        examples = sorted(Path(_EXAMPLES.value).glob("*.tfrecord"))
        if not examples:
            raise app.UsageError(f"--examples: expected *.tfrecord files, found none in {_EXAMPLES.value}")
        return Inputs(Path(_MODEL.value), Path(_CONFIG.value), examples)
    data = _runfile("SCIKIT_LEARN") / digits.FILE
    inputs = Inputs(folder / "model.keras", folder / "config.pbtxt", default_task.write_devices(data, folder, _DEVICES.value, _SEED.value))
    default_task.write_model(inputs.model, _SEED.value)
    default_task.write_config(inputs.config, _ROUNDS.value, _GOAL.value)
    return inputs


def _build(server: str, inputs: Inputs) -> BuildTaskResponse:
    command = [
        str(_runfile("TASK_BUILDER_CLIENT")),
        f"--saved_model={inputs.model}",
        f"--task_config={inputs.config}",
        f"--task_builder_server={server}",
    ]
    # Phones have a list of operations; these devices have all of TensorFlow.
    command += ["--skip_flex_ops_check"] + ([] if _PRIVATE.value else ["--skip_dp_aggregator"])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise RoundError(f"the task builder: {lines[-1]}")
    return text_format.Parse(done.stdout, BuildTaskResponse())


def _public_keys(server: str) -> bytes:
    answer = urllib3.request("GET", f"{server}/{_KEYS}", timeout=30)
    if answer.status != 200:
        raise RoundError(f"public keys: expected status 200 from the aggregator, found {answer.status}")
    return answer.data


class _Watch:
    """Sees what the model updater leaves for the iterations of a task."""

    def __init__(self, title: str, number: int, population: str, models: Path) -> None:
        self.title = title
        self.number = number
        self.rounds: list[Round] = []
        self._population = population
        self._models = models
        self._last = time.monotonic()

    def step(self, devices: Population) -> bool:
        """Whether another iteration is done."""
        iteration = len(self.rounds) + 1
        found = blobs.metrics(self._models, self._population, self.number, iteration)
        if found is None:
            return False
        uploads = sum(item.task == self.number and item.iteration == iteration for item in list(devices.results.contributions))
        now = time.monotonic()
        self.rounds.append(Round(iteration, uploads, found, now - self._last))
        self._last = now
        return True


def _progress(watches: Sequence[_Watch], total: int) -> None:
    if not sys.stderr.isatty():
        return
    parts = []
    for watch in watches:
        metrics = watch.rounds[-1].metrics if watch.rounds else {}
        loss = next((f", loss {value:.4g}" for name, value in sorted(metrics.items()) if "loss" in name), "")
        parts.append(f"{watch.title} {len(watch.rounds)} of {total}{loss}")
    sys.stderr.write("\r\x1b[K" + "; ".join(parts))
    sys.stderr.flush()


def _train(watches: Sequence[_Watch], devices: Population, numbers: Sequence[int], total: int) -> None:
    """Has devices work until the first task is done, and the others have a round at least."""
    thread = threading.Thread(target=devices.run, args=(numbers, _THREADS.value))
    thread.start()
    deadline = time.monotonic() + _MINUTES.value * 60
    try:
        while len(watches[0].rounds) < total or not all(watch.rounds for watch in watches):
            if time.monotonic() > deadline:
                counts = ", ".join(f"{watch.title} {len(watch.rounds)}" for watch in watches)
                raise RoundError(f"expected {total} rounds within {_MINUTES.value:g} minutes, found {counts}; see the logs of the backend")
            if not thread.is_alive():
                raise RoundError("the devices ended by themselves; see above")
            # Not any(): every task is looked at.
            if [watch for watch in watches if watch.step(devices)]:
                _progress(watches, total)
            time.sleep(_POLL_SECONDS)
    finally:
        devices.stop()
        thread.join()
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")


def run(folder: Path, mix: Mapping[behaviour.Behaviour, float]) -> Results:
    """All of it, on the backend of FOLDER.

    Raises:
        RoundError: the rounds are not done.
    """
    phases: dict[str, float] = {}
    begin = time.monotonic()
    urls = services(folder)
    with tempfile.TemporaryDirectory() as name:
        inputs = _inputs(Path(name))
        config = text_format.Parse(inputs.config.read_text(encoding="utf-8"), TaskConfig())
        phases["preparing data and model"] = time.monotonic() - begin
        begin = time.monotonic()
        group = _build(urls["task_builder"], inputs).task_group
        phases["building and creating tasks"] = time.monotonic() - begin
        begin = time.monotonic()
        models = folder / _MODELS
        watches = [_Watch("training", group.training_task.task_id, group.training_task.population_name, models)]
        if group.HasField("eval_task"):
            watches.append(_Watch("evaluation", group.eval_task.task_id, group.eval_task.population_name, models))
        key = parse_public_keys(_public_keys(urls["aggregator"]))[0]
        settings = Settings(group.training_task.population_name, version="999999999", mix=mix, seed=_SEED.value)
        client = Client(urls["task_assignment"], connections=_THREADS.value)
        devices = Population(client, key, Trainer(inputs.examples), settings)
        total = config.policies.model_release_policy.num_max_training_rounds
        _train(watches, devices, range(len(inputs.examples)), total)
        phases["rounds"] = time.monotonic() - begin
    return Results(
        settings={f"--{name}": str(flags.FLAGS[name].value) for name in ("rounds", "report_goal", "devices", "behaviours", "dp", "seed")},
        hashes=image_hashes(folder),
        tasks=[Task(watch.title, watch.number, watch.rounds) for watch in watches],
        outcomes=dict(devices.results.outcomes),
        phases=phases,
    )


def main(argv: list[str]) -> int:
    """Runs the rounds and writes the report."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    try:
        mix = behaviour.parse_mix(_BEHAVIOURS.value)
    except ValueError as error:
        raise app.UsageError(f"--behaviours: {error}") from error
    try:
        results = run(Path(_BACKEND.value), mix)
    except RoundError as error:
        print(f"federated_round: {error}", file=sys.stderr)
        return 1
    Path(_REPORT.value).write_text(report.render(results), encoding="utf-8")
    print(report.text(results))
    print(f"report: {_REPORT.value}")
    return 0


if __name__ == "__main__":
    app.run(main)
