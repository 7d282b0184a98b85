"""Tests of the TensorFlow that the task builder runs on."""

from __future__ import annotations

import pytest
import tensorflow as tf

from shuffler.services.taskbuilder import tensorflow_check


def test_the_locked_tensorflow_executes_a_graph() -> None:
    assert tensorflow_check.execute_graph() == "2.14.1"


def test_a_wrong_result_is_an_error_that_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf, "matmul", tf.add)
    with pytest.raises(tensorflow_check.TensorFlowError, match=r"computed \[\[2\.0, 3\.0\], \[13\.0, 14\.0\]\]"):
        tensorflow_check.execute_graph()
