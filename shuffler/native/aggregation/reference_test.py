"""The intrinsics against implementations of a few lines in NumPy, whatever the chunks."""

import itertools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from shuffler.native.aggregation.driver import Array, aggregate, double, intrinsic, restore, run, save, spec, values

_FLOATS = [tf.float32, tf.float64]
_INTEGERS = [tf.int32, tf.int64]
_COUNT = 23
_CHUNKS = [1, 5, _COUNT]
_SHAPE = (31, 7)
_COLUMN = (-1,)
_PRIVATE_SUM = "GoogleSQL:$differential_privacy_sum"


def _dtypes(*dtypes: Sequence[tf.DType]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("dtype", list(itertools.chain(*dtypes)), ids=lambda dtype: dtype.name)


def _save_all(tmp_path: pathlib.Path, contributions: Sequence[dict[str, Array]]) -> list[pathlib.Path]:
    paths = [tmp_path / f"contribution_{index}" for index in range(len(contributions))]
    for path, tensors in zip(paths, contributions, strict=True):
        save(path, tensors)
    return paths


def _assert_close(result: Array, exact: Array, magnitudes: Array, operations: int, weight_eps: float = 0) -> None:
    """The error is at most half an ulp of the sum of magnitudes for each operation, the textbook's bound for sums in any order."""
    bound = operations * max(float(np.finfo(result.dtype).eps), weight_eps) / 2 * magnitudes
    assert np.all(np.abs(result.astype(np.longdouble) - exact) <= bound)


@pytest.mark.parametrize("chunk", _CHUNKS)
@_dtypes(_FLOATS)
def test_a_sum_of_floats_is_within_an_ulp_for_each_addition(tmp_path: pathlib.Path, dtype: tf.DType, chunk: int) -> None:
    x = np.stack([values(dtype, _SHAPE, seed) for seed in range(_COUNT)])
    paths = _save_all(tmp_path, [{"x": each} for each in x])
    output = aggregate(tmp_path, intrinsic("federated_sum", [spec("x", dtype, _SHAPE)], [spec("y", dtype, _SHAPE)]), *paths, chunk=chunk)
    wide = x.astype(np.longdouble)
    _assert_close(restore(output, "y", dtype), wide.sum(0), np.abs(wide).sum(0), _COUNT - 1)


@_dtypes(_INTEGERS)
def test_a_sum_of_integers_is_exact_modulo_their_size_in_every_chunking(tmp_path: pathlib.Path, dtype: tf.DType) -> None:
    x = np.stack([2 * values(dtype, _SHAPE, seed) + 1 for seed in range(_COUNT)])  # wraps around
    paths = _save_all(tmp_path, [{"x": each} for each in x])
    configuration = intrinsic("federated_sum", [spec("x", dtype, _SHAPE)], [spec("y", dtype, _SHAPE)])
    for chunk in _CHUNKS:
        np.testing.assert_array_equal(restore(aggregate(tmp_path, configuration, *paths, chunk=chunk), "y", dtype), x.sum(0, dtype=x.dtype))


@pytest.mark.parametrize("chunk", _CHUNKS)
@_dtypes(_FLOATS)
def test_a_mean_is_the_sum_divided_by_the_contributions(tmp_path: pathlib.Path, dtype: tf.DType, chunk: int) -> None:
    x = np.stack([values(dtype, _SHAPE, seed) for seed in range(_COUNT)])
    paths = _save_all(tmp_path, [{"x": each} for each in x])
    output = aggregate(tmp_path, intrinsic("federated_mean", [spec("x", dtype, _SHAPE)], [spec("y", dtype, _SHAPE)]), *paths, chunk=chunk)
    wide = x.astype(np.longdouble)
    _assert_close(restore(output, "y", dtype), wide.mean(0), np.abs(wide).mean(0), _COUNT)


@pytest.mark.parametrize("chunk", _CHUNKS)
@pytest.mark.parametrize("weight_dtype", _FLOATS + _INTEGERS, ids=lambda dtype: dtype.name)
@_dtypes(_FLOATS)
def test_a_weighted_mean_is_the_weighted_sum_divided_by_the_weights(
    tmp_path: pathlib.Path, dtype: tf.DType, weight_dtype: tf.DType, chunk: int
) -> None:
    x = np.stack([values(dtype, _SHAPE, seed) for seed in range(_COUNT)])
    weights = (1 + np.arange(_COUNT) * (0.37 if weight_dtype.is_floating else 3)).astype(weight_dtype.as_numpy_dtype)
    paths = _save_all(tmp_path, [{"x": each, "w": weight} for each, weight in zip(x, weights, strict=True)])
    inputs = [spec("x", dtype, _SHAPE), spec("w", weight_dtype, ())]
    output = aggregate(tmp_path, intrinsic("federated_weighted_mean", inputs, [spec("y", dtype, _SHAPE)]), *paths, chunk=chunk)
    wide = x.astype(np.longdouble) * weights.astype(np.longdouble)[:, None, None]
    total = weights.astype(np.longdouble).sum()
    # A product and two additions for each, of which that of the weights is one of their type.
    eps = float(np.finfo(weight_dtype.as_numpy_dtype).eps) if weight_dtype.is_floating else 0
    _assert_close(restore(output, "y", dtype), wide.sum(0) / total, np.abs(wide).sum(0) / total, 3 * _COUNT, eps)


@pytest.mark.parametrize("weight", [0, -1, np.nan, np.inf])
def test_weights_that_are_not_positive_are_refused(tmp_path: pathlib.Path, weight: float) -> None:
    save(tmp_path / "in", {"x": np.ones(2, np.float32), "w": np.array([weight], np.float32)})
    inputs = [spec("x", tf.float32, (2,)), spec("w", tf.float32, (1,))]
    result = run(tmp_path, intrinsic("federated_weighted_mean", inputs, [spec("y", tf.float32, (2,))]), tmp_path / "in")
    assert result.returncode == 1
    assert "tensor w" in result.stderr


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 5000, 9999])
@_dtypes(_FLOATS)
def test_what_is_not_finite_is_refused_by_name(tmp_path: pathlib.Path, dtype: tf.DType, bad: float, place: int) -> None:
    x = np.ones(10_000, dtype.as_numpy_dtype)
    x[place] = bad
    save(tmp_path / "in", {"x": x})
    result = run(tmp_path, intrinsic("federated_sum", [spec("x", dtype, x.shape)], [spec("y", dtype, x.shape)]), tmp_path / "in")
    assert (result.returncode, result.stderr) == (1, f"aggregate_checkpoints: tensor x: element {place} is not finite\n")


def test_a_sum_beyond_its_type_is_an_error(tmp_path: pathlib.Path) -> None:
    save(tmp_path / "in", {"x": np.array([1, 3e38], np.float32)})
    configuration = intrinsic("federated_sum", [spec("x", tf.float32, (2,))], [spec("y", tf.float32, (2,))])
    result = run(tmp_path, configuration, tmp_path / "in", tmp_path / "in")
    assert result.returncode == 1
    assert "tensor y: the sum for element 1 is beyond the type float" in result.stderr


def _rows(seed: int, rows: int) -> dict[str, Array]:
    generator = np.random.default_rng(seed)
    words = np.array([b"", b"a", b"b\0", b"\xff" * 40], object)
    return {
        "word": words[generator.integers(0, 4, rows)],
        "number": generator.integers(-2, 2, rows, dtype=np.int64),
        "int": generator.integers(-(2**31), 2**31, rows, dtype=np.int32),
        "float": generator.integers(-1000, 1000, rows).astype(np.float32) / 8,
    }


def _group_by(keys: Sequence[str]) -> bytes:
    dtypes = {"word": tf.string, "number": tf.int64}
    return intrinsic(
        "fedsql_group_by",
        [spec(key, dtypes[key], _COLUMN) for key in keys],
        [spec(f"{key}_out", dtypes[key], _COLUMN) for key in keys],
        inner=[
            intrinsic("GoogleSQL:sum", [spec("int", tf.int32, _COLUMN)], [spec("int_sum", tf.int64, _COLUMN)]),
            intrinsic("GoogleSQL:sum", [spec("float", tf.float32, _COLUMN)], [spec("float_sum", tf.float64, _COLUMN)]),
        ],
    )


@pytest.mark.parametrize("keys", [(), ("word",), ("number",), ("word", "number")], ids=str)
def test_groups_are_those_of_a_dictionary_in_the_order_of_their_appearance(tmp_path: pathlib.Path, keys: tuple[str, ...]) -> None:
    contributions = [_rows(seed, rows) for seed, rows in enumerate([0, 1, 50, 3, 50, 7])]
    expected: dict[tuple[Any, ...], list[float]] = {}
    for tensors in contributions:
        for row in range(len(tensors["int"])):
            group = expected.setdefault(tuple(tensors[key][row] for key in keys), [0, 0.0])
            group[0] += int(tensors["int"][row])
            group[1] += float(tensors["float"][row])  # eighths: exact
    paths = _save_all(tmp_path, contributions)
    for chunk in (1, 2, 6):
        output = aggregate(tmp_path, _group_by(keys), *paths, chunk=chunk)
        columns = [restore(output, f"{key}_out", tf.string if key == "word" else tf.int64) for key in keys]
        ints, floats = restore(output, "int_sum", tf.int64), restore(output, "float_sum", tf.float64)
        found = {tuple(row[:-2]): [int(row[-2]), float(row[-1])] for row in zip(*columns, ints, floats, strict=True)}
        assert found == expected
        assert list(found) == list(expected)


def _private_group_by(l0: int, linf: float, l1: float = -1, l2: float = -1, epsilon: float = 1e9, delta: float = 1e-9) -> bytes:
    inner = intrinsic(
        _PRIVATE_SUM,
        [spec("x", tf.float32, _COLUMN)],
        [spec("y", tf.float64, _COLUMN)],
        parameters=[double(linf), double(l1), double(l2)],
    )
    return intrinsic(
        "fedsql_dp_group_by",
        [spec("k", tf.int64, _COLUMN)],
        [spec("k", tf.int64, _COLUMN)],
        parameters=[double(epsilon), double(delta), double(l0)],
        inner=[inner],
    )


def _linf(x: Array) -> Array:
    return np.clip(x, -2, 2)


def _l1(x: Array) -> Array:
    clipped = _linf(x)
    return np.multiply(clipped, min(1, 5 / np.abs(clipped).sum()))


def _l2(x: Array) -> Array:
    clipped = _linf(x)
    return np.multiply(clipped, min(1, 3 / np.sqrt(np.square(clipped).sum())))


@pytest.mark.parametrize("chunk", [1, 40, 100])
@pytest.mark.parametrize(("bounds", "reference"), [({}, _linf), ({"l1": 5}, _l1), ({"l2": 3}, _l2)], ids=["linf", "l1", "l2"])
def test_contributions_to_private_sums_are_bounded(
    tmp_path: pathlib.Path, bounds: dict[str, float], reference: Callable[[Array], Array], chunk: int
) -> None:
    """With an epsilon for which noise is nearly nothing, what is left is the clipping."""
    keys = np.arange(6, dtype=np.int64)
    contributions = [np.random.default_rng(seed).normal(1.5, 1, 6).astype(np.float32) for seed in range(100)]
    paths = _save_all(tmp_path, [{"k": keys, "x": x} for x in contributions])
    output = aggregate(tmp_path, _private_group_by(l0=6, linf=2, **bounds), *paths, chunk=chunk)
    order = np.argsort(restore(output, "k", tf.int64))
    np.testing.assert_array_equal(restore(output, "k", tf.int64)[order], keys)
    exact = sum(reference(x.astype(np.float64)) for x in contributions)
    np.testing.assert_allclose(restore(output, "y", tf.float64)[order], exact, atol=1e-4)


def test_groups_beyond_the_bound_are_left_out_at_random(tmp_path: pathlib.Path) -> None:
    """Of ten groups of every contribution two count, so each has about a fifth: 80 of 400, within six standard deviations."""
    save(tmp_path / "in", {"k": np.arange(10, dtype=np.int64), "x": np.ones(10, np.float32)})
    output = aggregate(tmp_path, _private_group_by(l0=2, linf=1), *[tmp_path / "in"] * 400, chunk=30)
    sums = restore(output, "y", tf.float64)
    assert len(sums) == 10
    np.testing.assert_allclose(sums.sum(), 800, atol=1e-3)
    assert np.all(np.abs(sums - 80) < 6 * np.sqrt(400 * 0.2 * 0.8))


def test_small_groups_are_not_shown(tmp_path: pathlib.Path) -> None:
    """At epsilon 1 and delta 1e-9 the threshold is about 45; nobody's noise is beyond 1000."""
    save(tmp_path / "both", {"k": np.array([1, 2], np.int64), "x": np.ones(2, np.float32)})
    save(tmp_path / "one", {"k": np.array([1], np.int64), "x": np.ones(1, np.float32)})
    configuration = _private_group_by(l0=1, linf=1, epsilon=1)
    output = aggregate(tmp_path, configuration, tmp_path / "both", *[tmp_path / "one"] * 3000, chunk=100)
    np.testing.assert_array_equal(restore(output, "k", tf.int64), [1])
    assert abs(restore(output, "y", tf.float64)[0] - 3000) < 1000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": 0}, "expected epsilon"),
        ({"epsilon": float("nan")}, "epsilon"),
        ({"delta": 0}, "delta"),
        ({"delta": 1}, "delta"),
        ({"l0": 0}, "L0 bound"),
        ({"linf": 0}, "L-infinity bound"),
        ({"linf": -1}, "L-infinity bound"),
        ({"epsilon": 1e-9, "linf": 1, "l0": 2**31}, "noise of scale"),
    ],
)
def test_bad_privacy_parameters_are_refused(tmp_path: pathlib.Path, change: dict[str, float], message: str) -> None:
    parameters: dict[str, Any] = {"l0": 1, "linf": 1, "epsilon": 1, "delta": 1e-9} | change
    result = run(tmp_path, _private_group_by(**parameters))
    assert result.returncode == 1
    assert message in result.stderr
