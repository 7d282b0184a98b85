"""Archives and compressed files: each cause alone, several at once, and nesting."""

import gzip
import io
import random
import tarfile
import zipfile
import zlib
from typing import Any

import pytest
import zstandard
from image_hash import causes
from image_hash.differences import Difference
from image_hash.formats.content import Budget, Content
from image_hash.formats.explain import explain

PLACE = ("layer 1", "app/x")
# Compresses, and differently at every level.
TEXT = b"".join(b"%d squared is %d\n" % (n, n * n) for n in range(3000))


def differences(left: bytes, right: bytes, budget: Budget | None = None) -> list[Difference]:
    return explain(Content.of(left), Content.of(right), PLACE, budget or Budget())


def found(left: bytes, right: bytes) -> list[tuple[str, ...]]:
    """The causes' names, each with its place below the file."""
    return [(difference.cause.name, *difference.place[2:]) for difference in differences(left, right)]


def entry(name: str, time: tuple[int, ...] = (2010, 1, 1, 0, 0, 0), mode: int = 0o644, method: int = zipfile.ZIP_STORED) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, time)  # type: ignore[arg-type]
    info.external_attr = (0o100000 | mode) << 16
    info.create_system = 3
    info.compress_type = method
    return info


def make_zip(*entries: tuple[zipfile.ZipInfo, bytes], level: int | None = None, comment: bytes = b"", prefix: bytes = b"") -> bytes:
    file = io.BytesIO()
    file.write(prefix)
    with zipfile.ZipFile(file, "a" if prefix else "w", compresslevel=level) as archive:
        for info, data in entries:
            archive.writestr(info, data, compresslevel=level)
        archive.comment = comment
    return file.getvalue()


ONE, TWO = (entry("one"), b"1"), (entry("two"), b"2")


def test_equal_files_have_no_difference() -> None:
    assert differences(TEXT, TEXT) == []


def test_zip_order() -> None:
    assert found(make_zip(ONE, TWO), make_zip(TWO, ONE)) == [("zip order",)]


def test_zip_order_of_data_alone() -> None:
    plain = make_zip(ONE, TWO)
    start = plain.index(b"PK\1\2")
    middle = start // 2
    moved = bytearray(plain[middle:start] + plain[:middle] + plain[start:])
    # The offsets in the directory's two entries of 49 bytes.
    moved[start + 42 : start + 46], moved[start + 49 + 42 : start + 49 + 46] = (
        plain[start + 91 : start + 95],
        plain[start + 42 : start + 46],
    )
    assert found(plain, bytes(moved)) == [("zip order",)]


def test_zip_timestamp() -> None:
    assert differences(make_zip(ONE, TWO), make_zip((entry("one", (2024, 2, 3, 4, 5, 6)), b"1"), TWO)) == [
        Difference(
            (*PLACE, "one"),
            causes.ZIP_TIMESTAMP,
            "time 2010-01-01 00:00:00, local time 2010-01-01 00:00:00",
            "time 2024-02-03 04:05:06, local time 2024-02-03 04:05:06",
        )
    ]


def test_extended_timestamp_is_a_zip_timestamp() -> None:
    left, right = entry("one"), entry("one")
    left.extra = b"UT\5\0\1" + (1_600_000_000).to_bytes(4, "little")
    right.extra = b"UT\5\0\1" + (1_700_000_000).to_bytes(4, "little")
    assert found(make_zip((left, b"1")), make_zip((right, b"1"))) == [("zip timestamp", "one")]


def test_mode_in_a_zip() -> None:
    assert found(make_zip(ONE), make_zip((entry("one", mode=0o755), b"1"))) == [("mode", "one")]


def test_owner_in_a_zip() -> None:
    left, right = entry("one"), entry("one")
    left.extra, right.extra = b"ux\x0b\0\1\4\0\0\0\0\4\0\0\0\0", b"ux\x0b\0\1\4\xe8\3\0\0\4\xe8\3\0\0"
    assert found(make_zip((left, b"1")), make_zip((right, b"1"))) == [("owner", "one")]


def test_zip_header_for_what_else_a_header_says() -> None:
    other = entry("one")
    other.create_system = 0
    assert found(make_zip(ONE), make_zip((other, b"1"))) == [("zip header", "one")]
    extra = entry("one")
    extra.extra = b"\xfe\xca\0\0"
    assert found(make_zip(ONE), make_zip((extra, b"1"))) == [("zip header", "one")]
    assert found(make_zip(ONE), make_zip(ONE, comment=b"hello")) == [("zip header",)]


def test_sizes_behind_the_data_are_a_zip_header() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise OSError

        def tell(self) -> int:
            raise OSError

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        archive.writestr(*ONE)
    assert found(make_zip(ONE), pipe.getvalue()) == [("zip header", "one")]


def test_zip_padding_for_what_stands_before_entries() -> None:
    assert found(make_zip(ONE, prefix=b"#!/bin/sh\n"), make_zip(ONE, prefix=b"#!/bin/ksh\n")) == [("zip padding",)]


def test_compression_level_in_a_zip_is_named() -> None:
    packed = entry("one", method=zipfile.ZIP_DEFLATED)
    (difference,) = differences(make_zip((packed, TEXT), level=6), make_zip((packed, TEXT), level=9))
    assert difference.cause == causes.COMPRESSION
    assert difference.left.startswith("zlib level 6, ")
    assert difference.right.startswith("zlib level 9, ")


def test_stored_and_deflated_are_compression_formats() -> None:
    assert found(make_zip((entry("one"), TEXT)), make_zip((entry("one", method=zipfile.ZIP_DEFLATED), TEXT))) == [
        ("compression format", "one")
    ]


def test_level_and_content_are_both_said() -> None:
    packed = entry("one", method=zipfile.ZIP_DEFLATED)
    left, right = make_zip((packed, TEXT), level=6), make_zip((packed, TEXT + b"end\n"), level=9)
    assert found(left, right) == [("text content", "one"), ("compression level or implementation", "one")]


def test_entries_added_removed_and_repeated() -> None:
    assert found(make_zip(ONE), make_zip(ONE, TWO)) == [("file added", "two")]
    assert found(make_zip(ONE, TWO), make_zip(ONE)) == [("file removed", "two")]
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = make_zip(ONE, TWO, (entry("one"), b"1"))
    assert found(make_zip(ONE, TWO), twice) == [("duplicate entry", "one")]


def test_two_causes_of_one_entry() -> None:
    changed = (entry("one", (2024, 1, 1, 0, 0, 0), mode=0o600), b"1")
    assert found(make_zip(ONE, TWO), make_zip(changed, TWO)) == [("zip timestamp", "one"), ("mode", "one")]


def test_jar_in_jar_in_gzip() -> None:
    def nest(time: tuple[int, ...]) -> bytes:
        inner = make_zip((entry("X.class", time), b"1"))
        return gzip.compress(make_zip((entry("lib/inner.jar"), inner)), mtime=0)

    assert found(nest((2010, 1, 1, 0, 0, 0)), nest((2011, 1, 1, 0, 0, 0))) == [("zip timestamp", "content", "lib/inner.jar", "X.class")]


def test_gzip_header() -> None:
    (difference,) = differences(gzip.compress(TEXT, mtime=0), gzip.compress(TEXT, mtime=1_700_000_000))
    assert difference == Difference(PLACE, causes.GZIP_HEADER, "time none", "time 2023-11-14 22:13:20 UTC")
    named = io.BytesIO()
    with gzip.GzipFile("a.txt", "wb", fileobj=named, mtime=0) as file:
        file.write(TEXT)
    assert found(gzip.compress(TEXT, mtime=0), named.getvalue()) == [("gzip header",)]


def test_gzip_level() -> None:
    assert found(gzip.compress(TEXT, 6, mtime=0), gzip.compress(TEXT, 9, mtime=0)) == [("compression level or implementation",)]


def test_gzip_header_and_level_and_content() -> None:
    left, right = gzip.compress(TEXT, 6, mtime=0), gzip.compress(TEXT + b"end\n", 9, mtime=1)
    assert found(left, right) == [("gzip header",), ("text content", "content"), ("compression level or implementation",)]


def test_gzip_in_several_members() -> None:
    parts = gzip.compress(TEXT[:1000], mtime=0) + gzip.compress(TEXT[1000:], mtime=0)
    assert ("compression level or implementation",) in found(gzip.compress(TEXT, mtime=0), parts)


def test_compressed_on_one_side() -> None:
    assert found(TEXT, gzip.compress(TEXT)) == [("compression format",)]
    assert found(zstandard.compress(TEXT), gzip.compress(TEXT)) == [("compression format",)]
    assert found(TEXT, gzip.compress(TEXT + b"end\n")) == [("compression format",), ("text content",)]


def test_zstd_level_and_header() -> None:
    assert found(zstandard.compress(TEXT, 3), zstandard.compress(TEXT, 19)) == [("compression level or implementation",)]
    checked = zstandard.ZstdCompressor(write_checksum=True).compress(TEXT)
    assert found(zstandard.compress(TEXT), checked) == [("zstd header",)]
    skippable = b"\x50\x2a\x4d\x18\2\0\0\0ab"
    assert found(zstandard.compress(TEXT), zstandard.compress(TEXT) + skippable) == [("zstd header",)]


def make_ar(*members: tuple[str, int, int, int, bytes]) -> bytes:
    data = b"!<arch>\n"
    for name, mtime, uid, mode, content in members:
        data += f"{name:16}{mtime:<12}{uid:<6}{0:<6}{mode:<8o}{len(content):<10}`\n".encode() + content + b"\n" * (len(content) % 2)
    return data


def test_ar_members() -> None:
    plain = make_ar(("a.o/", 0, 0, 0o644, b"abc"), ("b.o/", 0, 0, 0o644, b"def"))
    assert found(plain, make_ar(("a.o/", 1_700_000_000, 0, 0o644, b"abc"), ("b.o/", 0, 0, 0o644, b"def"))) == [("mtime", "a.o")]
    assert found(plain, make_ar(("a.o/", 0, 1000, 0o644, b"abc"), ("b.o/", 0, 0, 0o644, b"def"))) == [("owner", "a.o")]
    assert found(plain, make_ar(("a.o/", 0, 0, 0o600, b"abc"), ("b.o/", 0, 0, 0o644, b"def"))) == [("mode", "a.o")]
    assert found(plain, make_ar(("b.o/", 0, 0, 0o644, b"def"), ("a.o/", 0, 0, 0o644, b"abc"))) == [("entry order",)]
    assert found(plain, make_ar(("a.o/", 0, 0, 0o644, b"abc"))) == [("file removed", "b.o")]
    assert found(plain, make_ar(("a.o/", 0, 0, 0o644, b"abx"), ("b.o/", 0, 0, 0o644, b"def"))) == [("text content", "a.o")]


def test_the_symbol_table_of_an_ar_follows_from_its_members() -> None:
    left = make_ar(("/", 0, 0, 0, b"\0\0\0\1table"), ("a.o/", 0, 0, 0o644, b"abc"))
    right = make_ar(("/", 0, 0, 0, b"\0\0\0\2table"), ("a.o/", 5, 0, 0o644, b"abc"))
    assert found(left, right) == [("mtime", "a.o")]
    assert found(left, right.replace(b"5     ", b"0     ", 1)) == [("unknown", "/")]


def test_long_names_of_an_ar() -> None:
    name = b"a-name-of-more-than-fifteen-letters.o"
    gnu = make_ar(("//", 0, 0, 0, name + b"/\n"), ("/0", 0, 0, 0o644, b"abc"))
    assert found(gnu, gnu.replace(b"abc", b"abd")) == [("text content", name.decode())]
    bsd = make_ar((f"#1/{len(name)}", 0, 0, 0o644, name + b"abc"))
    assert found(bsd, bsd.replace(b"abc", b"abd")) == [("text content", name.decode())]


def test_a_damaged_archive_is_compared_as_bytes() -> None:
    whole = make_zip((entry("one", method=zipfile.ZIP_DEFLATED), TEXT), TWO)
    for damaged in (
        whole[:-1],
        whole[:200],
        whole.replace(b"PK\1\2", b"PK\1\3", 1),
        whole.replace(b"PK\3\4", b"PK\3\5").replace(b"PK\3\5", b"PK\3\4", 1),
    ):
        (difference,) = differences(whole, damaged)
        assert difference.cause == causes.UNKNOWN
        assert "no valid zip" in difference.right
    packed = gzip.compress(TEXT)
    for damaged in (packed[:-5], packed[:20], packed[:-8] + bytes(8), packed[:5]):
        (difference,) = differences(packed, damaged)
        assert difference.cause == causes.UNKNOWN
        assert "no valid gzip" in difference.right
    frames = zstandard.compress(TEXT)
    for damaged in (frames[:-3], frames[:6], frames + b"x", frames[:20] + bytes(20) + frames[40:]):
        (difference,) = differences(frames, damaged)
        assert "no valid zstd" in difference.right


def test_overlapping_entries_are_refused() -> None:
    plain = make_zip(ONE, TWO)
    start = plain.index(b"PK\1\2")
    both_at_0 = plain[: start + 91] + bytes(4) + plain[start + 95 :]
    (difference,) = differences(plain, both_at_0)
    assert difference.cause == causes.UNKNOWN


def test_bombs_are_not_examined_and_still_differ() -> None:
    bomb = gzip.compress(bytes(64 << 20), 9)
    (difference,) = differences(bomb, gzip.compress(bytes(64 << 20), 8), Budget(expansion=1 << 20))
    assert difference.cause == causes.NOT_EXAMINED
    assert "expands to more than 1048576 bytes" in difference.left
    many = make_zip(*[(entry(str(n)), b"") for n in range(101)])
    (difference,) = differences(many, make_zip(*[(entry(str(n)), b"x") for n in range(101)]), Budget(members=100))
    assert difference.cause == causes.NOT_EXAMINED
    assert "more than 100 members" in difference.left


def test_one_bomb_does_not_hide_the_other_members() -> None:
    def make(level: int, text: bytes) -> bytes:
        return make_zip((entry("a.gz"), gzip.compress(bytes(8 << 20), level, mtime=0)), (entry("b"), text))

    names = [(d.cause.name, d.place[-1]) for d in differences(make(9, b"1"), make(1, b"2"), Budget(expansion=1 << 20))]
    assert names == [("not examined", "a.gz"), ("text content", "b")]


def test_archives_deeper_than_the_limit_are_not_examined() -> None:
    left, right = b"1", b"2"
    for _ in range(10):
        left, right = (make_zip((entry("x"), data)) for data in (left, right))
    (difference,) = differences(left, right)
    assert difference.cause == causes.NOT_EXAMINED
    assert len(difference.place) == len(PLACE) + 8


def test_a_quine_like_depth_ends() -> None:
    left, right = b"1", b"2"
    for _ in range(60):
        left, right = zlib_gzip(left), zlib_gzip(right)
    assert [d.cause for d in differences(left, right)] == [causes.NOT_EXAMINED]


def zlib_gzip(data: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def test_a_large_member_is_compared_by_chunks() -> None:
    data = random.Random(1).randbytes(20 << 20)
    left = make_zip((entry("big"), data))
    right = make_zip((entry("big"), data[:-1] + b"x"))
    (difference,) = differences(left, right)
    assert difference.cause == causes.UNKNOWN
    assert difference.left.startswith(f"byte {len(data) - 1} of {len(data)}: ")


def make_tar(*members: tuple[str, bytes], form: int = tarfile.GNU_FORMAT, **fields: object) -> bytes:
    """A tar; FIELDS are of the first member."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for number, (name, data) in enumerate(members):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, value in fields.items() if not number else ():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"mtime": 1_700_000_000}, "mtime"),
        ({"uid": 1000}, "owner"),
        ({"uname": "alice"}, "owner name"),
        ({"mode": 0o755}, "mode"),
        ({"pax_headers": {"SCHILY.xattr.user.x": "y"}, "form": tarfile.PAX_FORMAT}, "PAX header"),
    ],
)
def test_headers_of_a_tar_in_a_gzip_in_a_zip(fields: dict[str, object], cause: str) -> None:
    def nest(**own: Any) -> bytes:  # noqa: ANN401
        packed = gzip.compress(make_tar(("a", b"1"), ("b", b"2"), **own), mtime=0)
        return make_zip((entry("x.tar.gz"), packed))

    plain = nest(form=fields.get("form", tarfile.GNU_FORMAT))
    assert found(plain, nest(**fields)) == [(cause, "x.tar.gz", "content", "a")]


def test_entries_of_a_tar() -> None:
    plain = make_tar(("a", b"1"), ("b", b"2"))
    assert found(plain, make_tar(("b", b"2"), ("a", b"1"))) == [("entry order",)]
    assert found(plain, make_tar(("a", b"1"))) == [("file removed", "b")]
    assert found(plain, make_tar(("a", b"1"), ("b", b"3"))) == [("text content", "b")]
    assert found(plain, make_tar(("a", b"1"), ("b", b"2"), form=tarfile.USTAR_FORMAT)) == [("tar format", "a"), ("tar format", "b")]
    assert found(plain, plain + bytes(512)) == [("tar padding",)]
    link = make_tar(("a", b""), ("b", b"2"), type=tarfile.SYMTYPE, linkname="b")
    assert ("symlink vs file", "a") in found(plain, link)


def test_a_damaged_tar_is_compared_as_bytes() -> None:
    plain = make_tar(("a", b"1"), ("b", b"2"))
    for damaged in (plain[:1600], plain[:1024] + b"x" + plain[1025:], plain[:-512] + b"x" * 512):
        (difference,) = differences(plain, damaged)
        assert difference.cause == causes.UNKNOWN
        assert "no valid tar" in difference.right


def test_what_does_not_stay_in_memory_is_compared_too() -> None:
    data = random.Random(1).randbytes(9 << 20)
    (difference,) = differences(gzip.compress(data, 1, mtime=0), gzip.compress(data[:-1] + b"x", 1, mtime=0))
    assert difference.cause == causes.UNKNOWN
    assert difference.place == (*PLACE, "content")


def test_sizes_of_64_bits() -> None:
    def make(data: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive, archive.open(entry("one"), "w", force_zip64=True) as member:
            member.write(data)
        return file.getvalue()

    assert found(make(b"1"), make(b"2")) == [("text content", "one")]
    assert found(make_zip(ONE), make(b"1")) == [("zip header", "one")]
