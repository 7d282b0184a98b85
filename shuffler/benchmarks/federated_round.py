"""A round with 1,000 light devices through the seven images: how long it takes and where the time goes; and the memory of each service.

    bazel run //shuffler/benchmarks:federated_round

Devices, services and PostgreSQL share the machine. A light device does all that a phone does but train: it checks in, downloads plan and
checkpoint, encrypts an update that was made beforehand, reports and uploads. Prints seconds of each round, what they were spent on, and the
memory of each service (proportional set size) after the first round and on the way to the last.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from absl import flags
from image_hash import errors

from shuffler.e2e import backend_process
from shuffler.e2e.population.client import Client, Rejection
from shuffler.e2e.population.population import Population, Settings
from shuffler.e2e.population.training import Trainer
from shuffler.e2e.round import default_task, digits
from shuffler.e2e.round.backend import Backend
from shuffler.e2e.runfile import runfile
from tools.containers import local_backend

_DEVICES = flags.DEFINE_integer("devices", 1000, "Light devices of a round.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 20, "Rounds.", lower_bound=1)

_THREADS = 16
_VERSION = "999999999"
_SEED = 1
_POLL_SECONDS = 0.05
# The longest that a device or a model may take.
_SECONDS = 600.0
_STATES = {"0": "check-ins, uploads, batches", "1": "sums", "4": "model", "50": "metrics rows"}
# How long an iteration was in each state, on average.
_TIMES = (
    "SELECT status || ' ' || round(avg(extract(epoch FROM after - created_time))::numeric, 2) FROM (SELECT status, created_time,"
    " lead(created_time) OVER (PARTITION BY task_id, iteration_id ORDER BY status_id) AS after FROM iteration_status_history) AS history"
    " WHERE after IS NOT NULL GROUP BY status ORDER BY status"
)


def _update(backend: Backend, folder: Path, population: str) -> bytes:
    """What one device makes of the first model."""
    files = default_task.write_devices(runfile("SCIKIT_LEARN") / digits.FILE, folder, devices=20, seed=_SEED)
    client = Client(backend.urls["task_assignment"])
    while isinstance(found := client.check_in(population, _VERSION), Rejection):
        time.sleep(_POLL_SECONDS)
    return Trainer(files)(0, client.download(found.plan_url), client.download(found.checkpoint_url))


def _run(process: backend_process.BackendProcess, folder: Path) -> None:
    backend = Backend(process.folder)
    default_task.write_model(folder / "model.keras", _SEED)
    default_task.write_config(folder / "config", _ROUNDS.value, _DEVICES.value)
    group = backend.build(str(folder / "model.keras"), folder / "config", "--skip_flex_ops_check", "--skip_dp_aggregator")
    # Devices would be shared with it.
    backend.cancel([group.eval_task])
    task = group.training_task
    update = _update(backend, folder, task.population_name)
    client = Client(backend.urls["task_assignment"], connections=_THREADS)
    settings = Settings(task.population_name, version=_VERSION, seed=_SEED, retry_seconds=_POLL_SECONDS)
    devices = Population(client, backend.public_key(), lambda _device, _plan, _checkpoint: update, settings)
    seconds, uploading = [], []
    memory = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        for iteration in range(1, _ROUNDS.value + 1):
            start = time.monotonic()
            list(pool.map(devices.visit, range(_DEVICES.value), itertools.repeat(_SECONDS)))
            uploading.append(time.monotonic() - start)
            backend.wait_for_metrics(task, iteration, _SECONDS)
            seconds.append(time.monotonic() - start)
            if iteration in (1, _ROUNDS.value // 4, _ROUNDS.value // 2, _ROUNDS.value):
                memory[iteration] = {name: process.memory(name) for name in (*local_backend.SERVICES, local_backend.DATABASE)}
    median, uploads = statistics.median(seconds), statistics.median(uploading)
    print(f"{os.cpu_count()} processors; {_ROUNDS.value} rounds with {_DEVICES.value} light devices, {_THREADS} at a time")
    print(f"round            first {seconds[0]:6.1f} s, median {median:6.1f} s")
    print(f"devices at work  first {uploading[0]:6.1f} s, median {uploads:6.1f} s, {_DEVICES.value / uploads:.0f} devices a second")
    print(f"memory in MB after round {', '.join(map(str, memory))}")
    for name in (*local_backend.SERVICES, local_backend.DATABASE):
        print(f"{name:16}{''.join(f'{found[name] / 1e6:8.0f}' for found in memory.values())}")


def main(arguments: list[str]) -> None:
    """Runs the benchmark."""
    if arguments:
        raise errors.UsageError(f"expected flags only, found {arguments[0]}")
    # On disk: the temporary folder of the build environment is in memory.
    with tempfile.TemporaryDirectory(prefix="benchmark.", dir=Path.home() / ".cache" / "bazel") as name:
        folder = backend_process.stage(Path(name, "backend"))
        with backend_process.BackendProcess(folder) as process:
            process.wait_for(backend_process.ready)
            _run(process, Path(name))
            process.stop()
        print("seconds of a round, by the state of its iteration (means)")
        for line in backend_process.sql(folder, _TIMES):
            state, seconds = line.split()
            print(f"{_STATES[state]:28}{float(seconds):8.2f}")


if __name__ == "__main__":
    errors.run(main)
