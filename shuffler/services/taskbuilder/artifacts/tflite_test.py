"""Tests of the graph for TensorFlow Lite."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from shuffler.services.taskbuilder.artifacts import tflite
from shuffler.services.taskbuilder.config.settings import Algorithm, Optimization, Privacy, PrivacyType, Training
from shuffler.services.taskbuilder.errors import ArtifactError
from shuffler.services.taskbuilder.learning import algorithms, models
from shuffler.services.taskbuilder.plans import plans
from shuffler.services.taskbuilder.testing import plan_runner

# TensorFlow Lite 2.14 may crash when an interpreter ends that has had an iterator; so the process ends before it.
_INTERPRET = """
import os
import sys
import numpy as np
import tensorflow as tf
paths = dict(argument.split("=", 1) for argument in sys.argv[2:])
interpreter = tf.lite.Interpreter(model_path=sys.argv[1])
interpreter.allocate_tensors()
for details in interpreter.get_input_details():
    interpreter.set_tensor(details["index"], np.array(paths[details["name"].split(":")[0]].encode()))
interpreter.invoke()
os._exit(0)
"""


def test_it_makes_the_same_update_as_the_graph(tmp_path: Path) -> None:
    keras = tf.keras.Sequential([tf.keras.layers.Dense(5, activation="relu", input_shape=(4,)), tf.keras.layers.Dense(3)])
    keras.compile(loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    training = Training(
        algorithm=Algorithm.FED_AVG,
        client=Optimization(adam=False, learning_rate=0.1),
        server=Optimization(adam=False, learning_rate=1.0),
        batch_size=3,
        max_batches=2,
        report_goal=1,
        rounds=1,
        privacy=Privacy(PrivacyType.FIXED_GAUSSIAN, noise_multiplier=0.0, clip_norm=0.1, epsilon=1.0, delta=1e-7),
    )
    process = algorithms.TrainingProcess(models.of(keras, ""), training, ["accuracy"], private=True)
    graph = plans.client_graph(process).graph_def()
    model = tflite.convert(graph, list(plans.CLIENT_INPUTS), plans.CLIENT_TARGET)
    assert tflite.min_client_version(tflite.flex_operations(model)) == "341812000"

    phase = plans.client_phase(process, "")
    checkpoint = plan_runner.PhaseSession(plans.server_plan(process, phase), plans.server_checkpoint(process)).client_checkpoint()
    examples = [{"x": np.arange(4, dtype=np.float32) - i, "y": i % 3} for i in range(8)]
    file = plan_runner.examples_file(tmp_path / "examples", examples)
    expected = plan_runner.read_checkpoint(plan_runner.device_update(plans.client_plan(graph, b"", phase), checkpoint, file))

    (tmp_path / "in").write_bytes(checkpoint)
    paths = {"data_token": file, "input_filepath": str(tmp_path / "in"), "output_filepath": str(tmp_path / "out")}
    (tmp_path / "model").write_bytes(model)
    arguments = [str(tmp_path / "model"), *(f"{name}={path}" for name, path in paths.items())]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", _INTERPRET, *arguments], env=environment, check=True, timeout=300)
    found = plan_runner.read_checkpoint((tmp_path / "out").read_bytes())
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_allclose(found[name], tensor, rtol=1e-4, atol=1e-6)
    # Six examples: two batches of three.
    assert found["update/0/loss/1"] == 6


def test_what_the_converter_does_not_take_is_left_to_the_graph() -> None:
    graph = tf.Graph()
    with graph.as_default():
        tf.raw_ops.FIFOQueueV2(component_types=[tf.float32], name="save")
    assert tflite.convert(graph.as_graph_def(), ["absent"], "save") == b""


@pytest.mark.parametrize(("operations", "version"), [(set(), "0"), ({"Relu6"}, "341812000"), ({"Relu6", "L2Loss"}, "341912000")])
def test_the_newest_operation_tells_the_version(operations: set[str], version: str) -> None:
    assert tflite.min_client_version(operations) == version


def test_operations_that_no_device_has_are_named() -> None:
    with pytest.raises(ArtifactError, match="found Magic, Wand; use other layers, or set skip_flex_ops_check"):
        tflite.min_client_version({"Wand", "Relu6", "Magic"})
