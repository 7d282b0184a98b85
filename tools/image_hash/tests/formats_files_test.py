"""Each cause inside a file: made in files that compilers wrote, and found under exactly that name, alone and in a real image."""

import gzip
import importlib.util
import io
import marshal
import os
import pathlib
import zipfile
from collections.abc import Iterator

import pytest
import zstandard
from image_hash.causes import (
    COMPILED_CODE,
    COMPILER_VERSION,
    CONSTANT_ORDER,
    DEBUG_INFORMATION,
    PYC_REFERENCES,
    PYC_VALIDATION,
    UNKNOWN,
)
from image_hash.comparison import engine
from image_hash.differences import Difference
from image_hash.formats.content import Budget, Content
from image_hash.formats.explain import explain
from image_hash.limits import NESTED_DEPTH
from image_hash.sources import open_image
from tests.rewritten_image import Rewritten

_FILES = {path.name: path for path in map(pathlib.Path, os.environ["FILES"].split())}
_LAYER = "system_files"


def _library(name: str) -> bytes:
    return _FILES[f"lib{name}.so"].read_bytes()


def _class(name: str, member: str = "Probe") -> bytes:
    with zipfile.ZipFile(_FILES[f"lib{name}.jar"]) as jar:
        return jar.read(f"files/{member}.class")


def _small_class(*pool: bytes, this: int, parent: int) -> bytes:
    """A class without members (JVMS 4.1)."""
    head = b"\xca\xfe\xba\xbe\0\0\0\x3d" + (len(pool) + 1).to_bytes(2, "big") + b"".join(pool)
    return head + b"\0\x21" + this.to_bytes(2, "big") + parent.to_bytes(2, "big") + bytes(8)


def _name(value: bytes) -> bytes:
    return b"\1" + len(value).to_bytes(2, "big") + value


_SOURCE = """
def add(a, b):
    return a + b, "sum", "sum of both", {"x", "y", "z"}


class Sum:
    def of(self, items):
        return [add(item, 1) for item in items]
"""


def _pyc(source: str = _SOURCE, file: str = "/home/alice/sums.py", header: bytes = bytes(12), version: int = 4) -> bytes:
    return importlib.util.MAGIC_NUMBER + header + marshal.dumps(compile(source, file, "exec"), version)


def _timed(seconds: int) -> bytes:
    return bytes(4) + seconds.to_bytes(4, "little") + len(_SOURCE).to_bytes(4, "little")


def _swapped(data: bytes, *pairs: tuple[bytes, bytes]) -> bytes:
    for old, new in pairs:
        assert old in data
        data = data.replace(old, new)
    return data


def _zip(*entries: tuple[str, bytes], system: int = 3, prefix: bytes = b"", mode: int = 0o644) -> bytes:
    file = io.BytesIO(prefix)
    with zipfile.ZipFile(file, "a" if prefix else "w") as archive:
        for name, data in entries:
            info = zipfile.ZipInfo(name, (2010, 1, 1, 0, 0, 0))
            info.create_system = system
            info.external_attr = mode << 16
            archive.writestr(info, data)
    return file.getvalue()


def _nested(data: bytes) -> bytes:
    for _ in range(NESTED_DEPTH + 1):
        data = gzip.compress(data, mtime=0)
    return data


def _zstd(*, checked: bool) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=checked).compress(_lines(99))


def _lines(count: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(count))


_PLAIN = _library("plain")
_LINES = _class("lines")
_OBJECT = (_name(b"A"), b"\7\0\1", _name(b"java/lang/Object"), b"\7\0\3")
_LOG = b"started 2024-01-01 10:00:00\nin /home/alice/work/app/main.py\nand /home/alice/work/app/lib/x.py\n"
_JSON = b'{"name": "x", "sizes": [1, 2.0], "on": true}\n'

# Name -> (left, right, causes with their place below the file).
CASES: dict[str, tuple[bytes, bytes, list[tuple[str, ...]]]] = {
    # ELF. What is linked anew has another build id, too: a hash of the rest.
    "build id": (
        _PLAIN,
        _PLAIN[: _PLAIN.index(b"GNU\0") + 4] + bytes(20) + _PLAIN[_PLAIN.index(b"GNU\0") + 24 :],
        [("build id", ".note.gnu.build-id")],
    ),
    "compiler": (_PLAIN, _swapped(_PLAIN, (b"clang version 16", b"clang version 17")), [("compiler version", ".comment")]),
    "machine": (_PLAIN, _PLAIN[:18] + b"\xb7" + _PLAIN[19:], [("platform",)]),
    "entry point": (_PLAIN, _PLAIN[:24] + b"\1" + _PLAIN[25:], [("compiled code",)]),
    "function": (_PLAIN, _library("code"), [("build id", ".note.gnu.build-id"), ("compiled code",)]),
    "symbols for debuggers": (_PLAIN, _library("debug"), [("build id", ".note.gnu.build-id"), ("debug information",)]),
    "debug link": (_library("link"), _library("other_link"), [("build id", ".note.gnu.build-id"), ("debug link", ".gnu_debuglink")]),
    "path in a library": (_library("alice"), _library("robin"), [("build id", ".note.gnu.build-id"), ("embedded path", ".rodata")]),
    "time in a library": (_library("monday"), _library("tuesday"), [("build id", ".note.gnu.build-id"), ("embedded time", ".rodata")]),
    "path of another length": (
        b"\0\1" + b"/home/alice/work/x.c\0" * 3,
        b"\0\1" + b"/build/x.c\0" * 3,
        [("embedded path",)],
    ),
    # Class files.
    "line numbers": (_LINES, _class("no_lines"), [("debug information",)]),
    "another release of Java": (_class("lines", "Probe$Sample"), _class("release_11", "Probe$Sample"), [("compiler version",)]),
    "path in a class": (
        _LINES,
        _swapped(_LINES, (b"/home/alice", b"/home/robin")),
        [
            ("embedded path", "field MADE Ljava/lang/String;"),
            ("embedded path", "method sorted(Ljava/util/List;)Ljava/util/List;"),
        ],
    ),
    "method": (_LINES, _swapped(_LINES, (b"hashCode", b"hashOode")), [("compiled code",)]),
    "constants in another order": (
        _small_class(*_OBJECT, this=2, parent=4),
        _small_class(_name(b"java/lang/Object"), b"\7\0\1", _name(b"A"), b"\7\0\3", this=4, parent=2),
        [("constant order",)],
    ),
    "unused constant": (
        _small_class(*_OBJECT, this=2, parent=4),
        _small_class(*_OBJECT, _name(b"unused"), this=2, parent=4),
        [("compiled code",)],
    ),
    # Compiled Python.
    "time of the source": (_pyc(header=_timed(1_600_000_000)), _pyc(header=_timed(1_700_000_000)), [(".pyc validation",)]),
    "hash instead of a time": (_pyc(header=_timed(0)), _pyc(header=b"\1" + bytes(3) + b"8 bytes!"), [(".pyc validation",)]),
    "path of the source": (_pyc(), _pyc(file="/build/sums.py"), [("embedded path",)]),
    "name of the source": (_pyc(file="a.py"), _pyc(file="b.py"), [("debug information",)]),
    "function in Python": (_pyc(), _pyc(_SOURCE.replace("item, 1", "item, 2")), [("compiled code",)]),
    "lines in Python": (_pyc(), _pyc(_SOURCE.replace("\n\n\n", "\n")), [("debug information",)]),
    "references": (_pyc(), _pyc(version=2), [(".pyc references",)]),
    "references and time": (_pyc(header=_timed(1)), _pyc(header=_timed(2), version=2), [(".pyc validation",), (".pyc references",)]),
    "another Python": (_pyc(), b"\x42\x0d" + _pyc()[2:], [("compiler version",)]),
    # Texts.
    "word": (_lines(9), _lines(9).replace(b"line 4", b"lime 4"), [("text content",)]),
    "line more": (_lines(9), _lines(10), [("text content",)]),
    "no line feed at the end": (_lines(9), _lines(9)[:-1], [("text content",)]),
    "endings of lines": (_lines(9), _lines(9).replace(b"\n", b"\r\n"), [("line endings",)]),
    "endings and a word": (_lines(9), _lines(9).replace(b"\n", b"\r\n").replace(b"4", b"5"), [("line endings",), ("text content",)]),
    "order of lines": (_lines(9), b"".join(sorted(_lines(9).splitlines(keepends=True), reverse=True)), [("line order",)]),
    "time": (_LOG, _LOG.replace(b"2024-01-01 10:00:00", b"2025-12-31 23:59:59"), [("embedded time",)]),
    "path": (_LOG, _LOG.replace(b"/home/alice/work", b"/build"), [("embedded path",)]),
    "path and time": (
        _LOG,
        _LOG.replace(b"/home/alice/work", b"/build").replace(b"2024", b"2025"),
        [("embedded path",), ("embedded time",)],
    ),
    "time and a word": (
        _LOG + _lines(3),
        _LOG.replace(b"2024", b"2025") + _lines(3).replace(b"line 1", b"lime 1"),
        [("embedded time",), ("text content",)],
    ),
    "order and time": (
        b"a\nb\n2024-01-01\n",
        b"b\na\n2024-01-02\n",
        [("line order",), ("embedded time",)],
    ),
    "order, and a word instead of a time": (b"a\nb\n2024-01-01\n", b"b\na\nTIME\n", [("text content",)]),
    "more lines than are held": (_lines(110_000), _lines(110_000).replace(b"line 70000\n", b"lime 70000\n"), [("text content",)]),
    "order of keys": (_JSON, b'{"sizes": [1, 2.0],\n "on": true, "name": "x"}', [("JSON formatting",)]),
    "value": (_JSON, _JSON.replace(b"2.0", b"2.1"), [("text content",)]),
    # Archives; formats_archives_test has more of them.
    "order in a zip": (_zip(("a", b"1"), ("b", b"2")), _zip(("b", b"2"), ("a", b"1")), [("zip order",)]),
    "system in a zip": (_zip(("a", b"1")), _zip(("a", b"1"), system=0), [("zip header", "a")]),
    "start script of a zip": (_zip(("a", b"1"), prefix=b"#!/bin/sh\n"), _zip(("a", b"1"), prefix=b"#!/bin/bash\n"), [("zip padding",)]),
    "mode in a zip": (_zip(("a", b"1")), _zip(("a", b"1"), mode=0o600), [("mode", "a")]),
    "check sum of Zstandard": (_zstd(checked=False), _zstd(checked=True), [("zstd header",)]),
    "name in gzip": (
        gzip.compress(_LOG, mtime=0),
        gzip.compress(_LOG, mtime=0)[:3] + b"\x08" + gzip.compress(_LOG, mtime=0)[4:10] + b"log\0" + gzip.compress(_LOG, mtime=0)[10:],
        [("gzip header",)],
    ),
    "too deep": (_nested(b"1"), _nested(b"2"), [("not examined", *["content"] * NESTED_DEPTH)]),
    # Anything else.
    "bytes": (b"\0\1\2" * 50, b"\0\1\2" * 20 + b"\0\5\2" + b"\0\1\2" * 29, [("unknown",)]),
    "bytes more": (b"\0\1\2" * 50, b"\0\1\2" * 51, [("unknown",)]),
}


def _found(left: bytes, right: bytes) -> list[Difference]:
    return explain(Content.of(left), Content.of(right), ("file",), Budget())


def _named(differences: list[Difference], depth: int) -> list[tuple[str, ...]]:
    return [(difference.cause.name, *difference.place[depth:]) for difference in differences]


@pytest.mark.parametrize("case", CASES)
def test_exactly_the_cause_is_named(case: str) -> None:
    left, right, expected = CASES[case]
    assert _named(_found(left, right), 1) == expected


@pytest.mark.parametrize("case", CASES)
def test_the_other_way_round_it_is_the_same_cause(case: str) -> None:
    left, right, expected = CASES[case]
    assert sorted(_named(_found(right, left), 1)) == sorted(expected)


@pytest.fixture(scope="module")
def in_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Difference]]:
    """How two copies of a real image differ that have the left and the right file of every case, and a class in its own jar."""
    original = pathlib.Path(os.environ["IMAGE"])
    images = []
    for side in (0, 1):
        image = Rewritten(original, tmp_path_factory.mktemp("image") / "layout")
        position = image.layer(_LAYER)
        tar = image.tar(position)
        for number, (left_file, right_file, _) in enumerate(CASES.values()):
            entry = tar["etc/passwd"].copy()
            entry.patch(0, f"case/{number}".encode().ljust(100, b"\0"))
            entry.replace(right_file if side else left_file)
            tar.entries.append(entry)
        image.set_tar(position, tar.bytes())
        position = image.layer("binary_tar.tar")
        tar = image.tar(position)
        (jar,) = (entry for entry in tar.entries if entry.path.endswith("_application.jar"))
        jar.replace(_repacked(jar.data, (2010, 1, 1, 0, 0, 0) if side else (2024, 1, 1, 0, 0, 0)))
        image.set_tar(position, tar.bytes())
        images.append(image.save())
    with open_image(str(images[0])) as left, open_image(str(images[1])) as right:
        yield list(engine.compare(left, right).differences)


def _repacked(jar: bytes, time: tuple[int, int, int, int, int, int]) -> bytes:
    """The jar with one library packed anew, in which one class has TIME."""
    with zipfile.ZipFile(io.BytesIO(jar)) as outer:
        library = next(name for name in outer.namelist() if name.startswith("BOOT-INF/lib/spring-core-"))
        with zipfile.ZipFile(io.BytesIO(outer.read(library))) as inner:
            members = [(name, inner.read(name)) for name in inner.namelist() if not name.endswith("/")][:50]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, data in members:
                archive.writestr(zipfile.ZipInfo(name, time if name == members[-1][0] else (1980, 1, 1, 0, 0, 0)), data)
        result = io.BytesIO()
        with zipfile.ZipFile(result, "w") as archive:
            for info in outer.infolist():
                archive.writestr(info, packed.getvalue() if info.filename == library else outer.read(info))
    return result.getvalue()


@pytest.mark.parametrize("case", CASES)
def test_it_is_found_in_a_real_image(case: str, in_image: list[Difference]) -> None:
    place = f"case/{list(CASES).index(case)}"
    own = [difference for difference in in_image if difference.place[1:2] == (place,)]
    assert _named(own, 2) == CASES[case][2]


def test_a_class_in_a_jar_in_the_jar_of_a_real_image_is_found(in_image: list[Difference]) -> None:
    (own,) = (difference for difference in in_image if difference.place[1].endswith("_application.jar"))
    assert own.cause.name == "zip timestamp"
    assert own.place[2].startswith("BOOT-INF/lib/spring-core-")
    assert (own.left, own.right) == (
        "time 2024-01-01 00:00:00, local time 2024-01-01 00:00:00",
        "time 2010-01-01 00:00:00, local time 2010-01-01 00:00:00",
    )
    assert own.target


def test_functions_that_differ_are_named() -> None:
    difference = _found(_PLAIN, _library("code"))[1]
    assert difference.left.endswith("functions that differ: multiply")


def test_values_are_shown_for_a_person() -> None:
    def shown(case: str) -> tuple[str, str]:
        difference = _found(*CASES[case][:2])[0]
        return difference.left, difference.right

    assert shown("debug link")[0] != shown("debug link")[1]
    assert shown("path in a library") != ("", "")
    assert shown("another release of Java") == ("class file version 61.0", "class file version 55.0")
    assert shown("time of the source")[0] == f"time of the source 2020-09-13 12:26:40 UTC its size {len(_SOURCE)}"
    assert shown("word") == ("line 5: line 4", "line 5: lime 4")
    assert shown("line more") == ("no such line", "line 10: line 9")
    assert shown("no line feed at the end") == ("line 10: (line feed at the end)", "no such line")
    assert shown("path") == ("/home/alice/work", "/build")
    assert shown("time") == ("2024-01-01 10:00:00", "2025-12-31 23:59:59")
    assert shown("more lines than are held") == ("from line 70001 on: line 70000", "from line 70001 on: lime 70000")
    assert shown("order and time") == ("line 1: a", "line 1: b")
    assert shown("bytes") == ("byte 61 of 150: 01", "byte 61 of 150: 05")
    assert shown("bytes more") == ("nothing at byte 150 of 150", "bytes 150-152 of 153: 000102")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        # A version is no time, and a path of the distribution is nobody's machine.
        (b"version 1.2.3\n", b"version 1.2.4\n"),
        (b"20230311\n", b"20230312\n"),
        (b"#!/usr/bin/python3\n", b"#!/usr/local/bin/python3\n"),
        (b"x = 1700000000\n", b"x = 1700000001\n"),
        (b"see /home/alice/a\n", b"see /home/robin/b\n"),
        (b"relative/path/x\n", b"another/path/x\n"),
        (b"2024-13-01\n", b"2024-13-02\n"),
    ],
)
def test_what_only_looks_like_a_path_or_a_time_is_text(left: bytes, right: bytes) -> None:
    assert _named(_found(left, right), 1) == [("text content",)]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (b"2024-01-31T10:00:00Z", b"2024-02-01T11:12:13.123+01:00"),
        (b"#Tue Jan 02 03:04:05 UTC 2024", b"#Wed Jan 03 13:14:15 CET 2024"),
        (b"Date: Tue, 02 Jan 2024 03:04:05 +0000", b"Date: Wed, 03 Jan 2024 03:04:05 +0100"),
        (b'"Jan  2 2024" "03:04:05"', b'"Feb 12 2024" "13:04:05"'),
        (b"build.timestamp=1700000000", b"build.timestamp=1700000001"),
        (b'"buildTime": 1700000000000', b'"buildTime": 1700000000001'),
        (b"20240131T101112Z", b"20240201T101112Z"),
    ],
)
def test_forms_of_times(left: bytes, right: bytes) -> None:
    assert _named(_found(left + b"\n", right + b"\n"), 1) == [("embedded time",)]


def test_damaged_files_are_compared_as_bytes() -> None:
    for whole, word in ((_PLAIN, "ELF"), (_LINES, "class"), (_pyc(), ".pyc")):
        for damaged in (whole[: len(whole) // 2], whole[:30]):
            (difference,) = _found(whole, damaged)
            assert difference.cause == UNKNOWN
            assert f"no valid {word}" in difference.right


def test_deep_nesting_and_endless_references_are_refused() -> None:
    deep = importlib.util.MAGIC_NUMBER + bytes(12) + b"c" + bytes(24) + b")\1" * 5000 + b"N"
    assert [difference.cause for difference in _found(_pyc(), deep)] == [UNKNOWN]
    # A bootstrap method (JVMS 4.7.23) of which an argument is the constant that it makes.
    loop = _small_class(_name(b"A"), b"\7\0\1", b"\x11\0\0\0\4", b"\x0c\0\1\0\1", _name(b"BootstrapMethods"), this=2, parent=2)
    loop = loop[:-2] + b"\0\1\0\5\0\0\0\x08\0\1\0\2\0\1\0\3"
    (difference,) = _found(_LINES, loop)
    assert difference.cause == UNKNOWN
    assert "refers to itself" in difference.left
    # JSON that recurses is a text.
    assert [difference.cause.name for difference in _found(b"[" * 100_000 + b"1", b"[" * 100_000 + b"2")] == ["text content"]


def test_a_class_whose_constants_multiply_is_not_examined() -> None:
    def bomb(last: bytes) -> bytes:
        # Each constant is the one before it twice.
        pool = [_name(b"x" * 60_000 + last), b"\7\0\1"]
        pool += [b"\x0c" + number.to_bytes(2, "big") * 2 for number in range(1, 30)]
        return _small_class(*pool, this=2, parent=2)

    assert [difference.cause.name for difference in _found(bomb(b"1"), bomb(b"2"))] == ["not examined"]


def test_every_cause_inside_files_has_a_case() -> None:
    inside = {COMPILED_CODE, COMPILER_VERSION, CONSTANT_ORDER, DEBUG_INFORMATION, PYC_REFERENCES, PYC_VALIDATION}
    tested = {name for _, _, expected in CASES.values() for name, *_ in expected}
    assert {cause.name for cause in inside} <= tested
