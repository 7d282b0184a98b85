"""Federated learning of softmax regression written down in NumPy, in float64: what plans and whole systems are held against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shuffler.services.taskbuilder.config.settings import Algorithm, Training

Weights = list[np.ndarray[Any, Any]]
"""Kernel [features, classes] and bias [classes]."""

Client = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
"""Features [examples, features] and classes [examples] of a device, in the order in which it takes them."""


def gradient(weights: Weights, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> tuple[Weights, float, int]:
    """Gradients, mean loss, and number of right answers."""
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


class Plain:
    """Rounds, one after the other.

    Attributes:
        weights: of the model after the last round.
    """

    def __init__(self, training: Training, weights: Weights, *, clip: bool = False) -> None:
        """Begins.

        Args:
            training: how.
            weights: of the first model.
            clip: whether a device's step has at most the clip norm, and steps are divided by the number of devices that was planned;
                as with privacy, but without noise.
        """
        self.weights = weights
        self._training = training
        self._clip = clip
        self._server = (_Adam if training.server.adam else _Sgd)(training.server.learning_rate)

    def round(self, clients: Sequence[Client]) -> tuple[float, float]:
        """One round with some devices; mean loss and accuracy of their training."""
        steps, shares, losses, right = [], [], 0.0, 0
        for x, y in clients:
            step, share, loss, count = self._device(x, y)
            if self._clip:
                norm = np.sqrt(sum(float((tensor**2).sum()) for tensor in step))
                step = [tensor * min(1.0, self._training.privacy.clip_norm / norm) for tensor in step]
            steps.append(step)
            shares.append(share)
            losses, right = losses + loss, right + count
        total = [np.sum([share * step[i] for step, share in zip(steps, shares, strict=True)], axis=0) for i in range(2)]
        divisor = self._training.report_goal if self._clip else sum(shares)
        self.weights = self._server.step(self.weights, [-tensor / divisor for tensor in total])
        examples = sum(len(y) for _, y in clients)
        return losses / examples, right / examples

    def _device(self, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> tuple[Weights, float, float, int]:
        """Step, weight, sum of losses and number of right answers."""
        if self._training.algorithm is Algorithm.FED_SGD:
            mean, loss, right = gradient(self.weights, x, y)
            return [-g for g in mean], float(len(y)), loss * len(y), right
        client = (_Adam if self._training.client.adam else _Sgd)(self._training.client.learning_rate)
        local, losses, right = self.weights, 0.0, 0
        size = self._training.batch_size
        for i in range(0, len(y), size):
            batch = y[i : i + size]
            mean, loss, count = gradient(local, x[i : i + size], batch)
            local = client.step(local, mean)
            losses, right = losses + loss * len(batch), right + count
        return [after - before for after, before in zip(local, self.weights, strict=True)], 1.0, losses, right
