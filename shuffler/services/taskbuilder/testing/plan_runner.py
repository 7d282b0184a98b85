"""Runs plans as services and devices do, with sessions of TensorFlow: for tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import shuffler.proto.plan.plan_pb2 as plan_pb2
import tensorflow as tf

Tensors = dict[str, Any]

# What a test feeds to make noise repeatable; without it, a plan draws from the operating system.
SEED_TENSOR = "noise_seed:0"


def examples_file(path: Path, examples: Iterable[Mapping[str, Any]]) -> str:
    """Writes tf.Examples to a TFRecord file and returns its path."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in examples:
            writer.write(_example(example).SerializeToString())
    return str(path)


def _example(values: Mapping[str, Any]) -> Any:
    features = {}
    for name, value in values.items():
        array = np.asarray(value)
        if array.dtype.kind == "f":
            features[name] = tf.train.Feature(float_list=tf.train.FloatList(value=array.ravel()))
        elif array.dtype.kind in "iu":
            features[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=array.ravel()))
        else:
            features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[str(item).encode() for item in array.ravel()]))
    return tf.train.Example(features=tf.train.Features(feature=features))


def read_checkpoint(content: bytes) -> Tensors:
    """All tensors of a V1 checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        path.write_bytes(content)
        reader = tf.train.load_checkpoint(str(path))
        return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def write_checkpoint(tensors: Mapping[str, Any]) -> bytes:
    """A V1 checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        tf.raw_ops.Save(filename=str(path), tensor_names=list(tensors), data=list(tensors.values()))
        return path.read_bytes()


def session(graph_def: Any) -> Any:
    """A session with a graph."""
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(graph_def, name="")
    return tf.compat.v1.Session(graph=graph)


def unpack(packed: Any) -> Any:
    """The GraphDef in an Any."""
    graph_def = tf.compat.v1.GraphDef()
    assert packed.Unpack(graph_def)
    return graph_def


def device_update(plan: plan_pb2.ClientOnlyPlan, checkpoint: bytes, token: str) -> bytes:
    """What a device uploads."""
    spec = plan.phase.tensorflow_spec
    router = plan.phase.federated_compute
    with tempfile.TemporaryDirectory() as folder, closing(session(tf.compat.v1.GraphDef.FromString(plan.graph))) as running:
        source, target = Path(folder) / "in", Path(folder) / "out"
        source.write_bytes(checkpoint)
        feeds = {
            spec.dataset_token_tensor_name: token,
            router.input_filepath_tensor_name: str(source),
            router.output_filepath_tensor_name: str(target),
        }
        running.run(list(spec.target_node_names), feeds)
        return target.read_bytes()


class PhaseSession:
    """A plan of the first kind."""

    def __init__(self, plan: plan_pb2.Plan, checkpoint: bytes | None, seed: tuple[int, int] | None = None) -> None:
        self._plan = plan
        self._phase = plan.phase[0].server_phase
        self._session = session(unpack(plan.server_graph_bytes))
        self._seed = {} if seed is None else {self._seed_tensor(): seed}
        self._initialized = False
        if checkpoint is not None:
            self._restore(plan.server_savepoint, checkpoint)

    def _seed_tensor(self) -> str:
        (tensor,) = [op.outputs[0].name for op in self._session.graph.get_operations() if op.name.endswith("noise_seed")]
        return str(tensor)

    def accumulate_client_update(self, update: bytes) -> None:
        """Adds the update of a device."""
        self._initialize()
        self._restore(self._phase.read_update, update)
        self._session.run(self._phase.aggregate_into_accumulators_op)

    def accumulate_intermediate_update(self, update: bytes) -> None:
        """Adds what another session summed."""
        self._initialize()
        self._restore(self._phase.read_intermediate_update, update)
        self._session.run(self._phase.intermediate_aggregate_into_accumulators_op)

    def to_intermediate_update(self) -> bytes:
        """The sums."""
        return self._save(self._phase.write_intermediate_update)

    def apply_aggregated_updates(self) -> None:
        """Makes the server's step."""
        self._session.run(self._phase.apply_aggregrated_updates_op, self._seed)

    def to_checkpoint(self) -> bytes:
        """The server's checkpoint."""
        return self._save(self._plan.server_savepoint)

    def client_checkpoint(self) -> bytes:
        """What devices download."""
        return self._save(self._phase.write_client_init)

    def metrics(self) -> dict[str, float]:
        """By name."""
        return {metric.stat_name: float(self._session.run(metric.variable_name + ":0")) for metric in self._plan.metrics}

    def _initialize(self) -> None:
        if not self._initialized:
            self._session.run(self._phase.phase_init_op)
            self._initialized = True

    def _restore(self, op: plan_pb2.CheckpointOp, content: bytes) -> None:
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(content)
            self._session.run(op.saver_def.restore_op_name, {op.saver_def.filename_tensor_name: file.name})

    def _save(self, op: plan_pb2.CheckpointOp) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "checkpoint"
            self._session.run(op.saver_def.save_tensor_name, {op.saver_def.filename_tensor_name: str(path)})
            return path.read_bytes()


def run_v1(plan: plan_pb2.Plan, checkpoint: bytes, updates: Sequence[bytes], seed: tuple[int, int] | None = None) -> PhaseSession:
    """The end of a round: every update is a batch, as the aggregator makes it; then the model updater's session."""
    updater = PhaseSession(plan, checkpoint, seed)
    for update in updates:
        aggregator = PhaseSession(plan, None)
        aggregator.accumulate_client_update(update)
        updater.accumulate_intermediate_update(aggregator.to_intermediate_update())
    updater.apply_aggregated_updates()
    return updater


def prepare_v2(plan: plan_pb2.Plan, checkpoint: bytes) -> tuple[bytes, bytes]:
    """The client checkpoint and the intermediate state."""
    phase = plan.phase[0].server_phase_v2
    router = phase.prepare_router
    with tempfile.TemporaryDirectory() as folder, closing(session(unpack(plan.server_graph_prepare_bytes))) as running:
        server, client, intermediate = (Path(folder) / name for name in ("server", "client", "intermediate"))
        server.write_bytes(checkpoint)
        feeds = {
            router.prepare_server_state_input_filepath_tensor_name: str(server),
            router.prepare_output_filepath_tensor_name: str(client),
            router.prepare_intermediate_state_output_filepath_tensor_name: str(intermediate),
        }
        running.run(list(phase.tensorflow_spec_prepare.target_node_names), feeds)
        return client.read_bytes(), intermediate.read_bytes()


def run_v2(plan: plan_pb2.Plan, checkpoint: bytes, updates: Sequence[bytes]) -> tuple[bytes, dict[str, float]]:
    """A round: sums by NumPy, as the aggregation library makes them; the new server checkpoint, and metrics."""
    phase = plan.phase[0].server_phase_v2
    router = phase.result_router
    read = [read_checkpoint(update) for update in updates]
    total = {
        config.output_tensors[0].name: np.sum([update[config.intrinsic_args[0].input_tensor.name] for update in read], axis=0)
        for config in phase.aggregations
    }
    with tempfile.TemporaryDirectory() as folder, closing(session(unpack(plan.server_graph_result_bytes))) as running:
        intermediate, aggregate, server = (Path(folder) / name for name in ("intermediate", "aggregate", "server"))
        intermediate.write_bytes(prepare_v2(plan, checkpoint)[1])
        aggregate.write_bytes(write_checkpoint(total))
        feeds = {
            router.result_intermediate_state_input_filepath_tensor_name: str(intermediate),
            router.result_aggregate_result_input_filepath_tensor_name: str(aggregate),
            router.result_server_state_output_filepath_tensor_name: str(server),
        }
        outputs = {spec.name: spec.name for spec in phase.tensorflow_spec_result.output_tensor_specs}
        results, _ = running.run([outputs, list(phase.tensorflow_spec_result.target_node_names)], feeds)
        return server.read_bytes(), {name.removesuffix(":0"): float(value) for name, value in results.items()}
