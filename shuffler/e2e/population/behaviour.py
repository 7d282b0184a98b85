"""How devices behave: most well, some not. What goes wrong on phones and what an attacker would do."""

from __future__ import annotations

import enum
import gzip
import random
from collections.abc import Mapping

from shuffler.e2e.population.payload import PublicKey, seal


class Behaviour(enum.Enum):
    """What a device does that has something to do. The values are names on the command line."""

    GOOD = "good"
    # Mobile networks: the answer is lost, and the device does it again.
    DUPLICATE = "duplicate"
    # It vanishes with its assignment, or with the right to upload.
    DROP_OUT = "drop_out"
    NO_UPLOAD = "no_upload"
    # It says what went wrong.
    FAILED = "failed"
    NOT_ELIGIBLE = "not_eligible"
    # It comes when the iteration may be over.
    STRAGGLER = "straggler"
    # It uploads something else than an update.
    GARBAGE = "garbage"
    TRUNCATED = "truncated"
    NOT_A_CHECKPOINT = "not_a_checkpoint"
    UNKNOWN_KEY = "unknown_key"
    GZIP_BOMB = "gzip_bomb"
    # Its software is too old for any task.
    OLD_VERSION = "old_version"


CORRUPT = frozenset({Behaviour.GARBAGE, Behaviour.TRUNCATED, Behaviour.NOT_A_CHECKPOINT, Behaviour.UNKNOWN_KEY, Behaviour.GZIP_BOMB})
"""Uploads that count as contributions until somebody opens them."""

_BOMB = 1 << 30


def parse_mix(text: str) -> dict[Behaviour, float]:
    """Reads the shares of behaviours, such as "drop_out=0.1,garbage=0.05"; the rest is good.

    Raises:
        ValueError: a name or number is malformed, or the shares are more than all.
    """
    mix: dict[Behaviour, float] = {}
    for part in filter(None, text.split(",")):
        name, separator, share = part.partition("=")
        if not separator:
            raise ValueError(f"expected behaviour=share, found '{part}'")
        behaviour = Behaviour(name)
        if behaviour in mix:
            raise ValueError(f"{name} is given twice")
        mix[behaviour] = float(share)
    good = 1 - sum(mix.values())
    if good < -1e-9 or any(share < 0 for share in mix.values()):
        raise ValueError(f"expected shares of 0 to 1 that are at most 1 together, found {text}")
    mix[Behaviour.GOOD] = mix.get(Behaviour.GOOD, 0) + max(good, 0)
    return mix


def choose(mix: Mapping[Behaviour, float], randomness: random.Random) -> Behaviour:
    """Draws a behaviour as often as the shares say."""
    behaviours = list(mix)
    return randomness.choices(behaviours, [mix[behaviour] for behaviour in behaviours])[0]


def upload(behaviour: Behaviour, update: bytes, key: PublicKey, randomness: random.Random) -> bytes:
    """What a device uploads that made UPDATE."""
    sealed = seal(update, key)
    if behaviour is Behaviour.GARBAGE:
        return randomness.randbytes(1000)
    if behaviour is Behaviour.TRUNCATED:
        return sealed[: len(sealed) // 2]
    if behaviour is Behaviour.NOT_A_CHECKPOINT:
        return seal(randomness.randbytes(1000), key)
    if behaviour is Behaviour.UNKNOWN_KEY:
        return seal(update, PublicKey("nobody-" + randomness.randbytes(4).hex(), key.raw))
    if behaviour is Behaviour.GZIP_BOMB:
        return gzip.compress(bytes(_BOMB), mtime=0)
    return sealed
