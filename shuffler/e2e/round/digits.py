"""The data of the default round: the handwritten digits that scikit-learn ships, split among devices.

FILE of scikit-learn's wheel has 1797 lines, each with the grey values of 8x8 pixels, from 0 to 16,
and the digit (https://archive.ics.uci.edu/dataset/80, test set).
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

FILE = "sklearn/datasets/data/digits.csv.gz"
"""Below the folder with the packages."""

_PIXELS = 64
_DEEPEST = 16.0


def read(path: Path) -> tuple[Images, Numbers]:
    """Reads the file: images as float32 [n, 64] from 0 to 1, and digits as int64 [n]."""
    with gzip.open(path, "rt", encoding="ascii") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.float32)
    return table[:, :_PIXELS] / _DEEPEST, table[:, _PIXELS].astype(np.int64)


def split(digits: Numbers, devices: int, seed: int) -> list[Numbers]:
    """Splits examples among devices as real ones have them: each sees a few digits more often than the others.

    Args:
        digits: int64 [n].
        devices: how many.
        seed: of the split.

    Returns:
        The positions of each device's examples, int64 [about n / devices]; disjoint, and all together.
    """
    randomness = np.random.default_rng(seed)
    # Half of the examples in the order of their digits, so that neighbours are alike; the other half anywhere.
    order = randomness.permutation(len(digits))
    half = len(order) // 2
    alike = order[:half][np.argsort(digits[order[:half]], kind="stable")]
    parts = zip(np.array_split(alike, devices), np.array_split(order[half:], devices), strict=True)
    return [np.sort(np.concatenate(part)) for part in parts]
