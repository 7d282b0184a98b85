"""Writes plans of the task builder, and what goes with them, for PlanExecution: into the folder that is the only argument.

For each model, in a folder of its own: plan_v1 and plan_v2 (Plan), checkpoint (the server's first one), update (of a
device).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from shuffler.services.taskbuilder.config.settings import Algorithm, Optimization, Privacy, PrivacyType, Training
from shuffler.services.taskbuilder.learning import algorithms, models
from shuffler.services.taskbuilder.plans import plans
from shuffler.services.taskbuilder.testing import plan_runner

_FEATURES = 64
_CLASSES = 10
# Units of the layer between: some 2,400, 250,000 and 2.5 million weights, of four bytes each.
_MODELS = {"small": 32, "medium": 3300, "large": 33000}

_TRAINING = Training(
    algorithm=Algorithm.FED_AVG,
    client=Optimization(adam=False, learning_rate=0.1),
    server=Optimization(adam=False, learning_rate=1.0),
    batch_size=10,
    max_batches=1,
    report_goal=10,
    rounds=1,
    privacy=Privacy(PrivacyType.FIXED_GAUSSIAN, noise_multiplier=0.0, clip_norm=1.0, epsilon=10.0, delta=1e-7),
)


def _write(folder: Path, units: int) -> None:
    tf.keras.utils.set_random_seed(1)
    layers = tf.keras.layers
    keras = tf.keras.Sequential([layers.Dense(units, input_shape=(_FEATURES,), activation="relu"), layers.Dense(_CLASSES)])
    keras.compile(loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    process = algorithms.TrainingProcess(models.of(keras, ""), _TRAINING, [], private=False)
    phase = plans.client_phase(process, "")
    client = plans.client_plan(plans.client_graph(process).graph_def(), b"", phase)
    plan, checkpoint = plans.server_plan(process, phase), plans.server_checkpoint(process)
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    examples = [{"x": random.normal(size=_FEATURES).astype(np.float32), "y": np.int64(i % _CLASSES)} for i in range(10)]
    start = plan_runner.PhaseSession(plan, checkpoint).client_checkpoint()
    with tempfile.TemporaryDirectory() as scratch:
        token = plan_runner.examples_file(Path(scratch, "examples"), examples)
        (folder / "update").write_bytes(plan_runner.device_update(client, start, token))
    (folder / "checkpoint").write_bytes(checkpoint)
    (folder / "plan_v1").write_bytes(plan.SerializeToString(deterministic=True))
    (folder / "plan_v2").write_bytes(plans.server_plan_v2(process, phase).SerializeToString(deterministic=True))


if __name__ == "__main__":
    for name, number in _MODELS.items():
        _write(Path(sys.argv[1], name), number)
