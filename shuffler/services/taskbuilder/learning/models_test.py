"""Tests of which models are taken, and how examples become their inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from shuffler.services.taskbuilder.errors import ModelError
from shuffler.services.taskbuilder.learning import models

_Layers = tf.keras.layers


def _compiled(keras: Any, loss: Any = "mse") -> Any:
    keras.compile(loss=loss)
    return keras


def _dense() -> Any:
    return tf.keras.Sequential([_Layers.Dense(1, input_shape=(2,))])


def _example(**features: Any) -> bytes:
    return bytes(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def _floats(*values: float) -> Any:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def _ints(*values: int) -> Any:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def test_one_input_is_x_and_its_label_y_unless_the_config_names_it() -> None:
    model = models.of(_compiled(_dense()), "")
    assert [(feature.name, feature.shape) for feature in (*model.inputs, model.label)] == [("x", (2,)), ("y", (1,))]
    inputs, labels = model.parse([_example(x=_floats(1, 2), y=_floats(3))])
    np.testing.assert_array_equal(inputs, [[1, 2]])
    np.testing.assert_array_equal(labels, [[3]])
    assert models.of(_compiled(_dense()), "price").label.name == "price"


def test_several_inputs_have_names_and_the_label_needs_one() -> None:
    inputs = [_Layers.Input((2,), name="a"), _Layers.Input((), dtype=tf.int32, name="b")]
    output = _Layers.Dense(3)(inputs[0]) + _Layers.Embedding(4, 3)(inputs[1])
    keras = _compiled(tf.keras.Model(inputs, output), tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ModelError, match="it has 2 inputs, so label_name has to say which feature is the label"):
        models.of(keras, "")
    with pytest.raises(ModelError, match="expected a label beside the inputs, found the input 'a'"):
        models.of(keras, "a")
    model = models.of(keras, "label")
    (a, b), label = model.parse([_example(a=_floats(1, 2), b=_ints(3), label=_ints(2))])
    assert (a.shape, b.dtype, label.dtype, label.shape) == ((1, 2), tf.int32, tf.int64, (1,))
    assert float(model.total_loss(label, keras([a, b]))) > 0


@pytest.mark.parametrize(
    ("loss", "units", "accuracy"),
    [
        ("sparse_categorical_crossentropy", 3, "sparse_categorical_accuracy"),
        ("categorical_crossentropy", 3, "categorical_accuracy"),
        ("binary_crossentropy", 1, "binary_accuracy"),
    ],
)
def test_the_loss_tells_what_labels_look_like(loss: str, units: int, accuracy: str) -> None:
    model = models.of(_compiled(tf.keras.Sequential([_Layers.Dense(units, input_shape=(2,))]), loss), "")
    assert (model.accuracy, model.label.shape) == (accuracy, () if accuracy.startswith("sparse") else (units,))


def test_regularization_is_part_of_the_loss() -> None:
    layer = _Layers.Dense(1, input_shape=(2,), kernel_initializer="ones", kernel_regularizer=tf.keras.regularizers.L2(0.5))
    model = models.of(_compiled(tf.keras.Sequential([layer])), "")
    inputs = tf.zeros([4, 2])
    assert float(model.total_loss(tf.zeros([4, 1]), model.keras(inputs))) == 1.0


@pytest.mark.parametrize("form", ["model.keras", "folder"])
def test_both_forms_are_loaded(form: str, tmp_path: Path) -> None:
    keras = _compiled(_dense(), tf.keras.losses.Huber())
    keras.save(tmp_path / form, **({} if form == "model.keras" else {"save_format": "tf"}))
    model = models.load(tmp_path / form, "")
    np.testing.assert_array_equal(model.trainable[0], keras.trainable_variables[0])


def test_a_model_that_cannot_be_used_is_refused_with_a_reason() -> None:
    two = _Layers.Input((2,))
    for keras, reason in (
        (_dense(), "expected one that is compiled with one loss"),
        (_compiled(tf.keras.Sequential([_Layers.Dense(1)])), "expected one whose inputs are known"),
        (_compiled(tf.keras.Model(two, [_Layers.Dense(1)(two), _Layers.Dense(1)(two)])), "expected one output, found several"),
        (_compiled(tf.keras.Sequential([_Layers.Flatten(input_shape=(2,))])), "expected variables that can be trained, found none"),
        (_compiled(tf.keras.Sequential([_Layers.LSTM(1, input_shape=(None, 2))])), "input 'x': expected a shape that is fixed but for the"),
        (
            _compiled(tf.keras.Sequential([_Layers.Dense(1, input_shape=(2,), dtype="float64")])),
            "input 'x': expected float32, int32, int64",
        ),
    ):
        with pytest.raises(ModelError, match=reason):
            models.of(keras, "")


def test_what_is_no_model_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/saved_model.pb").write_bytes(b"no protobuf")
    (tmp_path / "file.keras").write_bytes(b"no ZIP")
    tf.saved_model.save(tf.Module(), str(tmp_path / "module"))
    for name, reason in (
        ("empty", "found a folder without saved_model.pb"),
        ("bad", "Keras cannot load it"),
        ("file.keras", "found a file that is no ZIP archive"),
        ("module", "found a SavedModel of another kind"),
    ):
        with pytest.raises(ModelError, match=reason) as refused:
            models.load(tmp_path / name, "")
        assert "\n" not in str(refused.value)


def test_python_code_in_a_model_is_not_run(tmp_path: Path) -> None:
    keras = _compiled(tf.keras.Sequential([_Layers.Dense(1, input_shape=(2,)), _Layers.Lambda(lambda x: x + 1)]))
    keras.save(tmp_path / "model.keras")
    with pytest.raises(ModelError, match="Lambda"):
        models.load(tmp_path / "model.keras", "")
    # A SavedModel has the layer as a graph, too, which is taken instead.
    keras.save(tmp_path / "folder", save_format="tf")
    loaded = models.load(tmp_path / "folder", "").keras
    assert [isinstance(layer, _Layers.Lambda) for layer in loaded.layers] == [False, False]
    np.testing.assert_array_equal(loaded(tf.zeros([1, 2])), [[1.0]])
