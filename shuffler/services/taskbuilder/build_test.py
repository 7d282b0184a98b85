"""Tests of whole requests: from a model and a config to tasks, against task management and storage on loopback."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
import shuffler.proto.plan.plan_pb2 as plan_pb2
import shuffler.proto.task_builder_pb2 as task_builder_pb2
import tensorflow as tf

from shuffler.services.taskbuilder.artifacts.storage import CloudStorage
from shuffler.services.taskbuilder.build import Builder
from shuffler.services.taskbuilder.client.task_management import TaskManagement
from shuffler.services.taskbuilder.errors import ModelError
from shuffler.services.taskbuilder.testing import backend as backends
from shuffler.services.taskbuilder.testing import plan_runner

_Errors = task_builder_pb2.ErrorType
_Mode = task_builder_pb2.TaskMode


@pytest.fixture
def backend() -> Iterator[backends.Backend]:
    with backends.running() as running:
        yield running


@pytest.fixture
def blobs(backend: backends.Backend) -> CloudStorage:
    return CloudStorage(requests.Session, backend.url)


@pytest.fixture
def builder(backend: backends.Backend, blobs: CloudStorage) -> Builder:
    return Builder(blobs, TaskManagement(lambda: backend.url, lambda: None))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small classifier as a .keras file."""
    path = tmp_path_factory.mktemp("model") / "model.keras"
    keras = tf.keras.Sequential([tf.keras.layers.Dense(3, input_shape=(4,))])
    keras.compile(loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    keras.save(path)
    return path


@pytest.fixture
def request_(model: Path) -> task_builder_pb2.BuildTaskRequest:
    request = task_builder_pb2.BuildTaskRequest()
    request.saved_model.inline_resource.data = model.read_bytes()
    config = request.task_config
    config.mode = _Mode.TRAINING_AND_EVAL
    config.population_name = "people"
    config.policies.model_release_policy.num_max_training_rounds = 5
    config.policies.min_separation_policy.minimum_separation = 3
    config.policies.data_availability_policy.min_example_count = 2
    process = config.federated_learning.learning_process
    process.runtime_config.report_goal = 10
    process.metrics.add(name="accuracy")
    process.metrics.add(name="magic")
    config.federated_learning.evaluation.report_goal = 4
    config.federated_learning.evaluation.evaluation_traffic = 0.2
    config.federated_learning.evaluation.checkpoint_selector = "every_2_hour"
    config.differential_privacy.clip_norm = 0.5
    config.differential_privacy.noise_multiplier = 1.0
    return request


def test_a_group_is_created_and_its_artifacts_run(
    builder: Builder, backend: backends.Backend, blobs: CloudStorage, request_: task_builder_pb2.BuildTaskRequest, tmp_path: Path
) -> None:
    answer = builder.build(request_, artifacts_only=False)
    assert not answer.HasField("error_info"), answer
    training, evaluation = answer.task_group.training_task, answer.task_group.eval_task
    assert (training.task_id, evaluation.task_id, backend.cancelled) == (1, 2, [])
    assert (training.total_iteration, training.min_aggregation_size, training.max_aggregation_size) == (5, 10, 13)
    assert (evaluation.min_aggregation_size, evaluation.max_aggregation_size) == (4, 5)
    assert (training.max_client_version, training.info.traffic_weight, evaluation.info.traffic_weight) == ("999999999", 100, 25)
    policies = training.info.training_info.eligibility_task_info.eligibility_policies
    assert [policies[0].min_sep_policy.minimum_separation, policies[1].data_availability_policy.min_example_count] == [3, 2]
    info = evaluation.info.evaluation_info
    assert (info.training_population_name, info.training_task_id, info.check_point_selector.duration_selector.hours) == ("people", 1, 2)

    report = answer.task_report
    assert (report.metric_results.accepted_metrics, report.metric_results.rejected_metrics) == ("loss, accuracy", "magic")
    assert report.applied_algorithms.dp_aggregator == task_builder_pb2.DpAggregator.FIXED_GAUSSIAN
    assert (report.dp_hyperparameters.noise_multiplier, report.dp_hyperparameters.num_training_rounds) == (1.0, 5)
    assert 0 < report.dp_hyperparameters.dp_epsilon < 10

    file = plan_runner.examples_file(tmp_path / "examples", [{"x": np.ones(4, np.float32), "y": 1}] * 5)
    checkpoint = blobs.read(training.init_checkpoint_url[0])
    plan = plan_pb2.Plan.FromString(blobs.read(training.server_phase_url[0]))
    client = plan_pb2.ClientOnlyPlan.FromString(blobs.read(training.client_only_plan_url[0]))
    start = plan_runner.PhaseSession(plan, checkpoint).client_checkpoint()
    updated = plan_runner.run_v1(plan, checkpoint, [plan_runner.device_update(client, start, file)])
    # Evaluation reads the checkpoints of training, and uses nothing else of it.
    plan = plan_pb2.Plan.FromString(blobs.read(evaluation.server_phase_url[0]))
    client = plan_pb2.ClientOnlyPlan.FromString(blobs.read(evaluation.client_only_plan_url[0]))
    start = plan_runner.PhaseSession(plan, updated.to_checkpoint()).client_checkpoint()
    evaluated = plan_runner.run_v1(plan, updated.to_checkpoint(), [plan_runner.device_update(client, start, file)] * 2).metrics()
    assert evaluated.keys() == {"server/eval/loss", "server/eval/accuracy"}
    assert evaluated["server/eval/accuracy"] in (0.0, 1.0)
    assert updated.metrics()["server/client_work/train/loss"] > 0


@pytest.mark.parametrize(
    ("fails", "cancelled"),
    [
        (":create-task", []),
        ("people:create-task#2", [1]),
        ("/upload/storage/v1/b/models/o", [1, 2]),
        ("/upload/storage/v1/b/models/o#2", [1, 2]),
    ],
    ids=["the first task", "the second task", "an upload", "an upload after which one may be open"],
)
def test_what_fails_leaves_no_task(
    builder: Builder,
    backend: backends.Backend,
    request_: task_builder_pb2.BuildTaskRequest,
    fails: str,
    cancelled: list[int],
) -> None:
    if fails.endswith(":create-task#2"):
        backend.fails = lambda path: path.endswith(":create-task") and bool(backend.tasks)
    elif fails.endswith("/o#2"):
        backend.fails = lambda path: path.endswith("/o") and any(address.endswith("/checkpoint") for address in backend.blobs)
    else:
        backend.fails = lambda path: path.endswith(fails)
    answer = builder.build(request_, artifacts_only=False)
    assert answer.error_info.error_type == _Errors.TASK_MANAGEMENT_ERROR
    assert "\n" not in answer.error_info.error_message
    assert backend.cancelled == cancelled


def test_tasks_that_cannot_be_cancelled_are_named(
    builder: Builder, backend: backends.Backend, request_: task_builder_pb2.BuildTaskRequest
) -> None:
    backend.fails = lambda path: path.endswith(":cancel") or (path.endswith(":create-task") and bool(backend.tasks))
    answer = builder.build(request_, artifacts_only=False)
    assert answer.error_info.error_message == (
        "task management answered 503 to /taskmanagement/v1/population/people:create-task: not now; "
        "tasks that could not be cancelled: people/1"
    )


def test_artifacts_go_where_the_config_says_and_no_task_is_created(
    builder: Builder, backend: backends.Backend, blobs: CloudStorage, request_: task_builder_pb2.BuildTaskRequest
) -> None:
    request_.task_config.mode = _Mode.TRAINING_ONLY
    answer = builder.build(request_, artifacts_only=True)
    assert answer.error_info.error_type == _Errors.INVALID_REQUEST
    assert answer.error_info.error_message == (
        "[Invalid task config]: learning_process.artifact_building.plan_url: expected an address like gs://bucket/key, found ''"
    )
    building = request_.task_config.federated_learning.learning_process.artifact_building
    building.plan_url, building.client_plan_url, building.checkpoint_url = "gs://out/plan", "gs://out/client", "gs://out/checkpoint"
    first = builder.build(request_, artifacts_only=True)
    assert (first.task_group.training_task.task_id, backend.tasks) == (0, {})
    assert blobs.find("gs://out/") == ["gs://out/checkpoint", "gs://out/client", "gs://out/plan"]


def test_a_model_of_storage_or_a_zip_file_is_the_same_model(
    builder: Builder, blobs: CloudStorage, model: Path, request_: task_builder_pb2.BuildTaskRequest, tmp_path: Path
) -> None:
    request_.task_config.mode = _Mode.TRAINING_ONLY
    building = request_.task_config.federated_learning.learning_process.artifact_building
    checkpoints = []
    saved = tmp_path / "saved"
    tf.keras.models.load_model(model).save(saved, save_format="tf")
    for file in saved.rglob("*"):
        if file.is_file():
            blobs.write(f"gs://in/models/saved/{file.relative_to(saved)}", file.read_bytes())
    blobs.write("gs://in/models/model.keras", model.read_bytes())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in saved.rglob("*"):
            if file.is_file():
                archive.write(file, file.relative_to(saved))
    sources: list[str | bytes] = ["gs://in/models/saved", "gs://in/models/model.keras", packed.getvalue()]
    for i, source in enumerate(sources):
        if isinstance(source, bytes):
            request_.saved_model.inline_resource.data = source
        else:
            request_.saved_model.uri = source
        building.plan_url, building.client_plan_url, building.checkpoint_url = (f"gs://out/{i}/{name}" for name in "abc")
        assert builder.build(request_, artifacts_only=True).HasField("task_group")
        checkpoints.append(plan_runner.read_checkpoint(blobs.read(f"gs://out/{i}/c")))
    for other in checkpoints[1:]:
        np.testing.assert_equal(other, checkpoints[0])


def test_a_zip_file_cannot_write_elsewhere(builder: Builder, request_: task_builder_pb2.BuildTaskRequest) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../saved_model.pb", b"")
    request_.saved_model.inline_resource.data = packed.getvalue()
    with pytest.raises(ModelError, match="expected paths below the model's folder"):
        builder.build(request_, artifacts_only=False)


def test_no_model_is_told(builder: Builder, request_: task_builder_pb2.BuildTaskRequest) -> None:
    request_.saved_model.ClearField("inline_resource")
    with pytest.raises(ModelError, match="saved_model: expected a uri or an inline resource, found none"):
        builder.build(request_, artifacts_only=False)


def test_noise_that_overdraws_the_budget_is_refused_unless_it_is_not_checked(
    builder: Builder, request_: task_builder_pb2.BuildTaskRequest
) -> None:
    request_.task_config.policies.model_release_policy.dp_target_epsilon = 0.0001
    answer = builder.build(request_, artifacts_only=False)
    assert answer.error_info.error_type == _Errors.INVALID_REQUEST
    assert "expected one that keeps epsilon within 0.0001" in answer.error_info.error_message
    request_.flags.skip_dp_check = True
    assert builder.build(request_, artifacts_only=False).HasField("task_group")


def test_a_count_that_would_be_all_noise_is_refused(builder: Builder, request_: task_builder_pb2.BuildTaskRequest) -> None:
    request_.task_config.differential_privacy.type = task_builder_pb2.DpAggregator.ADAPTIVE_GAUSSIAN
    answer = builder.build(request_, artifacts_only=False)
    assert answer.error_info.error_type == _Errors.INVALID_REQUEST
    assert "expected a noise multiplier below 1 (a tenth of report_goal)" in answer.error_info.error_message
