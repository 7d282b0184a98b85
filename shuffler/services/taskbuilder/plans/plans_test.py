"""Numerical truth: rounds by plans are rounds of plain federated learning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from shuffler.services.taskbuilder.config.settings import Algorithm, Optimization, Privacy, PrivacyType, Training
from shuffler.services.taskbuilder.learning import algorithms, models
from shuffler.services.taskbuilder.plans import plans
from shuffler.services.taskbuilder.testing import plan_runner

_FEATURES = 4
_CLASSES = 3
_BATCH = 3
_ROUNDS = 2

_TRAINING = Training(
    algorithm=Algorithm.FED_AVG,
    client=Optimization(adam=False, learning_rate=0.1),
    server=Optimization(adam=False, learning_rate=1.0),
    batch_size=_BATCH,
    max_batches=-1,
    report_goal=4,
    rounds=10,
    privacy=Privacy(PrivacyType.FIXED_GAUSSIAN, noise_multiplier=0.0, clip_norm=0.05, epsilon=10.0, delta=1e-7),
)

Weights = list[np.ndarray[Any, Any]]


def _model() -> models.Model:
    """Multinomial regression, which is easily written down in NumPy."""
    tf.keras.utils.set_random_seed(7)
    keras = tf.keras.Sequential([tf.keras.layers.Dense(_CLASSES, input_shape=(_FEATURES,), bias_initializer="normal")])
    keras.compile(loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return models.of(keras, "")


def _clients() -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Four devices with different numbers of examples; batches of three do not fit."""
    random = np.random.default_rng(1)
    return [(random.normal(size=(count, _FEATURES)).astype(np.float32), random.integers(_CLASSES, size=count)) for count in (3, 7, 10, 1)]


def _files(folder: Path) -> list[str]:
    return [
        plan_runner.examples_file(folder / str(i), [{"x": x, "y": y} for x, y in zip(*client, strict=True)])
        for i, client in enumerate(_clients())
    ]


def _gradient(weights: Weights, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> tuple[Weights, float, int]:
    """Gradients, mean loss, and number of right answers of softmax regression."""
    logits = x.astype(np.float64) @ weights[0] + weights[1]
    logits -= logits.max(axis=1, keepdims=True)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows = np.arange(len(y))
    loss = float(-np.log(p[rows, y]).mean())
    right = int((logits.argmax(axis=1) == y).sum())
    p[rows, y] -= 1
    return [x.T @ p / len(y), p.mean(axis=0)], loss, right


class _Adam:
    def __init__(self, rate: float) -> None:
        self._rate, self._t = rate, 0
        self._m: Weights = [np.zeros(()), np.zeros(())]
        self._v: Weights = [np.zeros(()), np.zeros(())]

    def step(self, weights: Weights, gradients: Weights) -> Weights:
        self._t += 1
        self._m = [0.9 * m + 0.1 * g for m, g in zip(self._m, gradients, strict=True)]
        self._v = [0.999 * v + 0.001 * g**2 for v, g in zip(self._v, gradients, strict=True)]
        rate = self._rate * np.sqrt(1 - 0.999**self._t) / (1 - 0.9**self._t)
        return [w - rate * m / (np.sqrt(v) + 1e-7) for w, m, v in zip(weights, self._m, self._v, strict=True)]


class _Sgd:
    def __init__(self, rate: float) -> None:
        self._rate = rate

    def step(self, weights: Weights, gradients: Weights) -> Weights:
        return [w - self._rate * g for w, g in zip(weights, gradients, strict=True)]


def _plain(training: Training, weights: Weights) -> list[tuple[Weights, float, float]]:
    """Weights, mean loss and accuracy after each of the rounds, in NumPy."""
    server = (_Adam if training.server.adam else _Sgd)(training.server.learning_rate)
    rounds = []
    for _ in range(_ROUNDS):
        steps, shares, losses, right = [], [], 0.0, 0
        for x, y in _clients():
            if training.algorithm is Algorithm.FED_SGD:
                gradient, loss, count = _gradient(weights, x, y)
                steps.append([-g for g in gradient])
                shares.append(float(len(y)))
                losses, right = losses + loss * len(y), right + count
                continue
            client = (_Adam if training.client.adam else _Sgd)(training.client.learning_rate)
            local = weights
            for i in range(0, len(y), _BATCH):
                gradient, loss, count = _gradient(local, x[i : i + _BATCH], y[i : i + _BATCH])
                local = client.step(local, gradient)
                losses, right = losses + loss * len(y[i : i + _BATCH]), right + count
            steps.append([after - before for after, before in zip(local, weights, strict=True)])
            shares.append(1.0)
        mean = [np.average([step[i] for step in steps], axis=0, weights=shares) for i in range(2)]
        weights = server.step(weights, [-m for m in mean])
        examples = sum(len(y) for _, y in _clients())
        rounds.append((weights, losses / examples, right / examples))
    return rounds


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
    for expected, loss, accuracy in _plain(training, weights):
        if second_kind:
            start = plan_runner.prepare_v2(plan, checkpoint)[0]
            checkpoint, metrics = plan_runner.run_v2(plan, checkpoint, [plan_runner.device_update(client, start, file) for file in files])
        else:
            start = plan_runner.PhaseSession(plan, checkpoint).client_checkpoint()
            updated = plan_runner.run_v1(plan, checkpoint, [plan_runner.device_update(client, start, file) for file in files])
            checkpoint, metrics = updated.to_checkpoint(), updated.metrics()
            _close(updated.client_checkpoint(), "client", expected)
        _close(checkpoint, "server", expected)
        assert metrics == pytest.approx(
            {
                "server/client_work/train/loss": loss,
                "server/client_work/train/accuracy": accuracy,
                "server/client_work/train/sparse_categorical_crossentropy_from_logits": loss,
                "server/finalizer/update_non_finite": 0.0,
            },
            rel=1e-5,
        )
