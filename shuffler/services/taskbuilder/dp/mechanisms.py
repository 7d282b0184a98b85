"""Differentially private means of updates: what devices do to theirs, and what the server does with the sum.

Everywhere an update is in units of the clip norm: a device divides by it, the server multiplies by it. So what is summed has a norm of 1 at
most whatever the clip norm is in a round, anybody on the way can enforce that, and one noise fits all rounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

# TFF's: the quantile of norms that the adaptive clip norm follows, how fast, and the noise of the count, as a share of the clients.
_TARGET_QUANTILE = 0.5
_CLIP_LEARNING_RATE = 0.2
_COUNT_STDDEV = 0.05

# An update with a value this many times over the clip norm is a mistake, not a contribution (tree aggregation).
_ZEROING_FACTOR = 100.0

_ENTROPY = "/dev/urandom"


def bound(update: Sequence[Any]) -> tuple[list[Any], Any]:
    """Scales tensors so that their common norm is 1 at most; returns them, and the norm that they had."""
    norm = tf.linalg.global_norm(update)
    return [tensor / tf.cast(tf.maximum(norm, 1.0), tensor.dtype) for tensor in update], norm


def entropy() -> Any:
    """Draws a seed from the operating system: int64 of shape [2].

    TensorFlow's own operations seed themselves with 32 bits, which can be tried out. This reads 16 lines of random bytes, about 4 kB, and
    hashes them.
    """
    lines = tf.data.TextLineDataset(_ENTROPY, buffer_size=4096).take(16)
    text = lines.reduce(tf.constant(""), lambda before, line: tf.strings.join([before, line]))
    hashed = [tf.strings.to_hash_bucket_strong(text, 2**63 - 1, [2 * i + 1, 2 * i + 2]) for i in range(2)]
    return tf.identity(tf.stack(hashed), name="noise_seed")


def gaussian(shape: Any, stddev: Any, seed: Any, index: int) -> Any:
    """Gaussian noise in float64: the sum is rounded to float32 only with the noise in it, so that its low bits tell nothing of the noise.

    Args:
        shape: of it.
        stddev: scalar.
        seed: of entropy().
        index: makes noises of one seed independent.
    """
    folded = tf.random.experimental.stateless_fold_in(seed, index)
    return tf.random.stateless_normal(shape, folded, dtype=tf.float64) * tf.cast(stddev, tf.float64)


class Mechanism:
    """Makes the mean of bounded updates private.

    Attributes:
        state: variables that have to be kept between rounds, by name.
        adaptive: whether the clip norm follows the norms of the updates.
    """

    def __init__(
        self, shapes: Sequence[Any], *, noise_multiplier: float, clients: int, clip_norm: float, adaptive: bool, tree_rounds: int
    ) -> None:
        """Makes a mechanism.

        Args:
            shapes: of the tensors of an update.
            noise_multiplier: of all that a round releases, in units of what one client can change.
            clients: per round; what sums are divided by, however many there were.
            clip_norm: the first one, if adaptive.
            adaptive: see the class.
            tree_rounds: rounds that the noise of tree aggregation is made for; 0: every round has noise of its own.

        Raises:
            ValueError: the noise of the count alone is larger than all the noise that there should be.
        """
        self.adaptive = adaptive
        self._clients = clients
        self._clip_norm = tf.Variable(clip_norm, dtype=tf.float32, trainable=False) if adaptive else tf.constant(clip_norm, tf.float32)
        self._zeroing = _ZEROING_FACTOR * clip_norm if tree_rounds else math.inf
        if adaptive and noise_multiplier:
            # 1/z^2 = 1/z_values^2 + 1/z_count^2; a client changes the count, less its middle, by 1/2. Andrew et al. 2021, theorem 1.
            count_noise = 2 * _COUNT_STDDEV * clients
            if noise_multiplier >= count_noise:
                raise ValueError(
                    f"expected a noise multiplier below {count_noise:g} (a tenth of report_goal) for an adaptive clip norm, "
                    f"found {noise_multiplier:g}; raise report_goal"
                )
            noise_multiplier = (noise_multiplier**-2 - count_noise**-2) ** -0.5
        self._stddevs = [noise_multiplier] * len(shapes)
        self._shapes = [tuple(shape) for shape in shapes]
        if adaptive:
            self._stddevs.append(_COUNT_STDDEV * clients if noise_multiplier else 0.0)
            self._shapes.append(())
        self._tree = _Tree(self._shapes, tree_rounds) if tree_rounds else None

    @property
    def clip_norm(self) -> Any:
        """The clip norm; a variable, which devices need, if it is adaptive."""
        return self._clip_norm

    @property
    def state(self) -> dict[str, Any]:
        """Variables that have to be kept between rounds, by name."""
        clip = {"clip_norm": self._clip_norm} if self.adaptive else {}
        return {**clip, **(self._tree.state if self._tree else {})}

    def clip(self, update: Sequence[Any]) -> tuple[list[Any], Any]:
        """What a device does: the update in units of the clip norm, and whether it was within it (1.0 or 0.0)."""
        sane = tf.reduce_all([tf.reduce_all(tf.abs(tensor) <= self._zeroing) for tensor in update])
        scaled = [tf.where(sane, tensor, tf.zeros_like(tensor)) / tf.cast(self._clip_norm, tensor.dtype) for tensor in update]
        bounded, norm = bound(scaled)
        return bounded, tf.cast(norm <= 1.0, tf.float32)

    def mean(self, total: Sequence[Any], within: Any, seed: Any) -> list[Any]:
        """What the server does: the mean with noise; then the clip norm moves.

        Args:
            total: sums of the first results of clip().
            within: sum of the second ones; nothing if not adaptive.
            seed: of entropy().
        """
        sums = [tf.cast(tensor, tf.float64) for tensor in total]
        if self.adaptive:
            sums.append(tf.cast(within, tf.float64) - _TARGET_QUANTILE * self._clients)
        if self._tree:
            noise = self._tree.next(self._stddevs, seed)
        else:
            noise = [gaussian(shape, stddev, seed, i) for i, (shape, stddev) in enumerate(zip(self._shapes, self._stddevs, strict=True))]
        clip_norm = tf.cast(self._clip_norm, tf.float64)
        noisy = [(value + extra) / self._clients for value, extra in zip(sums, noise, strict=True)]
        if self.adaptive:
            # Geometric: the norm moves by the same factor whatever its size.
            self._clip_norm.assign(tf.cast(clip_norm * tf.exp(-_CLIP_LEARNING_RATE * noisy.pop()), tf.float32))
        return [tf.cast(value * clip_norm, tensor.dtype) for value, tensor in zip(noisy, total, strict=True)]


class _Tree:
    """Noise whose sum over t rounds is that of at most log2(t) + 1 nodes of a binary tree (Kairouz et al. 2021, DP-FTRL).

    A node's noise is combined with that of its children, weighted by their variances (Honaker 2015).
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], rounds: int) -> None:
        self._levels = rounds.bit_length()
        self._round = tf.Variable(0, dtype=tf.int64, trainable=False)
        # The nodes whose sum is the noise so far: one for each bit of the number of rounds.
        self._nodes = [tf.Variable(tf.zeros((self._levels, *shape), tf.float64), trainable=False) for shape in shapes]

    @property
    def state(self) -> dict[str, Any]:
        return {"round": self._round, **{f"nodes/{i}": nodes for i, nodes in enumerate(self._nodes)}}

    def next(self, stddevs: Sequence[float], seed: Any) -> list[Any]:
        """The noise of a round: by how much the sum of the nodes changes."""
        added = []
        for i, (nodes, stddev) in enumerate(zip(self._nodes, stddevs, strict=True)):
            shape = nodes.shape[1:]
            carry = gaussian(shape, stddev, seed, i * (self._levels + 1))
            going = tf.constant(True)
            levels = []
            for level in range(self._levels):
                node = nodes[level]
                full = tf.bitwise.bitwise_and(self._round, 1 << level) > 0
                merging = tf.logical_and(going, full)
                resting = tf.logical_and(going, tf.logical_not(full))
                levels.append(tf.where(resting, carry, tf.where(merging, tf.zeros_like(node), node)))
                weight = 1.0 / (2.0 - 2.0 ** -(level + 1))
                fresh = gaussian(shape, stddev, seed, i * (self._levels + 1) + level + 1)
                carry = tf.where(merging, weight * fresh + (1.0 - weight) * (node + carry), carry)
                going = merging
            after = tf.stack(levels)
            added.append(tf.reduce_sum(after, axis=0) - tf.reduce_sum(nodes, axis=0))
            nodes.assign(after)
        self._round.assign_add(1)
        return added
