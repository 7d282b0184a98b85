"""GraphDefs that are put together of traced functions, and the V1 checkpoints that they read and write.

A function is written with variables of the eager world, traced by tf.function (which orders its side effects), and inlined: each variable
that it captures becomes a VarHandleOp of the GraphDef. So the same code runs eagerly in a test and, by name, in the session of a service or
device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import shuffler.proto.plan.plan_pb2 as plan_pb2
import tensorflow as tf
from google.protobuf import any_pb2
from tensorflow.core.protobuf.saver_pb2 import SaverDef

from shuffler.services.taskbuilder.errors import ArtifactError


class PlanGraph:
    """A GraphDef in the making. All its inputs are scalar strings: paths of files, and the token of a data set."""

    def __init__(self) -> None:
        self._graph = tf.Graph()
        # By the identity of a variable's handle; the variable is kept, so that no other one gets the identity.
        self._handles: dict[int, tuple[Any, Any]] = {}

    def input(self, name: str) -> Any:
        """Adds an input."""
        with self._graph.as_default():
            return tf.compat.v1.placeholder(tf.string, shape=[], name=name)

    def add(self, name: str, function: Callable[..., Mapping[str, Any] | None], *inputs: Any) -> None:
        """Adds a function.

        Args:
            name: of the operation that runs it.
            function: takes scalar strings, and returns tensors by the names that they are to have; its side effects are kept in order.
            *inputs: what input() returned.
        """
        concrete = tf.function(function).get_concrete_function(*[tf.TensorSpec([], tf.string) for _ in inputs])
        body = concrete.graph
        variables = {id(variable.handle): variable for variable in body.variables}
        with self._graph.as_default():
            given: dict[str, Any] = {inner.name: self._outer(outer, variables) for outer, inner in body.captures}
            arguments = [tensor.name for tensor in body.inputs if tensor.name not in given]
            given.update(zip(arguments, inputs, strict=True))
            results = concrete.structured_outputs or {}
            tensors = [results[result].name for result in results]
            imported = tf.graph_util.import_graph_def(
                body.as_graph_def(),
                input_map=given,
                return_elements=tensors + [operation.name for operation in body.control_outputs],
                name=name + "_body",
            )
            with tf.control_dependencies(imported[len(tensors) :]):
                for result, tensor in zip(results, imported, strict=False):
                    tf.identity(tensor, name=result)
                tf.no_op(name=name)

    def checkpoint_op(
        self, name: str, *, save: Mapping[str, Any] | None = None, restore: Mapping[str, Any] | None = None
    ) -> plan_pb2.CheckpointOp:
        """Adds operations that save variables to a V1 checkpoint, or restore them, by the names of tensors in the checkpoint."""
        path = self.input(f"{name}/filename")
        saver = SaverDef(version=SaverDef.V1, max_to_keep=1, filename_tensor_name=path.name)
        if save is not None:
            saver.save_tensor_name = f"{name}/save"
            self.add(saver.save_tensor_name, lambda file: write(file, save), path)
        if restore is not None:
            saver.restore_op_name = f"{name}/restore_all"
            self.add(saver.restore_op_name, lambda file: read_into(file, restore), path)
        return plan_pb2.CheckpointOp(saver_def=saver)

    def graph_def(self) -> Any:
        """The tensorflow.GraphDef."""
        return self._graph.as_graph_def()

    def packed(self) -> any_pb2.Any:
        """The same in a google.protobuf.Any, which is how a Plan holds it."""
        packed = any_pb2.Any()
        packed.Pack(self.graph_def(), deterministic=True)
        return packed

    def _outer(self, outer: Any, variables: Mapping[int, Any]) -> Any:
        """The tensor of this graph for one that a function captures."""
        if outer.dtype != tf.resource:
            return tf.constant(outer.numpy())
        if id(outer) not in variables:
            raise ArtifactError(
                "model: expected that its state is variables, found another kind of resource (a lookup table, for instance); "
                "put such a step where the examples are made"
            )
        if id(outer) not in self._handles:
            variable = variables[id(outer)]
            handle = tf.raw_ops.VarHandleOp(
                dtype=variable.dtype, shape=variable.shape, shared_name=f"variable_{len(self._handles)}", name="variable"
            )
            self._handles[id(outer)] = (handle, variable)
        return self._handles[id(outer)][0]


def write(path: Any, tensors: Mapping[str, Any]) -> None:
    """Writes a V1 checkpoint.

    Args:
        path: a scalar string.
        tensors: tensors or variables by their names in the checkpoint.
    """
    tf.raw_ops.SaveSlices(
        filename=path,
        tensor_names=list(tensors),
        shapes_and_slices=[""] * len(tensors),
        data=[tf.convert_to_tensor(tensor) for tensor in tensors.values()],
    )


def read(path: Any, specs: Mapping[str, Any]) -> dict[str, Any]:
    """Reads tensors from a V1 checkpoint; one of another type or shape is an InvalidArgumentError.

    Args:
        path: a scalar string.
        specs: what has a dtype and a shape, by its name in the checkpoint: a tf.TensorSpec or a variable.
    """
    # Reads V1 checkpoints, too.
    values = tf.raw_ops.RestoreV2(
        prefix=path, tensor_names=list(specs), shape_and_slices=[""] * len(specs), dtypes=[spec.dtype for spec in specs.values()]
    )
    return {name: tf.ensure_shape(value, specs[name].shape) for name, value in zip(specs, values, strict=True)}


def read_into(path: Any, variables: Mapping[str, Any]) -> None:
    """Sets variables from a V1 checkpoint: all or, if one does not fit, none."""
    values = read(path, variables)
    with tf.control_dependencies(list(values.values())):
        for name, variable in variables.items():
            variable.assign(values[name])
