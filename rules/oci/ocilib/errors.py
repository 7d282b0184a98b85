"""The root of what ocilib raises."""


class Error(Exception):
    """Bad input or an impossible request. `str()` is one line for the user: expected, found, where, what to do."""
