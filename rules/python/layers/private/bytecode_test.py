"""Tests of the writer of compiled modules."""

from __future__ import annotations

import marshal
import subprocess
import sys
import unittest
from importlib.util import MAGIC_NUMBER, source_hash

import bytecode

_SOURCE = '''
"""Every kind of constant, and names that are not ASCII."""
NUMBERS = (0, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**200, -(2**200), 1.5, -0.0, 2j, True, False, None, ...)
TEXTS = ("", "name", "two words", "\\u00e4\\u20ac", "\\ud800", "x" * 300, "a b" * 100, b"", b"bytes")
LARGE = (@LARGE@)
def größe(x, /, y, *, z=1):
    """Has a closure."""
    total = x + y + z
    class Inner:
        def method(self): return (lambda: total)() if x in {"a", "b", 3, None, 4.5, ("c", "d")} else NUMBERS
    return Inner().method()
RESULT = größe(1, 2), größe("a", "b", z="c")
'''.replace("@LARGE@", ", ".join(map(str, range(300))))


def _code(source: bytes, path: str = "m.py") -> bytes:
    compiled = bytecode.compile_module(source, path)
    assert compiled is not None
    return compiled


class CompileModuleTest(unittest.TestCase):
    def test_the_header_is_an_unchecked_hash_of_the_source(self) -> None:
        self.assertEqual(_code(b"x = 1")[:16], MAGIC_NUMBER + b"\1\0\0\0" + source_hash(b"x = 1"))

    def test_the_interpreter_reads_what_its_own_compiler_made(self) -> None:
        code = marshal.loads(_code(_SOURCE.encode())[16:])
        self.assertEqual(code, compile(_SOURCE, "m.py", "exec", dont_inherit=True))
        module: dict[str, object] = {}
        exec(code, module)
        expected: dict[str, object] = {}
        exec(compile(_SOURCE, "m.py", "exec", dont_inherit=True), expected)
        for name in ("NUMBERS", "TEXTS", "LARGE", "RESULT"):
            self.assertEqual(repr(module[name]), repr(expected[name]))

    def test_the_path_is_that_of_tracebacks(self) -> None:
        self.assertEqual(marshal.loads(_code(b"x = 1", "/image/m.py")[16:]).co_filename, "/image/m.py")

    def test_bytes_do_not_depend_on_the_process(self) -> None:
        script = (
            "import sys; sys.path += sys.argv[1].split(':'); import bytecode;"
            "held = [sys.intern(text) for text in sys.argv[3:]];"
            "sys.stdout.write(bytecode.compile_module(sys.argv[2].encode(), 'm.py').hex())"
        )
        for seed, held in (("1", []), ("2", ["name", "total", "Inner", "two words", "method"])):
            environment = {"PYTHONHASHSEED": seed, "LC_ALL": "C.UTF-8"}
            command = [sys.executable, "-S", "-B", "-c", script, ":".join(sys.path), _SOURCE, *held]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            self.assertEqual(done.stdout, _code(_SOURCE.encode()).hex())

    def test_a_constant_that_is_not_equal_to_itself_is_written(self) -> None:
        self.assertIn(b"g", _code(b"x = 1e999 - 1e999")[16:])

    def test_what_is_no_python_of_this_version_is_left_out(self) -> None:
        for source in (b"print 1", b"{% template %}", b"x = '\0'", b"# coding: nothing\nx = 1", b"\xff"):
            self.assertIsNone(bytecode.compile_module(source, "m.py"))

    def test_no_warning_of_the_source_reaches_the_build(self) -> None:
        with self.assertNoLogs():
            self.assertIsNotNone(bytecode.compile_module(b"x = 1 is 1\ny = '\\d'\n", "m.py"))

    def test_a_constant_of_a_new_kind_is_an_error(self) -> None:
        code = compile("x = 1", "m.py", "exec").replace(co_consts=([],))
        with self.assertRaisesRegex(bytecode.BytecodeError, "a constant of type list"):
            bytecode.dumps(code)


if __name__ == "__main__":
    unittest.main()
