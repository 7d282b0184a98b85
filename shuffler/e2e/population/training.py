"""A device that trains: it runs the client plan of a task with TensorFlow.

The plan's data set token is the path of a TFRecord file of tf.Examples: see shuffler/services/taskbuilder/plans.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from shuffler.proto.plan.plan_pb2 import ClientOnlyPlan


class PlanError(Exception):
    """A client plan that this device cannot run. The message is one line."""


class Trainer:
    """Runs plans for many devices; each has its own examples. Thread-safe."""

    def __init__(self, examples: Sequence[Path]) -> None:
        """Takes the examples.

        Args:
            examples: TFRecord file of each device, by its number.
        """
        self._examples = examples
        self._sessions: dict[str, tuple[ClientOnlyPlan, Any]] = {}
        self._lock = threading.Lock()

    def __call__(self, device: int, plan: bytes, checkpoint: bytes) -> bytes:
        """Trains, and returns the update.

        Raises:
            PlanError: the plan has no graph for TensorFlow, or asks for something else than a path in and a path out.
        """
        parsed, session = self._session(plan)
        spec, router = parsed.phase.tensorflow_spec, parsed.phase.federated_compute
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "in"), Path(folder, "out")
            source.write_bytes(checkpoint)
            feeds = {
                spec.dataset_token_tensor_name: str(self._examples[device]),
                router.input_filepath_tensor_name: str(source),
                router.output_filepath_tensor_name: str(target),
            }
            session.run(list(spec.target_node_names), feeds)
            return target.read_bytes()

    def _session(self, plan: bytes) -> tuple[ClientOnlyPlan, Any]:
        """A session for the plan's graph, which has no state, so that devices can share it."""
        key = hashlib.sha256(plan).hexdigest()
        with self._lock:
            if key not in self._sessions:
                parsed = ClientOnlyPlan.FromString(plan)
                if not parsed.graph or not parsed.phase.HasField("federated_compute"):
                    raise PlanError("expected a client plan with a graph and federated_compute, found one without")
                graph = tf.Graph()
                with graph.as_default():
                    tf.graph_util.import_graph_def(tf.compat.v1.GraphDef.FromString(parsed.graph), name="")
                # Devices run side by side already.
                config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
                self._sessions[key] = parsed, tf.compat.v1.Session(graph=graph, config=config)
            return self._sessions[key]


def write_examples(path: Path, examples: Sequence[Mapping[str, npt.ArrayLike]]) -> None:
    """Writes a device's examples to a TFRecord file.

    Args:
        path: of the file.
        examples: features by name: NumPy arrays or numbers, of floats or integers.
    """
    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in examples:
            features = {name: _feature(value) for name, value in example.items()}
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def _feature(value: npt.ArrayLike) -> tf.train.Feature:
    values = np.asarray(value).ravel()
    if values.dtype.kind == "f":
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
