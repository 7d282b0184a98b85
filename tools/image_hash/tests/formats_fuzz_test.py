"""Whatever a file holds, its difference is found, and nothing but that it cannot be read is ever an error."""

import bz2
import gzip
import io
import marshal
import os
import pathlib
import random
import tarfile
import zipfile

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_hash.causes import ALL
from image_hash.differences import Difference
from image_hash.formats.content import Budget, Content
from image_hash.formats.explain import explain

# All formats together take about 20 seconds in CI; RANDOM_EXAMPLES asks for more.
_EXAMPLES = int(os.environ.get("RANDOM_EXAMPLES", "40"))
_POSITIONS = 150


def _zip(method: int, *members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, (2010, 1, 1, 0, 0, 0)), data)
        archive.comment = b"a comment"
    return file.getvalue()


def _tar(form: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name in ("a", "b" * 120, "c"):
            info = tarfile.TarInfo(name)
            info.size = 700
            archive.addfile(info, io.BytesIO(name.encode() * 700))
    return file.getvalue()


def _ar() -> bytes:
    data = b"!<arch>\n"
    for name, content in (("//", b"a-name-of-more-than-fifteen-letters.o/\n"), ("/0", b"odd"), ("b.o/", b"even")):
        data += f"{name:16}{0:<12}{0:<6}{0:<6}{0o644:<8o}{len(content):<10}`\n".encode() + content + b"\n" * (len(content) % 2)
    return data


def _pyc() -> bytes:
    source = "import os\nX = {'a', 'b'}\ndef f(x, *, y=2.5):\n  return lambda z: (x, y, 10**30, b'x', 1j)\nclass C:\n  def g(self): pass\n"
    # CPython 3.10's number (Lib/importlib/_bootstrap_external.py), for the interpreter that CI has.
    return (3439).to_bytes(2, "little") + b"\r\n" + bytes(12) + marshal.dumps(compile(source, "/home/alice/f.py", "exec"))


_TEXT = b"".join(b"%d: 2024-01-%02d 10:00:00 /home/alice/src/file%d.c\n" % (n, n % 28 + 1, n) for n in range(200))
_INNER = _zip(zipfile.ZIP_DEFLATED, ("a.txt", _TEXT), ("b", b"1"))

SEEDS = {
    "zip": _zip(zipfile.ZIP_STORED, ("a", b"one"), ("b", _TEXT)),
    "jar in a jar": _zip(zipfile.ZIP_STORED, ("lib/inner.jar", _INNER), ("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\r\n")),
    "GNU tar": _tar(tarfile.GNU_FORMAT),
    "pax tar": _tar(tarfile.PAX_FORMAT),
    "tar.gz": gzip.compress(_tar(tarfile.GNU_FORMAT), mtime=0),
    "ar": _ar(),
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress(_TEXT),
    "text": _TEXT,
    "JSON": b'{"b": [1, 2.5, true, null], "a": {"c": "d"}}',
    ".pyc": _pyc(),
    "bytes": bz2.compress(_TEXT),
}
for _path in map(pathlib.Path, os.environ["FILES"].split()):
    if _path.name == "libplain.so":
        SEEDS["ELF"] = _path.read_bytes()
    if _path.name == "liblines.jar":
        with zipfile.ZipFile(_path) as _jar:
            SEEDS["class"] = _jar.read("files/Probe.class")


def _explained(left: bytes, right: bytes) -> list[Difference]:
    return explain(Content.of(left), Content.of(right), ("layer 0", "file"), Budget(16 << 20, 1000))


@st.composite
def damaged(draw: st.DrawFn, seed: bytes) -> bytes:
    """SEED after up to four accidents: bytes replaced, cut out, inserted, doubled, or the end lost."""
    data = bytearray(seed)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        size = draw(st.integers(1, 8))
        match draw(st.sampled_from(("replace", "flip", "cut", "insert", "double", "end"))):
            case "replace":
                data[at : at + size] = draw(st.sampled_from((bytes(size), b"\xff" * size, b"\x7f" + b"\xff" * (size - 1), b"1" * size)))
            case "flip" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[at : at + size]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=8))
            case "double":
                data[at:at] = data[at : at + 40 * size]
            case _:
                del data[at:]
    return bytes(data)


@pytest.mark.parametrize("kind", SEEDS)
@settings(max_examples=_EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
@given(data=st.data())
def test_a_damaged_file_differs_and_that_is_said(kind: str, data: st.DataObject) -> None:
    seed = SEEDS[kind]
    left, right = data.draw(st.sampled_from((seed, None))) or data.draw(damaged(seed)), data.draw(damaged(seed))
    found = _explained(left, right)
    assert (not found) == (left == right)
    for difference in found:
        assert difference.cause in ALL
        assert difference.place[:2] == ("layer 0", "file")
        # What comes from a file is text that can be written; how it is escaped is the business of reports.
        for shown in (*difference.place, difference.left, difference.right):
            shown.encode()


def _changed(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0x01]) + data[position + 1 :]


# Kind -> where a byte is that has a cause of its own: a time or the like.
_KNOWN = {
    "zip": 10,
    "tar.gz": 4,
    "ar": 8 + 16,
    "ELF": SEEDS["ELF"].index(b"GNU\0") + 4,
    "class": 5,
    ".pyc": 8,
}


@pytest.mark.parametrize("kind", _KNOWN)
def test_no_difference_hides_behind_another(kind: str) -> None:
    """A second byte, wherever it is, makes another finding than the first alone: no parser leaves bytes out."""
    seed = SEEDS[kind]
    one = _changed(seed, _KNOWN[kind])
    known = _explained(seed, one)
    for position in random.Random(1).sample(range(len(seed)), min(_POSITIONS, len(seed))):
        if abs(position - _KNOWN[kind]) > 4:
            assert _explained(seed, _changed(one, position)) != known, position


def test_the_same_bytes_have_no_difference() -> None:
    for seed in SEEDS.values():
        assert _explained(seed, seed) == []
