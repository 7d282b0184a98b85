"""Tests of image_hash.sources with references of registries, against one of ours."""

import contextlib
import json
import pathlib
import re
from collections.abc import Iterator

import pytest
from image_hash import hashing
from image_hash.comparison import engine
from image_hash.errors import CheckError
from image_hash.sources import open_image, registry
from ocilib.registry import Client
from tests import images
from tests.ocilib import fake_registry

_TARS = [images.tar({"a": b"alpha"}), images.tar({"b": bytes(range(256)) * 8000})]


@pytest.fixture(name="served")
def _served(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_registry.Registry]:
    """A registry; nobody is logged in, and nobody waits between attempts."""
    for variable in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setattr("ocilib.registry._FIRST_DELAY", 0.0)
    with fake_registry.serve() as found:
        yield found


def _put(served: fake_registry.Registry, layout: images.Layout, *descriptors: images.Json, tag: str = "1") -> None:
    """Puts all of LAYOUT into app, the last of DESCRIPTORS (manifests) under TAG."""
    documents = {descriptor["digest"]: descriptor["mediaType"] for descriptor in descriptors}
    for file in (layout.root / "blobs/sha256").iterdir():
        digest = f"sha256:{file.name}"
        if digest in documents:
            served.manifests["app", digest] = (documents[digest], file.read_bytes())
        else:
            served.blobs["app", digest] = file.read_bytes()
    served.manifests["app", tag] = served.manifests["app", descriptors[-1]["digest"]]


def _hash(reference: str, platform: str | None = None) -> str | None:
    with open_image(reference, platform) as image:
        hashing.tar_sizes(image.layers)
        assert image.source == "registry"
        return image.image_hash


def test_tag_digest_or_both_name_an_image(served: fake_registry.Registry, tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    manifest = layout.image(_TARS, compress=images.gzipped)
    _put(served, layout, manifest)
    for end in (":1", f"@{manifest['digest']}", f":other@{manifest['digest']}"):
        assert _hash(f"{served.address}/app{end}") == manifest["digest"]
    assert _hash(f"http://{served.address}/app:1") == manifest["digest"]


def test_an_index_is_the_image_hash_unless_its_member_is_asked_for(served: fake_registry.Registry, tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    members = [layout.image(_TARS, architecture=architecture) for architecture in ("amd64", "arm64")]
    index = layout.index(members)
    _put(served, layout, *members, index)
    assert _hash(f"{served.address}/app:1", "linux/arm64") == index["digest"]
    assert _hash(f"{served.address}/app@{members[1]['digest']}") == members[1]["digest"]
    with pytest.raises(CheckError, match="choose one with --platform: linux/amd64, linux/arm64"):
        _hash(f"{served.address}/app:1")


def test_a_tag_that_moves_and_a_digest_that_lies_are_noticed(served: fake_registry.Registry, tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    manifest, other = layout.image(_TARS), layout.image(_TARS[:1])
    _put(served, layout, other, manifest)
    served.manifests["app", manifest["digest"]] = served.manifests["app", other["digest"]]
    with pytest.raises(CheckError, match="answers with something else"):
        _hash(f"{served.address}/app@{manifest['digest']}")
    served.digests = lambda _, __: "sha256:" + "0" * 64
    with pytest.raises(CheckError, match="it says that the digest is sha256:0000"):
        _hash(f"{served.address}/app:1")


def test_a_layer_that_was_changed_or_cut_is_noticed(served: fake_registry.Registry, tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    manifest = layout.image(_TARS)
    _put(served, layout, manifest)
    key = ("app", images.digest(_TARS[1]))
    for data, words in (
        (_TARS[1][:-1] + b"x", "expected the digest"),
        (_TARS[1] + b"x", "expected .* bytes, found more"),
        (_TARS[1][:-1], "it ends after .* bytes .after 6 attempts"),
    ):
        served.blobs[key] = data
        with pytest.raises(CheckError, match=words):
            _hash(f"{served.address}/app:1")
    del served.blobs[key]
    with pytest.raises(CheckError, match="404, it has nothing by that name: BLOB_UNKNOWN"):
        _hash(f"{served.address}/app:1")


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_goes_on_where_it_broke(served: fake_registry.Registry, tmp_path: pathlib.Path, ranges: bool) -> None:
    layout = images.Layout(tmp_path / "l")
    manifest = layout.image(_TARS)
    _put(served, layout, manifest)
    data = _TARS[1]
    asked: list[str | None] = []

    def break_off(handler: fake_registry.Handler) -> bool:
        if images.digest(data) not in handler.path or len(asked) > 8:
            return False
        asked.append(handler.headers.get("Range"))
        match = re.fullmatch(r"bytes=(\d+)-", asked[-1] or "") if ranges else None
        start = int(match[1]) if match else 0
        handler.send_response(206 if match else 200)
        handler.send_header("Content-Length", str(len(data) - start))
        if match:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.end_headers()
        # A bit further each time, whether it starts anew or not.
        handler.wfile.write(data[start : len(asked) * 300_000])
        handler.close_connection = True
        return True

    served.hook = break_off
    assert _hash(f"{served.address}/app:1") == manifest["digest"]
    assert asked[:3] == [None, "bytes=300000-", "bytes=600000-"]


def test_only_the_right_to_pull_is_asked_for_and_no_secret_is_shown(served: fake_registry.Registry, tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    manifest = layout.image(_TARS)
    _put(served, layout, manifest)
    served.auth = "token"
    with pytest.raises(CheckError, match="there are no credentials for 127.0.0.1"):
        _hash(f"{served.address}/app:1")
    docker = tmp_path / "docker"
    docker.mkdir()
    for password in ("wrong " + fake_registry.PASSWORD, fake_registry.PASSWORD):
        login = {"username": fake_registry.USER, "password": password}
        (docker / "config.json").write_text(json.dumps({"auths": {served.address: login}}))
        if password == fake_registry.PASSWORD:
            assert _hash(f"{served.address}/app:1") == manifest["digest"]
        else:
            with pytest.raises(CheckError, match="does not take the credentials of user alice") as caught:
                _hash(f"{served.address}/app:1")
            assert fake_registry.PASSWORD not in str(caught.value)
    assert served.tokens == [["repository:app:pull"]]


def test_http_is_for_loopback_unless_it_is_asked_for() -> None:
    with pytest.raises(CheckError, match="plain http would show the credentials"), open_image("http://registry.example/app:1"):
        pass


def test_an_unreachable_registry_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocilib.registry._FIRST_DELAY", 0.0)
    with pytest.raises(CheckError, match="^127.0.0.1:9: cannot connect: Connection refused"), open_image("127.0.0.1:9/app:1"):
        pass


def test_schema_1_of_a_registry_is_named(served: fake_registry.Registry) -> None:
    old = json.dumps({"schemaVersion": 1, "name": "app", "tag": "1", "fsLayers": [], "history": []}).encode()
    served.manifests["app", "1"] = ("application/vnd.docker.distribution.manifest.v1+prettyjws", old)
    with pytest.raises(CheckError, match="Docker's manifest version 2, schema 1"):
        _hash(f"{served.address}/app:1")


def test_an_endless_document_is_refused(served: fake_registry.Registry) -> None:
    served.manifests["app", "1"] = (images.OCI_MANIFEST, b" " * (20 << 20))
    with pytest.raises(CheckError, match="more than 16777216 bytes"):
        _hash(f"{served.address}/app:1")


@pytest.mark.parametrize(
    "text",
    ["app:1", "dir/app:1", "registry.example/app", "registry.example/App:1", "registry.example/app@sha256:12", "./app:1", "ftp://a.b/c:1"],
)
def test_what_is_no_whole_reference_is_none(text: str) -> None:
    assert registry.parse_reference(text) is None


def test_references_of_the_hub_need_its_name() -> None:
    found = registry.parse_reference("docker.io/library/debian:12")
    assert str(found) == "docker.io/library/debian:12"


def test_connections_are_closed(served: fake_registry.Registry, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = images.Layout(tmp_path / "l")
    _put(served, layout, layout.image(_TARS))
    closed = []
    close = Client.close

    def closing(client: Client) -> None:
        closed.append(client)
        close(client)

    monkeypatch.setattr(Client, "close", closing)
    with contextlib.suppress(KeyError), open_image(f"{served.address}/app:1"):
        assert not closed
        raise KeyError
    assert len(closed) == 1


def test_a_layout_is_compared_with_what_a_registry_has(served: fake_registry.Registry, tmp_path: pathlib.Path) -> None:
    here = images.Layout(tmp_path / "here")
    folder = here.finish(here.image(_TARS))
    there = images.Layout(tmp_path / "there")
    _put(served, there, there.image([_TARS[0], images.tar({"b": b"beta"})], compress=images.gzipped))
    with open_image(str(folder)) as left, open_image(f"{served.address}/app:1") as right:
        found = engine.compare(left, right).differences
    assert [(difference.cause.name, difference.place) for difference in found] == [
        ("compression format", ("layer 0",)),
        ("unknown", ("layer 1", "b")),
    ]
