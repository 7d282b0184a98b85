"""Rounds through the seven real images equal plain federated learning, whatever goes wrong on the way.

Every message is delivered twice and late here: a trigger in the table of messages sees to it. Batches are small, so that sums are merged.
ROUNDS_SEED (--test_env) makes other rounds: other devices, other victims at other times.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from shuffler.proto.task_pb2 import Task

from shuffler.e2e.backend_process import BackendProcess, ready, sql, stage
from shuffler.e2e.population.behaviour import CORRUPT, Behaviour
from shuffler.e2e.population.client import Client
from shuffler.e2e.population.population import Population, Settings
from shuffler.e2e.population.training import Trainer, write_examples
from shuffler.e2e.round import blobs, digits
from shuffler.e2e.round.backend import Backend
from shuffler.e2e.runfile import runfile
from shuffler.services.taskbuilder.config.settings import Algorithm, Optimization, Privacy, PrivacyType, Training
from shuffler.services.taskbuilder.testing import plan_runner, reference
from shuffler.services.taskbuilder.testing.reference import Plain, Weights
from tools.containers import local_backend

_SEED = int(os.environ.get("ROUNDS_SEED", "7"))
_DEVICES = 10
_OPTIONS = {"FCP_OPTS": "--collector_batch_size 3"}
# Of a step that waits for services which are killed meanwhile.
_SECONDS = 240.0

# Each message once more; both at some time within the next seconds, and so out of their order.
_ECHO = (
    "CREATE FUNCTION echo() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF pg_trigger_depth() = 1 THEN"
    " INSERT INTO message (subscription, data, attributes, deliveries, visible_time, created_time)"
    " VALUES (NEW.subscription, NEW.data, NEW.attributes, 0, clock_timestamp() + random() * interval '3 s', clock_timestamp());"
    " NEW.visible_time = clock_timestamp() + random() * interval '1 s';"
    " END IF; RETURN NEW; END $$"
)
_ECHO_TRIGGER = "CREATE TRIGGER echo BEFORE INSERT ON message FOR EACH ROW EXECUTE FUNCTION echo()"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackendProcess]:
    """A backend whose messages come twice."""
    folder = stage(tmp_path_factory.mktemp("backend"))
    with BackendProcess(folder, _OPTIONS) as first:
        # It makes the tables, those of messages, too.
        first.wait_for(lambda status: any(line.startswith("collector ") and line.endswith("ready") for line in status))
        first.stop()
    sql(folder, _ECHO)
    sql(folder, _ECHO_TRIGGER)
    with BackendProcess(folder, _OPTIONS) as running:
        running.wait_for(ready)
        yield running
        running.stop()
    # Nothing was given up.
    assert sql(folder, "SELECT count(*) FROM dead_letter") == ["0"]
    # Nothing is left between two states.
    assert sql(folder, "SELECT count(*) FROM iteration WHERE status < 50") == ["0"]


@pytest.fixture(scope="module")
def backend(process: BackendProcess) -> Backend:
    """The same, as users see it."""
    return Backend(process.folder)


@pytest.fixture(scope="module")
def clients() -> list[reference.Client]:
    """The examples of each device."""
    images, numbers = digits.read(runfile("SCIKIT_LEARN") / digits.FILE)
    return [(images[part], numbers[part]) for part in digits.split(numbers, _DEVICES, _SEED)]


@pytest.fixture(scope="module")
def examples(clients: list[reference.Client], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of them."""
    folder = tmp_path_factory.mktemp("examples")
    for device, (x, y) in enumerate(clients):
        write_examples(folder / str(device), [{"x": image, "y": number} for image, number in zip(x, y, strict=True)])
    return [folder / str(device) for device in range(_DEVICES)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Softmax regression, as a user brings it."""
    tf.keras.utils.set_random_seed(_SEED)
    keras = tf.keras.Sequential([tf.keras.layers.Dense(10, input_shape=(64,), bias_initializer="normal")])
    keras.compile(loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    path = tmp_path_factory.mktemp("model") / "model.keras"
    keras.save(path)
    return path


def _training(goal: int, rounds: int, *, noise: float = 0.0) -> Training:
    # Without Adam, whose first steps are as large for a gradient that is nearly nothing, and so for its rounding: plans_test.py has it.
    return Training(
        algorithm=Algorithm.FED_AVG,
        client=Optimization(adam=False, learning_rate=0.1),
        server=Optimization(adam=False, learning_rate=0.5),
        batch_size=20,
        max_batches=-1,
        report_goal=goal,
        rounds=rounds,
        privacy=Privacy(PrivacyType.FIXED_GAUSSIAN, noise_multiplier=noise, clip_norm=0.5, epsilon=10.0, delta=1e-7),
    )


def _config(path: Path, population: str, training: Training, *, second_kind: bool = False) -> Path:
    """Writes the TaskConfig that asks for TRAINING."""
    path.write_text(
        f"""
        population_name: "{population}"
        use_daf: {str(second_kind).lower()}
        policies {{
          model_release_policy {{ num_max_training_rounds: {training.rounds} }}
          dataset_policy {{ batch_size: {training.batch_size} }}
        }}
        federated_learning {{
          learning_process {{
            type: FED_AVG
            client_optimizer: SGD
            client_learning_rate: {training.client.learning_rate}
            server_optimizer: SGD
            server_learning_rate: {training.server.learning_rate}
            runtime_config {{ report_goal: {training.report_goal} over_selection_rate: 3 }}
          }}
        }}
        differential_privacy {{
          type: FIXED_GAUSSIAN
          clip_norm: {training.privacy.clip_norm}
          noise_multiplier: {training.privacy.noise_multiplier}
        }}
        """,
        encoding="utf-8",
    )
    return path


def _weights(backend: Backend, task: Task, iteration: int) -> Weights:
    """The server's model after an iteration."""
    content = blobs.read(backend.checkpoint(task, iteration))
    assert content is not None
    tensors = plan_runner.read_checkpoint(content)
    return [tensors[f"server/model/trainable/{i}"].astype(np.float64) for i in range(2)]


def _assert_close(found: Weights, expected: Weights) -> None:
    for one, other in zip(found, expected, strict=True):
        assert np.abs(one - other).max() <= 1e-5 * np.abs(other).max()


class _Devices:
    """Devices of a population, each of which does what it is told."""

    def __init__(self, backend: Backend, population: str, examples: Sequence[Path]) -> None:
        # Services that are killed take their time to come back.
        client = Client(backend.urls["task_assignment"], tries=60)
        key, trainer = backend.public_key(), Trainer(examples)
        self._populations = {
            behaviour: Population(
                client, key, trainer, Settings(population, version="999999999", mix={behaviour: 1.0}, seed=_SEED, retry_seconds=0.05)
            )
            for behaviour in Behaviour
        }

    def visit(self, device: int, behaviour: Behaviour = Behaviour.GOOD) -> None:
        """Lets a device come until it gets something to do, and do it."""
        self._populations[behaviour].visit(device, _SECONDS)

    def iterations(self, behaviour: Behaviour = Behaviour.GOOD) -> list[int]:
        """What the contributions so far were for."""
        return [contribution.iteration for contribution in self._populations[behaviour].results.contributions]


@pytest.mark.parametrize("second_kind", [False, True], ids=["v1", "v2"])
def test_rounds_equal_plain_federated_averaging(
    backend: Backend, clients: list[reference.Client], examples: list[Path], model: Path, tmp_path: Path, second_kind: bool
) -> None:
    training = _training(goal=6, rounds=2)
    config = _config(tmp_path / "config", f"plain-{second_kind}".lower(), training, second_kind=second_kind)
    task = backend.build(str(model), config, "--skip_flex_ops_check", "--skip_dp_aggregator").training_task
    devices = _Devices(backend, task.population_name, examples)
    plain = Plain(training, _weights(backend, task, 0))
    for iteration in range(1, training.rounds + 1):
        chosen = [(iteration * 3 + i) % _DEVICES for i in range(training.report_goal)]
        for i, device in enumerate(chosen):
            devices.visit(device, Behaviour.DUPLICATE if i == 0 else Behaviour.GOOD)
        loss, _ = plain.round([clients[device] for device in chosen])
        metrics = backend.wait_for_metrics(task, iteration, _SECONDS)
        assert metrics["server/client_work/train/loss"] == pytest.approx(loss, rel=1e-5)
        _assert_close(_weights(backend, task, iteration), plain.weights)
    assert devices.iterations() == [iteration for iteration in range(1, training.rounds + 1) for _ in range(training.report_goal - 1)]
    backend.wait_for_end(task, _SECONDS)
    _evaluate(backend, task, clients, examples, model, tmp_path)


def _evaluate(backend: Backend, trained: Task, clients: list[reference.Client], examples: list[Path], model: Path, tmp_path: Path) -> None:
    """An evaluation task's metrics are those of the model of one of the iterations."""
    config = tmp_path / "evaluation"
    config.write_text(
        f"""
        mode: EVAL_ONLY
        population_name: "{trained.population_name}-evaluation"
        policies {{ model_release_policy {{ num_max_training_rounds: 10 }} }}
        federated_learning {{
          learning_process {{ runtime_config {{ report_goal: 2 }} }}
          evaluation {{
            source_training_population: "{trained.population_name}"
            source_training_task_id: {trained.task_id}
            checkpoint_selector: "every_1_round"
            evaluation_traffic: 1
            report_goal: 2
          }}
        }}
        differential_privacy {{ clip_norm: 1 }}
        """,
        encoding="utf-8",
    )
    task = backend.build(str(model), config, "--skip_flex_ops_check", "--skip_dp_aggregator").eval_task
    try:
        devices = _Devices(backend, task.population_name, examples)
        for device in (0, 1):
            devices.visit(device)
        loss = backend.wait_for_metrics(task, 1, _SECONDS)["server/eval/loss"]
    finally:
        backend.cancel([task])
    x, y = (np.concatenate([clients[device][part] for device in (0, 1)]) for part in (0, 1))
    losses = [reference.gradient(_weights(backend, trained, iteration), x, y)[1] for iteration in (1, 2)]
    assert any(loss == pytest.approx(expected, rel=1e-5) for expected in losses), (loss, losses)


def test_noise_has_the_scale_that_the_config_asks_for(
    backend: Backend, clients: list[reference.Client], examples: list[Path], model: Path, tmp_path: Path
) -> None:
    training = _training(goal=4, rounds=1, noise=2.0)
    config = _config(tmp_path / "config", "private", training)
    task = backend.build(str(model), config, "--skip_flex_ops_check", "--skip_dp_check").training_task
    devices = _Devices(backend, task.population_name, examples)
    for device in range(training.report_goal):
        devices.visit(device)
    backend.wait_for_end(task, _SECONDS)
    plain = Plain(training, _weights(backend, task, 0), clip=True)
    plain.round(clients[: training.report_goal])
    found = _weights(backend, task, 1)
    noise = np.concatenate([(one - other).ravel() for one, other in zip(found, plain.weights, strict=True)])
    rate = training.server.learning_rate
    noise /= rate * training.privacy.noise_multiplier * training.privacy.clip_norm / training.report_goal
    # Six standard deviations of the mean and of the variance of so many normal numbers; the noise is never the same.
    assert abs(noise.mean()) < 6 / np.sqrt(noise.size)
    assert abs(noise.var() - 1) < 6 * np.sqrt(2 / noise.size)
    assert np.abs(noise).max() < 7


def _kill(process: BackendProcess, victim: str, wait: float) -> None:
    time.sleep(wait)
    process.kill(victim)


def test_rounds_survive_kills_drop_outs_and_garbage(
    process: BackendProcess, backend: Backend, clients: list[reference.Client], examples: list[Path], model: Path, tmp_path: Path
) -> None:
    """Each service is killed, at any time of a round; a fifth of the devices vanish or send something else than an update."""
    randomness = random.Random(_SEED)
    victims = [*local_backend.SERVICES, local_backend.DATABASE, "aggregator"]
    randomness.shuffle(victims)
    training = _training(goal=9, rounds=len(victims))
    config = _config(tmp_path / "config", "faults", training)
    task = backend.build(str(model), config, "--skip_flex_ops_check", "--skip_dp_aggregator").training_task
    devices = _Devices(backend, task.population_name, examples)
    plain = Plain(training, _weights(backend, task, 0))
    corrupt = sorted(CORRUPT, key=lambda behaviour: behaviour.value)
    with ThreadPoolExecutor(1) as thread:
        for iteration, victim in enumerate(victims, start=1):
            order = randomness.sample(range(_DEVICES), _DEVICES)
            wait = randomness.uniform(0, 4)
            garbage = corrupt[iteration % len(corrupt)]
            print(f"iteration {iteration}: {victim} is killed after {wait:.2f} s; {garbage.value}")
            killer = thread.submit(_kill, process, victim, wait)
            devices.visit(order[0], Behaviour.DROP_OUT)
            devices.visit(order[1], garbage)
            for device in order[2:]:
                devices.visit(device)
            metrics = backend.wait_for_metrics(task, iteration, _SECONDS)
            killer.result()
            loss, _ = plain.round([clients[device] for device in order[2:]])
            assert metrics["server/client_work/train/loss"] == pytest.approx(loss, rel=1e-5)
            _assert_close(_weights(backend, task, iteration), plain.weights)
    assert devices.iterations() == [iteration for iteration in range(1, training.rounds + 1) for _ in range(_DEVICES - 2)]
    backend.wait_for_end(task, _SECONDS)
    status = process.wait_for(ready)
    assert all("(started " in line for line in status if line.split()[0] in victims), status
