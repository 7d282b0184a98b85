"""What skopeo, a client that is not ours, makes of our images and archives; and which ways to a registry keep the image hash."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ocilib import archive
from ocilib.digest import digest_of
from runfiles import Runfiles
from tests.ocilib import fake_registry

from tools.registry import docker_registry
from tools.registry.docker_registry import DockerRegistry


def _runfile(variable: str) -> Path:
    runfiles = Runfiles.Create()
    path = runfiles and runfiles.Rlocation(os.environ[variable])
    assert path
    return Path(path)


def _skopeo(*arguments: str) -> bytes:
    # /var/tmp, its default, is not writable in a sandbox.
    command = [*docker_registry.program("skopeo"), "--insecure-policy", f"--tmpdir={os.environ['TEST_TMPDIR']}", *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def _served(server: DockerRegistry, image: str) -> str:
    return digest_of(_skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{server.address}/{image}"))


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with docker_registry.serve(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(name="layout", scope="module")
def _layout() -> Path:
    """The image of a service: uncompressed layers."""
    return _runfile("IMAGE")


@pytest.fixture(name="manifest", scope="module")
def _manifest(layout: Path) -> tuple[str, bytes]:
    """Its image hash and its manifest."""
    digest = str(json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"])
    return digest, (layout / "blobs" / digest.replace(":", "/")).read_bytes()


def test_the_archive_of_image_load_is_whole_and_has_the_image_id(manifest: tuple[str, bytes], layout: Path, tmp_path: Path) -> None:
    config = json.loads(manifest[1])["config"]["digest"]
    source = f"docker-archive:{_runfile('ARCHIVE')}"
    assert json.loads(_skopeo("inspect", "--raw", source))["config"]["digest"] == config
    assert _skopeo("inspect", "--config", "--raw", source) == (layout / "blobs" / config.replace(":", "/")).read_bytes()
    # Reads every layer, and compares it with the diff id that the config has.
    _skopeo("copy", source, f"dir:{tmp_path}/copy")
    layers = {f"sha256:{path.name}" for path in (tmp_path / "copy").iterdir() if len(path.name) == 64} - {config}
    assert layers == set(json.loads((layout / "blobs" / config.replace(":", "/")).read_bytes())["rootfs"]["diff_ids"])


def test_the_tag_of_image_load_is_the_name_of_the_image(server: DockerRegistry) -> None:
    _skopeo(
        "copy", "--dest-tls-verify=false", f"docker-archive:{_runfile('ARCHIVE')}:collector_image:latest", f"docker://{server.address}/tag"
    )


def test_a_copy_of_the_layout_that_preserves_digests_keeps_the_hash(
    server: DockerRegistry, manifest: tuple[str, bytes], layout: Path
) -> None:
    _skopeo("copy", "--preserve-digests", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{server.address}/kept:v1")
    assert _served(server, "kept:v1") == manifest[0]


def test_what_the_registry_has_can_be_copied_back_whole(
    server: DockerRegistry, manifest: tuple[str, bytes], layout: Path, tmp_path: Path
) -> None:
    _skopeo("copy", "--preserve-digests", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{server.address}/back:v1")
    _skopeo("copy", "--preserve-digests", "--src-tls-verify=false", f"docker://{server.address}/back@{manifest[0]}", f"oci:{tmp_path}/back")
    for blob in (layout / "blobs/sha256").iterdir():
        assert (tmp_path / "back/blobs/sha256" / blob.name).stat().st_size == blob.stat().st_size


@pytest.mark.parametrize("form", ["oci", "docker-archive"])
def test_a_plain_copy_compresses_so_that_the_hash_is_another(server: DockerRegistry, tmp_path: Path, form: str) -> None:
    base = _runfile("BASE")
    with (tmp_path / "image.tar").open("wb") as sink:
        archive.write(str(base), "docker", ["base:v1"], sink)
    source = f"oci:{base}" if form == "oci" else f"docker-archive:{tmp_path}/image.tar"
    _skopeo("copy", "--dest-tls-verify=false", source, f"docker://{server.address}/plain-{form}:v1")
    manifest = _skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{server.address}/plain-{form}:v1")
    assert digest_of(manifest) != json.loads((base / "index.json").read_bytes())["manifests"][0]["digest"]
    assert all(layer["mediaType"].endswith("gzip") for layer in json.loads(manifest)["layers"])


def test_the_archive_of_an_index_keeps_its_hash(server: DockerRegistry, tmp_path: Path) -> None:
    digest = fake_registry.write_index(tmp_path / "index", [_runfile("BASE")])
    (tmp_path / "index/oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    with (tmp_path / "index.tar").open("wb") as sink:
        archive.write(str(tmp_path / "index"), "oci", ["app:v1"], sink)
    source = f"oci-archive:{tmp_path}/index.tar:app:v1"
    assert digest_of(_skopeo("inspect", "--raw", source)) == digest
    _skopeo("copy", "--all", "--preserve-digests", "--dest-tls-verify=false", source, f"docker://{server.address}/index:v1")
    assert _served(server, "index:v1") == digest
