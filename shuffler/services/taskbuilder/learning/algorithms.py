"""Federated averaging, federated SGD and evaluation: what a device computes, and what the server does with the sums.

A device sends tensors with these names (behind "update/"), whose sums over the devices are what the server works with:

    0/<metric>/<i>   the sums of which a metric is made
    1/<i>            the step of a trainable variable, times the weight
    2                the weight (without differential privacy)
    3                1 if the step was within the clip norm (with an adaptive one)

The variables of the Keras model are the server's weights in the server's graphs, and a device's own in its graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import tensorflow as tf

from shuffler.services.taskbuilder.config.settings import Algorithm, Optimization, Training
from shuffler.services.taskbuilder.dp import mechanisms
from shuffler.services.taskbuilder.learning import optimizers
from shuffler.services.taskbuilder.learning.metrics import Metrics
from shuffler.services.taskbuilder.learning.models import Model

_WEIGHT = "2"
_WITHIN = "3"


class Process(Protocol):
    """What a plan is made of."""

    @property
    def server_state(self) -> dict[str, Any]:
        """Variables that the server keeps between rounds, by name."""

    @property
    def client_state(self) -> dict[str, Any]:
        """Variables that devices get, by name."""

    @property
    def sums(self) -> dict[str, Any]:
        """What devices send: tf.TensorSpec by name."""

    def device(self, token: Any) -> dict[str, Any]:
        """What a device computes, with the variables of client_state set.

        Args:
            token: scalar string, the path of a TFRecord file of serialized tf.Examples.

        Returns:
            the tensors of sums.
        """

    def check(self, update: Mapping[str, Any]) -> dict[str, Any]:
        """What the server counts of the tensors of one device; values that are not finite are an InvalidArgumentError when it runs."""

    def apply(self, total: Mapping[str, Any]) -> None:
        """Makes the server's step with the sums of all devices."""

    def results(self) -> dict[str, Any]:
        """The metrics of the last apply(), scalars by name."""


def _optimizer(optimization: Optimization, variables: Sequence[Any]) -> optimizers.Optimizer:
    return (optimizers.Adam if optimization.adam else optimizers.Sgd)(variables, optimization.learning_rate)


def _batches(model: Model, token: Any, batch_size: int, max_batches: int) -> Any:
    """Batches of inputs, labels and their number."""
    examples = tf.data.TFRecordDataset(token).batch(batch_size)
    return examples.map(lambda batch: (*model.parse(batch), tf.cast(tf.size(batch), tf.float32))).take(max_batches)


def _numbered(prefix: str, values: Sequence[Any]) -> dict[str, Any]:
    return {f"{prefix}/{i}": value for i, value in enumerate(values)}


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}/{name}": value for name, value in values.items()}


def _model_state(model: Model) -> dict[str, Any]:
    return {**_numbered("model/trainable", model.trainable), **_numbered("model/non_trainable", model.non_trainable)}


def _zeros_like(variables: Sequence[Any]) -> list[Any]:
    return [tf.Variable(tf.zeros(variable.shape, variable.dtype), trainable=False) for variable in variables]


def _reset(variables: Sequence[Any]) -> None:
    for variable in variables:
        variable.assign(tf.zeros(variable.shape, variable.dtype))


def _finite(update: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tf.debugging.check_numerics(tensor, f"update/{name}: expected finite numbers") for name, tensor in update.items()}


class TrainingProcess:
    """A model that is trained."""

    def __init__(self, model: Model, training: Training, metrics: Sequence[str], *, private: bool) -> None:
        """Makes a process.

        Args:
            model: to train.
            training: how; its noise multiplier is used as it is.
            metrics: to report.
            private: whether updates are clipped and get noise.

        Raises:
            ValueError: the privacy that is asked for cannot be had.
        """
        self._model = model
        self._training = training
        self._metrics = Metrics(metrics, model.accuracy)
        self._server_optimizer = _optimizer(training.server, model.trainable)
        self._mechanism = _mechanism(training, model) if private else None
        self._non_finite = tf.Variable(0.0, trainable=False)
        # The device's.
        self._examples = tf.Variable(0.0, trainable=False)
        self._client_optimizer = _optimizer(training.client, model.trainable)
        self._gradients = _zeros_like(model.trainable) if training.algorithm is Algorithm.FED_SGD else []

    @property
    def server_state(self) -> dict[str, Any]:
        """The model, and the states of the server's optimizer and of the noise."""
        return {
            **_model_state(self._model),
            **_prefixed("optimizer", self._server_optimizer.state),
            **_prefixed("privacy", self._mechanism.state if self._mechanism else {}),
        }

    @property
    def client_state(self) -> dict[str, Any]:
        """The model, and a clip norm that changes."""
        clip = {"privacy/clip_norm": self._mechanism.clip_norm} if self._mechanism and self._mechanism.adaptive else {}
        return {**_model_state(self._model), **clip}

    @property
    def sums(self) -> dict[str, Any]:
        """See the module."""
        variables = {**_prefixed("0", self._metrics.sums), **_numbered("1", self._model.trainable)}
        specs = {name: tf.TensorSpec(variable.shape, variable.dtype) for name, variable in variables.items()}
        if not self._mechanism:
            specs[_WEIGHT] = tf.TensorSpec([], tf.float32)
        elif self._mechanism.adaptive:
            specs[_WITHIN] = tf.TensorSpec([], tf.float32)
        return specs

    def device(self, token: Any) -> dict[str, Any]:
        """Trains: federated averaging makes a step a batch, federated SGD none, but takes the mean gradient of all examples."""
        averaging = self._training.algorithm is Algorithm.FED_AVG
        weights = self._model.trainable
        before = [tf.identity(weight) for weight in weights]
        _reset([self._examples, *self._gradients, *(self._client_optimizer.state.values() if averaging else ())])
        self._metrics.reset()
        for inputs, labels, count in iter(_batches(self._model, token, self._training.batch_size, self._training.max_batches)):
            with tf.GradientTape() as tape:
                predictions = self._model.keras(inputs, training=True)
                loss = self._model.total_loss(labels, predictions)
            gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, weights, unconnected_gradients="zero")]
            self._metrics.update(labels, predictions, loss, count)
            self._examples.assign_add(count)
            if averaging:
                self._client_optimizer.apply(gradients)
            for total, gradient in zip(self._gradients, gradients, strict=False):
                total.assign_add(gradient * tf.cast(count, gradient.dtype))
        examples = tf.identity(self._examples)
        if averaging:
            step = [weight - start for weight, start in zip(weights, before, strict=True)]
            weight = tf.cast(examples > 0, tf.float32)
        else:
            step = [-tf.math.divide_no_nan(total, tf.cast(examples, total.dtype)) for total in self._gradients]
            weight = examples
        return {
            **_prefixed("0", {name: tf.identity(total) for name, total in self._metrics.sums.items()}),
            **self._contribution(step, weight),
        }

    def check(self, update: Mapping[str, Any]) -> dict[str, Any]:
        """With privacy, no device counts for more than one, whatever it sent."""
        checked = _finite(update)
        if self._mechanism:
            steps = [f"1/{i}" for i in range(len(self._model.trainable))]
            checked.update(zip(steps, mechanisms.bound([checked[name] for name in steps])[0], strict=True))
            if self._mechanism.adaptive:
                checked[_WITHIN] = tf.clip_by_value(checked[_WITHIN], 0.0, 1.0)
        return checked

    def apply(self, total: Mapping[str, Any]) -> None:
        """Gives the server's optimizer the mean step, turned round, as its gradient."""
        for name, variable in self._metrics.sums.items():
            variable.assign(total[f"0/{name}"])
        steps = [total[f"1/{i}"] for i in range(len(self._model.trainable))]
        if self._mechanism:
            mean = self._mechanism.mean(steps, total.get(_WITHIN), mechanisms.entropy())
        else:
            mean = [tf.math.divide_no_nan(step, tf.cast(total[_WEIGHT], step.dtype)) for step in steps]
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(tensor)) for tensor in mean])
        self._non_finite.assign(1.0 - tf.cast(finite, tf.float32))
        if finite:
            self._server_optimizer.apply([-tensor for tensor in mean])

    def results(self) -> dict[str, Any]:
        """Named as the reference's plans name them."""
        return {
            **_prefixed("server/client_work/train", self._metrics.results()),
            "server/finalizer/update_non_finite": tf.identity(self._non_finite),
        }

    def _contribution(self, step: Sequence[Any], weight: Any) -> dict[str, Any]:
        # Training that went astray contributes nothing; its loss shows it.
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(tensor)) for tensor in step])
        step = [tf.where(finite, tensor, tf.zeros_like(tensor)) for tensor in step]
        weight = tf.where(finite, weight, 0.0)
        if not self._mechanism:
            return {**_numbered("1", [tensor * tf.cast(weight, tensor.dtype) for tensor in step]), _WEIGHT: weight}
        clipped, within = self._mechanism.clip(step)
        return {**_numbered("1", clipped), **({_WITHIN: within} if self._mechanism.adaptive else {})}


class EvaluationProcess:
    """A model that is evaluated: the checkpoints of its training task are the server's."""

    def __init__(self, model: Model, training: Training, metrics: Sequence[str]) -> None:
        """Makes a process.

        Args:
            model: to evaluate.
            training: the sizes of batches.
            metrics: to report.
        """
        self._model = model
        self._training = training
        self._metrics = Metrics(metrics, model.accuracy)

    @property
    def server_state(self) -> dict[str, Any]:
        """The model."""
        return _model_state(self._model)

    @property
    def client_state(self) -> dict[str, Any]:
        """The model."""
        return _model_state(self._model)

    @property
    def sums(self) -> dict[str, Any]:
        """Metrics."""
        return {f"0/{name}": tf.TensorSpec(variable.shape, variable.dtype) for name, variable in self._metrics.sums.items()}

    def device(self, token: Any) -> dict[str, Any]:
        """Predicts."""
        self._metrics.reset()
        for inputs, labels, count in iter(_batches(self._model, token, self._training.batch_size, self._training.max_batches)):
            predictions = self._model.keras(inputs, training=False)
            self._metrics.update(labels, predictions, self._model.total_loss(labels, predictions), count)
        return _prefixed("0", {name: tf.identity(total) for name, total in self._metrics.sums.items()})

    def check(self, update: Mapping[str, Any]) -> dict[str, Any]:
        """See Process."""
        return _finite(update)

    def apply(self, total: Mapping[str, Any]) -> None:
        """Keeps the sums."""
        for name, variable in self._metrics.sums.items():
            variable.assign(total[f"0/{name}"])

    def results(self) -> dict[str, Any]:
        """Named as the reference's plans name them."""
        return _prefixed("server/eval", self._metrics.results())


def _mechanism(training: Training, model: Model) -> mechanisms.Mechanism:
    privacy = training.privacy
    return mechanisms.Mechanism(
        [variable.shape for variable in model.trainable],
        noise_multiplier=privacy.noise_multiplier,
        clients=training.report_goal,
        clip_norm=privacy.clip_norm,
        adaptive=privacy.kind.adaptive,
        tree_rounds=training.rounds if privacy.kind.tree else 0,
    )
