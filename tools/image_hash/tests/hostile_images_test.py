"""Whatever is wrong with an image, every command that reads one says in one line that it could not check; none takes it for a match."""

import importlib
import io
import json
import pathlib
import tarfile
from collections.abc import Callable, Iterator

import pytest
from absl import flags
from absl.testing import flagsaver
from image_hash import errors
from tests import images

_TARS = [images.tar({"a": b"alpha"}), images.tar({"b": b"beta" * 10_000})]


def _good(folder: pathlib.Path) -> tuple[images.Layout, images.Json]:
    layout = images.Layout(folder)
    manifest = layout.image(_TARS, {"Entrypoint": ["/x"]}, compress=images.gzipped)
    layout.finish(manifest)
    return layout, manifest


def _truncated_config(folder: pathlib.Path) -> str:
    layout, manifest = _good(folder)
    config = layout.path(json.loads(layout.path(manifest["digest"]).read_bytes())["config"]["digest"])
    config.write_bytes(config.read_bytes()[:-1])
    return str(folder)


def _wrong_digest(folder: pathlib.Path) -> str:
    layout, manifest = _good(folder)
    path = layout.path(manifest["digest"])
    path.write_bytes(path.read_bytes().replace(b"size", b"sizf", 1))
    return str(folder)


def _absurd_size(folder: pathlib.Path) -> str:
    layout, manifest = _good(folder)
    return layout.finish({**manifest, "size": 1 << 62})


def _duplicate_key(folder: pathlib.Path) -> str:
    layout, manifest = _good(folder)
    data = layout.path(manifest["digest"]).read_bytes()
    return layout.finish(layout.document(b'{"layers": [], ' + data[1:], images.OCI_MANIFEST))


def _symlink_loop(folder: pathlib.Path) -> str:
    layout, manifest = _good(folder)
    path = layout.path(manifest["digest"])
    path.unlink()
    path.symlink_to(path)
    return str(folder)


def _path_traversal(folder: pathlib.Path) -> str:
    layout, _ = _good(folder)
    archive = pathlib.Path(layout.archive(folder / "x.tar"))
    with tarfile.open(archive, "a") as writer:
        writer.addfile(tarfile.TarInfo("../escaped"), io.BytesIO())
    return str(archive)


def _archive_bomb(folder: pathlib.Path) -> str:
    folder.mkdir()
    (folder / "bomb").write_bytes(images.zstd(bytes(256 << 20)))
    return str(folder / "bomb")


def _schema_1(folder: pathlib.Path) -> str:
    layout = images.Layout(folder)
    return layout.finish(layout.document({"schemaVersion": 1, "fsLayers": []}, images.OCI_MANIFEST))


def _several_platforms(folder: pathlib.Path) -> str:
    layout = images.Layout(folder)
    return layout.finish(layout.index([layout.image(_TARS, architecture=name) for name in ("amd64", "arm64")]))


def _truncated_layer(folder: pathlib.Path) -> str:
    layout, _ = _good(folder)
    path = layout.path(images.digest(images.gzipped(_TARS[1])))
    path.write_bytes(path.read_bytes()[:-1])
    return str(folder)


def _changed_layer(folder: pathlib.Path) -> str:
    layout, _ = _good(folder)
    path = layout.path(images.digest(images.gzipped(_TARS[1])))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    return str(folder)


def _layer_bomb(folder: pathlib.Path) -> str:
    layout = images.Layout(folder)
    bomb = layout.blob(images.zstd(bytes(256 << 20)), images.OCI_LAYER)
    return layout.finish(layout.manifest(layout.document(layout.config([b""]), images.OCI_CONFIG), [bomb]))


_Hostile = Callable[[pathlib.Path], str]
_DOCUMENTS: tuple[_Hostile, ...] = (
    *(_truncated_config, _wrong_digest, _absurd_size, _duplicate_key, _symlink_loop, _path_traversal, _archive_bomb, _schema_1),
    _several_platforms,
)
_LAYERS: tuple[_Hostile, ...] = (_truncated_layer, _changed_layer, _layer_bomb)
# {image} is the bad one, {other} one with other layers, {list} and {releases} know both as app.
_COMMANDS = {
    "compute": ["{image}"],
    "compare": ["{other}", "{image}"],
    "compare --expected": ["app={image}", "--expected", "{list}"],
    "lint": ["{image}"],
    "verify": ["--release", "v1.0.0", "--releases", "{releases}", "app={image}"],
}
# Where only documents are looked at, what is wrong with layers does not show.
_CASES = [(command, hostile) for command in _COMMANDS for hostile in _DOCUMENTS + (() if command == "lint" else _LAYERS)]


@pytest.fixture(autouse=True)
def _flags() -> Iterator[None]:
    for command in ("compare", "compute", "lint", "verify"):
        importlib.import_module(f"image_hash.commands.{command}")
    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver():
        yield


def _arguments(command: str, image: str, folder: pathlib.Path) -> list[str]:
    other = images.Layout(folder / "other")
    manifest = other.image([images.tar({"a": b"other"}), images.tar({"c": b"gamma"})])
    other.finish(manifest)
    entry = {"image_hash": manifest["digest"], "config_digest": "sha256:" + "0" * 64}
    (folder / "list.json").write_text(json.dumps({"schema": 1, "build_settings": {}, "images": {"app": entry}}))
    layer = {"digest": "sha256:" + "1" * 64, "diff_id": "sha256:" + "2" * 64, "size": 1}
    recorded = {**entry, "layers": [layer], "labels": {}, "entrypoint": ["/x"]}
    release = {"schema": 2, "release": "v1.0.0", "build_settings": {}, "commit": "a" * 40, "rebuild": "x", "locks": {}, "documents": {}}
    (folder / "v1.0.0.json").write_text(json.dumps({**release, "images": {"app": recorded}}))
    words = {"image": image, "other": str(other.root), "list": str(folder / "list.json"), "releases": str(folder)}
    return [word.format(**words) for word in _COMMANDS[command]]


def _run(command: str, arguments: list[str]) -> None:
    name = command.partition(" ")[0]
    errors.run_flags(importlib.import_module(f"image_hash.commands.{name}").main, [name, *arguments])


@pytest.mark.parametrize(("command", "hostile"), _CASES)
def test_it_could_not_be_checked(
    command: str, hostile: _Hostile, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    arguments = _arguments(command, hostile(tmp_path / "image"), tmp_path)
    with pytest.raises(errors.CheckError) as caught:
        _run(command, arguments)
    assert "\n" not in str(caught.value)
    # It is the image that is wrong.
    assert str(tmp_path / "image") in str(caught.value)
    assert capsys.readouterr().out == ""
    assert not (tmp_path.parent / "escaped").exists()


@pytest.mark.parametrize("command", sorted(_COMMANDS))
def test_a_label_of_a_megabyte_and_control_characters_do_no_harm(
    command: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = images.Layout(tmp_path / "image")
    labels = {"\x1b]0;evil\x07": "\x1b[2J" + "x" * (1 << 20)}
    image = layout.finish(layout.image(_TARS, {"Entrypoint": ["/x"], "Labels": labels}))
    try:
        _run(command, _arguments(command, image, tmp_path))
    except errors.MismatchError as error:
        assert len(str(error)) < 1000
    printed = capsys.readouterr().out
    assert printed
    assert not {"\x1b", "\x07"} & {*printed}
    assert len(printed) < 20_000
