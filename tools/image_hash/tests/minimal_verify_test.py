"""The two programs that check images, which share no code, give the same answer: on the service images, and on what is damaged."""

import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from image_hash import errors, hashing, releases
from image_hash.sources import open_image
from runfiles import Runfiles
from tests import images

_ROOT = "com_google_ondevicepersonalization_federatedcompute"
_TARS = [images.tar({"a": b"alpha"}), images.tar({"b": b"beta" * 100_000})]


def _runfile(path: str) -> pathlib.Path:
    runfiles = Runfiles.Create()
    found = runfiles and runfiles.Rlocation(f"{_ROOT}/{path}")
    assert found
    return pathlib.Path(found)


def _minimal(layout: pathlib.Path | str, expected: pathlib.Path | str, name: str) -> subprocess.CompletedProcess[str]:
    # Isolated: it finds nothing but the standard library.
    program = _runfile("tools/minimal_verify.py")
    command = [sys.executable, "-I", "-S", str(program), str(layout), str(expected), name]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _ours(layout: str, expected: pathlib.Path, name: str) -> int:
    """The exit code that image_hash would have."""
    try:
        recorded = releases.read(expected).images[name]
        with open_image(layout) as image:
            hashing.tar_sizes(image.layers)
            same = (image.image_hash, image.config.digest) == (recorded.image_hash, recorded.config_digest)
            return errors.MATCH if same else errors.MISMATCH
    except errors.CheckError:
        return errors.COULD_NOT_CHECK


def _list(path: pathlib.Path, manifest: images.Json, config: str) -> pathlib.Path:
    entry = {"image_hash": manifest["digest"], "config_digest": config}
    path.write_text(json.dumps({"schema": 1, "build_settings": {}, "images": {"app": entry}}))
    return path


def _app(folder: pathlib.Path, compress: Callable[[bytes], bytes]) -> tuple[str, pathlib.Path]:
    """A layout, and a list in which its image is expected as app."""
    layout = images.Layout(folder / "l")
    manifest = layout.image(_TARS, {"Labels": {"a": "x" * (1 << 20)}}, compress=compress)
    config = json.loads(layout.path(manifest["digest"]).read_bytes())["config"]["digest"]
    return layout.finish(manifest), _list(folder / "list.json", manifest, config)


def test_both_find_what_is_recorded_of_every_service() -> None:
    current = _runfile("releases/current.json")
    services = json.loads(_runfile("shuffler/services/images.json").read_text("utf-8"))
    assert services.keys() == releases.read(current).images.keys()
    for name, label in services.items():
        layout = str(_runfile(label.removeprefix("//").replace(":", "/")))
        done = _minimal(layout, current, name)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"match: {name} is {releases.read(current).images[name].image_hash}\n"
        assert _ours(layout, current, name) == 0


@pytest.mark.parametrize("compress", [images.plain, images.gzipped, lambda data: images.gzipped(data[:99]) + images.gzipped(data[99:])])
def test_both_find_a_match_and_each_damage(tmp_path: pathlib.Path, compress: Callable[[bytes], bytes]) -> None:
    layout, expected = _app(tmp_path, compress)
    assert (_minimal(layout, expected, "app").returncode, _ours(layout, expected, "app")) == (0, 0)
    for blob in sorted((tmp_path / "l/blobs/sha256").iterdir()):
        data = blob.read_bytes()
        for damaged in (data[:-1], data + b"\0", data[:-1] + bytes([data[-1] ^ 1]), bytes([data[0] ^ 1]) + data[1:], None):
            blob.unlink()
            if damaged is not None:
                blob.write_bytes(damaged)
            done = _minimal(layout, expected, "app")
            assert (done.returncode, _ours(layout, expected, "app")) == (2, 2), (blob, damaged and len(damaged))
            assert done.stdout == ""
            assert done.stderr.startswith("could not check: ")
            assert done.stderr.count("\n") == 1
            blob.write_bytes(data)


def test_both_find_a_mismatch(tmp_path: pathlib.Path) -> None:
    layout, expected = _app(tmp_path, images.gzipped)
    for name in ("image_hash", "config_digest"):
        text = re.sub(rf'("{name}": "sha256:)[0-9a-f]{{4}}', r"\g<1>0000", expected.read_text())
        (tmp_path / "other.json").write_text(text)
        done = _minimal(layout, tmp_path / "other.json", "app")
        assert (done.returncode, _ours(layout, tmp_path / "other.json", "app")) == (1, 1)
        assert done.stderr.startswith("MISMATCH: app: expected sha256:")


def test_both_refuse_what_two_readers_see_differently(tmp_path: pathlib.Path) -> None:
    for place in ("config", "list"):
        folder = tmp_path / place
        folder.mkdir()
        layout = images.Layout(folder / "l")
        content = json.dumps(layout.config(_TARS)).encode()
        if place == "config":
            content = b'{"os": "linux", ' + content[1:]
        config = layout.document(content, images.OCI_CONFIG)
        manifest = layout.manifest(config, [layout.blob(data, images.OCI_LAYER) for data in _TARS])
        path, expected = layout.finish(manifest), _list(folder / "list.json", manifest, config["digest"])
        if place == "list":
            expected.write_text('{"schema": 1, ' + expected.read_text()[1:])
        done = _minimal(path, expected, "app")
        assert (done.returncode, _ours(path, expected, "app")) == (2, 2)
        assert "expected each key once" in done.stderr


def test_what_it_does_not_take_is_no_match(tmp_path: pathlib.Path) -> None:
    layout, expected = _app(tmp_path, images.zstd)
    for arguments in (
        (layout, expected, "app"),  # Zstandard
        (layout, expected, "other"),
        (layout, tmp_path / "nothing.json", "app"),
        (tmp_path, expected, "app"),
        (expected, expected, "app"),
    ):
        assert _minimal(*arguments).returncode == 2
    os.mkfifo(tmp_path / "l/blobs/sha256" / ("0" * 64))
    index = {"mediaType": images.OCI_MANIFEST, "digest": "sha256:" + "0" * 64, "size": 0}
    (tmp_path / "l/index.json").write_text(json.dumps({"manifests": [index]}))
    assert _minimal(layout, expected, "app").returncode == 2
    (tmp_path / "l/index.json").write_text(json.dumps({"manifests": [{**index, "digest": "sha256:../../../x"}]}))
    assert "expected a sha256 digest" in _minimal(layout, expected, "app").stderr


def test_wrong_usage_is_64() -> None:
    program = _runfile("tools/minimal_verify.py")
    assert subprocess.run([sys.executable, "-I", "-S", str(program)], capture_output=True, check=False).returncode == 64


def test_it_is_short_and_imports_nothing_of_ours() -> None:
    lines = _runfile("tools/minimal_verify.py").read_text("utf-8").splitlines()
    assert len(lines) < 150
    imported = {line.split()[1].partition(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert imported <= sys.stdlib_module_names
