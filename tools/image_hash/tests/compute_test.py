"""Tests of the digest card: JSON and table of an image whose bytes are fixed, letter by letter."""

import json
import pathlib
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from absl import flags
from absl.testing import flagsaver
from image_hash import card, errors
from image_hash.commands import compute
from image_hash.sources import open_image
from ocilib import archive
from tests import images

_TARS = [images.tar({"a": b"alpha"}), images.tar({"b": b"beta"})]
_SETTINGS = {
    "Entrypoint": ["java", "-jar", "a b.jar"],
    "Cmd": ["--x"],
    "Env": ["PATH=/bin", "EMPTY=", "TWO=a=b"],
    "Labels": {"tee.launch_policy.log_redirect": "always", "evil": "\x1b[2J\u202e\n", "large": "x" * 1000},
}

_CARD: dict[str, Any] = {
    "name": "app",
    "source": "layout",
    "platform": "linux/amd64",
    "image_hash": "sha256:0a081e3d2dd25fe0490db060046b834ee9bc1972f53aea0882f5bede0c4ed6e2",
    "index_digest": None,
    "manifest_digest": "sha256:0a081e3d2dd25fe0490db060046b834ee9bc1972f53aea0882f5bede0c4ed6e2",
    "config_digest": "sha256:f91049f2c4fb54063dbb61e8ef55f0c0b5b6e193d96618e25442eb775653d414",
    "claims": {
        "image_digest": "sha256:0a081e3d2dd25fe0490db060046b834ee9bc1972f53aea0882f5bede0c4ed6e2",
        "image_id": "sha256:f91049f2c4fb54063dbb61e8ef55f0c0b5b6e193d96618e25442eb775653d414",
        "args": ["java", "-jar", "a b.jar", "--x"],
        "env": {"PATH": "/bin", "EMPTY": "", "TWO": "a=b"},
    },
    "launch_policy": {"tee.launch_policy.log_redirect": "always"},
    "labels": {"evil": "\x1b[2J\u202e\n", "large": "x" * 1000},
    "layers": [
        {
            "diff_id": "sha256:1204f79dfca375e593b3fcf31b05e2cffafeb7c4ae7a8fcdda377362093636a4",
            "digest": "sha256:25b4c67cb64c4327920ab99d3bebdea99538e846404451e13780fabddc71ff25",
            "media_type": "application/vnd.oci.image.layer.v1.tar",
            "size": 10263,
            "tar_size": 10240,
            "created_by": "bazel build //x:a.tar",
        },
        {
            "diff_id": "sha256:0ce69adf3ade24ac6e834ac7872872e1e6dbe06e95d7c3c5a72b0506d1df8a53",
            "digest": "sha256:2dd5ae7a577ebfdc51d82f3bea350b98ba67c405526668a61ea2b1d3a4e02987",
            "media_type": "application/vnd.oci.image.layer.v1.tar",
            "size": 10263,
            "tar_size": 10240,
            "created_by": "",
        },
    ],
    "notes": [],
}
_TABLE = f"""\
image            app (layout, linux/amd64)
image hash       sha256:0a081e3d2dd25fe0490db060046b834ee9bc1972f53aea0882f5bede0c4ed6e2  = claim image_digest
index digest     none: it is a single image
manifest digest  sha256:0a081e3d2dd25fe0490db060046b834ee9bc1972f53aea0882f5bede0c4ed6e2
config digest    sha256:f91049f2c4fb54063dbb61e8ef55f0c0b5b6e193d96618e25442eb775653d414  = claim image_id
args             'java' '-jar' 'a b.jar' '--x'  = claim args
env              PATH=/bin  = claim env
                 EMPTY=
                 TWO=a=b
launch policy    tee.launch_policy.log_redirect=always
labels           evil=\\x1b[2J\\u202e\\n
                 large={"x" * 300}... (1000 characters)
layers           2, 0.0 MB, all hashed again
              0  sha256:1204f79dfca375e593b3fcf31b05e2cffafeb7c4ae7a8fcdda377362093636a4       0.0 MB  bazel build //x:a.tar
     compressed  sha256:25b4c67cb64c4327920ab99d3bebdea99538e846404451e13780fabddc71ff25       0.0 MB
              1  sha256:0ce69adf3ade24ac6e834ac7872872e1e6dbe06e95d7c3c5a72b0506d1df8a53       0.0 MB
     compressed  sha256:2dd5ae7a577ebfdc51d82f3bea350b98ba67c405526668a61ea2b1d3a4e02987       0.0 MB
"""


def _stored(data: bytes) -> bytes:
    """Data as gzip without compression (RFC 1951, 3.2.4; RFC 1952), since the bytes of zlib are not the same everywhere."""
    length = len(data).to_bytes(2, "little")
    block = b"\x01" + length + bytes(255 - byte for byte in length) + data
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + block + zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")


def _layout(folder: pathlib.Path, compress: Callable[[bytes], bytes] = _stored) -> str:
    layout = images.Layout(folder)
    history = [{"created_by": "bazel build //x:a.tar"}, {"created_by": ""}]
    return layout.finish(layout.image(_TARS, _SETTINGS, compress=compress, history=history))


def _card(path: str) -> dict[str, Any]:
    with open_image(path) as image:
        return card.card(image)


@pytest.fixture(name="app")
def _app(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the image of this test, in the working directory."""
    monkeypatch.chdir(tmp_path)
    _layout(tmp_path / "app")
    return "app"


def test_the_card_has_these_keys_in_this_order(app: str) -> None:
    found = _card(app)
    assert json.dumps(found) == json.dumps(_CARD)


def test_the_table_has_all_for_a_person_and_nothing_for_the_terminal(app: str) -> None:
    assert card.table(_card(app)) == _TABLE


def test_without_compression_a_layer_has_one_digest(tmp_path: pathlib.Path) -> None:
    found = _card(_layout(tmp_path / "app", images.plain))
    assert [layer["digest"] for layer in found["layers"]] == [layer["diff_id"] for layer in _CARD["layers"]]
    assert "compressed" not in card.table(found)


def test_an_index_is_what_a_token_has(tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "app")
    manifest = layout.image(_TARS)
    index = layout.index([manifest])
    found = _card(layout.finish(index))
    assert (found["image_hash"], found["index_digest"], found["manifest_digest"]) == (index["digest"], index["digest"], manifest["digest"])
    assert found["claims"] == {"image_digest": index["digest"], "image_id": found["config_digest"], "args": [], "env": {}}


def test_what_docker_save_does_not_keep_is_null(app: str) -> None:
    with open("saved", "wb") as file:
        archive.write(app, "docker", ["app:1"], file)
    found = _card("saved")
    missing = {"image_hash": None, "manifest_digest": None, "claims": {**_CARD["claims"], "image_digest": None}}
    layers = [{**layer, "digest": None, "media_type": None, "size": None} for layer in _CARD["layers"]]
    assert {**found, "notes": []} == {**_CARD, **missing, "name": "saved", "source": "docker-archive", "layers": layers}
    assert "docker save keeps no manifest" in found["notes"][0]
    assert "image hash       not kept by this format  = claim image_digest\n" in card.table(found)


@flagsaver.flagsaver(json=True)
def test_the_command_prints_the_schema_and_a_card_for_each_image(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags.FLAGS.mark_as_parsed()
    compute.main([app, app])
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"schema": 1, "images": [_CARD, _CARD]}
    assert printed.isascii()


def test_nothing_is_printed_if_one_image_is_damaged(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags.FLAGS.mark_as_parsed()
    with pytest.raises(errors.CheckError, match="no such file or folder"):
        compute.main([app, "nothing"])
    assert capsys.readouterr().out == ""
