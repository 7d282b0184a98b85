"""Writes the files that AggregationCheck reads, with TensorFlow.

    python write_check_data.py FOLDER

The folder then holds x_1_2.checkpoint and x_2_4.checkpoint, TensorFlow V1 checkpoints with one float tensor x, and
sum_of_x.configuration, an fcp.aggregation.Configuration (see shuffler/proto) that sums x.
"""

from __future__ import annotations

import os
import sys


def field(number: int, content: bytes) -> bytes:
    """Encodes a length-delimited field of a protocol buffer of less than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


def configuration() -> bytes:
    """Returns Configuration{intrinsic_configs{uri, intrinsic_args{input_tensor{x}}, output_tensors{x}}}, x a float tensor of shape [2]."""
    dtype_float = bytes([2 << 3, 1])
    tensor = field(1, b"x") + dtype_float + field(3, field(1, bytes([2])))
    intrinsic = field(1, b"federated_sum") + field(4, field(2, tensor)) + field(5, tensor)
    return field(2, intrinsic)


def main(folder: str) -> None:
    """Writes the three files."""
    import tensorflow as tf

    for name, values in (("x_1_2", [1.0, 2.0]), ("x_2_4", [2.0, 4.0])):
        tf.raw_ops.Save(filename=os.path.join(folder, f"{name}.checkpoint"), tensor_names=["x"], data=[tf.constant(values)])
    with open(os.path.join(folder, "sum_of_x.configuration"), "wb") as file:
        file.write(configuration())


if __name__ == "__main__":
    main(sys.argv[1])
