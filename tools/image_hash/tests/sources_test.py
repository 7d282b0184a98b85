"""Tests of image_hash.sources: layouts and archives, right, damaged and hostile."""

import io
import json
import os
import pathlib
import tarfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_hash import hashing, limits
from image_hash.errors import CheckError, UsageError
from image_hash.image import Image
from image_hash.sources import open_image
from ocilib import archive
from tests import images

_TARS = [images.tar({"a": b"alpha"}), images.tar({"b": b"beta" * 100_000})]


def _read(reference: str, platform: str | None = None) -> Image:
    """Opens an image and re-hashes all of it."""
    with open_image(reference, platform) as image:
        hashing.tar_sizes(image.layers)
        return image


def _refused(reference: str, words: str, platform: str | None = None) -> None:
    with pytest.raises(CheckError, match=words) as caught:
        _read(reference, platform)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("compress", [images.plain, images.gzipped, images.zstd])
def test_layers_give_blob_and_tar_however_they_are_compressed(tmp_path: pathlib.Path, compress: Callable[[bytes], bytes]) -> None:
    layout = images.Layout(tmp_path / "l")
    manifest = layout.image(_TARS, compress=compress, history=[{"created_by": "one"}, {"empty_layer": True}, {"created_by": "two"}])
    with open_image(layout.finish(manifest)) as image:
        assert image.image_hash == manifest["digest"]
        assert image.source == "layout"
        assert image.index is None
        assert [layer.created_by for layer in image.layers] == ["one", "two"]
        for layer, data in zip(image.layers, _TARS, strict=True):
            with layer.open_tar() as stream:
                assert stream.read() == data
            with layer.open_blob() as stream:
                assert stream.read() == compress(data)
        assert hashing.tar_sizes(image.layers) == [len(data) for data in _TARS]


def test_two_gzip_members_are_one_layer(tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    manifest = layout.image(_TARS[1:], compress=lambda data: images.gzipped(data[:1000]) + images.gzipped(data[1000:]))
    assert _read(layout.finish(manifest)).image_hash == manifest["digest"]


@pytest.mark.parametrize("compress", [images.plain, images.gzipped, images.zstd])
@pytest.mark.parametrize("prefix", ["", "./"])
def test_an_archive_is_the_same_as_its_layout(tmp_path: pathlib.Path, compress: Callable[[bytes], bytes], prefix: str) -> None:
    layout = images.Layout(tmp_path / "l")
    manifest = layout.image(_TARS)
    layout.finish(manifest)
    found = _read(layout.archive(tmp_path / "x", compress, prefix))
    assert (found.source, found.image_hash, found.notes) == ("oci-archive", manifest["digest"], ())


def test_layers_of_an_archive_can_be_read_at_the_same_time(tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    layout.finish(layout.image(_TARS))
    with open_image(layout.archive(tmp_path / "x", images.gzipped)) as image:
        first, second = (layer.open_tar() for layer in image.layers)
        assert first.read(100) + second.read(100) == _TARS[0][:100] + _TARS[1][:100]
        assert second.read() + first.read() == _TARS[1][100:] + _TARS[0][100:]


def test_docker_archives_keep_no_manifest_and_say_so(tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    config = layout.finish(layout.image(_TARS, compress=images.gzipped))
    with (tmp_path / "x.tar").open("wb") as file:
        archive.write(config, "docker", ["app:1"], file)
    found = _read(str(tmp_path / "x.tar"))
    assert (found.source, found.manifest, found.image_hash) == ("docker-archive", None, None)
    assert found.config.digest == _read(config).config.digest
    assert "keeps no manifest" in found.notes[0]


def _saved(path: pathlib.Path, layers: list[str], *, link: str = "", config: dict[str, Any] | None = None, name: str = "c.json") -> str:
    """What docker save before version 25 writes: layers as folder/layer.tar, one that comes twice as a link."""
    content = json.dumps(config or images.Layout(path.parent / f"{path.name}.l").config([_TARS[0]] * len(layers))).encode()
    with tarfile.open(path, "w") as writer:
        listing = json.dumps([{"Config": name, "RepoTags": ["a:1"], "Layers": layers}]).encode()
        for file, data in (("c.json", content), ("one/layer.tar", _TARS[0]), ("manifest.json", listing)):
            entry = tarfile.TarInfo(file)
            entry.size = len(data)
            writer.addfile(entry, io.BytesIO(data))
        for entry_name, target in (("two/layer.tar", link), ("three/layer.tar", "../two/layer.tar")):
            entry = tarfile.TarInfo(entry_name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            writer.addfile(entry)
    return str(path)


def test_links_of_old_docker_archives_are_followed_within_the_archive_only(tmp_path: pathlib.Path) -> None:
    layers = ["one/layer.tar", "two/layer.tar", "three/layer.tar"]
    assert len(_read(_saved(tmp_path / "good", layers, link="../one/layer.tar")).layers) == 3
    _refused(_saved(tmp_path / "loop", layers, link="../three/layer.tar"), "links follow one another")
    _refused(_saved(tmp_path / "out", layers, link="../../../../etc/passwd"), "is missing: the archive is incomplete")
    _refused(_saved(tmp_path / "path", ["../../etc/passwd"], link="x"), "is missing: the archive is incomplete")
    _refused(_saved(tmp_path / "config", layers, link="x", name="/etc/passwd"), "is missing: the archive is incomplete")


def test_an_archive_of_docker_save_that_has_a_layout_too_says_whose_manifest_it_is(tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    manifest = layout.image(_TARS)
    layout.finish(manifest)
    found = _read(layout.archive(tmp_path / "x", manifest__json=b"[]"))
    assert found.image_hash == manifest["digest"]
    assert "docker save" in found.notes[0]


def test_an_index_that_a_layout_points_to_is_the_image_hash_and_its_listing_is_not(tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    manifest = layout.image(_TARS)
    attestation = {**layout.image(_TARS[:1]), "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    index = layout.index([manifest, attestation])
    found = _read(layout.finish(index))
    assert (found.image_hash, found.manifest and found.manifest.digest) == (index["digest"], manifest["digest"])


def test_several_platforms_are_listed_and_one_is_chosen(tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    by_name = {}
    for architecture, variant in (("amd64", ""), ("arm64", "v8"), ("arm", "v6"), ("arm", "v7")):
        manifest = layout.image(_TARS, architecture=architecture, variant=variant)
        # The first one's platform is in its config only.
        stated = {"platform": {"os": "linux", "architecture": architecture, "variant": variant}} if variant else {}
        by_name[architecture + variant] = {**manifest, **stated}
    path = layout.finish(layout.index(list(by_name.values())))
    _refused(path, "choose one with --platform: linux/amd64, linux/arm/v6, linux/arm/v7, linux/arm64/v8")
    _refused(path, "choose one with --platform: linux/arm/v6, linux/arm/v7$", "linux/arm")
    _refused(path, "no image for the platform linux/s390x; it has linux/amd64, ", "linux/s390x")
    for platform, name in (("linux/amd64", "amd64"), ("linux/arm64", "arm64v8"), ("linux/arm64/v8", "arm64v8"), ("linux/arm/v7", "armv7")):
        found = _read(path, platform).manifest
        assert found and found.digest == by_name[name]["digest"], platform


def test_the_platform_of_a_single_image_is_checked(tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    path = layout.finish(layout.image(_TARS))
    assert _read(path, "linux/amd64").platform == "linux/amd64"
    _refused(path, "no image for the platform linux/arm64; it is for linux/amd64", "linux/arm64")
    with pytest.raises(UsageError, match="expected a platform like"):
        _read(path, "amd64")


def test_images_of_one_platform_cannot_be_told_apart(tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    first, second = layout.image(_TARS), layout.image(_TARS[:1])
    _refused(layout.finish(first, second), "it has 2 images for linux/amd64")
    assert _read(layout.finish(first, first)).image_hash == first["digest"]


# What is damaged.


@pytest.mark.parametrize("compress", [images.plain, images.gzipped, images.zstd])
def test_a_truncated_or_changed_blob_is_found(tmp_path: pathlib.Path, compress: Callable[[bytes], bytes]) -> None:
    layout = images.Layout(tmp_path / "l")
    path = layout.finish(layout.image(_TARS, compress=compress))
    for blob in sorted((tmp_path / "l/blobs/sha256").iterdir()):
        data = blob.read_bytes()
        blob.write_bytes(data[:-1])
        _refused(path, f"{blob.name}: expected {len(data)} bytes, found {len(data) - 1}; get it again")
        for position in (0, len(data) // 2, len(data) - 1):
            blob.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
            _refused(path, f"{blob.name}: ")
        blob.unlink()
        _refused(path, f"{blob.name} is missing: the layout is incomplete")
        blob.write_bytes(data)
    assert _read(path).platform == "linux/amd64"


def test_a_truncated_archive_is_found(tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    layout.finish(layout.image(_TARS))
    for compress in (images.plain, images.gzipped, images.zstd):
        file = pathlib.Path(layout.archive(tmp_path / "x", compress))
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        _refused(str(file), "truncated")


@pytest.mark.parametrize("compress", [images.plain, images.gzipped, images.zstd])
def test_a_wrong_diff_id_is_found(tmp_path: pathlib.Path, compress: Callable[[bytes], bytes]) -> None:
    layout = images.Layout(tmp_path / "l")
    config = layout.document(layout.config([_TARS[1]]), images.OCI_CONFIG)
    path = layout.finish(layout.manifest(config, [layout.blob(compress(_TARS[0]), images.OCI_LAYER)]))
    _refused(path, "diff id is its digest" if compress is images.plain else "its tar: expected the digest")


def test_as_many_diff_ids_as_layers(tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    config = layout.document(layout.config(_TARS), images.OCI_CONFIG)
    _refused(layout.finish(layout.manifest(config, [layout.blob(_TARS[0], images.OCI_LAYER)])), "2 diff ids, and the manifest has 1 layers")


def test_data_after_a_gzip_layer_is_refused(tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    path = layout.finish(layout.image(_TARS[:1], compress=lambda data: images.gzipped(data) + b"more"))
    _refused(path, "data after the end of the gzip data")


# What is no image.


def test_what_is_no_image_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_bytes(b"hello" * 1000)
    (tmp_path / "tar").write_bytes(images.tar({"x": b"y"}))
    (tmp_path / "folder").mkdir()
    for name, words in (
        ("empty", "not a tar: the file is empty"),
        ("text", "not a tar"),
        ("tar", "expected an archive with oci-layout and index.json"),
        ("folder", "no index.json in it"),
        ("nothing", "no such file or folder; an image is"),
        ("nothing:tag", "no such file or folder; an image is"),
    ):
        _refused(str(tmp_path / name), words)
    os.mkfifo(tmp_path / "fifo")
    _refused(str(tmp_path / "fifo"), "expected a folder or a file")


def test_another_artifact_is_not_taken_for_an_image(tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    config = layout.document({}, "application/vnd.cncf.helm.config.v1+json")
    _refused(layout.finish(layout.manifest(config, [])), "this is no container image")


def test_docker_schema_1_is_named(tmp_path: pathlib.Path) -> None:
    old = {"schemaVersion": 1, "name": "a", "tag": "1", "fsLayers": [], "history": [], "signatures": []}
    for number, media_type in enumerate((images.OCI_MANIFEST, "application/vnd.docker.distribution.manifest.v1+prettyjws")):
        layout = images.Layout(tmp_path / str(number))
        _refused(layout.finish(layout.document(old, media_type)), "Docker's manifest version 2, schema 1.*push the image again")


def test_blobs_that_are_no_files_are_refused_at_once(tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    manifest = layout.image(_TARS)
    path = layout.finish(manifest)
    blob = layout.path(manifest["digest"])
    blob.unlink()
    os.mkfifo(blob)
    _refused(path, "expected a file, found something else")
    blob.unlink()
    blob.mkdir()
    _refused(path, "expected a file, found something else")
    blob.rmdir()
    blob.symlink_to(blob)
    _refused(path, "Too many levels of symbolic links")


def test_links_to_blobs_are_followed_since_bazel_makes_them(tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    manifest = layout.image(_TARS)
    path = layout.finish(manifest)
    for blob in (tmp_path / "l/blobs/sha256").iterdir():
        moved = tmp_path / blob.name
        blob.rename(moved)
        blob.symlink_to(moved)
    assert _read(path).image_hash == manifest["digest"]


# What is made to hurt.


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("size", 1 << 62, "bytes of JSON are announced"),
        ("size", -1, "expected a size in bytes, found -1"),
        ("size", True, "expected a size in bytes, found True"),
        ("size", 10.0, "expected a size in bytes, found 10.0"),
        ("size", "10", "expected a size in bytes, found '10'"),
        ("size", None, "expected a size in bytes, found nothing"),
        ("digest", "sha256:../../../../etc/passwd", "expected a digest sha256:<64 hexadecimal digits>"),
        ("digest", "sha256:" + "A" * 64, "expected a digest"),
        ("digest", "sha512:" + "a" * 128, "expected a digest"),
        ("digest", "sha256:" + "a" * 64 + "\n", "expected a digest"),
        ("mediaType", "", "expected a media type"),
        ("Digest", "sha256:" + "a" * 64, "the key 'Digest' would be taken for 'digest' by some readers only"),
        ("dige\u017ft", "sha256:" + "a" * 64, "would be taken for 'digest' by some readers only"),
    ],
)
def test_a_descriptor_that_cannot_be_is_refused(tmp_path: pathlib.Path, key: str, value: object, words: str) -> None:
    layout = images.Layout(tmp_path / "l")
    manifest = layout.image(_TARS)
    _refused(layout.finish({**manifest, key: value}), words)


def test_what_readers_could_see_differently_is_refused(tmp_path: pathlib.Path) -> None:
    def config(text: str) -> str:
        layout = images.Layout(tmp_path / str(len(list(tmp_path.iterdir()))))
        whole = json.dumps(layout.config(_TARS[:1], {"Labels": {"tee.launch_policy.log_redirect": "never"}}))
        document = layout.document(whole.replace("{", text, 1).encode(), images.OCI_CONFIG)
        return layout.finish(layout.manifest(document, [layout.blob(_TARS[0], images.OCI_LAYER)]))

    assert _read(config("{")).platform == "linux/amd64"
    _refused(config('{"config": {}, '), "the key 'config' comes twice")
    _refused(config('{"Config": {}, '), "the key 'Config' would be taken for 'config'")
    _refused(config('{"x": NaN, '), "NaN is no number of JSON")
    _refused(config('{"x": "\\ud800", '), "expected a JSON object")
    _refused(config('{"x": ' + "[" * 100_000 + "]" * 100_000 + ", "), "nested too deeply")
    _refused(config('{"x": ' + "9" * 10_000 + ", "), "expected a JSON object")
    layout = images.Layout(tmp_path / "both")
    manifest = json.loads(layout.path(layout.image(_TARS)["digest"]).read_bytes())
    both = layout.document({**manifest, "manifests": []}, images.OCI_MANIFEST)
    _refused(layout.finish(both), "an index and a manifest at once")
    index = layout.document({"schemaVersion": 2, "manifests": [], "mediaType": images.OCI_INDEX}, images.OCI_MANIFEST)
    _refused(layout.finish(index), "it calls itself")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"Env": "A=b"}, "config.Env: expected an array, found 'A=b'"),
        ({"Env": [1]}, "config.Env: expected strings, found 1"),
        ({"Entrypoint": {}}, "config.Entrypoint: expected an array"),
        ({"Labels": {"a": 1}}, "config.Labels: 'a': expected a string, found 1"),
        ({"Labels": ["a"]}, "config.Labels: expected an object"),
        ({"ExposedPorts": ["80/tcp"]}, "config.ExposedPorts: expected an object"),
        ({"User": 0.5}, "config.User: expected a string"),
        ({"labels": {}}, "the key 'labels' would be taken for 'Labels'"),
    ],
)
def test_a_config_of_the_wrong_types_is_refused(tmp_path: pathlib.Path, settings: dict[str, object], words: str) -> None:
    layout = images.Layout(tmp_path / "l")
    _refused(layout.finish(layout.image(_TARS, settings)), words)


def test_a_label_of_a_megabyte_is_read_and_a_document_beyond_the_limit_is_not(tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    label = "\x1b[2J" + "x" * (1 << 20)
    assert _read(layout.finish(layout.image(_TARS, {"Labels": {"a": label}}))).config.content["config"]["Labels"]["a"] == label
    large = layout.image(_TARS, {"Labels": {"a": "x" * limits.MAX_DOCUMENT}})
    _refused(layout.finish(large), "are announced, more than")
    (tmp_path / "l/index.json").write_bytes(b" " * (limits.MAX_DOCUMENT + 1))
    _refused(str(tmp_path / "l"), "more than 8388608 are refused")


def test_too_many_layers_and_manifests_are_refused(tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    manifest = layout.image(_TARS[:1] * (limits.MAX_LAYERS + 1))
    _refused(layout.finish(manifest), "1001 layers, more than 1000 are refused")
    _refused(layout.finish(*[manifest] * (limits.MAX_MANIFESTS + 1)), "1001 manifests, more than 1000 are refused")


def test_a_bomb_ends_at_the_limit(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 256 MiB in a few kilobytes: far more than Deflate could do.
    bomb = images.zstd(bytes(256 << 20))
    assert len(bomb) < 32 << 10
    layout = images.Layout(tmp_path / "l")
    config = layout.document(layout.config([b""]), images.OCI_CONFIG)
    path = layout.finish(layout.manifest(config, [layout.blob(bomb, images.OCI_LAYER)]))
    _refused(path, "a decompression bomb?")
    (tmp_path / "x").write_bytes(bomb)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    _refused(str(tmp_path / "x"), "a decompression bomb?")
    assert limits.max_expanded(0) == 64 << 20
    assert limits.max_expanded(1 << 50) == limits.MAX_TAR


def test_names_of_an_archive_lead_nowhere_and_are_unique(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = images.Layout(tmp_path / "l")
    layout.finish(layout.image(_TARS))
    good = images.tar({"index.json": b"{}", "oci-layout": b"{}"})
    for more, words in (
        ({"../x": b""}, "would leave the archive"),
        ({"/etc/x": b""}, "would leave the archive"),
        ({"a/../../x": b""}, "would leave the archive"),
        ({"./index.json": b""}, "two entries are called index.json"),
    ):
        (tmp_path / "x").write_bytes(good[:2048] + images.tar(more))
        _refused(str(tmp_path / "x"), words)
    monkeypatch.setattr(limits, "MAX_ENTRIES", 3)
    _refused(layout.archive(tmp_path / "y"), "more than 3 entries are refused")


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def _paths(value: object) -> list[list[Any]]:
    """Where something can be put into JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, inner in items for path in [[key], *([key, *rest] for rest in _paths(inner))]]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_anywhere_in_a_document_it_is_an_image_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    layout = images.Layout(tmp_path_factory.mktemp("fuzz") / "l")
    config = layout.config(_TARS[:1], {"Env": ["A=b"], "Labels": {"a": "b"}, "Entrypoint": ["x"]}, history=[{"created_by": "x"}])

    def changed(content: dict[str, Any]) -> dict[str, Any]:
        path = data.draw(st.sampled_from(_paths(content)))
        place: Any = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = data.draw(_JUNK)
        return content

    which = data.draw(st.sampled_from(["config", "manifest", "index", "listing"]))
    config_descriptor = layout.document(changed(config) if which == "config" else config, images.OCI_CONFIG)
    blob = layout.blob(_TARS[0], images.OCI_LAYER)
    manifest = {"schemaVersion": 2, "mediaType": images.OCI_MANIFEST, "config": config_descriptor, "layers": [blob]}
    descriptor = layout.document(changed(manifest) if which == "manifest" else manifest, images.OCI_MANIFEST)
    platform = {"os": "linux", "architecture": "amd64"}
    index = {"schemaVersion": 2, "mediaType": images.OCI_INDEX, "manifests": [{**descriptor, "platform": platform}, descriptor]}
    layout.finish(layout.document(changed(index) if which == "index" else index, images.OCI_INDEX))
    if which == "listing":
        file = layout.root / "index.json"
        file.write_text(json.dumps(changed(json.loads(file.read_text()))))
    try:
        _read(str(layout.root))
    except CheckError as error:
        assert "\n" not in str(error)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_archive_with_any_byte_changed_is_the_same_image_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    layout = images.Layout(folder / "l")
    manifest = layout.image(_TARS[:1], compress=images.gzipped)
    layout.finish(manifest)
    file = folder / "x"
    layout.archive(file, data.draw(st.sampled_from([images.plain, images.gzipped, images.zstd])))
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)
    try:
        assert _read(str(file)).image_hash == manifest["digest"]
    except CheckError as error:
        assert "\n" not in str(error)
