"""Builds tasks: of a model and a config, their plans and checkpoints; then the tasks themselves.

Everything is built before anything is created. What task management has created is cancelled again if the rest fails, open or not.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import shuffler.proto.common_pb2 as common_pb2
import shuffler.proto.federatedcompute.common_pb2 as common
import shuffler.proto.task_builder_pb2 as task_builder_pb2
import shuffler.proto.task_pb2 as task_pb2

from shuffler.services.taskbuilder.artifacts import tflite
from shuffler.services.taskbuilder.artifacts.storage import CloudStorage
from shuffler.services.taskbuilder.client.task_management import TaskManagement
from shuffler.services.taskbuilder.config import settings as configs
from shuffler.services.taskbuilder.dp import accounting
from shuffler.services.taskbuilder.errors import (
    ArtifactError,
    InvalidRequestError,
    ModelError,
    StorageError,
    TaskBuilderError,
    TaskManagementError,
    one_line,
)
from shuffler.services.taskbuilder.learning import algorithms, metrics, models
from shuffler.services.taskbuilder.plans import plans

_MAX_VERSION = "999999999"
_TRAINING_WEIGHT = 100
_EVALUATION_ONLY_WEIGHT = 10_000

# Of a model that is unpacked.
_MAX_MODEL_BYTES = 2 << 30
_MAX_MODEL_FILES = 10_000

_Errors = task_builder_pb2.ErrorType


@dataclass(frozen=True)
class Artifacts:
    """What a task runs.

    Attributes:
        plan: the server's, serialized.
        client_plan: the devices', serialized.
        checkpoint: the server's first one.
        min_client_version: of devices that can run it.
    """

    plan: bytes
    client_plan: bytes
    checkpoint: bytes
    min_client_version: str


class Builder:
    """Builds what requests ask for."""

    def __init__(self, storage: CloudStorage, task_management: TaskManagement) -> None:
        self._storage = storage
        self._task_management = task_management

    def build(self, request: task_builder_pb2.BuildTaskRequest, *, artifacts_only: bool) -> task_builder_pb2.BuildTaskResponse:
        """Builds a group of tasks.

        Args:
            request: what is to be built.
            artifacts_only: creates no task, and writes what was built to the addresses in the config.

        Returns:
            the tasks, or what is wrong with the request; always with a report.

        Raises:
            ModelError: there is no model, or it cannot be loaded.
        """
        response = task_builder_pb2.BuildTaskResponse()
        response.task_report.SetInParent()
        try:
            response.task_group.CopyFrom(self._group(request, response.task_report, artifacts_only))
        except InvalidRequestError as e:
            response.error_info.CopyFrom(_error(_Errors.INVALID_REQUEST, e))
        except ArtifactError as e:
            response.error_info.CopyFrom(_error(_Errors.ARTIFACT_BUILDING_ERROR, e))
        except (TaskManagementError, StorageError) as e:
            response.error_info.CopyFrom(_error(_Errors.TASK_MANAGEMENT_ERROR, e))
        return response

    def _group(
        self, request: task_builder_pb2.BuildTaskRequest, report: task_builder_pb2.TaskReport, artifacts_only: bool
    ) -> task_builder_pb2.TaskGroup:
        config = request.task_config
        settings = configs.read(config)
        if artifacts_only:
            _check_addresses(config, settings)
        privacy = accounting.calibrate(settings.training, check=not request.flags.skip_dp_check)
        settings = replace(settings, training=replace(settings.training, privacy=privacy))
        accepted, rejected = metrics.choose(settings.metrics)
        _report(report, settings, accepted, rejected, private=not request.flags.skip_dp_aggregator)
        with tempfile.TemporaryDirectory() as folder:
            path = _fetch(request.saved_model, self._storage, Path(folder))
            model = models.load(path, settings.label_name)
        training = evaluation = None
        if settings.trains:
            training = _training_artifacts(model, settings, accepted, request.flags)
        if settings.evaluation:
            evaluation = _evaluation_artifacts(model, settings, accepted, request.flags)
        if artifacts_only:
            return self._write_artifacts(config, settings, training, evaluation)
        return self._create(settings, training, evaluation)

    def _write_artifacts(
        self,
        config: task_builder_pb2.TaskConfig,
        settings: configs.Settings,
        training: Artifacts | None,
        evaluation: Artifacts | None,
    ) -> task_builder_pb2.TaskGroup:
        group = task_builder_pb2.TaskGroup()
        learning = config.federated_learning
        if training:
            self._upload(_at(learning.learning_process.artifact_building), training)
            group.training_task.CopyFrom(_training_task(settings, training))
        if evaluation and settings.evaluation:
            self._upload(_at(learning.evaluation.artifact_building), evaluation)
            group.eval_task.CopyFrom(_evaluation_task(settings, settings.evaluation, evaluation))
        return group

    def _create(self, settings: configs.Settings, training: Artifacts | None, evaluation: Artifacts | None) -> task_builder_pb2.TaskGroup:
        group = task_builder_pb2.TaskGroup()
        created: list[task_pb2.Task] = []
        try:
            if training:
                created.append(self._task_management.create(_training_task(settings, training)))
                group.training_task.CopyFrom(created[-1])
            if evaluation and settings.evaluation:
                source = settings.evaluation
                if not source.task_id:
                    source = replace(source, task_id=group.training_task.task_id)
                created.append(self._task_management.create(_evaluation_task(settings, source, evaluation)))
                group.eval_task.CopyFrom(created[-1])
            # Evaluation waits for this training; so if one of these fails, it has begun only if it evaluates another one.
            if evaluation:
                self._upload(_of(group.eval_task), evaluation)
            if training:
                self._upload(_of(group.training_task), training)
        except TaskBuilderError as e:
            left = self._cancel(created)
            if left:
                raise TaskManagementError(f"{e}; tasks that could not be cancelled: {', '.join(left)}") from e
            raise
        return group

    def _cancel(self, tasks: list[task_pb2.Task]) -> list[str]:
        """Cancels tasks, and returns those that could not be."""
        return [f"{task.population_name}/{task.task_id}" for task in tasks if not self._cancelled(task)]

    def _cancelled(self, task: task_pb2.Task) -> bool:
        try:
            self._task_management.cancel(task)
        except TaskManagementError:
            return False
        return True

    def _upload(self, addresses: Mapping[str, str], artifacts: Artifacts) -> None:
        # The checkpoint comes last: with it, training begins.
        for address, content in (
            (addresses["client_plan"], artifacts.client_plan),
            (addresses["plan"], artifacts.plan),
            (addresses["checkpoint"], artifacts.checkpoint),
        ):
            self._storage.write(address, content)


def _error(kind: int, problem: Exception) -> task_builder_pb2.ErrorInfo:
    return task_builder_pb2.ErrorInfo(error_type=kind, error_message=one_line(problem, 2000))


def _check_addresses(config: task_builder_pb2.TaskConfig, settings: configs.Settings) -> None:
    wanted = []
    if settings.trains:
        wanted.append(("learning_process", config.federated_learning.learning_process.artifact_building))
    if settings.evaluation:
        wanted.append(("evaluation", config.federated_learning.evaluation.artifact_building))
    for name, building in wanted:
        for field in ("plan_url", "client_plan_url", "checkpoint_url"):
            if not getattr(building, field).startswith("gs://"):
                raise InvalidRequestError(
                    f"[Invalid task config]: {name}.artifact_building.{field}: expected an address like gs://bucket/key, "
                    f"found '{one_line(getattr(building, field), 100)}'"
                )


def _at(building: task_builder_pb2.ArtifactBuilding) -> dict[str, str]:
    return {"plan": building.plan_url, "client_plan": building.client_plan_url, "checkpoint": building.checkpoint_url}


def _of(task: task_pb2.Task) -> dict[str, str]:
    found = {"plan": task.server_phase_url, "client_plan": task.client_only_plan_url, "checkpoint": task.init_checkpoint_url}
    if not all(found.values()):
        raise TaskManagementError(
            f"task {task.population_name}/{task.task_id}: expected addresses for its plans and checkpoint from task management, found none"
        )
    return {name: urls[0] for name, urls in found.items()}


def _report(
    report: task_builder_pb2.TaskReport, settings: configs.Settings, accepted: tuple[str, ...], rejected: tuple[str, ...], *, private: bool
) -> None:
    training = settings.training
    algorithms_ = report.applied_algorithms
    algorithms_.learning_algo = training.algorithm.value
    optimizer = task_builder_pb2.Optimizer
    if training.algorithm is configs.Algorithm.FED_AVG:
        algorithms_.client_optimizer = optimizer.ADAM if training.client.adam else optimizer.SGD
    algorithms_.server_optimizer = optimizer.ADAM if training.server.adam else optimizer.SGD
    report.metric_results.accepted_metrics = ", ".join((metrics.LOSS, *accepted))
    report.metric_results.rejected_metrics = ", ".join(rejected)
    if private:
        algorithms_.dp_aggregator = training.privacy.kind.value
    parameters = report.dp_hyperparameters
    parameters.dp_delta = training.privacy.delta
    parameters.dp_epsilon = training.privacy.epsilon
    parameters.noise_multiplier = training.privacy.noise_multiplier
    parameters.dp_clip_norm = training.privacy.clip_norm
    parameters.num_training_rounds = training.rounds


def _fetch(resource: common.Resource, storage: CloudStorage, folder: Path) -> Path:
    """Brings a model to a folder and returns its path there."""
    kind = resource.WhichOneof("resource")
    if kind == "inline_resource":
        return _unpack(resource.inline_resource.data, folder)
    if kind != "uri":
        raise ModelError("saved_model: expected a uri or an inline resource, found none")
    uri = resource.uri
    try:
        addresses = storage.find(uri)
        if not addresses:
            raise ModelError(f"saved_model: expected a model at {one_line(uri, 200)}, found nothing")
        prefix = uri.rstrip("/")
        for address in addresses:
            name = address.removeprefix(prefix).lstrip("/") or "model.keras"
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(storage.read(address))
    except StorageError as e:
        raise ModelError(f"saved_model: {e}") from e
    return folder / "model.keras" if addresses == [prefix] else folder


def _unpack(content: bytes, folder: Path) -> Path:
    """Unpacks a SavedModel in a ZIP file; a .keras file, which is one, too, stays as it is."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if "config.json" in {entry.filename for entry in entries}:
                (folder / "model.keras").write_bytes(content)
                return folder / "model.keras"
            size = sum(entry.file_size for entry in entries)
            if size > _MAX_MODEL_BYTES or len(entries) > _MAX_MODEL_FILES:
                raise ModelError(
                    f"saved_model: expected at most {_MAX_MODEL_BYTES} bytes in {_MAX_MODEL_FILES} files, found {size} in {len(entries)}"
                )
            if any(PurePosixPath(entry.filename).is_absolute() or ".." in PurePosixPath(entry.filename).parts for entry in entries):
                raise ModelError("saved_model: expected paths below the model's folder in the ZIP file, found others")
            archive.extractall(folder)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as e:
        raise ModelError(f"saved_model: expected a SavedModel in a ZIP file, or a .keras file, found something else: {one_line(e)}") from e
    return folder


def _client_plan(process: algorithms.Process, collection_uri: str, flags: task_builder_pb2.ExperimentFlags) -> tuple[bytes, str]:
    graph = plans.client_graph(process).graph_def()
    lite = tflite.convert(graph, list(plans.CLIENT_INPUTS), plans.CLIENT_TARGET)
    version = "0"
    if lite and not flags.skip_flex_ops_check:
        version = tflite.min_client_version(tflite.flex_operations(lite))
    plan = plans.client_plan(graph, lite, plans.client_phase(process, collection_uri))
    return plan.SerializeToString(deterministic=True), version


def _artifacts(
    process: algorithms.Process, settings: configs.Settings, collection_uri: str, flags: task_builder_pb2.ExperimentFlags
) -> Artifacts:
    # Before tracing, which must not change it.
    checkpoint = plans.server_checkpoint(process)
    client_plan, version = _client_plan(process, collection_uri, flags)
    make = plans.server_plan_v2 if settings.second_kind else plans.server_plan
    plan = make(process, plans.client_phase(process, collection_uri)).SerializeToString(deterministic=True)
    return Artifacts(plan, client_plan, checkpoint, version)


def _training_artifacts(
    model: models.Model, settings: configs.Settings, accepted: tuple[str, ...], flags: task_builder_pb2.ExperimentFlags
) -> Artifacts:
    try:
        process = algorithms.TrainingProcess(model, settings.training, accepted, private=not flags.skip_dp_aggregator)
    except ValueError as e:
        raise InvalidRequestError(f"[Invalid task config]: differential_privacy: {one_line(e)}") from e
    return _traced(process, settings, settings.collection_uri, flags)


def _evaluation_artifacts(
    model: models.Model, settings: configs.Settings, accepted: tuple[str, ...], flags: task_builder_pb2.ExperimentFlags
) -> Artifacts:
    process = algorithms.EvaluationProcess(model, settings.training, accepted)
    assert settings.evaluation
    return _traced(process, settings, settings.evaluation.collection_uri, flags)


def _traced(
    process: algorithms.Process, settings: configs.Settings, collection_uri: str, flags: task_builder_pb2.ExperimentFlags
) -> Artifacts:
    try:
        return _artifacts(process, settings, collection_uri, flags)
    except TaskBuilderError:
        raise
    except Exception as e:
        raise ArtifactError(f"plan: the model cannot be traced with this loss and these metrics: {one_line(e)}") from e


def _training_task(settings: configs.Settings, artifacts: Artifacts) -> task_pb2.Task:
    task = _task(settings, settings.training.report_goal, settings.over_selection_rate, artifacts)
    task.info.traffic_weight = _TRAINING_WEIGHT
    policies = task.info.training_info.eligibility_task_info.eligibility_policies
    policies.add(min_sep_policy=common_pb2.MinimumSeparationPolicy(minimum_separation=settings.minimum_separation))
    policies.add(data_availability_policy=common_pb2.DataAvailabilityPolicy(min_example_count=settings.min_example_count))
    return task


def _evaluation_task(settings: configs.Settings, evaluation: configs.Evaluation, artifacts: Artifacts) -> task_pb2.Task:
    task = _task(settings, evaluation.report_goal, evaluation.over_selection_rate, artifacts)
    traffic = evaluation.traffic
    task.info.traffic_weight = int(traffic * _TRAINING_WEIGHT / (1 - traffic)) if traffic < 1 else _EVALUATION_ONLY_WEIGHT
    info = task.info.evaluation_info
    info.training_population_name = evaluation.population
    info.training_task_id = evaluation.task_id
    if evaluation.selector.hours:
        info.check_point_selector.duration_selector.hours = evaluation.selector.every
    else:
        info.check_point_selector.iteration_selector.size = evaluation.selector.every
    return task


def _task(settings: configs.Settings, report_goal: int, over_selection_rate: float, artifacts: Artifacts) -> task_pb2.Task:
    return task_pb2.Task(
        population_name=settings.population,
        total_iteration=settings.training.rounds,
        min_aggregation_size=report_goal,
        max_aggregation_size=int(report_goal * (1 + over_selection_rate)),
        min_client_version=artifacts.min_client_version,
        max_client_version=_MAX_VERSION,
    )
