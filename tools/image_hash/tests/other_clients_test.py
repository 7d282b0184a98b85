"""Digests are the same as those of two clients that are not ours: skopeo (containers/image) and crane (go-containerregistry)."""

import json
import os
import pathlib
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from image_hash import card
from image_hash.sources import open_image
from runfiles import Runfiles
from tests import images

from tools.registry import docker_registry
from tools.registry.docker_registry import DockerRegistry

_TARS = [images.tar({"a": b"alpha"}), images.tar({"b": b"beta" * 100_000}), images.tar({"a": b"alpha"})]
_SETTINGS = {"Env": ["A=b"], "Labels": {"x": "\u00e9\u2028"}, "Entrypoint": ["/x"]}


def _runfile(variable: str) -> pathlib.Path:
    runfiles = Runfiles.Create()
    path = runfiles and runfiles.Rlocation(os.environ[variable])
    assert path
    return pathlib.Path(path)


def _output(command: list[str]) -> bytes:
    done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "HOME": os.environ["TEST_TMPDIR"]})
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def _skopeo(*arguments: str) -> bytes:
    command = [*docker_registry.program("skopeo"), "--insecure-policy", f"--tmpdir={os.environ['TEST_TMPDIR']}", *arguments]
    return _output(command)


def _crane(*arguments: str) -> bytes:
    return _output([str(_runfile("CRANE")), *arguments])


def _card(reference: str, platform: str | None = None) -> dict[str, Any]:
    with open_image(reference, platform) as image:
        return card.card(image)


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with docker_registry.serve(tmp_path_factory.mktemp("registry")) as server:
        yield server


def _push(server: DockerRegistry, layout: str, name: str) -> str:
    _skopeo("copy", "--all", "--preserve-digests", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{server.address}/{name}:1")
    return f"{server.address}/{name}:1"


@pytest.mark.parametrize("compress", [images.plain, images.gzipped, images.zstd])
def test_an_image_in_a_registry(server: DockerRegistry, tmp_path: pathlib.Path, compress: Callable[[bytes], bytes]) -> None:
    layout = images.Layout(tmp_path / "l")
    path = layout.finish(layout.image(_TARS, _SETTINGS, compress=compress))
    reference = _push(server, path, compress.__name__)
    found = _card(reference)
    assert found == {**_card(path), "name": reference, "source": "registry"}
    inspected = json.loads(_skopeo("inspect", "--tls-verify=false", f"docker://{reference}"))
    assert (inspected["Digest"], inspected["Layers"]) == (found["image_hash"], [layer["digest"] for layer in found["layers"]])
    assert inspected["Labels"] == found["labels"]
    assert _crane("digest", "--insecure", reference).decode().strip() == found["image_hash"]
    manifest = json.loads(_crane("manifest", "--insecure", reference))
    assert manifest["config"]["digest"] == found["config_digest"] == images.digest(_crane("config", "--insecure", reference))
    if compress is images.gzipped:
        # crane reads the layers, and checks digests and diff ids as it does so; it takes all layers for gzip.
        _crane("validate", "--insecure", "--remote", reference)


def test_an_index_in_a_registry(server: DockerRegistry, tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    members = [
        {**layout.image(_TARS, architecture=architecture), "platform": {"os": "linux", "architecture": architecture}}
        for architecture in ("amd64", "arm64")
    ]
    reference = _push(server, layout.finish(layout.index(members)), "index")
    for architecture in ("amd64", "arm64"):
        found = _card(reference, f"linux/{architecture}")
        assert found["image_hash"] == _crane("digest", "--insecure", reference).decode().strip()
        assert found["image_hash"] == images.digest(_skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{reference}"))
        chosen = _crane("digest", "--insecure", f"--platform=linux/{architecture}", reference).decode().strip()
        assert found["manifest_digest"] == chosen
        skopeo = ["inspect", f"--override-arch={architecture}", "--config", "--raw", "--tls-verify=false", f"docker://{reference}"]
        assert found["config_digest"] == images.digest(_skopeo(*skopeo))


def test_layouts_and_archives_that_others_write(server: DockerRegistry, tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    path = layout.finish(layout.image(_TARS, _SETTINGS, compress=images.gzipped))
    reference = _push(server, path, "written")
    expected = _card(path)
    skopeo = ("copy", "--preserve-digests", "--src-tls-verify=false", f"docker://{reference}")
    _skopeo(*skopeo, f"oci:{tmp_path}/skopeo_layout:1")
    _skopeo(*skopeo, f"oci-archive:{tmp_path}/skopeo.tar:1")
    _crane("pull", "--insecure", "--format=oci", reference, f"{tmp_path}/crane_layout")
    for name in ("skopeo_layout", "skopeo.tar", "crane_layout"):
        found = _card(f"{tmp_path}/{name}")
        assert {**found, "name": "", "source": ""} == {**expected, "name": "", "source": ""}, name
    # Docker's archives: of skopeo with uncompressed layers, of crane with the registry's.
    _skopeo("copy", "--src-tls-verify=false", f"docker://{reference}", f"docker-archive:{tmp_path}/skopeo_docker.tar:a:1")
    _crane("pull", "--insecure", "--format=tarball", reference, f"{tmp_path}/crane_docker.tar")
    for name in ("skopeo_docker.tar", "crane_docker.tar"):
        found = _card(f"{tmp_path}/{name}")
        assert (found["source"], found["image_hash"]) == ("docker-archive", None)
        assert found["config_digest"] == expected["config_digest"]
        assert [layer["diff_id"] for layer in found["layers"]] == [layer["diff_id"] for layer in expected["layers"]]


def test_an_image_of_dockers_media_types(server: DockerRegistry, tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    path = layout.finish(layout.image(_TARS, _SETTINGS))
    _skopeo("copy", "--format=v2s2", "--dest-tls-verify=false", f"oci:{path}", f"docker://{server.address}/docker:1")
    found = _card(f"{server.address}/docker:1")
    assert found["image_hash"] == _crane("digest", "--insecure", f"{server.address}/docker:1").decode().strip()
    assert {layer["media_type"] for layer in found["layers"]} == {"application/vnd.docker.image.rootfs.diff.tar.gzip"}
    assert [layer["diff_id"] for layer in found["layers"]] == [images.digest(data) for data in _TARS]


def test_the_image_of_a_service() -> None:
    layout = _runfile("IMAGE")
    found = _card(str(layout))
    assert images.digest(_skopeo("inspect", "--raw", f"oci:{layout}")) == found["image_hash"]
    assert images.digest(_skopeo("inspect", "--config", "--raw", f"oci:{layout}")) == found["config_digest"]
    assert json.loads(_skopeo("inspect", f"oci:{layout}"))["Layers"] == [layer["digest"] for layer in found["layers"]]
