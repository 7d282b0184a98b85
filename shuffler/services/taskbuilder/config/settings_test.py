"""Tests of what a TaskConfig may say."""

from __future__ import annotations

import pytest
import shuffler.proto.task_builder_pb2 as task_builder_pb2
from google.protobuf import text_format

from shuffler.services.taskbuilder.config import settings
from shuffler.services.taskbuilder.errors import InvalidRequestError

_SMALLEST = """
population_name: "p"
federated_learning { learning_process { runtime_config { report_goal: 7 } } }
differential_privacy { clip_norm: 0.5 }
"""
_EVALUATED = _SMALLEST + "mode: TRAINING_AND_EVAL federated_learning { evaluation { report_goal: 2 } }"


def _config(text: str) -> task_builder_pb2.TaskConfig:
    # Merge, unlike Parse, takes a field twice: the last one counts.
    return text_format.Merge(text, task_builder_pb2.TaskConfig())


def test_what_is_left_out_has_a_default() -> None:
    read = settings.read(_config(_SMALLEST))
    training = read.training
    assert (read.trains, read.evaluation, read.over_selection_rate, read.second_kind) == (True, None, 0.3, False)
    assert (training.algorithm, training.batch_size, training.max_batches) == (settings.Algorithm.FED_AVG, 3, -1)
    assert (training.client, training.server) == (settings.Optimization(False, 0.1), settings.Optimization(False, 1.0))
    assert training.privacy == settings.Privacy(settings.PrivacyType.FIXED_GAUSSIAN, 0.0, 0.5, 10.0, 1 / 3_000_000)


def test_an_adaptive_norm_begins_at_a_tenth() -> None:
    config = _config(_SMALLEST + "differential_privacy { type: ADAPTIVE_TREE clip_norm: 0 }")
    assert settings.read(config).training.privacy.clip_norm == 0.1


def test_a_group_evaluates_its_own_training_task() -> None:
    evaluation = settings.read(_config(_EVALUATED)).evaluation
    assert evaluation is not None
    assert (evaluation.population, evaluation.task_id, evaluation.selector) == ("p", 0, settings.Selector(1, hours=False))


def test_evaluation_alone_needs_a_task() -> None:
    text = _EVALUATED.replace("TRAINING_AND_EVAL", "EVAL_ONLY")
    with pytest.raises(InvalidRequestError, match="evaluation.source_training_task_id: expected a positive number, found 0"):
        settings.read(_config(text))
    read = settings.read(_config(text + "federated_learning { evaluation { source_training_task_id: 3 } }"))
    assert (read.trains, read.evaluation and read.evaluation.task_id) == (False, 3)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ('population_name: ""', "population_name"),
        ("policies { min_separation_policy { minimum_separation: -1 } }", "min_separation_policy.minimum_separation"),
        ("policies { data_availability_policy { min_example_count: -1 } }", "data_availability_policy.min_example_count"),
        ("policies { model_release_policy { num_max_training_rounds: -1 } }", "num_max_training_rounds"),
        ("policies { model_release_policy { dp_target_epsilon: 10.1 } }", "dp_target_epsilon"),
        ("policies { model_release_policy { dp_target_epsilon: nan } }", "dp_target_epsilon"),
        ("policies { model_release_policy { dp_delta: 0.001 } }", "dp_delta"),
        ("policies { dataset_policy { batch_size: -3 } }", "batch_size"),
        ("policies { dataset_policy { max_training_batches_per_client: -2 } }", "max_training_batches_per_client"),
        ("differential_privacy { noise_multiplier: -1 }", "noise_multiplier"),
        ("differential_privacy { noise_multiplier: inf }", "noise_multiplier"),
        ("differential_privacy { clip_norm: -1 }", "clip_norm"),
        ("differential_privacy { type: TREE_AGGREGATION clip_norm: 0 }", "clip_norm"),
        ("differential_privacy { type: ADAPTIVE_GAUSSIAN init_clip_norm: -1 }", "init_clip_norm"),
        ("federated_learning { learning_process { client_learning_rate: 1.5 } }", "client_learning_rate"),
        ("federated_learning { learning_process { server_learning_rate: -0.5 } }", "server_learning_rate"),
        ("federated_learning { learning_process { runtime_config { report_goal: 0 } } }", "runtime_config.report_goal"),
        ("federated_learning { learning_process { runtime_config { over_selection_rate: -1 } } }", "runtime_config.over_selection_rate"),
        ("federated_learning { evaluation { report_goal: 0 } }", "evaluation.report_goal"),
        ("federated_learning { evaluation { over_selection_rate: -1 } }", "evaluation.over_selection_rate"),
        ("federated_learning { evaluation { evaluation_traffic: 1.1 } }", "evaluation.evaluation_traffic"),
        ("federated_learning { evaluation { source_training_task_id: -1 } }", "evaluation.source_training_task_id"),
        ('federated_learning { evaluation { source_training_population: "other" } }', "evaluation.source_training_task_id"),
        ('federated_learning { evaluation { checkpoint_selector: "every_0_round" } }', "evaluation.checkpoint_selector"),
        ('federated_learning { evaluation { checkpoint_selector: "every_2_day" } }', "evaluation.checkpoint_selector"),
    ],
)
def test_a_value_out_of_range_is_refused_by_the_name_of_its_field(more: str, field: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        settings.read(_config(_EVALUATED + more))
    assert str(refused.value).startswith(f"[Invalid task config]: {field}: expected ")
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(("text", "every", "hours"), [("every_3_round", 3, False), ("every_24_hour", 24, True)])
def test_selectors_are_read(text: str, every: int, hours: bool) -> None:
    config = _config(_EVALUATED + f'federated_learning {{ evaluation {{ checkpoint_selector: "{text}" }} }}')
    evaluation = settings.read(config).evaluation
    assert evaluation is not None
    assert evaluation.selector == settings.Selector(every, hours)
