"""Metrics that a task may report: sums that devices make, that are added up, and of which the server makes a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

LOSS = "loss"
# As in Keras: one of three, by what the model predicts.
_ACCURACY = "accuracy"

_METRICS: dict[str, Callable[[], Any]] = {
    "auc-pr": lambda: tf.keras.metrics.AUC(curve="PR"),
    "auc-roc": lambda: tf.keras.metrics.AUC(curve="ROC"),
    "binary_accuracy": tf.keras.metrics.BinaryAccuracy,
    "binary_crossentropy": tf.keras.metrics.BinaryCrossentropy,
    "binary_crossentropy_from_logits": lambda: tf.keras.metrics.BinaryCrossentropy(from_logits=True),
    "categorical_accuracy": tf.keras.metrics.CategoricalAccuracy,
    "categorical_crossentropy": tf.keras.metrics.CategoricalCrossentropy,
    "categorical_crossentropy_from_logits": lambda: tf.keras.metrics.CategoricalCrossentropy(from_logits=True),
    # Of the predictions.
    "mean": lambda: tf.keras.metrics.MeanMetricWrapper(lambda _labels, predictions: predictions),
    "mean_absolute_error": tf.keras.metrics.MeanAbsoluteError,
    "mean_absolute_percentage_error": tf.keras.metrics.MeanAbsolutePercentageError,
    "mean_squared_error": tf.keras.metrics.MeanSquaredError,
    "mean_squared_logarithmic_error": tf.keras.metrics.MeanSquaredLogarithmicError,
    "precision": tf.keras.metrics.Precision,
    "recall": tf.keras.metrics.Recall,
    "root_mean_squared_error": tf.keras.metrics.RootMeanSquaredError,
    "sparse_categorical_accuracy": tf.keras.metrics.SparseCategoricalAccuracy,
    "sparse_categorical_crossentropy": tf.keras.metrics.SparseCategoricalCrossentropy,
    "sparse_categorical_crossentropy_from_logits": lambda: tf.keras.metrics.SparseCategoricalCrossentropy(from_logits=True),
}


def choose(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Splits names of metrics into those that there are and the others, each once, in their order."""
    known = {*_METRICS, _ACCURACY}
    unique = [name for name in dict.fromkeys(names) if name != LOSS]
    return tuple(name for name in unique if name in known), tuple(name for name in unique if name not in known)


class Metrics:
    """Metrics with variables for their sums; the loss is always the first of them."""

    def __init__(self, names: Sequence[str], accuracy: str) -> None:
        """Makes metrics.

        Args:
            names: what choose() accepted.
            accuracy: the metric that "accuracy" stands for.
        """
        self._metrics = {
            LOSS: tf.keras.metrics.Mean(),
            **{name: _METRICS[accuracy if name == _ACCURACY else name]() for name in names},
        }

    @property
    def sums(self) -> dict[str, Any]:
        """Variables by the name of the metric and a number; the sums of several devices are their sums."""
        return {f"{name}/{i}": variable for name, metric in self._metrics.items() for i, variable in enumerate(metric.variables)}

    def reset(self) -> None:
        """Sets all sums to zero."""
        for variable in self.sums.values():
            variable.assign(tf.zeros(variable.shape, variable.dtype))

    def update(self, labels: Any, predictions: Any, loss: Any, examples: Any) -> None:
        """Takes in a batch.

        Args:
            labels: of the batch.
            predictions: likewise.
            loss: the mean of it.
            examples: how many there are, as float32.
        """
        for name, metric in self._metrics.items():
            if name == LOSS:
                metric.update_state(loss, sample_weight=examples)
            else:
                metric.update_state(labels, predictions)

    def results(self) -> dict[str, Any]:
        """The numbers, by the names of the metrics."""
        return {name: tf.cast(metric.result(), tf.float32) for name, metric in self._metrics.items()}
