"""Compiled files as parts with names (methods, functions, constants): what classes and .pyc have in common."""

from collections.abc import Sequence

from image_hash.causes import COMPILED_CODE
from image_hash.differences import Difference
from image_hash.formats.replaced import replaced
from image_hash.formats.shown import shortened

_SHOWN_NAMES = 4


def compare(place: tuple[str, ...], left: dict[str, str], right: dict[str, str]) -> tuple[list[Difference], bool]:
    """How parts with the same name differ, and whether that is code: paths and times within them have causes of their own."""
    found: list[Difference] = []
    code = []
    for name in [name for name in {**left, **right} if left.get(name) != right.get(name)]:
        explained = replaced(raw(left.get(name, "")), raw(right.get(name, "")))
        if explained:
            found += [Difference((*place, name), item.cause, item.left, item.right) for item in explained]
        else:
            code.append(name)
    if code:
        found.append(Difference(place, COMPILED_CODE, listed(code, left), listed(code, right)))
    return found, bool(code)


def raw(value: str) -> bytes:
    """The bytes that a part or a constant was made of."""
    return value.encode("utf-8", "surrogateescape")


def listed(names: Sequence[str], side: dict[str, str]) -> str:
    """The first of NAMES, and which of them SIDE does not have."""
    shown = [name if name in side else f"no {name}" for name in names[:_SHOWN_NAMES]]
    more = len(names) - _SHOWN_NAMES
    return shortened(", ".join(shown)) + (f" and {more} more" if more > 0 else "")
