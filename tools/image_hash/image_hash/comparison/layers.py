"""How two layers differ: their blobs, the entries of their tars, and what the files among them hold."""

import dataclasses
import tempfile
from typing import BinaryIO, cast

from image_hash import causes
from image_hash.causes import Cause
from image_hash.comparison import origin, packages, tars
from image_hash.comparison.ahead import Ahead
from image_hash.comparison.tars import Entry, Index
from image_hash.differences import Difference
from image_hash.formats.content import CHUNK, Budget, Content
from image_hash.formats.explain import explain
from image_hash.image import Layer
from ocilib.compression import kind_of
from ocilib.errors import Error as OcilibError

# What is copied stays in memory up to here, and goes to a temporary file beyond.
_IN_MEMORY = 4 << 20


def place(layer: Layer) -> tuple[str, ...]:
    """Where a layer is, for `Difference.place`."""
    return (f"layer {layer.position}",)


def target(left: Layer, right: Layer) -> str:
    """Label of the target that both layers are of, or that of the one that has any."""
    return origin.layer_target(left.created_by) or origin.layer_target(right.created_by)


def blob_differences(left: Layer, right: Layer) -> list[Difference]:
    """Why the blobs of two layers differ that hold the same tar.

    Raises:
        CheckError: a blob cannot be read, or is not what its digest says.
    """
    with left.open_blob() as a, right.open_blob() as b, _temporary() as kept_a, _temporary() as kept_b:
        x, y = _kept(a, kept_a), _kept(b, kept_b)
        kinds = [kind_of(content.read(0, 4)) or "uncompressed" for content in (x, y)]
        if kinds[0] == kinds[1]:
            return [_of_layer(difference, left, target(left, right)) for difference in explain(x, y, place(left), Budget())]
    return [Difference(place(left), causes.COMPRESSION_FORMAT, kinds[0], kinds[1], left.position, target(left, right))]


def tar_differences(left: Layer, right: Layer) -> list[Difference]:
    """How two layers differ whose tars differ.

    Returns:
        At least one difference: of entries that both have, in the order of the first tar; of those that one has; of the tar as a whole. If
        one layer cannot be taken apart, the only difference says so: that they differ is certain.

    Raises:
        CheckError: a layer cannot be read, is not what its digest says, or is larger than is taken.
    """
    with _temporary() as file_a, _temporary() as file_b:
        kept = tars.Kept(file_a), tars.Kept(file_b)
        try:
            with left.open_tar() as stream_a, right.open_tar() as stream_b, Ahead(stream_a) as a, Ahead(stream_b) as b:
                indexes = tars.read_pair((a, b), place(left)[0], kept, packages.is_database)
        except OcilibError as error:
            texts = left.diff_id, f"{right.diff_id} (not opened: {error})"
            return [Difference(place(left), causes.UNKNOWN, *texts, left.position, target(left, right))]
        return _Tars((left, right), indexes, kept).differences()


@dataclasses.dataclass(frozen=True)
class _Pairing:
    """Numbers of the entries of two tars.

    Attributes:
        pairs: of the same path; if it is there more than once, the first with the first, and so on.
        removed: of the first tar, without a partner.
        added: of the second one, likewise.
    """

    pairs: list[tuple[int, int]]
    removed: list[int]
    added: list[int]


class _Tars:
    """Two tars that are being compared."""

    def __init__(self, layers: tuple[Layer, Layer], indexes: tuple[Index, Index], kept: tuple[tars.Kept, tars.Kept]) -> None:
        self._layers = layers
        self._entries = (indexes[0].entries, indexes[1].entries)
        self._ending = tars.ending_difference(*indexes)
        self._kept = kept
        self._target = target(*layers)
        self._pairing = _pair(*self._entries)
        self._differing = [(a, b) for a, b in self._pairing.pairs if _data_differs(self._entries[0][a], self._entries[1][b])]
        self._moves = self._moved_packages()
        # Number of a move -> how many entries differ for it.
        self._counts = [0] * len(self._moves)
        self._found: list[Difference] = []

    def differences(self) -> list[Difference]:
        """See tar_differences."""
        inside = self._explained()
        for a, b in self._pairing.pairs:
            left, right = self._entries[0][a], self._entries[1][b]
            for cause, in_left, in_right in tars.entry_differences(left, right):
                self._note(left, cause, in_left, in_right)
            self._found += inside.get(a, ())
        for side, numbers, cause in ((0, self._pairing.removed, causes.FILE_REMOVED), (1, self._pairing.added, causes.FILE_ADDED)):
            others = frozenset(entry.path for entry in self._entries[1 - side]) if numbers else frozenset()
            for number in numbers:
                entry = self._entries[side][number]
                texts = ("", _described(entry)) if side else (_described(entry), "")
                self._note(entry, causes.DUPLICATE_ENTRY if entry.path in others else cause, *texts)
        for move, count in zip(self._moves, self._counts, strict=True):
            self._add((move.name,), causes.PACKAGE_MOVED, move.left, f"{move.right} ({count} entries of the layer differ)")
        self._compare_order()
        if self._ending:
            self._add((), causes.TAR_PADDING, *self._ending)
        if not self._found:
            self._add((), causes.UNKNOWN, *(layer.diff_id for layer in self._layers))
        return packages.fold_archives(self._found)

    def _add(self, inside: tuple[str, ...], cause: Cause, left: str, right: str) -> None:
        layer = self._layers[0]
        self._found.append(Difference((*place(layer), *inside), cause, left, right, layer.position, self._target))

    def _note(self, entry: Entry, cause: Cause, left: str, right: str) -> None:
        """Adds a difference of an entry, or counts it for the package that brought both."""
        owner = self._owner(entry.path)
        if owner is None:
            self._add((entry.path,), cause, left, right)
        else:
            self._counts[owner] += 1

    def _owner(self, path: str) -> int | None:
        return next((number for number, move in enumerate(self._moves) if move.owns(path)), None)

    def _moved_packages(self) -> list[packages.Moved]:
        suspects = [self._entries[0][number] for number in self._pairing.removed]
        suspects += [self._entries[1][number] for number in self._pairing.added]
        suspects += [self._entries[0][number] for number, _ in self._differing]
        if not any(packages.is_database(entry) for entry in suspects):
            return []
        sides = []
        for side, entries in enumerate(self._entries):
            numbers = [number for number, entry in enumerate(entries) if packages.is_database(entry)]
            contents = self._data(side, numbers)
            sides.append({entries[number].path: content.read() for number, content in zip(numbers, contents, strict=True)})
        return packages.moved(sides[0], sides[1], self._target)

    def _explained(self) -> dict[int, list[Difference]]:
        """Number of a left entry -> how its data differ."""
        result: dict[int, list[Difference]] = {}
        wanted = []
        for a, b in self._differing:
            owner = self._owner(self._entries[0][a].path)
            if owner is None:
                wanted.append((a, b))
            else:
                self._counts[owner] += 1
        if not wanted:
            return result
        layer = self._layers[0]
        budget = Budget()
        data = self._data(0, [a for a, _ in wanted]), self._data(1, [b for _, b in wanted])
        for (number, _), left, right in zip(wanted, *data, strict=True):
            path = self._entries[0][number].path
            label = origin.jar_target(left) if self._target and path.endswith(".jar") else ""
            result[number] = [
                _of_layer(difference, layer, origin.nested_target(label, difference.place[2:]) if label else self._target)
                for difference in packages.fold_archives(explain(left, right, (*place(layer), path), budget))
            ]
        return result

    def _data(self, side: int, numbers: list[int]) -> list[Content]:
        """The data of the entries NUMBERS; the layer is read again for what was not kept the first time."""
        layer, kept = self._layers[side], self._kept[side]
        missing = [number for number in numbers if number not in kept.places and self._entries[side][number].member.size]
        if missing:
            with layer.open_tar() as stream:
                tars.keep_more(stream, place(layer)[0], missing, kept)
        return [kept.content(number) for number in numbers]

    def _compare_order(self) -> None:
        """One difference if what both tars have comes in another order: where that begins."""
        for (a, _), (b, _) in zip(self._pairing.pairs, sorted(self._pairing.pairs, key=lambda pair: pair[1]), strict=True):
            if a != b:
                self._add((), causes.ENTRY_ORDER, *(f"first {self._entries[0][number].path}" for number in (a, b)))
                return


def _pair(left: list[Entry], right: list[Entry]) -> _Pairing:
    places: dict[str, list[int]] = {}
    for number in range(len(right) - 1, -1, -1):
        places.setdefault(right[number].path, []).append(number)
    pairs = []
    removed = []
    for number, entry in enumerate(left):
        others = places.get(entry.path)
        if others:
            pairs.append((number, others.pop()))
        else:
            removed.append(number)
    return _Pairing(pairs, removed, sorted(number for numbers in places.values() for number in numbers))


def _data_differs(left: Entry, right: Entry) -> bool:
    return left.member.kind == right.member.kind == "file" and left.digest != right.digest


def _of_layer(difference: Difference, layer: Layer, label: str) -> Difference:
    return dataclasses.replace(difference, layer=layer.position, target=label)


def _described(entry: Entry) -> str:
    return f"{entry.member.kind}, {entry.member.size} bytes" if entry.member.kind == "file" else entry.member.kind


def _kept(stream: BinaryIO, file: BinaryIO) -> Content:
    while data := stream.read(CHUNK):
        file.write(data)
    return Content(file)


def _temporary() -> BinaryIO:
    return cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))
