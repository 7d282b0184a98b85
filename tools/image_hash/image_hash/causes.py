"""The named causes of differences: one list for comparison, reports and documentation (docs/causes.md is made from it)."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Cause:
    """Why two images differ.

    Attributes:
        name: stable, in JSON and on the command line; never renamed.
        meaning: what differs, in one sentence.
        advice: what to do about it, in one sentence.
    """

    name: str
    meaning: str
    advice: str


UNKNOWN = Cause("unknown", "The bytes differ, and no cause of this list fits.", "Look at the byte ranges that are printed.")
