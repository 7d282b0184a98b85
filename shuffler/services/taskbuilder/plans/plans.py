"""Plans: what the services and devices run of a process, by the names that a Plan gives them.

A device has one graph with three inputs: the path of the client checkpoint, the path to write its update to, and the token of its
examples. The token is the path of a TFRecord file of serialized tf.Examples: a stock TensorFlow can read that, unlike the reference's
ExternalDataset.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import shuffler.proto.plan.plan_pb2 as plan_pb2
import tensorflow as tf

from shuffler.services.taskbuilder.learning.algorithms import Process
from shuffler.services.taskbuilder.plans.graphs import PlanGraph, read, read_into, write

# The kind of plan that this is, for whoever reads it: the reference's.
_VERSION = 1

_TOKEN = "data_token"
_INPUT = "input_filepath"
_OUTPUT = "output_filepath"

CLIENT_INPUTS = (_TOKEN, _INPUT, _OUTPUT)
CLIENT_TARGET = "save_client_update_tensors"


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}/{name}": value for name, value in values.items()}


def client_graph(process: Process) -> PlanGraph:
    """The graph of a device."""
    graph = PlanGraph()

    def compute(token: Any, checkpoint: Any, update: Any) -> None:
        read_into(checkpoint, _prefixed("client", process.client_state))
        write(update, _prefixed("update", process.device(token)))

    graph.add(CLIENT_TARGET, compute, *[graph.input(name) for name in CLIENT_INPUTS])
    return graph


def client_phase(process: Process, collection_uri: str) -> plan_pb2.ClientPhase:
    """How a device runs its graph.

    Args:
        process: of the graph.
        collection_uri: names the examples on the device.
    """
    paths = [f"{_INPUT}:0", f"{_OUTPUT}:0"]
    updates = _prefixed("update", process.sums)
    phase = plan_pb2.ClientPhase(
        tensorflow_spec=plan_pb2.TensorflowSpec(
            dataset_token_tensor_name=f"{_TOKEN}:0",
            input_tensor_specs=[_spec(name, tf.TensorSpec([], tf.string)) for name in paths],
            target_node_names=[CLIENT_TARGET],
            example_selector=plan_pb2.ExampleSelector(collection_uri=collection_uri),
        ),
        federated_compute=plan_pb2.FederatedComputeIORouter(input_filepath_tensor_name=paths[0], output_filepath_tensor_name=paths[1]),
    )
    for name in updates:
        phase.federated_compute.aggregations[name].tf_v1_checkpoint_aggregation.SetInParent()
    return phase


def client_plan(graph: Any, tflite_graph: bytes, phase: plan_pb2.ClientPhase) -> plan_pb2.ClientOnlyPlan:
    """What a device downloads.

    Args:
        graph: GraphDef of client_graph().
        tflite_graph: the same for TensorFlow Lite; empty if it cannot be.
        phase: of client_phase().
    """
    return plan_pb2.ClientOnlyPlan(graph=graph.SerializeToString(deterministic=True), tflite_graph=tflite_graph, phase=phase)


def server_checkpoint(process: Process) -> bytes:
    """The server's state as it is now, as a V1 checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        write(str(path), _prefixed("server", process.server_state))
        return path.read_bytes()


def server_plan(process: Process, phase: plan_pb2.ClientPhase) -> plan_pb2.Plan:
    """A plan of the first kind: everything is operations of one graph, which sums in variables."""
    graph = PlanGraph()
    update = _variables(process.sums)
    total = _variables(process.sums)
    results = _variables({name: tf.TensorSpec([], value.dtype) for name, value in _specs(process.results).items()})

    def add(values: Mapping[str, Any]) -> None:
        # Nothing is added before all of it is known to be good.
        with tf.control_dependencies(list(values.values())):
            for name, variable in total.items():
                variable.assign_add(values[name])

    def clear() -> None:
        for variable in total.values():
            variable.assign(tf.zeros(variable.shape, variable.dtype))

    def apply() -> None:
        process.apply({name: tf.identity(variable) for name, variable in total.items()})
        for name, value in process.results().items():
            results[name].assign(value)

    state = _prefixed("server", process.server_state)
    savepoint = graph.checkpoint_op("server_savepoint", save=state, restore=state)
    server = plan_pb2.ServerPhase(
        phase_init_op="initialize_accumulators",
        write_client_init=graph.checkpoint_op("write_client_init", save=_prefixed("client", process.client_state)),
        read_update=graph.checkpoint_op("update_savepoint", restore=_prefixed("update", update)),
        aggregate_into_accumulators_op="aggregate_update",
        write_intermediate_update=graph.checkpoint_op("write_intermediate_update", save=_prefixed("intermediate_update", total)),
        read_intermediate_update=graph.checkpoint_op("intermediate_update_savepoint", restore=_prefixed("intermediate_update", update)),
        intermediate_aggregate_into_accumulators_op="aggregate_intermediate_update",
        apply_aggregrated_updates_op="apply_aggregated_updates",
    )
    graph.add(server.phase_init_op, clear)
    graph.add(server.aggregate_into_accumulators_op, lambda: add(process.check(_values(update))))
    graph.add(server.intermediate_aggregate_into_accumulators_op, lambda: add(_values(update)))
    graph.add(server.apply_aggregrated_updates_op, apply)
    graph.add("read_metrics", lambda: _values(results))
    return plan_pb2.Plan(
        server_savepoint=savepoint,
        phase=[plan_pb2.Plan.Phase(client_phase=phase, server_phase=server)],
        metrics=[plan_pb2.Metric(variable_name=name, stat_name=name) for name in results],
        server_graph_bytes=graph.packed(),
        version=_VERSION,
    )


def server_plan_v2(process: Process, phase: plan_pb2.ClientPhase) -> plan_pb2.Plan:
    """A plan of the second kind: the aggregation library sums, a graph before makes the client checkpoint, one after makes the step."""
    state = process.server_state
    sums = process.sums

    def prepare(server: Any, client: Any, intermediate: Any) -> None:
        read_into(server, _prefixed("server", state))
        write(client, _prefixed("client", process.client_state))
        write(intermediate, _prefixed("intermediate_state", state))

    def result(intermediate: Any, aggregate: Any, server: Any) -> dict[str, Any]:
        read_into(intermediate, _prefixed("intermediate_state", state))
        total = read(aggregate, _prefixed("intermediate_update", sums))
        process.apply({name: total[f"intermediate_update/{name}"] for name in sums})
        results = process.results()
        write(server, _prefixed("server", state))
        return results

    results = _specs(process.results)
    prepare_graph, prepare_spec = _run(
        "prepare", prepare, ("server_state_input", "client_checkpoint_output", "intermediate_state_output"), {}
    )
    result_graph, result_spec = _run(
        "result", result, ("intermediate_state_input", "aggregate_result_input", "server_state_output"), results
    )
    prepare_paths = [spec.name for spec in prepare_spec.input_tensor_specs]
    result_paths = [spec.name for spec in result_spec.input_tensor_specs]
    server = plan_pb2.ServerPhaseV2(
        aggregations=[
            plan_pb2.ServerAggregationConfig(
                intrinsic_uri="federated_sum",
                intrinsic_args=[plan_pb2.ServerAggregationConfig.IntrinsicArg(input_tensor=_spec(f"update/{name}", spec))],
                output_tensors=[_spec(f"intermediate_update/{name}", spec)],
            )
            for name, spec in sums.items()
        ],
        tensorflow_spec_prepare=prepare_spec,
        prepare_router=plan_pb2.ServerPrepareIORouter(
            prepare_server_state_input_filepath_tensor_name=prepare_paths[0],
            prepare_output_filepath_tensor_name=prepare_paths[1],
            prepare_intermediate_state_output_filepath_tensor_name=prepare_paths[2],
        ),
        tensorflow_spec_result=result_spec,
        result_router=plan_pb2.ServerResultIORouter(
            result_intermediate_state_input_filepath_tensor_name=result_paths[0],
            result_aggregate_result_input_filepath_tensor_name=result_paths[1],
            result_server_state_output_filepath_tensor_name=result_paths[2],
        ),
    )
    return plan_pb2.Plan(
        phase=[plan_pb2.Plan.Phase(client_phase=phase, server_phase_v2=server)],
        server_graph_prepare_bytes=prepare_graph.packed(),
        server_graph_result_bytes=result_graph.packed(),
        version=_VERSION,
    )


def _run(
    name: str, function: Callable[..., Mapping[str, Any] | None], paths: tuple[str, ...], results: Mapping[str, Any]
) -> tuple[PlanGraph, plan_pb2.TensorflowSpec]:
    """A graph of one function, and how it is run."""
    graph = PlanGraph()
    inputs = [graph.input(f"{name}/{path}_filepath") for path in paths]
    graph.add(f"{name}/run", function, *inputs)
    return graph, plan_pb2.TensorflowSpec(
        input_tensor_specs=[_spec(tensor.name, tf.TensorSpec([], tf.string)) for tensor in inputs],
        output_tensor_specs=[_spec(f"{result}:0", spec) for result, spec in results.items()],
        target_node_names=[f"{name}/run"],
    )


def _spec(name: str, spec: Any) -> Any:
    return plan_pb2.TensorflowSpec().input_tensor_specs.add(name=name, shape=spec.shape.as_proto(), dtype=spec.dtype.as_datatype_enum)


def _specs(function: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """What a function without arguments returns."""
    outputs = tf.function(function).get_concrete_function().structured_outputs
    return {name: tf.TensorSpec(tensor.shape, tensor.dtype) for name, tensor in outputs.items()}


def _variables(specs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tf.Variable(tf.zeros(spec.shape, spec.dtype), trainable=False) for name, spec in specs.items()}


def _values(variables: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tf.identity(variable) for name, variable in variables.items()}
