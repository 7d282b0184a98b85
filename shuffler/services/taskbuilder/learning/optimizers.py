"""Optimizers whose state is plain variables, so that it can lie in a checkpoint: SGD and Adam as Keras has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import tensorflow as tf


class Optimizer(Protocol):
    """Changes variables by gradients."""

    @property
    def state(self) -> dict[str, Any]:
        """Variables that have to be kept between steps, by name; all begin with zeros."""

    def apply(self, gradients: Sequence[Any]) -> None:
        """Makes one step."""


class Sgd:
    """Gradient descent."""

    def __init__(self, variables: Sequence[Any], learning_rate: float) -> None:
        self._variables = variables
        self._learning_rate = learning_rate

    @property
    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def apply(self, gradients: Sequence[Any]) -> None:
        """Subtracts the gradients, scaled."""
        for variable, gradient in zip(self._variables, gradients, strict=True):
            variable.assign_sub(self._learning_rate * gradient)


class Adam:
    """Adam (Kingma and Ba, 2015), with Keras' epsilon, which stands outside the bias correction."""

    _BETA_1 = 0.9
    _BETA_2 = 0.999
    _EPSILON = 1e-7

    def __init__(self, variables: Sequence[Any], learning_rate: float) -> None:
        self._variables = variables
        self._learning_rate = learning_rate
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._m = [tf.Variable(tf.zeros(variable.shape, variable.dtype), trainable=False) for variable in variables]
        self._v = [tf.Variable(tf.zeros(variable.shape, variable.dtype), trainable=False) for variable in variables]

    @property
    def state(self) -> dict[str, Any]:
        """The number of steps, and the two moments of each variable."""
        moments = {f"{name}/{i}": slot for name, slots in (("m", self._m), ("v", self._v)) for i, slot in enumerate(slots)}
        return {"step": self._step, **moments}

    def apply(self, gradients: Sequence[Any]) -> None:
        """Makes one step."""
        self._step.assign_add(1)
        step = tf.cast(self._step, tf.float64)
        rate = self._learning_rate * tf.sqrt(1 - tf.constant(self._BETA_2, tf.float64) ** step)
        rate = rate / (1 - tf.constant(self._BETA_1, tf.float64) ** step)
        for variable, gradient, m, v in zip(self._variables, gradients, self._m, self._v, strict=True):
            m.assign_add((gradient - m) * (1 - self._BETA_1))
            v.assign_add((tf.square(gradient) - v) * (1 - self._BETA_2))
            variable.assign_sub(tf.cast(rate, variable.dtype) * m / (tf.sqrt(v) + self._EPSILON))
