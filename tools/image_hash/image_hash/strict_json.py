"""JSON for documents that decide something: what two readers could understand differently is refused (RFC 8259, 4; I-JSON, RFC 7493)."""

import json
from typing import Any, NoReturn

from image_hash import errors


def parse_object(data: bytes, name: str) -> dict[str, Any]:
    """Parses an object.

    Args:
        data: UTF-8, without a byte order mark.
        name: where it comes from, for messages.

    Raises:
        errors.CheckError: no JSON object; a key twice; a number that is no number of JSON; nested too deeply; half of a surrogate pair.
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
        # Escapes can make halves of surrogate pairs, which nobody can print or hash.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise errors.CheckError(f"{name}: expected a JSON object, found one that is nested too deeply") from None
    except ValueError as error:
        raise errors.CheckError(f"{name}: expected a JSON object: {error}") from None
    if not isinstance(value, dict):
        raise errors.CheckError(f"{name}: expected a JSON object, found {type(value).__name__}")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {key[:100]!r} comes twice")
            seen.add(key)
    return result


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")
