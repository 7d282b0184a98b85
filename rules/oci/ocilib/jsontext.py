"""JSON as jq 1.7 reads and prints it, which is what image digests are made of.

Not the standard library's json: it parses numbers into floats, prints U+007F raw, and importing it takes three times as long as an
interpreter's whole start. Objects keep their order, a key that comes twice keeps its place and takes the last value, and numbers keep their
text (jq's canonical form of it).
"""

from __future__ import annotations

from ocilib.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Json = None | bool | int | str | list["Json"] | dict[str, "Json"]

_SPACE = " \t\n\r"
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_PRINTED = {code: f"\\u{code:04x}" for code in (*range(32), 127)}
_PRINTED |= {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
# jq refuses more, too (its MAX_PARSING_DEPTH).
_MAX_DEPTH = 256
# Python's int() refuses 4300 digits and more (CVE-2020-10735).
_MAX_DIGITS = 4000


class JsonError(Error):
    """The text is not JSON, or not the JSON that it should be."""


class Number(int):
    """A number that is not a plain integer, with its text; as an int it is its integral part, which nothing here looks at."""

    text: str


def parse(data: bytes, name: str) -> Json:
    """Parses DATA, UTF-8; NAME is for messages.

    Raises:
        JsonError: no JSON, or more than one value.
    """
    parser = _Parser(decode(data).removeprefix("\ufeff"), name)
    try:
        value = parser.value(0)
    except IndexError:
        raise JsonError(f"{name}: truncated JSON") from None
    parser.end()
    return value


def parse_object(data: bytes, name: str) -> dict[str, Json]:
    """Like parse, for an object."""
    value = parse(data, name)
    if not isinstance(value, dict):
        raise JsonError(f"{name}: expected a JSON object")
    return value


def dumps(value: Json) -> str:
    """Prints VALUE as `jq .` does, without the final newline: two blanks a level, non-ASCII characters as they are."""
    parts: list[str] = []
    _dump(value, "\n", parts.append)
    return "".join(parts)


def decode(data: bytes) -> str:
    """UTF-8 as jq takes it: what is invalid becomes U+FFFD, one for what jq's decoder (jv_unicode.c) takes for one character."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    parts = []
    position = 0
    while position < len(data):
        first = data[position]
        length = 4 if 0xF0 <= first <= 0xF4 else 3 if 0xE0 <= first <= 0xEF else 2 if 0xC2 <= first <= 0xDF else 1
        if position + length > len(data):
            # A character that the end cuts off takes all that is left, whatever that is.
            parts.append("\ufffd")
            break
        for index in range(1, length):
            if data[position + index] & 0xC0 != 0x80:
                length = index
                break
        try:
            parts.append(data[position : position + length].decode("utf-8"))
        except UnicodeDecodeError:
            parts.append("\ufffd")
        position += length
    return "".join(parts)


def _dump(value: Json, newline: str, emit: Callable[[str], object]) -> None:
    if isinstance(value, str):
        emit(f'"{value.translate(_PRINTED)}"')
    elif value is None:
        emit("null")
    elif isinstance(value, bool):
        emit("true" if value else "false")
    elif isinstance(value, Number):
        emit(value.text)
    elif isinstance(value, int):
        emit(str(value))
    elif not value:
        emit("{}" if isinstance(value, dict) else "[]")
    elif isinstance(value, dict):
        inner = newline + "  "
        separator = "{"
        for key, item in value.items():
            emit(f'{separator}{inner}"{key.translate(_PRINTED)}": ')
            _dump(item, inner, emit)
            separator = ","
        emit(newline + "}")
    else:
        inner = newline + "  "
        separator = "["
        for item in value:
            emit(separator + inner)
            _dump(item, inner, emit)
            separator = ","
        emit(newline + "]")


class _Parser:
    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._at = 0

    def value(self, depth: int) -> Json:
        first = self._skip()
        if first == '"':
            return self._string()
        if first == "{" or first == "[":
            if depth == _MAX_DEPTH:
                raise self._error(f"more than {_MAX_DEPTH} levels")
            self._at += 1
            return self._object(depth + 1) if first == "{" else self._array(depth + 1)
        for word, constant in (("true", True), ("false", False), ("null", None)):
            if self._text.startswith(word, self._at):
                self._at += len(word)
                return constant
        return self._number()

    def end(self) -> None:
        while self._at < len(self._text):
            if self._text[self._at] not in _SPACE:
                raise self._error("data after the value")
            self._at += 1

    def _skip(self) -> str:
        while self._text[self._at] in _SPACE:
            self._at += 1
        return self._text[self._at]

    def _object(self, depth: int) -> Json:
        result: dict[str, Json] = {}
        if self._skip() == "}":
            self._at += 1
            return result
        while True:
            if self._skip() != '"':
                raise self._error("expected a key")
            key = self._string()
            self._expect(":")
            result[key] = self.value(depth)
            if self._expect(",}") == "}":
                return result

    def _array(self, depth: int) -> Json:
        result: list[Json] = []
        if self._skip() == "]":
            self._at += 1
            return result
        while True:
            result.append(self.value(depth))
            if self._expect(",]") == "]":
                return result

    def _expect(self, characters: str) -> str:
        found = self._skip()
        if found not in characters:
            raise self._error(f"expected one of {characters!r}, found {found!r}")
        self._at += 1
        return found

    def _string(self) -> str:
        text = self._text
        parts = []
        start = self._at + 1
        quote = text.find('"', start)
        while True:
            if quote < 0:
                raise self._error("string without its end")
            escape = text.find("\\", start, quote)
            part = text[start : escape if escape >= 0 else quote]
            if not part.isprintable() and min(part) < " ":
                raise self._error("control character in a string")
            parts.append(part)
            if escape < 0:
                break
            self._at = escape + 1
            parts.append(self._escape())
            start = self._at
            if quote < start:
                quote = text.find('"', start)
        self._at = quote + 1
        return "".join(parts)

    def _escape(self) -> str:
        """The character of the escape whose letter is next."""
        letter = self._text[self._at]
        self._at += 1
        if letter != "u":
            if letter not in _ESCAPES:
                raise self._error(f"unknown escape \\{letter}")
            return _ESCAPES[letter]
        code = self._hex()
        if 0xD800 <= code < 0xDC00 and self._text.startswith("\\u", self._at):
            self._at += 2
            low = self._hex()
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + (code - 0xD800 << 10) + low - 0xDC00)
        if 0xD800 <= code < 0xE000:
            raise self._error("half of a surrogate pair")
        return chr(code)

    def _hex(self) -> int:
        digits = self._text[self._at : self._at + 4]
        if len(digits) != 4 or digits.strip("0123456789abcdefABCDEF"):
            raise self._error("bad \\u escape")
        self._at += 4
        return int(digits, 16)

    def _number(self) -> Json:
        text = self._text
        start = self._at
        while self._at < len(text) and text[self._at] in "+-.0123456789Ee":
            self._at += 1
        word = text[start : self._at]
        whole = word.removeprefix("-")
        if whole.isascii() and whole.isdigit() and (whole[0] != "0" or whole == "0") and word != "-0":
            if len(whole) > _MAX_DIGITS:
                raise self._error(f"a number of more than {_MAX_DIGITS} digits")
            return int(word)
        if not whole[:1].isdigit() or (whole[0] == "0" and whole[1:2].isdigit()):
            raise self._error("expected a value")
        from decimal import Decimal, InvalidOperation

        try:
            exact = Decimal(word)
        except InvalidOperation:
            raise self._error(f"bad number {word}") from None
        # jq 1.7 keeps literals as decNumbers; both print by the General Decimal Arithmetic specification.
        number = Number(0)
        number.text = str(exact)
        return number

    def _error(self, what: str) -> JsonError:
        return JsonError(f"{self._name}: {what} at character {self._at} of the JSON")
