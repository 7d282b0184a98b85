"""TensorFlow writes V1 checkpoints, the library aggregates them, and TensorFlow reads the result."""

import pathlib
import struct

import numpy as np
import pytest
import tensorflow as tf

from shuffler.native.aggregation.driver import Array, aggregate, intrinsic, restore, run, save, spec, values

# Not uint64, which TensorFlow cannot save in this format.
_NUMERIC = [tf.float32, tf.float64, tf.int32, tf.int64]
_SHAPES: list[tuple[int, ...]] = [(), (0,), (1,), (3, 0, 2), (2, 3), (4, 3, 2, 5), (300_000,)]


def _federated_sum(source: str, target: str, dtype: tf.DType, shape: tuple[int, ...]) -> bytes:
    return intrinsic("federated_sum", [spec(source, dtype, shape)], [spec(target, dtype, shape)])


@pytest.mark.parametrize("shape", _SHAPES, ids=str)
@pytest.mark.parametrize("dtype", _NUMERIC, ids=lambda dtype: dtype.name)
def test_two_checkpoints_of_tensorflow_are_summed(tmp_path: pathlib.Path, dtype: tf.DType, shape: tuple[int, ...]) -> None:
    contributions = [values(dtype, shape, seed) for seed in (1, 2)]
    for index, value in enumerate(contributions):
        save(tmp_path / str(index), {"update/0": value})
    output = aggregate(tmp_path, _federated_sum("update/0", "sum/0", dtype, shape), tmp_path / "0", tmp_path / "1")
    restored = restore(output, "sum/0", dtype)
    assert restored.dtype == dtype.as_numpy_dtype
    np.testing.assert_array_equal(restored, contributions[0] + contributions[1])


def test_the_extremes_of_each_type_survive(tmp_path: pathlib.Path) -> None:
    extremes: dict[tf.DType, list[float | int]] = {
        tf.float32: [1e-45, 3.4e38, -3.4e38, -0.5],
        tf.float64: [5e-324, -1.7e308],
        tf.int32: [-(2**31), 2**31 - 1, -1, 0],
        tf.int64: [-(2**63), 2**63 - 1, -1, 127, 128],
    }
    configuration = b""
    tensors = {}
    for dtype, numbers in extremes.items():
        tensors[dtype.name] = np.array(numbers, dtype.as_numpy_dtype)
        configuration += _federated_sum(dtype.name, dtype.name, dtype, (len(numbers),))
    save(tmp_path / "in", tensors)
    output = aggregate(tmp_path, configuration, tmp_path / "in")
    for dtype in extremes:
        np.testing.assert_array_equal(restore(output, dtype.name, dtype), tensors[dtype.name])


def test_integers_wrap_around(tmp_path: pathlib.Path) -> None:
    save(tmp_path / "in", {"x": np.array([2**31 - 1, -(2**31)], np.int32)})
    output = aggregate(tmp_path, _federated_sum("x", "x", tf.int32, (2,)), tmp_path / "in", tmp_path / "in")
    np.testing.assert_array_equal(restore(output, "x", tf.int32), [-2, 0])


def test_what_is_written_is_byte_for_byte_what_tensorflow_writes(tmp_path: pathlib.Path) -> None:
    """Names that share prefixes, more entries than restart points, and several blocks."""
    tensors: dict[str, Array] = {f"update/{index:03}/kernel": values(tf.float32, (7, index), index) for index in range(100)}
    tensors |= {f"large/{index}": values(tf.float64, (100_000 * index,), index) for index in range(4)}
    tensors |= {"scalar": np.array(-7, np.int64), "ints": np.arange(-5, 300, dtype=np.int32), "a\0b/\xff": np.array([2**63 - 1], np.int64)}
    configuration = b"".join(_federated_sum(name, name, tf.as_dtype(value.dtype), value.shape) for name, value in tensors.items())
    save(tmp_path / "in", tensors)
    # -0.0 + 0.0 is 0.0: no such value is in the data.
    output = aggregate(tmp_path, configuration, tmp_path / "in")
    assert output.read_bytes() == (tmp_path / "in").read_bytes()


def test_slices_are_put_together(tmp_path: pathlib.Path) -> None:
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    parts = {"4 6 0,1:-": whole[:1], "4 6 1,3:0,4": whole[1:, :4], "4 6 1,3:4,2": whole[1:, 4:]}
    tf.raw_ops.SaveSlices(
        filename=str(tmp_path / "in"),
        tensor_names=["x"] * len(parts),
        shapes_and_slices=list(parts),
        data=[tf.constant(part) for part in parts.values()],
    )
    output = aggregate(tmp_path, _federated_sum("x", "x", tf.float32, (4, 6)), tmp_path / "in", tmp_path / "in")
    np.testing.assert_array_equal(restore(output, "x", tf.float32), 2 * whole)


@pytest.mark.parametrize(
    "parts",
    [
        [np.s_[:1, :, :], np.s_[1:, :, :]],
        [np.s_[:, :2, :], np.s_[:, 2:, :]],
        [np.s_[:, :, :1], np.s_[:, :, 1:]],
        [np.s_[:2, :, :2], np.s_[:2, :, 2:], np.s_[2:, :1, :], np.s_[2:, 1:, :]],
        [np.s_[a : a + 1, b : b + 1, c : c + 1] for a in range(4) for b in range(3) for c in range(5)],
    ],
    ids=["first", "middle", "last", "several", "single elements"],
)
@pytest.mark.parametrize("dtype", [tf.float32, tf.int64], ids=lambda dtype: dtype.name)
def test_slices_of_every_form_are_put_together(tmp_path: pathlib.Path, dtype: tf.DType, parts: list[tuple[slice, ...]]) -> None:
    whole = values(dtype, (4, 3, 5), 1)
    slices = []
    for part in parts:
        ranges = [range(size)[along] for size, along in zip(whole.shape, part, strict=True)]
        slices.append("4 3 5 " + ":".join(f"{r.start},{len(r)}" for r in ranges))
    data = [tf.constant(whole[part]) for part in parts]
    tf.raw_ops.SaveSlices(filename=str(tmp_path / "in"), tensor_names=["x"] * len(parts), shapes_and_slices=slices, data=data)
    output = aggregate(tmp_path, _federated_sum("x", "x", dtype, (4, 3, 5)), tmp_path / "in")
    np.testing.assert_array_equal(restore(output, "x", dtype), whole)


def test_missing_slices_are_refused(tmp_path: pathlib.Path) -> None:
    tf.raw_ops.SaveSlices(filename=str(tmp_path / "in"), tensor_names=["x"], shapes_and_slices=["4 0,3"], data=[tf.zeros([3], tf.float32)])
    result = run(tmp_path, _federated_sum("x", "x", tf.float32, (4,)), tmp_path / "in")
    assert result.returncode == 1
    assert "slices of tensor x have 3 values for the shape [4]" in result.stderr
    assert not (tmp_path / "sum").exists()


def test_strings_beside_what_is_summed_are_passed_over(tmp_path: pathlib.Path) -> None:
    save(
        tmp_path / "in",
        {"text": np.array([b"", b"\0\xff", b"x" * 300_000], object), "flag": np.array([True]), "x": np.array([1.5], np.float32)},
    )
    output = aggregate(tmp_path, _federated_sum("x", "x", tf.float32, (1,)), tmp_path / "in")
    np.testing.assert_array_equal(restore(output, "x", tf.float32), [1.5])


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        (_federated_sum("absent", "y", tf.float32, (2,)), "tensor absent is missing"),
        (_federated_sum("x", "y", tf.float64, (2,)), "tensor x is float[2], expected double[2]"),
        (_federated_sum("x", "y", tf.float32, (3,)), "tensor x is float[2], expected float[3]"),
        (_federated_sum("x", "y", tf.string, (2,)), "is a string, expected a numeric type"),
        (_federated_sum("x", "y", tf.float32, (2,)).replace(b"federated_sum", b"federated_max"), '"federated_max" is not supported'),
        (b"", "expected at least one intrinsic"),
    ],
)
def test_bad_configurations_are_refused(tmp_path: pathlib.Path, configuration: bytes, message: str) -> None:
    save(tmp_path / "in", {"x": np.array([1, 2], np.float32)})
    result = run(tmp_path, configuration, tmp_path / "in")
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_contributions_the_sum_is_zero(tmp_path: pathlib.Path) -> None:
    output = aggregate(tmp_path, _federated_sum("x", "x", tf.float32, (2, 2)))
    np.testing.assert_array_equal(restore(output, "x", tf.float32), np.zeros((2, 2)))


def test_a_v2_checkpoint_is_refused(tmp_path: pathlib.Path) -> None:
    tf.raw_ops.SaveV2(prefix=str(tmp_path / "v2"), tensor_names=["x"], shape_and_slices=[""], tensors=[tf.zeros([1])])
    result = run(tmp_path, _federated_sum("x", "x", tf.float32, (1,)), tmp_path / "v2.index")
    assert result.returncode == 1
    assert "V1 checkpoint" in result.stderr


def test_the_magic_number_is_at_the_end(tmp_path: pathlib.Path) -> None:
    output = aggregate(tmp_path, _federated_sum("x", "x", tf.float32, ()))
    assert output.read_bytes()[-8:] == struct.pack("<Q", 0xDB4775248B80FB57) == bytes.fromhex("57fb808b247547db")
