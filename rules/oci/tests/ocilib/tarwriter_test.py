"""Tests of ocilib.tarwriter: what tarfile, an independent reader, makes of its tars."""

import hashlib
import io
import pathlib
import tarfile
import tempfile
import unittest
from collections.abc import Callable
from typing import Any

from ocilib.tarwriter import RECORD, TarError, TarWriter


def _tar(fill: Callable[[TarWriter], object]) -> bytes:
    out = io.BytesIO()
    with TarWriter(out) as tar:
        fill(tar)
    return out.getvalue()


def _file(source: pathlib.Path | bytes, path: str = "f") -> bytes:
    return _tar(lambda tar: tar.file(path, source))


def _members(data: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        return tar.getmembers()


class TarWriterTest(unittest.TestCase):
    def test_entries_have_what_was_asked_for_and_nothing_of_the_machine(self) -> None:
        def fill(tar: TarWriter) -> None:
            tar.directory("a", 0o1777, 1, 2)
            tar.file("a/b", b"hello", 0o4755, 65532, 65533)
            tar.symlink("a/link", "../b")
            tar.hardlink("a/hard", "a/b")

        folder, file, link, hard = _members(_tar(fill))
        self.assertEqual((folder.name, folder.type, folder.mode, folder.uid, folder.gid), ("a", tarfile.DIRTYPE, 0o1777, 1, 2))
        self.assertEqual((file.size, file.mode, file.uid, file.gid), (5, 0o4755, 65532, 65533))
        self.assertEqual((link.type, link.linkname), (tarfile.SYMTYPE, "../b"))
        self.assertEqual((hard.type, hard.linkname), (tarfile.LNKTYPE, "a/b"))
        for member in (folder, file, link, hard):
            self.assertEqual((member.mtime, member.uname, member.gname), (0, "", ""))

    def test_the_bytes_are_these(self) -> None:
        data = _tar(lambda tar: tar.file("f", b"x"))
        self.assertEqual(len(data), RECORD)
        self.assertEqual(data[:2], b"f\0")
        self.assertEqual(data[100:148].split(b"\0"), [b"0000644", b"0000000", b"0000000", b"00000000001", b"00000000000", b""])
        self.assertEqual(data[156:265], b"0" + bytes(100) + b"ustar  " + bytes(1))
        self.assertEqual(data[512:514], b"x\0")
        self.assertEqual(hashlib.sha256(data).hexdigest(), "fa6ddfc8dab87159993e0401275b27e03759e000c8e5e54900bf70f3ca26fc0e")

    def test_long_names_and_links_survive(self) -> None:
        name = "d" * 60 + "/" + "e" * 200
        target = "t" * 300

        def fill(tar: TarWriter) -> None:
            tar.file(name, b"")
            tar.symlink("l" * 100, target)
            tar.directory("x" * 100)

        file, link, folder = _members(_tar(fill))
        self.assertEqual(file.name, name)
        self.assertEqual((link.name, link.linkname), ("l" * 100, target))
        self.assertEqual(folder.name, "x" * 100)

    def test_names_are_utf_8_and_may_be_any_bytes(self) -> None:
        def fill(tar: TarWriter) -> None:
            tar.file("é", b"")
            tar.file("\udcff", b"")

        members = _members(_tar(fill))
        self.assertEqual([member.name for member in members], ["é", "\udcff"])

    def test_numbers_beyond_octal_fields_are_in_base_256(self) -> None:
        (member,) = _members(_tar(lambda tar: tar.file("f", b"", uid=3_000_000_000, gid=2_097_152)))
        self.assertEqual((member.uid, member.gid), (3_000_000_000, 2_097_152))

    def test_files_of_all_sizes_around_blocks_and_chunks_come_through(self) -> None:
        for size in (0, 1, 511, 512, 513, (1 << 18) - 1, 1 << 18, (1 << 18) + 1, 3 << 18):
            with self.subTest(size=size), tempfile.TemporaryDirectory() as folder:
                source = pathlib.Path(folder, "f")
                content = bytes(i % 251 for i in range(size))
                source.write_bytes(content)
                from_path = _file(source)
                self.assertEqual(from_path, _file(content))
                self.assertEqual(from_path[512 : 512 + size], content)
                self.assertEqual(_members(from_path)[0].size, size)

    def test_paths_that_a_layer_must_not_have_are_refused(self) -> None:
        for path in ("", "/etc", "../x", "a/../b", "a//b", "./a", "a/.", "a/", "a\0b"):
            with self.subTest(path=path), self.assertRaisesRegex(TarError, "the path "):
                _file(b"", path)

    def test_a_path_comes_once(self) -> None:
        with self.assertRaisesRegex(TarError, "two tar entries have the path 'a'"), TarWriter(io.BytesIO()) as tar:
            tar.file("a", b"")
            tar.directory("a")

    def test_a_hard_link_needs_its_target_before_it(self) -> None:
        with self.assertRaisesRegex(TarError, "not in the tar so far"):
            _tar(lambda tar: tar.hardlink("a", "b"))

    def test_modes_links_and_sources_are_checked(self) -> None:
        for arguments, message in (
            ({"mode": 0o10000}, "mode 10000"),
            ({"source": "/"}, "no regular file"),
            ({"uid": -1}, "negative number"),
        ):
            values: dict[str, Any] = {"source": b"", **arguments}
            with self.assertRaisesRegex(TarError, message), TarWriter(io.BytesIO()) as tar:
                tar.file("a", **values)
        with self.assertRaisesRegex(TarError, "has the target ''"):
            _tar(lambda tar: tar.symlink("a", ""))

    def test_an_error_leaves_no_end_that_would_make_it_whole(self) -> None:
        out = io.BytesIO()
        with self.assertRaises(TarError), TarWriter(out) as tar:
            tar.file("a", b"x")
            tar.file("a", b"x")
        self.assertEqual(len(out.getvalue()), 1024)


if __name__ == "__main__":
    unittest.main()
