"""Numerical truth: rounds by plans are rounds of plain federated learning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from shuffler.services.taskbuilder.config.settings import Algorithm, Optimization, Privacy, PrivacyType, Training
from shuffler.services.taskbuilder.learning import algorithms, models
from shuffler.services.taskbuilder.plans import plans
from shuffler.services.taskbuilder.testing import plan_runner
from shuffler.services.taskbuilder.testing.reference import Client, Plain, Weights

_FEATURES = 4
_CLASSES = 3
_ROUNDS = 2

_TRAINING = Training(
    algorithm=Algorithm.FED_AVG,
    client=Optimization(adam=False, learning_rate=0.1),
    server=Optimization(adam=False, learning_rate=1.0),
    batch_size=3,
    max_batches=-1,
    report_goal=4,
    rounds=10,
    privacy=Privacy(PrivacyType.FIXED_GAUSSIAN, noise_multiplier=0.0, clip_norm=0.05, epsilon=10.0, delta=1e-7),
)


def _model() -> models.Model:
    """Multinomial regression, which is easily written down in NumPy."""
    tf.keras.utils.set_random_seed(7)
    keras = tf.keras.Sequential([tf.keras.layers.Dense(_CLASSES, input_shape=(_FEATURES,), bias_initializer="normal")])
    keras.compile(loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return models.of(keras, "")


def _clients() -> list[Client]:
    """Four devices with different numbers of examples; batches of three do not fit."""
    random = np.random.default_rng(1)
    return [(random.normal(size=(count, _FEATURES)).astype(np.float32), random.integers(_CLASSES, size=count)) for count in (3, 7, 10, 1)]


def _files(folder: Path) -> list[str]:
    return [
        plan_runner.examples_file(folder / str(i), [{"x": x, "y": y} for x, y in zip(*client, strict=True)])
        for i, client in enumerate(_clients())
    ]


def _close(checkpoint: bytes, prefix: str, weights: Weights) -> None:
    tensors = plan_runner.read_checkpoint(checkpoint)
    for i, weight in enumerate(weights):
        np.testing.assert_allclose(tensors[f"{prefix}/model/trainable/{i}"], weight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("second_kind", [False, True], ids=["v1", "v2"])
@pytest.mark.parametrize(
    ("algorithm", "client_adam", "server_adam"),
    [
        (Algorithm.FED_AVG, False, False),
        (Algorithm.FED_AVG, True, True),
        (Algorithm.FED_SGD, False, False),
        (Algorithm.FED_SGD, False, True),
    ],
)
def test_rounds_equal_plain_federated_learning(
    tmp_path: Path, algorithm: Algorithm, client_adam: bool, server_adam: bool, second_kind: bool
) -> None:
    training = replace(
        _TRAINING,
        algorithm=algorithm,
        client=Optimization(client_adam, 0.05),
        server=Optimization(server_adam, 0.1 if server_adam else 0.5),
    )
    model = _model()
    weights = [weight.numpy().astype(np.float64) for weight in model.trainable]
    process = algorithms.TrainingProcess(model, training, ["accuracy", "sparse_categorical_crossentropy_from_logits"], private=False)
    phase = plans.client_phase(process, "")
    client = plans.client_plan(plans.client_graph(process).graph_def(), b"", phase)
    plan = (plans.server_plan_v2 if second_kind else plans.server_plan)(process, phase)
    checkpoint = plans.server_checkpoint(process)
    files = _files(tmp_path)
    plain = Plain(training, weights)
    for _ in range(_ROUNDS):
        loss, accuracy = plain.round(_clients())
        if second_kind:
            start = plan_runner.prepare_v2(plan, checkpoint)[0]
            checkpoint, metrics = plan_runner.run_v2(plan, checkpoint, [plan_runner.device_update(client, start, file) for file in files])
        else:
            start = plan_runner.PhaseSession(plan, checkpoint).client_checkpoint()
            updated = plan_runner.run_v1(plan, checkpoint, [plan_runner.device_update(client, start, file) for file in files])
            checkpoint, metrics = updated.to_checkpoint(), updated.metrics()
            _close(updated.client_checkpoint(), "client", plain.weights)
        _close(checkpoint, "server", plain.weights)
        assert metrics == pytest.approx(
            {
                "server/client_work/train/loss": loss,
                "server/client_work/train/accuracy": accuracy,
                "server/client_work/train/sparse_categorical_crossentropy_from_logits": loss,
                "server/finalizer/update_non_finite": 0.0,
            },
            rel=1e-5,
        )
