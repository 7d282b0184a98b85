"""The data of the default round is whole, and every device has some of it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from runfiles import Runfiles

from shuffler.e2e.round import digits


def _file() -> Path:
    runfiles = Runfiles.Create()
    path = runfiles and runfiles.Rlocation(os.environ["SCIKIT_LEARN"])
    assert path
    return Path(path, digits.FILE)


def test_all_digits_are_there() -> None:
    images, numbers = digits.read(_file())
    assert images.shape == (1797, 64)
    assert images.min() == 0
    assert images.max() == 1
    assert np.bincount(numbers).min() > 170


def test_split_is_disjoint_whole_and_uneven() -> None:
    _, numbers = digits.read(_file())
    parts = digits.split(numbers, 20, seed=1)
    assert sorted(np.concatenate(parts)) == list(range(len(numbers)))
    assert min(len(part) for part in parts) > 80
    commonest = [np.bincount(numbers[part], minlength=10).max() / len(part) for part in parts]
    assert np.mean(commonest) > 0.3
    assert all(np.array_equal(one, other) for one, other in zip(parts, digits.split(numbers, 20, seed=1), strict=True))
