"""Runs federated rounds on a local backend: builds tasks, has devices train, waits for the models, and reports.

    ./scripts/federated_round.sh [flags...]

starts the backend, calls this, ends the backend, and puts the report where the caller wants it (--report=PATH). The argument `check`
only looks at the flags. Exit codes: 0 all rounds are done, 2 they are not, 64 wrong usage.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from absl import flags
from image_hash import errors
from shuffler.proto.task_pb2 import Task

from shuffler.e2e.population import behaviour
from shuffler.e2e.population.client import Client
from shuffler.e2e.population.population import Population, Settings
from shuffler.e2e.population.training import Trainer
from shuffler.e2e.round import default_task, digits, report
from shuffler.e2e.round.backend import Backend, RoundError
from shuffler.e2e.round.results import Results, Round, TaskRounds
from shuffler.e2e.runfile import runfile

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
_MINUTES = flags.DEFINE_float("minutes", 20, "How long the rounds may take.", lower_bound=0)

# Where scripts/local_backend.sh and scripts/federated_round.sh find things, in the build environment.
_CACHE = Path.home() / ".cache" / "bazel"
_POLL_SECONDS = 0.2
# The model updater's last file, and a pass of the scheduler.
_END_SECONDS = 60.0
# Of devices: as new as any task wants.
_VERSION = "999999999"


@dataclass(frozen=True)
class Inputs:
    """What is trained, with what.

    Attributes:
        model: a SavedModel folder or .keras file.
        config: file of a TaskConfig.
        examples: TFRecord file of each device.
    """

    model: str
    config: Path
    examples: Sequence[Path]


def _check_inputs() -> None:
    own = [_MODEL.value, _CONFIG.value, _EXAMPLES.value]
    if any(own) and not all(own):
        raise errors.UsageError("expected --saved_model, --task_config and --examples together, or none of them")
    if _EXAMPLES.value and not _own_examples(_EXAMPLES.value):
        raise errors.UsageError(f"--examples: expected *.tfrecord files, found none in {_EXAMPLES.value}")


def _own_examples(folder: str) -> list[Path]:
    return sorted(Path(folder).glob("*.tfrecord"))


def _inputs(folder: Path) -> Inputs:
    if _MODEL.value and _CONFIG.value and _EXAMPLES.value:
        return Inputs(_MODEL.value, Path(_CONFIG.value), _own_examples(_EXAMPLES.value))
    data = runfile("SCIKIT_LEARN") / digits.FILE
    model, config = folder / "model.keras", folder / "config.pbtxt"
    default_task.write_model(model, _SEED.value)
    default_task.write_config(config, _ROUNDS.value, _GOAL.value)
    return Inputs(str(model), config, default_task.write_devices(data, folder, _DEVICES.value, _SEED.value))


class _Watch:
    """Sees what the model updater leaves for the iterations of a task."""

    def __init__(self, title: str, task: Task, wanted: int, backend: Backend) -> None:
        self.title = title
        self.task = task
        self.wanted = wanted
        self.rounds: list[Round] = []
        self._backend = backend
        self._last = time.monotonic()

    def step(self, devices: Population) -> None:
        """Takes in the next iteration, if it is done."""
        iteration = len(self.rounds) + 1
        found = self._backend.metrics(self.task, iteration)
        if found is None:
            return
        number = self.task.task_id
        uploads = sum(item.task == number and item.iteration == iteration for item in list(devices.results.contributions))
        now = time.monotonic()
        self.rounds.append(Round(iteration, uploads, found, now - self._last))
        self._last = now

    def done(self) -> bool:
        """Whether there are as many as are wanted."""
        return len(self.rounds) >= self.wanted

    def progress(self) -> str:
        """How far it is."""
        metrics = self.rounds[-1].metrics if self.rounds else {}
        loss = next((f", loss {value:.4g}" for name, value in sorted(metrics.items()) if "loss" in name), "")
        return f"{self.title} {len(self.rounds)} of {self.wanted}{loss}"


def _show(line: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K" + line)
        sys.stderr.flush()


def _train(watches: Sequence[_Watch], devices: Population, numbers: Sequence[int]) -> None:
    """Has devices work until all rounds are done that are wanted."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            devices.run(numbers, _THREADS.value)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is told)
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + _MINUTES.value * 60
    try:
        while not all(watch.done() for watch in watches):
            progress = "; ".join(watch.progress() for watch in watches)
            if time.monotonic() > deadline:
                raise RoundError(f"expected all rounds within {_MINUTES.value:g} minutes, found {progress}; see the logs of the backend")
            if not thread.is_alive():
                raise RoundError(f"a device failed: {failures[0] if failures else 'unknown'}")
            _show(progress)
            for watch in watches:
                watch.step(devices)
            time.sleep(_POLL_SECONDS)
    finally:
        devices.stop()
        thread.join()
        _show("")


def run(backend: Backend, mix: Mapping[behaviour.Behaviour, float]) -> Results:
    """All of it.

    Raises:
        RoundError: the rounds are not done.
    """
    phases: dict[str, float] = {}
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        _show("preparing data and model")
        inputs = _inputs(Path(name))
        phases["preparing data and model"] = time.monotonic() - begin
        begin = time.monotonic()
        _show("building and creating tasks")
        # Phones have a list of operations; these devices have all of TensorFlow.
        private = [] if _PRIVATE.value else ["--skip_dp_aggregator"]
        group = backend.build(inputs.model, inputs.config, "--skip_flex_ops_check", *private)
        phases["building and creating tasks"] = time.monotonic() - begin
        begin = time.monotonic()
        watches = []
        if group.HasField("training_task"):
            watches.append(_Watch("training", group.training_task, group.training_task.total_iteration, backend))
        if group.HasField("eval_task"):
            watches.append(_Watch("evaluation", group.eval_task, 1, backend))
        try:
            if not all(watch.task.total_iteration for watch in watches):
                raise RoundError("expected num_max_training_rounds in the config to say how many rounds there are, found none")
            settings = Settings(watches[0].task.population_name, version=_VERSION, mix=mix, seed=_SEED.value)
            client = Client(backend.urls["task_assignment"], connections=_THREADS.value)
            devices = Population(client, backend.public_key(), Trainer(inputs.examples), settings)
            _train(watches, devices, range(len(inputs.examples)))
            if group.HasField("training_task"):
                backend.wait_for_end(group.training_task, _END_SECONDS)
        except BaseException:
            # The population is free for the next run.
            with contextlib.suppress(RoundError):
                backend.cancel([watch.task for watch in watches])
            raise
        # An evaluation goes on as long as it is let.
        backend.cancel([watch.task for watch in watches])
        phases["rounds"] = time.monotonic() - begin
    return Results(
        settings={
            f"--{name}": str(flags.FLAGS[name].value)
            for name in ("saved_model", "task_config", "examples", "rounds", "report_goal", "devices", "behaviours", "dp", "seed")
            if flags.FLAGS[name].value is not None
        },
        hashes=backend.image_hashes(),
        tasks=[TaskRounds(watch.title, watch.task.task_id, watch.rounds) for watch in watches],
        outcomes=dict(devices.results.outcomes),
        phases=phases,
    )


def main(arguments: list[str]) -> None:
    """Runs the rounds and writes the report."""
    if arguments not in ([], ["check"]):
        raise errors.UsageError(f"expected nothing or check beside flags, found {' '.join(arguments)}")
    try:
        mix = behaviour.parse_mix(_BEHAVIOURS.value)
    except ValueError as error:
        raise errors.UsageError(f"--behaviours: {error}") from error
    _check_inputs()
    if arguments:
        return
    results = run(Backend(_CACHE / "local_backend"), mix)
    (_CACHE / "federated_round.html").write_text(report.render(results), encoding="utf-8")
    print(report.text(results))


if __name__ == "__main__":
    errors.run(main)
