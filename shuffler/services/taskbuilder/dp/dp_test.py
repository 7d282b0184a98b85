"""Tests of privacy: how much noise there is, what is clipped, and how much is needed."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from shuffler.services.taskbuilder.config.settings import Algorithm, Optimization, Privacy, PrivacyType, Training
from shuffler.services.taskbuilder.dp import accounting, mechanisms
from shuffler.services.taskbuilder.errors import InvalidRequestError
from shuffler.services.taskbuilder.learning import algorithms, models
from shuffler.services.taskbuilder.plans import plans
from shuffler.services.taskbuilder.testing import plan_runner

_SIZE = 20_000
# Of the standard deviation that is estimated of so many numbers: five times its own.
_TOLERANCE = 5 / math.sqrt(2 * _SIZE)

_TRAINING = Training(
    algorithm=Algorithm.FED_AVG,
    client=Optimization(adam=False, learning_rate=0.1),
    server=Optimization(adam=False, learning_rate=1.0),
    batch_size=3,
    max_batches=-1,
    report_goal=10,
    rounds=6,
    privacy=Privacy(PrivacyType.FIXED_GAUSSIAN, noise_multiplier=0.7, clip_norm=0.5, epsilon=1.0, delta=1e-7),
)


def _mechanism(noise: float, *, adaptive: bool, tree_rounds: int, size: int = _SIZE) -> mechanisms.Mechanism:
    return mechanisms.Mechanism([(size,)], noise_multiplier=noise, clients=10, clip_norm=0.5, adaptive=adaptive, tree_rounds=tree_rounds)


def _means(mechanism: mechanisms.Mechanism, rounds: int, within: float = 5.0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Means of nothing, so noise alone, of some rounds."""
    zeros = [tf.zeros([_SIZE])]
    return np.stack([mechanism.mean(zeros, tf.constant(within), tf.constant([1, i], tf.int64))[0].numpy() for i in range(rounds)])


def test_gaussian_noise_has_the_scale_of_the_multiplier_times_the_norm_over_the_clients() -> None:
    noise = _means(_mechanism(0.7, adaptive=False, tree_rounds=0), 2)
    assert noise.std(axis=1) == pytest.approx(0.7 * 0.5 / 10, rel=_TOLERANCE)
    assert abs(np.corrcoef(noise)[0, 1]) < 5 / math.sqrt(_SIZE)


def test_the_count_of_an_adaptive_norm_takes_its_share_of_the_budget() -> None:
    noise = _means(_mechanism(0.7, adaptive=True, tree_rounds=0), 1)
    # The count's noise, in units of what a client changes, is 2 * 0.05 * 10.
    value = (0.7**-2 - 1.0**-2) ** -0.5
    assert noise.std() == pytest.approx(value * 0.5 / 10, rel=_TOLERANCE)


def test_noise_of_a_tree_adds_up_as_that_of_its_nodes() -> None:
    sums = np.cumsum(_means(_mechanism(0.7, adaptive=False, tree_rounds=6), 6), axis=0).std(axis=1) / (0.5 / 10)
    # Variances of nodes of a level, each combined with its children's: 1, 2/3, 4/7. After t rounds there is one node for each bit of t.
    level = [1.0, 2 / 3, 4 / 7]
    expected = [math.sqrt(sum(level[bit] for bit in range(3) if t >> bit & 1)) * 0.7 for t in range(1, 7)]
    np.testing.assert_allclose(sums, expected, rtol=_TOLERANCE)


@pytest.mark.parametrize("tree_rounds", [0, 30])
def test_an_adaptive_norm_goes_to_the_median(tree_rounds: int) -> None:
    mechanism = _mechanism(0.0, adaptive=True, tree_rounds=tree_rounds, size=1)
    norms = np.linspace(0.1, 0.3, 10)
    for _ in range(30):
        results = [mechanism.clip([tf.constant([norm], tf.float32)]) for norm in norms]
        total = [tf.add_n([clipped[0] for clipped, _ in results])]
        mechanism.mean(total, tf.add_n([within for _, within in results]), tf.constant([1, 1], tf.int64))
    assert float(mechanism.clip_norm) == pytest.approx(0.2, abs=0.03)


def test_clipping_bounds_the_norm_and_leaves_small_updates_alone() -> None:
    mechanism = _mechanism(1.0, adaptive=False, tree_rounds=0)
    for update, expected, within in (([0.3, 0.0], [0.6, 0.0], 1.0), ([30.0, 40.0], [0.6, 0.8], 0.0)):
        (clipped,), inside = mechanism.clip([tf.constant(update)])
        np.testing.assert_allclose(clipped, expected, rtol=1e-6)
        assert float(inside) == within


def test_a_tree_takes_monsters_for_mistakes() -> None:
    mechanism = _mechanism(1.0, adaptive=False, tree_rounds=4)
    assert np.linalg.norm(mechanism.clip([tf.constant([49.9])])[0][0]) == pytest.approx(1.0)
    assert np.linalg.norm(mechanism.clip([tf.constant([50.1])])[0][0]) == 0.0


def test_entropy_never_repeats() -> None:
    seeds = {tuple(mechanisms.entropy().numpy()) for _ in range(20)}
    assert len(seeds) == 20


def _process(kind: PrivacyType, noise: float) -> algorithms.TrainingProcess:
    keras = tf.keras.Sequential([tf.keras.layers.Dense(100, input_shape=(200,), use_bias=False)])
    keras.compile(loss="mse")
    training = replace(_TRAINING, privacy=replace(_TRAINING.privacy, kind=kind, noise_multiplier=noise))
    return algorithms.TrainingProcess(models.of(keras, ""), training, [], private=True)


@pytest.mark.parametrize("kind", list(PrivacyType))
def test_plans_make_the_noise(kind: PrivacyType, tmp_path: Path) -> None:
    process = _process(kind, 0.7)
    phase = plans.client_phase(process, "")
    plan = plans.server_plan(process, phase)
    client = plans.client_plan(plans.client_graph(process).graph_def(), b"", phase)
    checkpoint = plans.server_checkpoint(process)
    start = plan_runner.PhaseSession(plan, checkpoint).client_checkpoint()
    examples = [{"x": np.full(200, 9.0, np.float32), "y": np.zeros(100, np.float32)}]
    update = plan_runner.device_update(client, start, plan_runner.examples_file(tmp_path / "examples", examples))
    sent = plan_runner.read_checkpoint(update)["update/1/0"]
    assert np.linalg.norm(sent) == pytest.approx(1.0, rel=1e-5)

    updated = [plan_runner.run_v1(plan, checkpoint, [update], seed=(1, seed)).to_checkpoint() for seed in (1, 1, 2)]
    after = [plan_runner.read_checkpoint(one)["server/model/trainable/0"] for one in updated]
    np.testing.assert_array_equal(after[0], after[1])
    # The server's step is the mean: the update in units of the norm, and noise.
    noise = [one - plan_runner.read_checkpoint(checkpoint)["server/model/trainable/0"] - sent * 0.5 / 10 for one in after]
    multiplier = (0.7**-2 - 1.0**-2) ** -0.5 if kind.adaptive else 0.7
    for one in noise:
        assert one.std() == pytest.approx(multiplier * 0.5 / 10, rel=_TOLERANCE)
    assert abs(np.corrcoef(noise[0].ravel(), noise[2].ravel())[0, 1]) < 5 / math.sqrt(_SIZE)
    # Without a seed of the test, each run has noise of its own.
    fresh = [plan_runner.run_v1(plan, checkpoint, [update]).to_checkpoint() for _ in range(2)]
    assert fresh[0] != fresh[1]


def test_plans_of_the_second_kind_make_it_too() -> None:
    process = _process(PrivacyType.FIXED_GAUSSIAN, 0.7)
    plan = plans.server_plan_v2(process, plans.client_phase(process, ""))
    checkpoint = plans.server_checkpoint(process)
    update = plan_runner.write_checkpoint({f"update/{name}": np.zeros(spec.shape, np.float32) for name, spec in process.sums.items()})
    after, _ = plan_runner.run_v2(plan, checkpoint, [update])
    weights = [plan_runner.read_checkpoint(one)["server/model/trainable/0"] for one in (checkpoint, after)]
    assert (weights[1] - weights[0]).std() == pytest.approx(0.7 * 0.5 / 10, rel=_TOLERANCE)


def test_the_aggregator_lets_nobody_count_for_more_than_one() -> None:
    process = _process(PrivacyType.FIXED_GAUSSIAN, 0.0)
    session = plan_runner.PhaseSession(plans.server_plan(process, plans.client_phase(process, "")), None)
    update = {f"update/{name}": np.full(spec.shape, 1e6, np.float32) for name, spec in process.sums.items()}
    session.accumulate_client_update(plan_runner.write_checkpoint(update))
    total = plan_runner.read_checkpoint(session.to_intermediate_update())["intermediate_update/1/0"]
    assert np.linalg.norm(total) == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("bad", [{"1/0": np.nan}, {"0/loss/0": np.inf}], ids=["a step", "a metric"])
def test_what_is_not_finite_is_refused_and_changes_nothing(bad: dict[str, float]) -> None:
    process = _process(PrivacyType.FIXED_GAUSSIAN, 0.0)
    session = plan_runner.PhaseSession(plans.server_plan(process, plans.client_phase(process, "")), None)
    good = {f"update/{name}": np.ones(spec.shape, np.float32) for name, spec in process.sums.items()}
    session.accumulate_client_update(plan_runner.write_checkpoint(good))
    before = session.to_intermediate_update()
    ((name, value),) = bad.items()
    with pytest.raises(tf.errors.InvalidArgumentError, match=re.escape(f"update/{name}: expected finite numbers")):
        session.accumulate_client_update(
            plan_runner.write_checkpoint({**good, f"update/{name}": np.full_like(good[f"update/{name}"], value)})
        )
    shape = {**good, "update/1/0": np.ones(3, np.float32)}
    for other in (shape, {name: tensor for name, tensor in good.items() if name != "update/1/0"}):
        with pytest.raises((tf.errors.InvalidArgumentError, tf.errors.NotFoundError)):
            session.accumulate_client_update(plan_runner.write_checkpoint(other))
    assert session.to_intermediate_update() == before


@pytest.mark.parametrize("kind", [PrivacyType.FIXED_GAUSSIAN, PrivacyType.TREE_AGGREGATION])
def test_calibrated_noise_keeps_the_budget_and_is_not_much_more_than_that(kind: PrivacyType) -> None:
    training = replace(_TRAINING, report_goal=1000, rounds=100, privacy=replace(_TRAINING.privacy, kind=kind, noise_multiplier=0.0))
    found = accounting.calibrate(training, check=True)
    assert 0.97 < found.epsilon <= 1.0
    # The noise that is found is one that is accepted; less is not.
    again = replace(training, privacy=replace(found, epsilon=1.0))
    assert accounting.calibrate(again, check=True) == found
    less = replace(training, privacy=replace(training.privacy, noise_multiplier=found.noise_multiplier * 0.9))
    with pytest.raises(InvalidRequestError, match="expected one that keeps epsilon within 1 at delta 1e-07 for 100 rounds of 1000"):
        accounting.calibrate(less, check=True)
    assert accounting.calibrate(less, check=False).epsilon > 1.0


def test_no_rounds_need_no_noise() -> None:
    assert accounting.calibrate(replace(_TRAINING, rounds=0), check=True).epsilon == 0.0
