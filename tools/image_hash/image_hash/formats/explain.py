"""Why two files differ, from their own formats: the one entry to this package."""

from collections.abc import Callable

from image_hash import limits
from image_hash.causes import NOT_EXAMINED, UNKNOWN
from image_hash.differences import Difference
from image_hash.formats import ars, classes, compressed, elf, pycs, tars, texts, zips
from image_hash.formats.archives import Inside
from image_hash.formats.content import Budget, Content, FormatError, LimitError, equal
from image_hash.formats.ranges import describe
from image_hash.formats.replaced import LARGEST, replaced

_ARCHIVES: dict[str, Callable[[Content, Content, tuple[str, ...], Budget, Inside], list[Difference]]] = {
    "ar": ars.compare,
    "gzip": compressed.compare,
    "tar": tars.compare,
    "zip": zips.compare,
    "zstd": compressed.compare,
}
_FILES: dict[str, Callable[[Content, Content, tuple[str, ...]], list[Difference]]] = {
    "ELF": elf.compare,
    ".pyc": pycs.compare,
    "class": classes.compare,
    "text": texts.compare,
}


def explain(left: Content, right: Content, place: tuple[str, ...], budget: Budget) -> list[Difference]:
    """Compares two files, and what archives among them hold.

    Args:
        left: the file of the first image.
        right: the file of the second one.
        place: where they are, from the outside in; members of archives are appended.
        budget: what may still be expanded; one for all files of a layer.

    Returns:
        The differences in the order of the file, empty exactly if the bytes are equal. A file that is damaged is compared as bytes, and one
        that is too large, too deep or has too many members is not examined; the difference says so. That it differs is certain.

    Raises:
        CheckError: the file cannot be read.
    """
    return [] if equal(left, right) else _explain(left, right, place, budget, 0)


def _explain(left: Content, right: Content, place: tuple[str, ...], budget: Budget, depth: int) -> list[Difference]:
    """As `explain`, of contents that are known to differ, DEPTH archives below the file."""

    def inside(ours: Content, theirs: Content, where: tuple[str, ...]) -> list[Difference]:
        return _explain(ours, theirs, where, budget, depth + 1)

    kinds = _kind(left), _kind(right)
    # What is compressed on one side only is compared as what it holds.
    kind = kinds[0] if kinds[0] == kinds[1] else next((word for word in kinds if word in ("gzip", "zstd")), "")
    found: list[Difference] = []
    note = ""
    try:
        if kind in _ARCHIVES:
            if depth == limits.NESTED_DEPTH:
                raise LimitError(f"it lies {depth} archives deep, and no deeper one is opened")
            found = _ARCHIVES[kind](left, right, place, budget, inside)
        elif kind:
            found = _FILES[kind](left, right, place)
    except FormatError as error:
        note = f" (compared as bytes, since one is no valid {kind}: {error})"
    except LimitError as error:
        return [Difference(place, NOT_EXAMINED, f"{left.size} bytes: {error}", f"{right.size} bytes: {error}")]
    return found or _bytes(left, right, place, note)


def _kind(content: Content) -> str:
    """The format of CONTENT, by its first bytes; empty if it has none that is known here."""
    if kind := compressed.kind_of(content):
        return kind
    head = content.read(0, 8)
    if head == ars.MAGIC:
        return "ar"
    if head[:4] == elf.MAGIC:
        return "ELF"
    if classes.is_class(content):
        return "class"
    if pycs.is_pyc(content):
        return ".pyc"
    if zips.is_zip(content):
        return "zip"
    if tars.is_tar(content):
        return "tar"
    return "text" if texts.is_text(content) else ""


def _bytes(left: Content, right: Content, place: tuple[str, ...], note: str) -> list[Difference]:
    if max(left.size, right.size) <= LARGEST:
        explained = replaced(left.read(), right.read())
        if explained is not None:
            return [Difference(place, item.cause, item.left, item.right) for item in explained]
    ours, theirs = describe(left, right)
    return [Difference(place, UNKNOWN, ours + note, theirs + note)]
