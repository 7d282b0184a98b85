"""What a TaskConfig asks for: checked, and with defaults for what it leaves out (0 and empty are "left out" in proto3)."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

import shuffler.proto.task_builder_pb2 as task_builder_pb2

from shuffler.services.taskbuilder.errors import InvalidRequestError

# The smallest population that delta and sampling are reckoned for.
POPULATION = 3_000_000

_CLIENT_LEARNING_RATE = 0.1
_SERVER_LEARNING_RATE = 1.0
_MAX_EPSILON = 10.0
_MAX_DELTA = 1 / POPULATION
_INITIAL_CLIP_NORM = 0.1
_BATCH_SIZE = 3
_OVER_SELECTION_RATE = 0.3
_ALL_BATCHES = -1

_Mode = task_builder_pb2.TaskMode.Enum
_Type = task_builder_pb2.DpAggregator.Enum
_Optimizer = task_builder_pb2.Optimizer.Enum


class Algorithm(enum.Enum):
    """How devices train."""

    FED_AVG = task_builder_pb2.LearningAlgo.FED_AVG
    FED_SGD = task_builder_pb2.LearningAlgo.FED_SGD


class PrivacyType(enum.Enum):
    """Where noise comes from, and whether the clip norm follows the updates."""

    FIXED_GAUSSIAN = task_builder_pb2.DpAggregator.FIXED_GAUSSIAN
    TREE_AGGREGATION = task_builder_pb2.DpAggregator.TREE_AGGREGATION
    ADAPTIVE_GAUSSIAN = task_builder_pb2.DpAggregator.ADAPTIVE_GAUSSIAN
    ADAPTIVE_TREE = task_builder_pb2.DpAggregator.ADAPTIVE_TREE

    @property
    def adaptive(self) -> bool:
        """Whether the clip norm changes from round to round."""
        return self in (PrivacyType.ADAPTIVE_GAUSSIAN, PrivacyType.ADAPTIVE_TREE)

    @property
    def tree(self) -> bool:
        """Whether the noise of rounds is correlated, which needs no sampling of clients."""
        return self in (PrivacyType.TREE_AGGREGATION, PrivacyType.ADAPTIVE_TREE)


@dataclass(frozen=True)
class Optimization:
    """An optimizer: SGD, or Adam."""

    adam: bool
    learning_rate: float


@dataclass(frozen=True)
class Privacy:
    """Differential privacy.

    Attributes:
        kind: of the mechanism.
        noise_multiplier: standard deviation of the noise in units of the clip norm; 0: the smallest that keeps the budget.
        clip_norm: the norm of an update at most; the first one, if it is adaptive.
        epsilon: of the budget.
        delta: of the budget.
    """

    kind: PrivacyType
    noise_multiplier: float
    clip_norm: float
    epsilon: float
    delta: float


@dataclass(frozen=True)
class Training:
    """How a model is trained.

    Attributes:
        algorithm: of the devices.
        client: what devices use (federated averaging).
        server: what the server uses.
        batch_size: examples a step.
        max_batches: that a device uses, -1 for all.
        report_goal: contributions of a round.
        rounds: of the task.
        privacy: of the updates.
    """

    algorithm: Algorithm
    client: Optimization
    server: Optimization
    batch_size: int
    max_batches: int
    report_goal: int
    rounds: int
    privacy: Privacy


@dataclass(frozen=True)
class Selector:
    """Which checkpoints are evaluated: the first one in every so many rounds, or hours."""

    every: int
    hours: bool


@dataclass(frozen=True)
class Evaluation:
    """How checkpoints of a training task are evaluated.

    Attributes:
        population: of the training task.
        task_id: of the training task; 0 for the one that is created together with this.
        selector: which checkpoints.
        traffic: share of the check-ins that get this task, of those that get one of the two.
        report_goal: contributions of a round.
        over_selection_rate: how many more devices than report_goal are asked, as a rate.
        collection_uri: names the examples on the device.
    """

    population: str
    task_id: int
    selector: Selector
    traffic: float
    report_goal: int
    over_selection_rate: float
    collection_uri: str


@dataclass(frozen=True)
class Settings:
    """What is to be built.

    Attributes:
        population: of the tasks.
        label_name: the feature that is predicted; empty if the model has one input and its label is "y".
        trains: whether there is a training task.
        training: how.
        over_selection_rate: as in Evaluation, of the training task.
        collection_uri: likewise.
        minimum_separation: rounds that a device pauses between two contributions.
        min_example_count: examples that a device has to have.
        evaluation: of a task beside it, or of the only one.
        metrics: names, not checked yet.
        second_kind: whether plans are of the second kind (use_daf).
    """

    population: str
    label_name: str
    trains: bool
    training: Training
    over_selection_rate: float
    collection_uri: str
    minimum_separation: int
    min_example_count: int
    evaluation: Evaluation | None
    metrics: tuple[str, ...]
    second_kind: bool


def _check(holds: bool, name: str, expected: str, found: object) -> None:
    if not holds:
        raise InvalidRequestError(f"[Invalid task config]: {name}: expected {expected}, found {found}")


def _between(name: str, value: float, low: float, high: float) -> None:
    # Written so that what is no number fails.
    _check(low <= value <= high, name, f"a number from {low:g} to {high:g}", value)


def _not_negative(name: str, value: float) -> None:
    _check(0 <= value < float("inf"), name, "0 or a positive number", value)


def read(config: task_builder_pb2.TaskConfig) -> Settings:
    """Checks a config and fills in defaults.

    Raises:
        InvalidRequestError: a value is out of its range; the message names the field.
    """
    _check(config.population_name != "", "population_name", "a name", "none")
    process = config.federated_learning.learning_process
    runtime = process.runtime_config
    policies = config.policies
    release = policies.model_release_policy
    dataset = policies.dataset_policy
    _not_negative("min_separation_policy.minimum_separation", policies.min_separation_policy.minimum_separation)
    _not_negative("data_availability_policy.min_example_count", policies.data_availability_policy.min_example_count)
    _not_negative("num_max_training_rounds", release.num_max_training_rounds)
    _not_negative("batch_size", dataset.batch_size)
    _check(
        dataset.max_training_batches_per_client >= _ALL_BATCHES,
        "max_training_batches_per_client",
        "a number of batches, or -1 for all",
        dataset.max_training_batches_per_client,
    )
    _between("client_learning_rate", process.client_learning_rate, 0, 1)
    _between("server_learning_rate", process.server_learning_rate, 0, 1)
    _check(runtime.report_goal > 0, "runtime_config.report_goal", "a positive number", runtime.report_goal)
    _not_negative("runtime_config.over_selection_rate", runtime.over_selection_rate)
    training = Training(
        algorithm=Algorithm.FED_SGD if process.type == task_builder_pb2.LearningAlgo.FED_SGD else Algorithm.FED_AVG,
        client=_optimization(process.client_optimizer, process.client_learning_rate or _CLIENT_LEARNING_RATE),
        server=_optimization(process.server_optimizer, process.server_learning_rate or _SERVER_LEARNING_RATE),
        batch_size=dataset.batch_size or _BATCH_SIZE,
        max_batches=dataset.max_training_batches_per_client or _ALL_BATCHES,
        report_goal=runtime.report_goal,
        rounds=release.num_max_training_rounds,
        privacy=_privacy(config.differential_privacy, release),
    )
    return Settings(
        population=config.population_name,
        label_name=config.label_name,
        trains=config.mode != _Mode.EVAL_ONLY,
        training=training,
        over_selection_rate=runtime.over_selection_rate or _OVER_SELECTION_RATE,
        collection_uri=runtime.example_selector_uri,
        minimum_separation=policies.min_separation_policy.minimum_separation,
        min_example_count=policies.data_availability_policy.min_example_count,
        evaluation=_evaluation(config) if config.mode in (_Mode.TRAINING_AND_EVAL, _Mode.EVAL_ONLY) else None,
        metrics=tuple(metric.name for metric in process.metrics),
        second_kind=config.use_daf,
    )


def _optimization(kind: int, learning_rate: float) -> Optimization:
    return Optimization(kind == _Optimizer.ADAM, learning_rate)


def _privacy(config: task_builder_pb2.DifferentialPrivacy, release: task_builder_pb2.ModelReleaseManagementPolicy) -> Privacy:
    _between("dp_target_epsilon", release.dp_target_epsilon, 0, _MAX_EPSILON)
    _between("dp_delta", release.dp_delta, 0, _MAX_DELTA)
    _not_negative("noise_multiplier", config.noise_multiplier)
    kind = PrivacyType(config.type) if config.type in {known.value for known in PrivacyType} else PrivacyType.FIXED_GAUSSIAN
    if kind.adaptive:
        _not_negative("init_clip_norm", config.init_clip_norm)
        clip_norm = config.init_clip_norm or _INITIAL_CLIP_NORM
    else:
        _check(0 < config.clip_norm < float("inf"), "clip_norm", f"a positive number for {kind.name}", config.clip_norm)
        clip_norm = config.clip_norm
    return Privacy(kind, config.noise_multiplier, clip_norm, release.dp_target_epsilon or _MAX_EPSILON, release.dp_delta or _MAX_DELTA)


def _evaluation(config: task_builder_pb2.TaskConfig) -> Evaluation:
    evaluation = config.federated_learning.evaluation
    _check(evaluation.report_goal > 0, "evaluation.report_goal", "a positive number", evaluation.report_goal)
    _not_negative("evaluation.over_selection_rate", evaluation.over_selection_rate)
    _between("evaluation.evaluation_traffic", evaluation.evaluation_traffic, 0, 1)
    population = evaluation.source_training_population or config.population_name
    # A group evaluates its own training task, unless another one is named.
    _check(
        evaluation.source_training_task_id > 0
        or (evaluation.source_training_task_id == 0 and config.mode == _Mode.TRAINING_AND_EVAL and population == config.population_name),
        "evaluation.source_training_task_id",
        "a positive number",
        evaluation.source_training_task_id,
    )
    selector = re.fullmatch(r"every_([1-9][0-9]{0,17})_(round|hour)", evaluation.checkpoint_selector or "every_1_round")
    if not selector:
        raise InvalidRequestError(
            "[Invalid task config]: evaluation.checkpoint_selector: expected every_<n>_round or every_<n>_hour, "
            f"found '{evaluation.checkpoint_selector[:64]}'"
        )
    return Evaluation(
        population=population,
        task_id=evaluation.source_training_task_id,
        selector=Selector(int(selector[1]), selector[2] == "hour"),
        traffic=evaluation.evaluation_traffic,
        report_goal=evaluation.report_goal,
        over_selection_rate=evaluation.over_selection_rate or _OVER_SELECTION_RATE,
        collection_uri=evaluation.example_selector_uri,
    )
