"""What is trained if nothing else is asked for: a small network that reads digits."""

from __future__ import annotations

import secrets
from pathlib import Path

import numpy as np
import tensorflow as tf

from shuffler.e2e.population.training import write_examples
from shuffler.e2e.round import digits

_HIDDEN = 32

_CONFIG = """\
mode: TRAINING_AND_EVAL
population_name: "{population}"
policies {{
  data_availability_policy {{ min_example_count: 1 }}
  model_release_policy {{ num_max_training_rounds: {rounds} }}
  dataset_policy {{ batch_size: 10 }}
}}
federated_learning {{
  learning_process {{
    type: FED_AVG
    client_optimizer: SGD
    client_learning_rate: 0.2
    server_optimizer: SGD
    server_learning_rate: 1.0
    runtime_config {{ report_goal: {goal} over_selection_rate: 0.3 }}
    metrics {{ name: "sparse_categorical_accuracy" }}
  }}
  evaluation {{
    source_training_population: "{population}"
    checkpoint_selector: "every_1_round"
    evaluation_traffic: 0.3
    report_goal: {goal}
    over_selection_rate: 0.3
  }}
}}
differential_privacy {{ type: FIXED_GAUSSIAN clip_norm: 10 }}
"""


def write_config(path: Path, rounds: int, goal: int) -> None:
    """Writes the TaskConfig: ROUNDS of GOAL contributions each, by a population that nobody had before."""
    path.write_text(_CONFIG.format(population=f"digits-{secrets.token_hex(4)}", rounds=rounds, goal=goal), encoding="utf-8")


def write_model(path: Path, seed: int) -> None:
    """Writes the Keras model, whose first weights SEED decides."""
    tf.keras.utils.set_random_seed(seed)
    model = tf.keras.Sequential(
        [
            tf.keras.layers.InputLayer(input_shape=(64,), name="x"),
            tf.keras.layers.Dense(_HIDDEN, activation="relu"),
            tf.keras.layers.Dense(10),
        ]
    )
    model.compile(
        loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[tf.keras.metrics.SparseCategoricalAccuracy()],
    )
    model.save(path)


def write_devices(data: Path, folder: Path, devices: int, seed: int) -> list[Path]:
    """Writes the examples of each device to a TFRecord file; they have the features x (64 floats) and y (the digit)."""
    images, numbers = digits.read(data)
    files = []
    for device, positions in enumerate(digits.split(numbers, devices, seed)):
        files.append(folder / f"{device}.tfrecord")
        write_examples(files[-1], [{"x": images[i], "y": np.int64(numbers[i])} for i in positions])
    return files
