"""Root file systems, out of layers made here."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from ocilib.digest import digest_of
from ocilib.errors import Error
from ocilib.tarwriter import TarError, TarWriter

from tools.containers.example_image import write_image, write_tar
from tools.containers.layers import LayerError, LayerStore, Root


def _root(folder: Path, layers: Sequence[bytes], diff_ids: Sequence[str] | None = None) -> Root:
    image = write_image(folder / "image", layers, {}, diff_ids)
    return LayerStore(folder / "layers").make_root(image, folder / "root")


def _lower(tar: TarWriter) -> None:
    tar.directory("tmp", mode=0o1777)
    tar.directory("home")
    tar.directory("home/nonroot", mode=0o700, uid=65532, gid=65532)
    tar.file("usr/lib/libc.so.6", b"lower", mode=0o755)
    tar.symlink("usr/lib/libc.so", "libc.so.6")
    tar.hardlink("usr/lib/again", "usr/lib/libc.so.6")
    tar.symlink("lib", "usr/lib")


def _upper(tar: TarWriter) -> None:
    tar.file("tmp/file", b"", mode=0o4755, uid=1, gid=2)
    tar.file("usr/lib/libc.so.6", b"upper")
    tar.symlink("usr/lib/again", "/lib/libc.so")


@pytest.fixture
def lower(tmp_path: Path) -> bytes:
    return write_tar(tmp_path / "lower.tar", _lower)


@pytest.fixture
def upper(tmp_path: Path) -> bytes:
    return write_tar(tmp_path / "upper.tar", _upper)


def _entry(path: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b"") -> bytes:
    """A tar of one entry, which the strict writer would not write."""
    entry = tarfile.TarInfo(path)
    entry.type, entry.linkname, entry.size = kind, link, len(data)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def test_owners_modes_times_and_links_are_those_of_the_tar(tmp_path: Path, lower: bytes) -> None:
    root = _root(tmp_path, [lower]).path
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    home = (root / "home/nonroot").stat()
    assert (home.st_mode & 0o7777, home.st_uid, home.st_gid) == (0o700, 65532, 65532)
    library = (root / "usr/lib/libc.so.6").stat()
    assert (library.st_mode & 0o7777, library.st_mtime) == (0o755, 0)
    assert library.st_ino == (root / "usr/lib/again").stat().st_ino
    assert os.readlink(root / "usr/lib/libc.so") == "libc.so.6"


def test_upper_layers_replace_files_and_leave_directories_that_they_only_imply(tmp_path: Path, lower: bytes, upper: bytes) -> None:
    root = _root(tmp_path, [lower, upper])
    assert root.file("/usr/lib/libc.so.6").read_bytes() == b"upper"
    # Also those that the lower layer has as hard links of each other.
    assert os.readlink(root.path / "usr/lib/again") == "/lib/libc.so"
    assert (root.path / "tmp").stat().st_mode & 0o7777 == 0o1777
    file = (root.path / "tmp/file").stat()
    assert (file.st_mode & 0o7777, file.st_uid, file.st_gid) == (0o4755, 1, 2)


def test_links_are_followed_within_the_root_and_the_origin_is_the_uppermost_layer(tmp_path: Path, lower: bytes, upper: bytes) -> None:
    root = _root(tmp_path, [lower, upper])
    assert root.resolve("lib/../lib/again") == "/usr/lib/libc.so.6"
    assert root.origin("/lib/again").diff_id == digest_of(upper)
    assert root.origin("/home/nonroot").diff_id == digest_of(lower)
    with pytest.raises(LayerError, match="/lib/libm.so in the image leads to /usr/lib/libm.so, which does not exist"):
        root.resolve("/lib/libm.so")


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    root = _root(tmp_path, [_entry("a", tarfile.SYMTYPE, "a")])
    with pytest.raises(LayerError, match="more than 40 links"):
        root.resolve("/a")


def test_images_share_layers_on_disk_which_stay_whole(tmp_path: Path, lower: bytes, upper: bytes) -> None:
    store = LayerStore(tmp_path / "layers")
    one = store.make_root(write_image(tmp_path / "one", [lower, upper], {}), tmp_path / "root1")
    two = store.make_root(write_image(tmp_path / "two", [lower], {}), tmp_path / "root2")
    assert (one.path / "usr/lib/libc.so").lstat().st_ino == (two.path / "usr/lib/libc.so").lstat().st_ino
    assert two.file("/usr/lib/libc.so.6").read_bytes() == b"lower"
    assert len(list((tmp_path / "layers").iterdir())) == 2


def test_compressed_layers_are_known_by_their_content(tmp_path: Path, lower: bytes) -> None:
    root = _root(tmp_path, [gzip.compress(lower)], [digest_of(lower)])
    assert root.file("/lib/libc.so").read_bytes() == b"lower"


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (_entry("etc/.wh.passwd"), "found the whiteout 'etc/.wh.passwd'"),
        (_entry("dev/null", tarfile.CHRTYPE), "'dev/null' is a character device"),
        (_entry("/etc/passwd"), "absolute"),
        (_entry("../etc/passwd"), r'"\.\." component'),
        (_entry("lib", tarfile.SYMTYPE, "/etc")[:512] + _entry("lib/passwd"), "'lib/passwd' is below 'lib', which is no directory"),
        (b"no tar" * 100, "not a tar"),
    ],
)
def test_bad_layers_are_refused_and_leave_nothing(tmp_path: Path, layer: bytes, message: str) -> None:
    with pytest.raises((LayerError, TarError), match=message) as error:
        _root(tmp_path, [layer])
    assert "\n" not in str(error.value)
    assert list((tmp_path / "layers").iterdir()) == []
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (_entry("lib/libc.so.6"), "the directory 'lib' would replace something else"),
        (_entry("home"), "'home' would replace a directory"),
        (_entry("home", tarfile.SYMTYPE, "tmp"), "'home' would replace a directory"),
    ],
)
def test_what_runtimes_treat_differently_is_refused(tmp_path: Path, lower: bytes, layer: bytes, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        _root(tmp_path, [lower, layer])


def test_a_layout_with_other_diff_ids_than_layers_is_refused(tmp_path: Path, lower: bytes) -> None:
    with pytest.raises(Error, match="the same number of layers"):
        _root(tmp_path, [lower], [digest_of(lower)] * 2)
