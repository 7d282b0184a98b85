"""Text of images and registries, made safe for a terminal and for messages of one line."""


def printable(text: str, longest: int = 300) -> str:
    r"""TEXT with everything that is not printable escaped (`\n`, `\x1b`, `\u202e`), cut after LONGEST characters.

    Terminals obey control characters, and readers of a page are led astray by invisible ones.
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:longest])
    return shown if len(text) <= longest else f"{shown}... ({len(text)} characters)"
