"""Tests of ocilib.tarcheck with tars of tarfile, whole and damaged."""

import io
import tarfile
import unittest

from ocilib.tarcheck import Pipe, check_tar, members
from ocilib.tarwriter import TarError


def _tar(*entries: tuple[str, bytes] | tarfile.TarInfo, form: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
            else:
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                tar.addfile(info, io.BytesIO(entry[1]))
    return out.getvalue()


def _link(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def _check(data: bytes) -> None:
    """Checks DATA as a file, and as a stream that cannot seek: both ways say the same."""
    as_file = _error(io.BytesIO(data))
    as_stream = _error(Pipe(data[at : at + 1000] for at in range(0, len(data), 1000)))
    # How much is missing, a stream cannot tell as exactly.
    same = bool(as_stream) if "truncated" in as_file or "is empty" in as_file else as_stream == as_file
    assert same, (as_file, as_stream)
    if as_file:
        raise TarError(as_file)


def _error(stream: io.BytesIO | Pipe) -> str:
    try:
        check_tar(stream, "x.tar")
    except TarError as error:
        return str(error)
    return ""


class TarCheckTest(unittest.TestCase):
    def test_whole_tars_of_every_format_pass(self) -> None:
        long = "d" * 90 + "/" + "f" * 150
        _check(_tar(("a", b"x"), ("d" * 90 + "/" + "f" * 60, b"y"), form=tarfile.USTAR_FORMAT))
        for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            with self.subTest(form=form):
                links = (_link("l", tarfile.SYMTYPE, "/abs"), _link("h", tarfile.LNKTYPE, "a"))
                _check(_tar(("a", b"x" * 5000), (long, b"y"), *links, form=form))

    def test_members_are_as_written(self) -> None:
        info = tarfile.TarInfo("é" * 80)
        info.mode, info.uid, info.gid, info.mtime, info.type = 0o750, 70000, 3_000_000, 1234, tarfile.DIRTYPE
        for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            (member,) = members(io.BytesIO(_tar(info, form=form)), "x.tar")
            found = (member.path.rstrip("/"), member.kind, member.mode, member.uid, member.gid, member.mtime)
            self.assertEqual(found, ("é" * 80, "directory", 0o750, 70000, 3_000_000, 1234))

    def test_members_have_names_of_owners_numbers_of_devices_and_pax_records(self) -> None:
        device = tarfile.TarInfo("null")
        device.type, device.devmajor, device.devminor, device.uname = tarfile.CHRTYPE, 1, 3, "root"
        plain = tarfile.TarInfo("a")
        plain.gname, plain.pax_headers = "g" * 40, {"comment": "x"}
        first, second = members(io.BytesIO(_tar(device, plain, form=tarfile.PAX_FORMAT)), "x.tar")
        self.assertEqual((first.device, first.uname, first.gname, first.pax), ((1, 3), "root", "", {}))
        self.assertEqual((second.device, second.uname, second.gname), ((0, 0), "", "g" * 40))
        self.assertEqual(second.pax, {"comment": "x", "gname": "g" * 40})

    def test_the_data_is_where_a_member_says(self) -> None:
        data = _tar(("a", b"first"), ("b" * 120, b"second"))
        found = [data[member.offset : member.offset + member.size] for member in members(io.BytesIO(data), "x.tar")]
        self.assertEqual(found, [b"first", b"second"])

    def test_an_empty_tar_is_a_tar(self) -> None:
        _check(bytes(10240))

    def test_paths_of_debian_packages_pass(self) -> None:
        folder = tarfile.TarInfo("./usr")
        folder.type = tarfile.DIRTYPE
        _check(_tar(folder, ("./usr/a", b""), folder))

    def test_what_is_no_tar_is_refused_by_name(self) -> None:
        for data, message in (
            (b"", "x.tar: not a tar: the file is empty"),
            (b"hello", "x.tar: not a tar: 5 bytes, fewer than one header"),
            (b"hello" * 1000, "x.tar: not a tar: the first 512 bytes are no tar header"),
            (b"\x1f\x8b" + bytes(1000), r"no tar header \(it is gzip\)"),
            (b"\x28\xb5\x2f\xfd" + bytes(1000), r"no tar header \(it is zstd\)"),
            (b"PK\3\4" + bytes(1000), r"no tar header \(it is a zip\)"),
        ):
            with self.subTest(message=message), self.assertRaisesRegex(TarError, message):
                _check(data)

    def test_every_truncation_is_noticed(self) -> None:
        data = _tar(("a", b"x" * 700), ("b" * 120, b"y"))
        end = data.rstrip(b"\0")
        whole = -(-len(end) // 512) * 512 + 1024
        for length in [*range(1, whole, 97), whole - 1, whole - 512, whole - 1024]:
            with self.subTest(length=length), self.assertRaisesRegex(TarError, "x.tar: (truncated tar|not a tar)"):
                _check(data[:length])
        _check(data[:whole])

    def test_damage_in_a_header_is_noticed(self) -> None:
        data = bytearray(_tar(("a", b"x"), ("b", b"y")))
        data[1024 + 3] ^= 1
        with self.assertRaisesRegex(TarError, "damaged tar: no valid header at byte 1024"):
            _check(bytes(data))

    def test_paths_that_leave_the_layer_are_refused(self) -> None:
        for path, message in (("/etc/passwd", "is absolute"), ("a/../../b", '".." component'), ("..", '".." component')):
            with self.subTest(path=path), self.assertRaisesRegex(TarError, message):
                _check(_tar((path, b"")))

    def test_a_pax_path_cannot_hide_one(self) -> None:
        info = tarfile.TarInfo("harmless")
        info.pax_headers = {"path": "../evil"}
        with self.assertRaisesRegex(TarError, "component"):
            _check(_tar(info, form=tarfile.PAX_FORMAT))

    def test_a_hard_link_to_nowhere_is_refused(self) -> None:
        with self.assertRaisesRegex(TarError, "which is not an earlier entry"):
            _check(_tar(_link("h", tarfile.LNKTYPE, "../../etc/passwd")))

    def test_a_path_twice_is_refused(self) -> None:
        with self.assertRaisesRegex(TarError, "two entries have the path './a'"):
            _check(_tar(("a", b"1"), ("./a", b"2")))

    def test_data_behind_the_end_is_refused(self) -> None:
        with self.assertRaisesRegex(TarError, "other data follows"):
            _check(_tar(("a", b"")) + b"more")

    def test_a_lone_zero_block_is_refused(self) -> None:
        data = _tar(("a", b""))
        with self.assertRaisesRegex(TarError, "a lone zero block"):
            _check(data[:512] + bytes(512) + data[:512] + bytes(1024))

    def test_sparse_files_are_refused(self) -> None:
        data = bytearray(_tar(("a", b"")))
        data[156:157] = b"S"
        data[148:156] = b"        "
        data[148:156] = b"%06o\0 " % sum(data[:512])
        with self.assertRaisesRegex(TarError, "unsupported type 'S'"):
            _check(bytes(data))

    def test_a_huge_name_does_not_take_the_memory(self) -> None:
        header = bytearray(_tar(("a", b""))[:512])
        header[156:157] = b"L"
        header[124:136] = b"77777777777\0"
        header[148:156] = b"        "
        header[148:156] = b"%06o\0 " % sum(header)
        with self.assertRaisesRegex(TarError, "made to hurt"):
            _check(bytes(header) + bytes(1024))


if __name__ == "__main__":
    unittest.main()
