"""Keras models, and how examples of a device become what they take."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from keras.src.saving import serialization_lib

from shuffler.services.taskbuilder.errors import ModelError, one_line

# Names of the features of an example for a model with one input, where the config names none.
_FEATURE = "x"
_LABEL = "y"

# tf.Example knows three kinds of values; a model's int32 is an int64 there.
_PARSED_AS = {tf.float32: tf.float32, tf.int32: tf.int64, tf.int64: tf.int64, tf.string: tf.string}


@dataclass(frozen=True)
class Feature:
    """A feature of an example.

    Attributes:
        name: in the tf.Example.
        shape: without the batch.
        dtype: that the model takes.
    """

    name: str
    shape: tuple[int, ...]
    dtype: Any


@dataclass(frozen=True)
class Model:
    """A model that can be trained on examples.

    Attributes:
        keras: the tf.keras.Model.
        loss: takes labels and predictions of a batch, and returns their mean loss.
        inputs: features that the model takes.
        label: the feature that it is to predict.
    """

    keras: Any
    loss: Callable[[Any, Any], Any]
    inputs: tuple[Feature, ...]
    label: Feature

    @property
    def trainable(self) -> list[Any]:
        """Variables that training changes, in the model's order."""
        return list(self.keras.trainable_variables)

    @property
    def non_trainable(self) -> list[Any]:
        """Variables that devices get but whose changes stay there (moving averages, frozen layers)."""
        return list(self.keras.non_trainable_variables)

    @property
    def accuracy(self) -> str:
        """The metric that is this model's accuracy."""
        if self.label.dtype == tf.int64:
            return "sparse_categorical_accuracy"
        return "binary_accuracy" if self.label.shape[-1:] == (1,) else "categorical_accuracy"

    def parse(self, examples: Any) -> tuple[Any, Any]:
        """Makes inputs and labels of a batch of serialized tf.Examples."""
        features = {feature.name: feature for feature in (*self.inputs, self.label)}
        parsed = tf.io.parse_example(
            examples, {name: tf.io.FixedLenFeature(feature.shape, _PARSED_AS[feature.dtype]) for name, feature in features.items()}
        )
        batch = {
            name: tf.cast(parsed[name], feature.dtype) if feature.dtype == tf.int32 else parsed[name] for name, feature in features.items()
        }
        inputs = [batch[feature.name] for feature in self.inputs]
        if isinstance(self.keras.input, dict):
            return dict(zip(self.keras.input, inputs, strict=True)), batch[self.label.name]
        return inputs if isinstance(self.keras.input, (list, tuple)) else inputs[0], batch[self.label.name]

    def total_loss(self, labels: Any, predictions: Any) -> Any:
        """The mean loss of a batch, and what the layers add to it (regularization)."""
        loss = self.loss(labels, predictions)
        return loss + tf.add_n(self.keras.losses) if self.keras.losses else loss


def load(path: Path, label_name: str) -> Model:
    """Loads a Keras model: a SavedModel folder or a .keras file.

    Args:
        path: of it.
        label_name: the feature to predict; may be empty for a model with one input.

    Raises:
        ModelError: it is none, needs code that only its author has, is not compiled with one loss, or takes what no example can hold.
    """
    if path.is_dir() and not (path / "saved_model.pb").is_file():
        raise ModelError("model: expected a SavedModel folder or a .keras file, found a folder without saved_model.pb")
    if path.is_file() and not zipfile.is_zipfile(path):
        raise ModelError("model: expected a SavedModel folder or a .keras file, found a file that is no ZIP archive")
    try:
        # Python code in a model (a Lambda layer) is refused, whatever the format: who asks for a task is no reason to run it here.
        with serialization_lib.SafeModeScope(safe_mode=True):
            loaded = tf.keras.models.load_model(path)
    except Exception as e:
        raise ModelError(f"model: Keras cannot load it: {one_line(e)}") from e
    if not isinstance(loaded, tf.keras.Model):
        raise ModelError("model: expected a Keras model, found a SavedModel of another kind; save it with model.save()")
    return of(loaded, label_name)


def of(keras: Any, label_name: str) -> Model:
    """Takes a compiled tf.keras.Model.

    Args:
        keras: the model.
        label_name: as in load().

    Raises:
        ModelError: as in load().
    """
    try:
        inputs = keras.input
        output = keras.output
    except AttributeError as e:
        raise ModelError("model: expected one whose inputs are known; call it once, or build() it, before it is saved") from e
    if not hasattr(output, "shape"):
        raise ModelError("model: expected one output, found several")
    if not keras.trainable_variables:
        raise ModelError("model: expected variables that can be trained, found none")
    if not getattr(keras, "loss", None) or isinstance(keras.loss, (dict, list, tuple)):
        raise ModelError("model: expected one that is compiled with one loss (model.compile(loss=...)) before it is saved")
    loss = tf.keras.losses.get(keras.loss)
    if isinstance(inputs, dict):
        named = list(inputs.items())
    elif isinstance(inputs, (list, tuple)):
        named = list(zip(keras.input_names, inputs, strict=True))
    else:
        named = [(_FEATURE, inputs)]
    if len(named) > 1 and not label_name:
        raise ModelError(f"model: it has {len(named)} inputs, so label_name has to say which feature is the label; found none")
    features = tuple(_feature(name, tensor.shape[1:], tensor.dtype) for name, tensor in named)
    label = _label(label_name or _LABEL, loss, output)
    if label.name in {feature.name for feature in features}:
        raise ModelError(f"model: expected a label beside the inputs, found the input '{label.name}'")
    return Model(keras, _mean(loss), features, label)


def _feature(name: str, shape: Any, dtype: Any) -> Feature:
    dtype = tf.as_dtype(dtype)
    if dtype not in _PARSED_AS:
        raise ModelError(f"model: input '{name}': expected float32, int32, int64 or string, found {dtype.name}")
    if not shape.is_fully_defined():
        raise ModelError(f"model: input '{name}': expected a shape that is fixed but for the batch, found {shape}")
    return Feature(name, tuple(shape.as_list()), dtype)


def _label(name: str, loss: Any, output: Any) -> Feature:
    """Keras does not keep what labels look like; the loss tells."""
    # The name of a function, or of the class of a loss.
    kind = str(getattr(loss, "__name__", type(loss).__name__)).replace("_", "").lower()
    if kind == "sparsecategoricalcrossentropy":
        return _feature(name, output.shape[1:-1], tf.int64)
    return _feature(name, output.shape[1:], tf.float32)


def _mean(loss: Any) -> Callable[[Any, Any], Any]:
    return lambda labels, predictions: tf.reduce_mean(loss(labels, predictions))
