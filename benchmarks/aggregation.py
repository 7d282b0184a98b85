"""Aggregation of client updates: seconds for each client, against the least that one could do, and against TensorFlow.

    bazel run //benchmarks:aggregation

The files lie in memory (/dev/shm), so that nothing but the page cache is read. The baseline is the checksum (TensorFlow's CRC-32C), a
copy and numpy.add over the same bytes. TensorFlow's own reader is the operation Restore, and its sum AddV2. What one client costs is the
difference of runs with more and with fewer clients, so that the start of the process and the report do not count. Then two clients with a
million keys each, all of them different, are grouped; the baseline is numpy.unique of all keys. Exit code 1 if a target is missed.
"""

from __future__ import annotations

import ctypes
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from absl import app, flags

from shuffler.native.aggregation.driver import intrinsic, save, spec

_ROUNDS = flags.DEFINE_integer("rounds", 5, "measurements, of which the median counts", lower_bound=1)

_SIZES = {"10 MB": 2_500_000, "100 MB": 25_000_000}  # floats
_FEWER, _MORE, _MANY = 4, 12, 36
_LEAST_RATIO = 0.5
_MOST_MEMORY = 7
_MOST_GROWTH = 1.3

_KEYS = 1_000_000
_MOST_GROUPING = 10


# Runs a command and prints its most resident memory in KB. A program of its own, since the kernel counts the memory of whoever starts a
# process as that of the process.
_MEASURED = """
import os, sys
process = os.posix_spawn(sys.argv[1], sys.argv[1:], {})
_, status, usage = os.wait4(process, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def _command(folder: pathlib.Path, clients: int) -> list[str]:
    updates = [str(folder / f"update_{index % 2}") for index in range(clients)]
    return [os.environ["AGGREGATE_CHECKPOINTS"], str(folder / "configuration"), str(folder / "sum"), str(clients), *updates]


def _seconds(folder: pathlib.Path, clients: int) -> float:
    start = time.perf_counter()
    subprocess.run(_command(folder, clients), check=True)
    return time.perf_counter() - start


def _memory(folder: pathlib.Path, clients: int) -> int:
    """Returns bytes."""
    command = [sys.executable, "-I", "-S", "-c", _MEASURED, *_command(folder, clients)]
    return 1024 * int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _per_client(run: Callable[[int], float], fewer: int = _FEWER, more: int = _MORE) -> float:
    return statistics.median((run(more) - run(fewer)) / (more - fewer) for _ in range(_ROUNDS.value))


def _baseline(folder: pathlib.Path, count: int) -> Callable[[int], float]:
    framework = ctypes.CDLL(str(pathlib.Path(tf.__file__).parent / "libtensorflow_framework.so.2"))
    extend = framework["_ZN3tsl6crc32c6ExtendEjPKcm"]
    extend.argtypes, extend.restype = [ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t], ctypes.c_uint32
    content, copy, total = np.empty(4 * count, np.uint8), np.empty(count, np.float32), np.zeros(count, np.float32)

    def run(clients: int) -> float:
        start = time.perf_counter()
        for index in range(clients):
            with open(folder / f"update_{index % 2}", "rb", buffering=0) as file:
                file.readinto(content)  # type: ignore[arg-type]
            extend(0, content.ctypes.data, content.nbytes)
            np.copyto(copy, content.view(np.float32))
            with np.errstate(all="ignore"):  # the bytes are not aligned with the numbers in the file
                np.add(total, copy, out=total)
        return time.perf_counter() - start

    return run


def _tensorflow(folder: pathlib.Path, count: int) -> Callable[[int], float]:
    def run(clients: int) -> float:
        total = tf.zeros([count])
        start = time.perf_counter()
        for index in range(clients):
            total += tf.raw_ops.Restore(file_pattern=str(folder / f"update_{index % 2}"), tensor_name="x", dt=tf.float32)
        total.numpy()
        return time.perf_counter() - start

    return run


def _measure(folder: pathlib.Path, name: str, count: int) -> list[str]:
    for index in range(2):
        save(folder / f"update_{index}", {"x": np.random.default_rng(index).normal(size=count).astype(np.float32)})
    (folder / "configuration").write_bytes(intrinsic("federated_sum", [spec("x", tf.float32, (count,))], [spec("x", tf.float32, (count,))]))
    memory = {clients: _memory(folder, clients) for clients in (_FEWER, _MORE)}
    ours = _per_client(lambda clients: _seconds(folder, clients))
    baseline = _per_client(_baseline(folder, count))
    tensorflow = _per_client(_tensorflow(folder, count))
    growth = _per_client(lambda clients: _seconds(folder, clients), _MORE, _MANY) / ours
    factor = memory[_MORE] / (4 * count)
    times = "  ".join(f"{1e3 * seconds:8.1f} ms" for seconds in (ours, baseline, tensorflow))
    print(f"{name:>7}  {times}  {baseline / ours:6.2f}  {growth:6.2f}  {factor:6.1f}", flush=True)
    missed = []
    if baseline / ours < _LEAST_RATIO:
        missed.append(f"{name}: {baseline / ours:.2f} times the speed of the baseline, expected at least {_LEAST_RATIO}")
    if ours >= tensorflow:
        missed.append(f"{name}: {tensorflow / ours:.2f} times the speed of TensorFlow, expected more than 1")
    if growth > _MOST_GROWTH:
        missed.append(f"{name}: a client among {_MANY} costs {growth:.2f} times one among {_MORE}, expected at most {_MOST_GROWTH}")
    if count == max(_SIZES.values()) and factor > _MOST_MEMORY:
        missed.append(f"{name}: {factor:.1f} times the size of an update in memory, expected at most {_MOST_MEMORY}")
    if memory[_MORE] > 1.1 * memory[_FEWER]:
        missed.append(f"{name}: {_MORE} clients take more memory than {_FEWER}, expected the same")
    return missed


def _group_by(folder: pathlib.Path, name: str, dtype: tf.DType) -> list[str]:
    keys = [np.random.default_rng(index).integers(0, 2**60, _KEYS).astype("S19" if dtype == tf.string else np.int64) for index in range(2)]
    for index in range(2):
        save(folder / f"update_{index}", {"k": keys[index], "x": np.ones(_KEYS, np.float64)})
    key, value = spec("k", dtype, (-1,)), spec("x", tf.float64, (-1,))
    inner = [intrinsic("GoogleSQL:sum", [value], [value])]
    (folder / "configuration").write_bytes(intrinsic("fedsql_group_by", [key], [key], inner=inner))
    ours = statistics.median(_seconds(folder, 2) for _ in range(_ROUNDS.value))
    start = time.perf_counter()
    np.unique(np.concatenate(keys), return_index=True)
    baseline = time.perf_counter() - start
    print(f"{name:>7}  {1e3 * ours:8.1f} ms  {1e3 * baseline:8.1f} ms  {ours / baseline:6.2f}", flush=True)
    if ours > _MOST_GROUPING * baseline:
        return [f"group by {name}: {ours / baseline:.2f} times the time of the baseline, expected at most {_MOST_GROUPING}"]
    return []


def main(argv: list[str]) -> None:
    """Measures both sizes, prints the figures, and tells what is missed."""
    if len(argv) > 1:
        raise app.UsageError(f"expected no arguments, found {argv[1:]}")
    print(f"{os.cpu_count()} processors; one client; medians of {_ROUNDS.value}")
    print(f"{'update':>7}  {'here':>11}  {'baseline':>11}  {'TensorFlow':>11}  {'ratio':>6}  growth  memory")
    missed = []
    for name, count in _SIZES.items():
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            missed += _measure(pathlib.Path(folder), name, count)
    print(f"\n{'keys':>7}  {'here':>11}  {'baseline':>11}  {'ratio':>6}")
    for name, dtype in {"int64": tf.int64, "string": tf.string}.items():
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            missed += _group_by(pathlib.Path(folder), name, dtype)
    for line in missed:
        print(f"aggregation: {line}", file=sys.stderr)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    app.run(main)
