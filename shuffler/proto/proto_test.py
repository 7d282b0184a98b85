"""The messages on the wire, for Python: see ProtoTest.java, which tests the same bytes for Java."""

from __future__ import annotations

from pathlib import Path

import pytest
import shuffler.proto.aggregation.configuration_pb2 as configuration_pb2
import shuffler.proto.aggregation.tensor_pb2 as tensor_pb2
import shuffler.proto.federatedcompute.common_pb2 as common_pb2
import shuffler.proto.plan.plan_pb2 as plan_pb2
import shuffler.proto.task_assignments_pb2 as task_assignments_pb2
import shuffler.proto.task_builder_pb2 as task_builder_pb2
import shuffler.proto.task_pb2 as task_pb2
from google.protobuf.message import Message
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saver_pb2


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
        **_plans(),
        "CreateTaskRequest": task_pb2.CreateTaskRequest(task=task),
        "CreateTaskAssignmentResponse.task_assignment": assignment,
        "CreateTaskAssignmentResponse.rejection_info": rejection,
        "ReportResultResponse": upload,
        "BuildTaskRequest": build,
        "BuildTaskResponse": report,
    }


def _plans() -> dict[str, Message]:
    first = plan_pb2.Plan(version=1)
    first.server_savepoint.saver_def.filename_tensor_name = "f"
    first.server_savepoint.saver_def.version = saver_pb2.SaverDef.V1
    first.server_savepoint.after_restore_op = "r"
    first.server_graph_bytes.value = b"\x00\xff"
    phase = first.phase.add()
    phase.server_phase.phase_init_op = "i"
    phase.server_phase.apply_aggregrated_updates_op = "a"
    phase.server_phase.write_intermediate_update.before_save_op = "b"
    phase.server_phase.intermediate_aggregate_into_accumulators_op = "m"
    phase.server_phase.metrics.add(variable_name="v", stat_name="s")

    second = plan_pb2.Plan(server_graph_prepare_bytes={"value": b"p"}, server_graph_result_bytes={"value": b"q"})
    server = second.phase.add().server_phase_v2
    aggregation = server.aggregations.add(intrinsic_uri="federated_sum")
    spec = aggregation.intrinsic_args.add().input_tensor
    spec.name = "x"
    spec.dtype = types_pb2.DT_FLOAT
    spec.shape.dim.add(size=-1)
    aggregation.output_tensors.add(name="y")
    server.tensorflow_spec_prepare.target_node_names.append("t")
    server.prepare_router.prepare_output_filepath_tensor_name = "c"
    server.result_router.result_server_state_output_filepath_tensor_name = "n"

    client = plan_pb2.ClientOnlyPlan(tflite_graph=b"l", client_persisted_data={"min_sep_policy_index": 0})
    client.phase.tensorflow_spec.dataset_token_tensor_name = "d"
    client.phase.tensorflow_spec.example_selector.collection_uri = "e"
    client.phase.tensorflow_spec.constant_inputs["k"].int_val.append(3)
    client.phase.federated_compute.input_filepath_tensor_name = "i"
    client.phase.federated_compute.aggregations["u"].tf_v1_checkpoint_aggregation.SetInParent()

    configuration = configuration_pb2.Configuration()
    intrinsic = configuration.intrinsic_configs.add(intrinsic_uri="fedsql_group_by")
    intrinsic.intrinsic_args.add().input_tensor.CopyFrom(
        tensor_pb2.TensorSpecProto(name="k", dtype=tensor_pb2.DT_STRING, shape={"dim_sizes": [-1]})
    )
    intrinsic.intrinsic_args.add().parameter.CopyFrom(
        tensor_pb2.TensorProto(dtype=tensor_pb2.DT_UINT64, content=b"c", float_val=[0.5], double_val=[0.5], int_val=[1], int64_val=[2])
    )
    intrinsic.inner_intrinsics.add(intrinsic_uri="GoogleSQL:sum").output_tensors.add(name="o")
    return {"Plan.server_phase": first, "Plan.server_phase_v2": second, "ClientOnlyPlan": client, "Configuration": configuration}


@pytest.mark.parametrize("name", sorted(_messages()))
def test_message_has_the_golden_bytes(name: str) -> None:
    assert _messages()[name].SerializeToString(deterministic=True).hex() == _golden()[name]


def test_every_golden_message_is_tested() -> None:
    assert _golden().keys() == _messages().keys()
