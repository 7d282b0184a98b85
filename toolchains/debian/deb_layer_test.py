"""deb_layer: what a layer has, and what is refused."""

from __future__ import annotations

import gzip
import io
import os
import pathlib
import subprocess
import tarfile
from collections.abc import Callable

import pytest
from ocilib.errors import Error

from toolchains.debian import deb_layer

_CONTROL = b"Package: hello\nVersion: 1.0-1\nDescription: says hello\n"
_MD5SUMS = b"b1946ac92492d2347c6235b4d2611184  usr/bin/hello\n"

Tar = Callable[[tarfile.TarFile], None]


def tar(fill: Tar) -> bytes:
    """A tar as dpkg-deb makes it: GNU format, names begin with "./"."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as archive:
        fill(archive)
    return target.getvalue()


def add(archive: tarfile.TarFile, name: str, data: bytes | None = None, **fields: object) -> None:
    """Adds a file, or a directory if there is no data."""
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
    entry.size = len(data or b"")
    for field, value in fields.items():
        setattr(entry, field, value)
    archive.addfile(entry, io.BytesIO(data or b""))


def control_tar(control: bytes = _CONTROL) -> bytes:
    def fill(archive: tarfile.TarFile) -> None:
        add(archive, "./")
        add(archive, "./control", control)
        add(archive, "./md5sums", _MD5SUMS)

    return tar(fill)


def data_tar() -> bytes:
    def fill(archive: tarfile.TarFile) -> None:
        add(archive, "./", mode=0o755, mtime=1)
        add(archive, "./usr/", mode=0o755, mtime=2)
        add(archive, "./usr/bin/", mode=0o755, mtime=3)
        add(archive, "./usr/bin/hello", b"hello\n", mode=0o4755, uid=7, gid=8, mtime=4)
        add(archive, "./usr/share/" + "long/" * 40 + "name", b"x", mtime=5)
        add(archive, "./var/", mode=0o2775, gid=50)

    return tar(fill)


def ar(members: dict[str, bytes]) -> bytes:
    content = b"!<arch>\n"
    for name, data in members.items():
        content += f"{name:<16}{0:<12}{0:<6}{0:<6}{0o100644:<8o}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return content


def deb(**replaced: bytes) -> bytes:
    """A package with plain tars; keys are names of members with _ for . and -; other keys come behind."""
    members = {"debian-binary": b"2.0\n", "control.tar": control_tar(), "data.tar": data_tar()}
    for key, value in replaced.items():
        name = key.replace("debian_binary", "debian-binary").replace("_tar", ".tar").replace("tar_", "tar.")
        stem = name.partition(".tar")[0]
        members = {
            name if old.partition(".tar")[0] == stem else old: value if old.partition(".tar")[0] == stem else data
            for old, data in members.items()
        }
    return ar(members)


def tools() -> list[str]:
    """Dynamic linker, library path, xz and zstd: the locked ones under Bazel; else the machine's, which only have to work here."""
    trees = list(pathlib.Path(os.environ.get("TEST_SRCDIR", "/nonexistent")).glob("*debian12_tools"))
    root = trees[0] if trees else pathlib.Path("/")
    libraries = [root / "lib/x86_64-linux-gnu", root / "usr/lib/x86_64-linux-gnu"]
    return [f"{libraries[0]}/ld-linux-x86-64.so.2", f"{libraries[0]}:{libraries[1]}", f"{root}/usr/bin/xz", f"{root}/usr/bin/zstd"]


def compress(data: bytes, compression: str) -> bytes:
    if compression == "gz":
        return gzip.compress(data)
    linker, folders, xz, zstd = tools()
    command = [linker, "--inhibit-cache", "--library-path", folders, {"xz": xz, "zst": zstd}[compression], "-cq"]
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


@pytest.fixture(name="layer")
def _layer(tmp_path: pathlib.Path) -> Callable[..., bytes]:
    def make(package: bytes, only: list[str] | None = None) -> bytes:
        output = tmp_path / "layer.tar"
        with output.open("w+b") as target:
            deb_layer.make_layer(io.BytesIO(package), target, deb_layer.Decompressors(*tools()), only or [], "hello.deb")
        return output.read_bytes()

    return make


def entries(layer: bytes) -> list[tuple[str, int, int, int, int]]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        return [(entry.name, entry.mode, entry.uid, entry.gid, int(entry.mtime)) for entry in archive]


def test_the_data_tar_is_in_the_layer_byte_for_byte(layer: Callable[..., bytes]) -> None:
    data = data_tar()
    end = len(data.rstrip(b"\0"))
    assert layer(deb())[:end] == data[:end]


def test_the_status_follows_and_only_missing_folders_are_added(layer: Callable[..., bytes]) -> None:
    made = layer(deb())
    assert entries(made)[-5:] == [
        ("var/lib", 0o755, 0, 0, 0),
        ("var/lib/dpkg", 0o755, 0, 0, 0),
        ("var/lib/dpkg/status.d", 0o755, 0, 0, 0),
        ("var/lib/dpkg/status.d/hello", 0o644, 0, 0, 0),
        ("var/lib/dpkg/status.d/hello.md5sums", 0o644, 0, 0, 0),
    ]
    with tarfile.open(fileobj=io.BytesIO(made)) as archive:
        control, sums = archive.extractfile("var/lib/dpkg/status.d/hello"), archive.extractfile("var/lib/dpkg/status.d/hello.md5sums")
        assert control and control.read() == _CONTROL
        assert sums and sums.read() == _MD5SUMS


@pytest.mark.parametrize("compression", ["gz", "xz", "zst"])
def test_every_compression_gives_the_same_layer(layer: Callable[..., bytes], compression: str) -> None:
    package = deb(
        **{f"data_tar_{compression}": compress(data_tar(), compression), f"control_tar_{compression}": compress(control_tar(), compression)}
    )
    assert layer(package) == layer(deb())


def test_only_keeps_paths_with_their_folders_and_no_status(layer: Callable[..., bytes]) -> None:
    made = layer(deb(), ["usr/bin/hello"])
    assert [name for name, *_ in entries(made)] == ["./usr", "./usr/bin", "./usr/bin/hello"]
    assert made[:2048] == data_tar()[512:2560]


def test_only_refuses_a_path_that_is_not_there(layer: Callable[..., bytes]) -> None:
    with pytest.raises(Error, match=r"hello.deb: data.tar: the package has no usr/bin/hallo$"):
        layer(deb(), ["usr/bin/hallo"])


def bad_tar(name: str, **fields: object) -> bytes:
    return tar(lambda archive: add(archive, name, b"", **fields))


@pytest.mark.parametrize(
    ("package", "message"),
    [
        (b"", "not a Debian package"),
        (b"PK\3\4" + bytes(100), "not a Debian package"),
        (deb()[:3000], "hello.deb: truncated: control.tar should have 10240 bytes"),
        (deb()[:90], "no header of an ar member at byte 72"),
        (
            ar({"debian-binary": b"2.0\n", "data.tar": data_tar()}),
            "expected debian-binary, control.tar and data.tar in this order, found debian-binary, data.tar",
        ),
        (deb(debian_binary=b"3.0\n"), r"expected a Debian package of format 2, found b'3.0\\n'"),
        (deb(data_tar_bz2=b"BZh9"), "data.tar.bz2 has a compression that"),
        (deb(data_tar_xz=b"nonsense"), "hello.deb: data.tar.xz: .*not recognized"),
        (deb(data_tar_xz=compress(data_tar(), "xz")[:-40]), "hello.deb: data.tar.xz: .*nexpected end of input"),
        (deb(data_tar_gz=compress(data_tar(), "gz")[:-9]), "hello.deb: data.tar.gz: truncated"),
        (deb(data_tar_gz=compress(data_tar(), "gz") + b"x"), "hello.deb: data.tar.gz: data follows the end"),
        (deb(data_tar_gz=b"nonsense"), "hello.deb: data.tar.gz: .*incorrect header check"),
        (deb(data_tar=b"no tar at all" * 100), "hello.deb: data.tar: not a tar"),
        (deb(data_tar=data_tar()[:3000]), "hello.deb: data.tar: truncated tar"),
        (deb(data_tar=bad_tar("/etc/passwd")), "hello.deb: data.tar: the path '/etc/passwd' of an entry is absolute"),
        (deb(data_tar=bad_tar("./../etc/passwd")), r"has a \"..\" component"),
        (deb(control_tar=control_tar(b"Version: 1\n")), "control.tar has no control file that names the package"),
    ],
)
def test_a_broken_package_is_refused_in_one_line(layer: Callable[..., bytes], package: bytes, message: str) -> None:
    with pytest.raises(Error, match=message) as caught:
        layer(package)
    assert "\n" not in str(caught.value)


def test_the_command_writes_the_layer(layer: Callable[..., bytes], tmp_path: pathlib.Path) -> None:
    (tmp_path / "hello.deb").write_bytes(deb())
    linker, folders, xz, zstd = tools()
    arguments = [f"--linker={linker}", f"--library_path={folders}", f"--xz={xz}", f"--zstd={zstd}", "--only=usr/bin"]
    deb_layer.main([f"--deb={tmp_path}/hello.deb", f"--output={tmp_path}/made.tar", *arguments])
    assert (tmp_path / "made.tar").read_bytes() == layer(deb(), ["usr/bin"])
