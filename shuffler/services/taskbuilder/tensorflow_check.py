"""Shows that TensorFlow works in this process, before anything depends on it."""

from __future__ import annotations

import tensorflow as tf


class TensorFlowError(Exception):
    """TensorFlow computed something else than it should; str() is one line for the user."""


def execute_graph() -> str:
    """Executes a small graph and returns the version of the TensorFlow that did it.

    Raises:
        TensorFlowError: the result is wrong.
    """
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, shape=[2, 1])
        y = tf.matmul(tf.constant([[1.0, 2.0], [3.0, 4.0]]), x)
    with tf.compat.v1.Session(graph=graph) as session:
        result = session.run(y, {x: [[1.0], [10.0]]}).tolist()
    if result != [[21.0], [43.0]]:
        raise TensorFlowError(f"TensorFlow {tf.__version__} computed {result} for [[1, 2], [3, 4]] x [[1], [10]], expected [[21], [43]]")
    return str(tf.__version__)
