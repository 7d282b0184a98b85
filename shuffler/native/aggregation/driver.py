"""Runs aggregate_checkpoints on checkpoints that TensorFlow writes and reads."""

import os
import pathlib
import struct
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Array = npt.NDArray[Any]

_TOOL = pathlib.Path(os.environ["AGGREGATE_CHECKPOINTS"]).resolve()


def _varint(value: int) -> bytes:
    out = b""
    value &= 2**64 - 1
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, value: bytes | int) -> bytes:
    """A field of a protocol buffer."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def spec(name: str, dtype: tf.DType, shape: tuple[int, ...]) -> bytes:
    """An fcp.aggregation.TensorSpecProto; -1 in the shape is an unknown size."""
    sizes = b"".join(_varint(size) for size in shape)
    message = field(1, name.encode()) + field(2, dtype.as_datatype_enum)
    return message + (field(3, field(1, sizes)) if sizes else b"")


def double(value: float) -> bytes:
    """An fcp.aggregation.TensorProto: a scalar of type double."""
    return field(1, tf.float64.as_datatype_enum) + field(4, struct.pack("<d", value))


def intrinsic(
    uri: str, inputs: Sequence[bytes], outputs: Sequence[bytes], parameters: Sequence[bytes] = (), inner: Sequence[bytes] = ()
) -> bytes:
    """An fcp.aggregation.Configuration with one intrinsic; `inner` are others. Configurations can be concatenated."""
    message = field(1, uri.encode())
    message += b"".join(field(4, field(2, each)) for each in inputs) + b"".join(field(4, field(3, each)) for each in parameters)
    message += b"".join(field(5, each) for each in outputs)
    # A Configuration is field 2 with the intrinsic; within another intrinsic it is field 6.
    return field(2, message + b"".join(field(6, _content(each)) for each in inner))


def _content(configuration: bytes) -> bytes:
    at = 1
    while configuration[at] >= 0x80:
        at += 1
    return configuration[at + 1 :]


def values(dtype: tf.DType, shape: tuple[int, ...], seed: int) -> Array:
    """Random numbers; of integers halves of their range, so that two of them do not wrap around."""
    generator = np.random.default_rng(seed)
    if dtype.is_floating:
        return generator.normal(size=shape).astype(dtype.as_numpy_dtype)
    info = np.iinfo(dtype.as_numpy_dtype)
    return generator.integers(info.min // 2, info.max // 2, size=shape, dtype=dtype.as_numpy_dtype)


def save(path: pathlib.Path, tensors: Mapping[str, Array]) -> None:
    """Writes a V1 checkpoint."""
    tf.raw_ops.Save(filename=str(path), tensor_names=list(tensors), data=[tf.constant(value) for value in tensors.values()])


def restore(path: pathlib.Path, name: str, dtype: tf.DType) -> Array:
    """Reads a tensor of a V1 checkpoint."""
    return np.asarray(tf.raw_ops.Restore(file_pattern=str(path), tensor_name=name, dt=dtype).numpy())


def run(tmp_path: pathlib.Path, configuration: bytes, *checkpoints: pathlib.Path, chunk: int = 1) -> subprocess.CompletedProcess[str]:
    """Aggregates checkpoints, `chunk` of them at a time, into the file "sum"."""
    (tmp_path / "configuration").write_bytes(configuration)
    command = [str(part) for part in (_TOOL, tmp_path / "configuration", tmp_path / "sum", chunk, *checkpoints)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def aggregate(tmp_path: pathlib.Path, configuration: bytes, *checkpoints: pathlib.Path, chunk: int = 1) -> pathlib.Path:
    """The same, which must succeed; returns the path of the result."""
    result = run(tmp_path, configuration, *checkpoints, chunk=chunk)
    assert result.returncode == 0, result.stderr
    return tmp_path / "sum"
