"""The messages on the wire, for Python: see ProtoTest.java, which tests the same bytes for Java."""

from __future__ import annotations

from pathlib import Path

import pytest
import shuffler.proto.federatedcompute.common_pb2 as common_pb2
import shuffler.proto.task_assignments_pb2 as task_assignments_pb2
import shuffler.proto.task_builder_pb2 as task_builder_pb2
import shuffler.proto.task_pb2 as task_pb2
from google.protobuf.message import Message


def _golden() -> dict[str, str]:
    lines = Path("shuffler/proto/golden_messages.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split() for line in lines if not line.startswith("#"))


def _messages() -> dict[str, Message]:
    task = task_pb2.Task(population_name="p", task_id=7, min_client_version="3", client_only_plan_url=["gs://b/1", "gs://b/2"])
    task.status = task_pb2.TaskStatus.CREATED
    task.created_time.FromSeconds(1_700_000_000)
    task.info.traffic_weight = 1
    policy = task.info.training_info.eligibility_task_info.eligibility_policies.add(id="e")
    policy.min_sep_policy.minimum_separation = 5

    assignment = task_assignments_pb2.CreateTaskAssignmentResponse()
    assignment.task_assignment.assignment_id = "a"
    assignment.task_assignment.plan.uri = "u"
    assignment.task_assignment.plan.compression_format = common_pb2.RESOURCE_COMPRESSION_FORMAT_GZIP

    rejection = task_assignments_pb2.CreateTaskAssignmentResponse()
    rejection.rejection_info.reason = common_pb2.RejectionReason.NO_TASK_AVAILABLE
    rejection.rejection_info.retry_window.delay_min.seconds = 60

    upload = task_assignments_pb2.ReportResultResponse()
    upload.upload_instruction.upload_location = "l"
    upload.upload_instruction.extra_request_headers["k"] = "v"
    upload.upload_instruction.compression_format = common_pb2.RESOURCE_COMPRESSION_FORMAT_UNSPECIFIED

    build = task_builder_pb2.BuildTaskRequest()
    build.saved_model.inline_resource.data = b"\x00\xff"
    build.task_config.mode = task_builder_pb2.TaskMode.TRAINING_AND_EVAL
    build.task_config.federated_learning.learning_process.metrics.add(name="auc", parameter="1")
    build.task_config.differential_privacy.noise_multiplier = 0.5
    build.task_config.use_daf = True
    build.flags.skip_dp_aggregator = True

    report = task_builder_pb2.BuildTaskResponse()
    report.error_info.error_type = task_builder_pb2.ErrorType.ARTIFACT_BUILDING_ERROR
    report.task_report.metric_results.accepted_metrics = "auc"
    report.task_report.dp_hyperparameters.num_training_rounds = 9

    return {
        "CreateTaskRequest": task_pb2.CreateTaskRequest(task=task),
        "CreateTaskAssignmentResponse.task_assignment": assignment,
        "CreateTaskAssignmentResponse.rejection_info": rejection,
        "ReportResultResponse": upload,
        "BuildTaskRequest": build,
        "BuildTaskResponse": report,
    }


@pytest.mark.parametrize("name", sorted(_messages()))
def test_message_has_the_golden_bytes(name: str) -> None:
    assert _messages()[name].SerializeToString(deterministic=True).hex() == _golden()[name]


def test_every_golden_message_is_tested() -> None:
    assert _golden().keys() == _messages().keys()
