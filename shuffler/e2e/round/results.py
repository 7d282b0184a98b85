"""What federated rounds came to, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Round:
    """One iteration of a task.

    Attributes:
        iteration: its number.
        uploads: contributions that devices uploaded for it.
        metrics: what the model updater left, by name.
        seconds: from the end of the one before until its own end.
    """

    iteration: int
    uploads: int
    metrics: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class TaskRounds:
    """A task and its rounds.

    Attributes:
        title: for people, such as "training".
        number: of the task in its population.
        rounds: in their order; not empty.
    """

    title: str
    number: int
    rounds: Sequence[Round]


@dataclass(frozen=True)
class Results:
    """All of one run.

    Attributes:
        settings: what it was run with, by name.
        hashes: image hash of each service.
        tasks: in the order in which they are shown.
        outcomes: how many visits of devices ended how.
        phases: seconds that each part of the run took.
    """

    settings: Mapping[str, str]
    hashes: Mapping[str, str]
    tasks: Sequence[TaskRounds]
    outcomes: Mapping[str, int]
    phases: Mapping[str, float]
