"""The privacy that noise buys, by the accountants of dp-accounting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import dp_accounting
from dp_accounting import pld, rdp

from shuffler.services.taskbuilder.config.settings import POPULATION, Privacy, Training
from shuffler.services.taskbuilder.errors import InvalidRequestError

# Noise is found to this, upwards.
_NOISE_TOLERANCE = 1e-3
# By which it is lowered until the budget is overdrawn.
_STEP = 1.25

# Of privacy losses: ten times the default, which takes a tenth of the time; what is rounded is rounded up.
_DISCRETIZATION = 1e-3


def calibrate(training: Training, *, check: bool) -> Privacy:
    """Finds the noise of a task, or checks the one that is given.

    Args:
        training: whose privacy has the budget.
        check: whether noise that is too small for the budget is refused.

    Returns:
        the privacy with its noise multiplier, and with the epsilon that it has at its delta.

    Raises:
        InvalidRequestError: the noise is too small.
    """
    privacy = training.privacy
    if not training.rounds:
        return replace(privacy, epsilon=0.0)
    noise = privacy.noise_multiplier or _minimal_noise(training)
    epsilon = _epsilon(training, noise)
    if check and epsilon > privacy.epsilon:
        raise InvalidRequestError(
            f"[Invalid task config]: differential_privacy.noise_multiplier: expected one that keeps epsilon within {privacy.epsilon:g} at "
            f"delta {privacy.delta:g} for {training.rounds} rounds of {training.report_goal} contributions, "
            f"found {noise:g}, with epsilon {epsilon:.6g}; leave it out for the smallest that does"
        )
    return replace(privacy, noise_multiplier=noise, epsilon=epsilon)


def _minimal_noise(training: Training) -> float:
    if training.privacy.kind.tree:
        return _calibrated(training, _accountant, dp_accounting.LowerEndpointAndGuess(0, 1))
    # The other accountant is quick, but asks for more noise: it says where to begin.
    enough = _calibrated(training, lambda _privacy: rdp.RdpAccountant(), dp_accounting.LowerEndpointAndGuess(0, 1))
    while _epsilon(training, enough / _STEP) <= training.privacy.epsilon:
        enough /= _STEP
    return _calibrated(training, _accountant, dp_accounting.ExplicitBracketInterval(enough / _STEP, enough))


def _epsilon(training: Training, noise: float) -> float:
    accountant = _accountant(training.privacy)
    accountant.compose(_event(training, noise))
    return float(accountant.get_epsilon(training.privacy.delta))


def _calibrated(training: Training, accountant: Callable[[Privacy], Any], bracket: Any) -> float:
    privacy = training.privacy
    make_event: Callable[[float], Any] = partial(_event, training)
    return float(
        dp_accounting.calibrate_dp_mechanism(
            partial(accountant, privacy), make_event, privacy.epsilon, privacy.delta, bracket, tol=_NOISE_TOLERANCE
        )
    )


def _accountant(privacy: Privacy) -> Any:
    if privacy.kind.tree:
        return rdp.RdpAccountant(neighboring_relation=dp_accounting.NeighboringRelation.REPLACE_SPECIAL)
    return pld.PLDAccountant(value_discretization_interval=_DISCRETIZATION)


def _event(training: Training, noise: float) -> Any:
    if training.privacy.kind.tree:
        # No device contributes twice.
        return dp_accounting.SingleEpochTreeAggregationDpEvent(noise, [training.rounds])
    sampled = dp_accounting.PoissonSampledDpEvent(min(1.0, training.report_goal / POPULATION), dp_accounting.GaussianDpEvent(noise))
    return dp_accounting.SelfComposedDpEvent(sampled, training.rounds)
