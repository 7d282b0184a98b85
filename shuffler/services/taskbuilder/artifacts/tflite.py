"""The graph of a device for TensorFlow Lite, and the versions of devices that have its operations."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.lite.python import lite
from tensorflow.lite.python import schema_py_generated as schema

from shuffler.services.taskbuilder.errors import ArtifactError

# Operations that devices have beside those that every TensorFlow Lite with its "flex" delegate has, and since which version.
_SUPPORTED = Path(__file__).with_name("support_ops.csv")

# The converter knows a list of operations that "flex" may run; these are not on it, but in every TensorFlow.
_MORE_OPERATIONS = ["AnonymousIteratorV3", "IteratorGetNextAsOptional", "MakeIterator", "TFRecordDataset"]


def convert(graph_def: Any, inputs: list[str], target: str) -> bytes:
    """Converts a graph.

    Args:
        graph_def: tensorflow.GraphDef.
        inputs: names of its inputs, scalar strings, without the numbers of outputs.
        target: the operation that is run.

    Returns:
        a flatbuffer, or nothing if the converter cannot make one of this graph.
    """
    converter = lite.TFLiteFrozenGraphConverter(graph_def, None, None, [(name, []) for name in inputs], [])
    converter._control_output_arrays = [target]  # noqa: SLF001 - the converter has no other way to take a graph without output tensors
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    converter.target_spec.experimental_select_user_tf_ops = _MORE_OPERATIONS
    try:
        return bytes(converter.convert())
    except Exception:  # noqa: BLE001 - the converter raises whatever its parts raise; devices then run the GraphDef
        return b""


def flex_operations(model: bytes) -> set[str]:
    """Operations of TensorFlow, by their names, that a flatbuffer leaves to the "flex" delegate."""
    read = schema.Model.GetRootAsModel(model, 0)
    codes = [read.OperatorCodes(i).CustomCode() for i in range(read.OperatorCodesLength())]
    return {code.decode().removeprefix("Flex") for code in codes if code and code.startswith(b"Flex")}


def min_client_version(operations: set[str]) -> str:
    """The first version of devices that have operations.

    Raises:
        ArtifactError: none has.
    """
    with _SUPPORTED.open(encoding="utf-8", newline="") as file:
        versions = {row["op"]: row["version"] for row in csv.DictReader(file)}
    missing = sorted(operations - versions.keys())
    if missing:
        raise ArtifactError(
            f"client graph: expected operations that devices support, found {', '.join(missing)}; "
            "use other layers, or set skip_flex_ops_check if your devices have them"
        )
    return max((versions[operation] for operation in operations), default="0")
