"""Compiled Python files: how they are validated, and the code, read without running or unmarshalling anything.

Formats: PEP 552 (header); CPython's Python/marshal.c and Objects/codeobject.c (code of 3.7, of 3.8 to 3.10, and since 3.11).
"""

import dataclasses

from image_hash.causes import COMPILER_VERSION, DEBUG_INFORMATION, EMBEDDED_PATH, PYC_REFERENCES, PYC_VALIDATION
from image_hash.differences import Difference
from image_hash.formats import parts
from image_hash.formats.content import Content, FormatError, LimitError
from image_hash.formats.shown import shortened, text, unix_time

_HEADER = 16
# Lib/importlib/_bootstrap_external.py: the numbers of the releases, and those of their alphas between them.
_RELEASES = {3394: "3.7", 3413: "3.8", 3425: "3.9", 3439: "3.10", 3495: "3.11", 3531: "3.12", 3571: "3.13", 3627: "3.14"}
_FIRST, _WITH_POSITIONAL, _WITH_QUALIFIED, _LAST = 3390, 3413, 3495, 3700
_LARGEST = 32 << 20
# Characters of the code as text: one object can be referred to very often.
_MOST_TEXT = 64 << 20
_DEEPEST = 200
_FLAG_REF = 0x80
# Bytes of integers, floats and complex numbers.
_NUMBERS = {"i": 4, "I": 8, "g": 8, "y": 16}


def is_pyc(content: Content) -> bool:
    """Whether CONTENT starts with the header of Python 3.7 or later, and then a code object."""
    head = content.read(0, _HEADER + 1)
    if len(head) <= _HEADER or head[2:4] != b"\r\n" or head[_HEADER] & 0x7F != ord("c"):
        return False
    return _FIRST <= int.from_bytes(head[:2], "little") <= _LAST and int.from_bytes(head[4:8], "little") <= 3


def compare(left: Content, right: Content, place: tuple[str, ...]) -> list[Difference]:
    """Compares two compiled files that differ.

    Raises:
        FormatError: one of them is damaged.
        LimitError: one of them is too large.
    """
    heads = left.read(0, _HEADER), right.read(0, _HEADER)
    if heads[0][:2] != heads[1][:2]:
        found = [Difference(place, COMPILER_VERSION, _version(heads[0]), _version(heads[1]))]
        # Of what one release writes nothing is like the other's, but the time of the source.
        return found + _validation(*heads, place, follows=True)
    if left.size == right.size and left.read(_HEADER) == right.read(_HEADER):
        return _validation(*heads, place, follows=False)
    a, b = _Code(left), _Code(right)
    found, code = parts.compare(place, a.parts, b.parts)
    if a.files != b.files:
        # Nobody but the compiler writes it: a path of the machine, if it is absolute.
        cause = EMBEDDED_PATH if a.files.startswith('"/') and b.files.startswith('"/') else DEBUG_INFORMATION
        ours, theirs = (shortened(f"source {text(parts.raw(side.files))}") for side in (a, b))
        found.append(Difference(place, cause, ours, theirs))
    lines = [name for name in {**a.lines, **b.lines} if a.lines.get(name) != b.lines.get(name)]
    if lines and not code:
        listed = [f"line numbers of {parts.listed(lines, side)}" for side in (a.lines, b.lines)]
        found.append(Difference(place, DEBUG_INFORMATION, listed[0], listed[1]))
    if not found:
        found.append(Difference(place, PYC_REFERENCES, f"{left.size} bytes", f"{right.size} bytes"))
    return _validation(*heads, place, follows=bool(code or lines)) + found


def _version(head: bytes) -> str:
    magic = int.from_bytes(head[:2], "little")
    return f"Python {_RELEASES[magic]}" if magic in _RELEASES else f"Python with the magic number {magic}"


def _validation(left: bytes, right: bytes, place: tuple[str, ...], *, follows: bool) -> list[Difference]:
    """How the headers differ; size and hash of the source FOLLOW where it is another."""
    shown = []
    for head in (left, right):
        flags = int.from_bytes(head[4:8], "little")
        if flags & 1:
            words = [f"{'checked' if flags & 2 else 'unchecked'} hash", "" if follows else head[8:].hex()]
        else:
            words = [f"time of the source {unix_time(int.from_bytes(head[8:12], 'little'))}"]
            words.append("" if follows else f"its size {int.from_bytes(head[12:], 'little')}")
        shown.append(" ".join(word for word in words if word))
    return [Difference(place, PYC_VALIDATION, shown[0], shown[1])] if shown[0] != shown[1] else []


class _Code:
    """The code of a compiled file.

    Attributes:
        parts: what each function, class and the module does, by their names.
        lines: their line numbers.
        files: names of the source that they state; one, in all that a compiler wrote.
    """

    def __init__(self, content: Content) -> None:
        if content.size > _LARGEST:
            raise LimitError(f"a compiled file of more than {_LARGEST} bytes")
        self._data = content.read()
        self._magic = int.from_bytes(self._data[:2], "little")
        self._position = _HEADER
        self._references: list[str | None] = []
        self._text = 0
        self._files: dict[str, None] = {}
        self.parts: dict[str, str] = {}
        self.lines: dict[str, str] = {}
        self._inner: list[_Function] = []
        self._object(0)
        if self._position != len(self._data):
            raise FormatError(f"{len(self._data) - self._position} bytes behind the code")
        self._name(self._inner, "")
        self.files = " ".join(self._files)

    def _take(self, count: int) -> bytes:
        data = self._data[self._position : self._position + count]
        if count < 0 or len(data) != count:
            raise FormatError(f"truncated: {count} bytes expected at byte {self._position}, of {len(self._data)}")
        self._position += count
        return data

    def _number(self, count: int = 4) -> int:
        return int.from_bytes(self._take(count), "little", signed=count > 1)

    def _object(self, depth: int) -> str:
        """The object that comes next, as text; equal objects have equal texts, wherever they are written."""
        if depth > _DEEPEST:
            raise FormatError("objects are nested too deep")
        tag = self._number(1)
        slot = None
        if tag & _FLAG_REF:
            slot = len(self._references)
            self._references.append(None)
        value = self._value(chr(tag & 0x7F), depth)
        if slot is not None:
            self._references[slot] = value
        self._text += len(value)
        if self._text > _MOST_TEXT:
            raise LimitError(f"its objects, where they are used, have more than {_MOST_TEXT} characters")
        return value

    def _value(self, kind: str, depth: int) -> str:
        if kind in "0NFTS.":
            return kind
        if kind in _NUMBERS:
            return f"{kind}{self._take(_NUMBERS[kind]).hex()}"
        if kind in "tuaA":
            return _quoted(self._take(self._number()))
        if kind in "zZ":
            return _quoted(self._take(self._number(1)))
        if kind == "s":
            return f"bytes {self._take(self._number()).hex()}"
        if kind == "l":
            digits = self._number()
            return f"l{self._take(2 * abs(digits)).hex()}{'-' if digits < 0 else ''}"
        if kind == "r":
            return self._referenced()
        if kind in "([<>)":
            count = self._number(1 if kind == ")" else 4)
            if not 0 <= count <= len(self._data) - self._position:
                raise FormatError(f"{count} objects expected at byte {self._position}, of {len(self._data)}")
            items = [self._object(depth + 1) for _ in range(count)]
            # The order of a set is that of its hashes, which a run may shuffle.
            return f"({' '.join(items)})" if kind in "()" else f"{kind}{' '.join(sorted(items) if kind in '<>' else items)}]"
        if kind == "{":
            items = []
            while (item := self._object(depth + 1)) != "0":
                items.append(item)
            return "{" + " ".join(items) + "}"
        if kind == ":":
            return f"slice({' '.join(self._object(depth + 1) for _ in range(3))})"
        if kind == "c":
            return self._code(depth)
        raise FormatError(f"an object of the unknown kind {kind!r} before byte {self._position}")

    def _referenced(self) -> str:
        number = self._number()
        value = self._references[number] if 0 <= number < len(self._references) else None
        if value is None:
            raise FormatError(f"a reference to the object {number}, which did not come before byte {self._position}")
        return value

    def _code(self, depth: int) -> str:
        """A code object, which those around it name by its number."""
        around = self._inner
        own: list[_Function] = []
        self._inner = own
        numbers = [str(self._number()) for _ in range(6 if _WITH_POSITIONAL <= self._magic < _WITH_QUALIFIED else 5)]

        def objects(count: int) -> list[str]:
            return [self._object(depth + 1) for _ in range(count)]

        if self._magic >= _WITH_QUALIFIED:
            # Code, constants, names, variables and their kinds; later the name with those around it, and the table of exceptions.
            body = objects(5)
            file, name, qualified = objects(3)
            first = self._number()
            lines, exceptions = objects(2)
            body += [qualified, exceptions]
        else:
            # Code, constants, names, variables, free ones, those of cells.
            body = objects(6)
            file, name = objects(2)
            first = self._number()
            lines = objects(1)[0]
        self._inner = around
        around.append(_Function(name.strip('"'), "\n".join([" ".join(numbers), *body]), f"{first} {lines}", own))
        self._files[file] = None
        return f"code {len(around)}"

    def _name(self, functions: "list[_Function]", prefix: str) -> None:
        counts: dict[str, int] = {}
        for function in functions:
            counts[function.name] = counts.get(function.name, 0) + 1
            number = counts[function.name]
            path = text(parts.raw(f"{prefix}{function.name}{f' ({number})' if number > 1 else ''}"))
            self.parts[path] = function.body
            self.lines[path] = function.lines
            self._name(function.inner, f"{prefix}{function.name}.".removeprefix("<module>."))


@dataclasses.dataclass(frozen=True)
class _Function:
    """A code object: its name, what it does, its line numbers, and those in it."""

    name: str
    body: str
    lines: str
    inner: "list[_Function]"


def _quoted(data: bytes) -> str:
    # No text looks like two, or like what is around it.
    return '"' + data.decode("utf-8", "surrogateescape").replace("\\", "\\\\").replace('"', '\\"') + '"'
