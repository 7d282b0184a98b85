"""How values of headers are shown to a person."""

import datetime as dt

_LONGEST = 100


def unix_time(seconds: int) -> str:
    """Seconds since 1970 as a time in UTC; as they are where no calendar has them."""
    try:
        return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{seconds} seconds"


def text(data: bytes) -> str:
    """Bytes of a name or a comment as text, whatever they are."""
    return data.decode("utf-8", "backslashreplace")


def shortened(value: str) -> str:
    """At most the first hundred characters."""
    return value if len(value) <= _LONGEST else value[:_LONGEST] + "..."


Fields = tuple[tuple[str, str], ...]


def changed(left: Fields, right: Fields) -> tuple[str, str]:
    """Of two lists of named values those that differ, as `name value, ...` for either side."""
    ours, theirs = dict(left), dict(right)
    if ours == theirs:
        return "fields in one order", "the same in another, or more than once"
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]

    def shown(side: dict[str, str]) -> str:
        return ", ".join(f"{name} {side.get(name, 'none')}" for name in names)

    return shown(ours), shown(theirs)
