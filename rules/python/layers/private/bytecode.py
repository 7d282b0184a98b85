"""Compiled modules (.pyc) whose bytes depend on the source and its path only.

What py_compile writes does not: marshal marks objects by their reference count, and orders frozensets by hash, so the bytes vary with what
else the process has done and with the seed of its hashes. Here the same code object always has the same bytes: equal strings are written
once and referred to after that, whoever else holds them, and frozensets are sorted (as CPython does from 3.11 on). The interpreter's own
reader checks each result.

Format: Python/marshal.c and Lib/importlib/_bootstrap_external.py of CPython 3.10, PEP 552 (header).
"""

from __future__ import annotations

import marshal
import re
import struct
import sys
import warnings
from importlib.util import MAGIC_NUMBER, source_hash
from types import CodeType

from ocilib.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

VERSION = (3, 10)
# PEP 552: hash-based, not checked against the source when it is imported. The sources of an image do not change.
_UNCHECKED_HASH = 0b01
_FLAG_REF = 0x80
_NAME = re.compile(r"[A-Za-z0-9_]*")
_SHORT = struct.Struct("<BB")
_SIZED = struct.Struct("<BI")
_REFERENCE = struct.Struct("<cI")


class BytecodeError(Error):
    """Code that this module cannot write; str() is one line for the user."""


def compile_module(source: bytes, path: str) -> bytes | None:
    """Compiles one module to the content of its .pyc.

    Args:
        source: of the module.
        path: that tracebacks show; where the module will lie when it runs.

    Returns:
        The file's content, or None if the interpreter does not accept the source (templates, other versions of Python).

    Raises:
        BytecodeError: another version of Python runs this, or the code holds a constant of an unknown type.
    """
    if sys.version_info[:2] != VERSION:
        raise BytecodeError(f"bytecode can be written for Python {VERSION[0]}.{VERSION[1]} only, this is {sys.version.split()[0]}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            code = compile(source, path, "exec", dont_inherit=True, optimize=0)
        except (SyntaxError, ValueError, RecursionError):
            return None
    data = dumps(code)
    read = marshal.loads(data)
    # A constant that is not a number is not equal to itself.
    if read != code and dumps(read) != data:
        raise BytecodeError(f"the bytecode of {path} does not read back as it was written")
    return b"%b%b%b%b" % (MAGIC_NUMBER, struct.pack("<I", _UNCHECKED_HASH), source_hash(source), data)


def dumps(code: CodeType) -> bytes:
    """Writes a code object in the format of marshal, version 4."""
    output = bytearray()
    _Writer(output).write(code)
    return bytes(output)


class _Writer:
    def __init__(self, output: bytearray) -> None:
        self._output = output
        # The reader numbers the objects that have the flag, in the order in which they begin. Only strings have it here.
        self._strings: dict[str, int] = {}
        self._writers: dict[type, Callable[[Any], None]] = {
            str: self._str,
            bytes: self._bytes,
            int: self._int,
            tuple: self._tuple,
            CodeType: self._code,
            frozenset: self._frozenset,
            float: self._float,
            complex: self._complex,
            bool: self._bool,
            type(None): self._none,
            type(Ellipsis): self._ellipsis,
        }

    def write(self, value: object) -> None:
        try:
            writer = self._writers[type(value)]
        except KeyError:
            raise BytecodeError(f"a constant of type {type(value).__name__} in a module: {value!r}") from None
        writer(value)

    def _str(self, value: str) -> None:
        number = self._strings.get(value)
        if number is not None:
            self._output += _REFERENCE.pack(b"r", number)
            return
        self._strings[value] = len(self._strings)
        if not value.isascii():
            data = value.encode("utf-8", "surrogatepass")
            self._output += _SIZED.pack(ord("u") | _FLAG_REF, len(data)) + data
            return
        # The compiler interns what looks like a name.
        interned = _NAME.fullmatch(value) is not None
        if len(value) < 256:
            self._output += _SHORT.pack(ord("Z" if interned else "z") | _FLAG_REF, len(value)) + value.encode("ascii")
        else:
            self._output += _SIZED.pack(ord("A" if interned else "a") | _FLAG_REF, len(value)) + value.encode("ascii")

    def _bytes(self, value: bytes) -> None:
        self._output += _SIZED.pack(ord("s"), len(value)) + value

    def _int(self, value: int) -> None:
        if -(1 << 31) <= value < 1 << 31:
            self._output += struct.pack("<ci", b"i", value)
            return
        rest, digits = abs(value), []
        while rest:
            digits.append(rest & 0x7FFF)
            rest >>= 15
        self._output += struct.pack(f"<ci{len(digits)}H", b"l", len(digits) if value > 0 else -len(digits), *digits)

    def _tuple(self, value: tuple[object, ...]) -> None:
        self._output += _SHORT.pack(ord(")"), len(value)) if len(value) < 256 else _SIZED.pack(ord("("), len(value))
        for element in value:
            self.write(element)

    def _frozenset(self, value: frozenset[object]) -> None:
        self._output += _SIZED.pack(ord(">"), len(value))
        for element in sorted(value, key=_standalone):
            self.write(element)

    def _float(self, value: float) -> None:
        self._output += struct.pack("<cd", b"g", value)

    def _complex(self, value: complex) -> None:
        self._output += struct.pack("<cdd", b"y", value.real, value.imag)

    def _bool(self, value: bool) -> None:
        self._output += b"T" if value else b"F"

    def _none(self, _: None) -> None:
        self._output += b"N"

    def _ellipsis(self, _: object) -> None:
        self._output += b"."

    def _code(self, code: CodeType) -> None:
        self._output += struct.pack(
            "<c6i",
            b"c",
            code.co_argcount,
            code.co_posonlyargcount,
            code.co_kwonlyargcount,
            code.co_nlocals,
            code.co_stacksize,
            code.co_flags,
        )
        for part in (
            code.co_code,
            code.co_consts,
            code.co_names,
            code.co_varnames,
            code.co_freevars,
            code.co_cellvars,
            code.co_filename,
            code.co_name,
        ):
            self.write(part)
        self._output += struct.pack("<i", code.co_firstlineno)
        self.write(code.co_linetable)


def _standalone(value: object) -> bytes:
    output = bytearray()
    _Writer(output).write(value)
    return bytes(output)
