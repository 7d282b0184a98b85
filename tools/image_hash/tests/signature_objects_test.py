"""Signature objects in a registry that is not ours, read by a client that is not ours."""

import json
import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest
from image_hash import errors, signatures
from image_hash.publish import signature_objects
from ocilib import push, registry
from tests import images

from tools.registry import docker_registry
from tools.registry.docker_registry import DockerRegistry

SETTINGS = {"Entrypoint": ["/x"]}


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with docker_registry.serve(tmp_path_factory.mktemp("registry")) as server:
        yield server


def new_key(folder: pathlib.Path, name: str) -> signatures.PrivateKey:
    path = folder / name
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path], check=True)
    return signatures.load_private_key(path, lambda: "")


def skopeo(*arguments: str) -> None:
    # /var/tmp, its default, is not writable in a sandbox.
    command = [*docker_registry.program("skopeo"), "--insecure-policy", f"--tmpdir={os.environ['TEST_TMPDIR']}", *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_signatures_are_stored_beside_the_image(server: DockerRegistry, tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "layout")
    layout.finish(layout.image([images.tar({"file": b"content"})], SETTINGS))
    artifact = push.read(str(layout.root))
    repository = registry.parse_repository(f"{server.address}/team/collector_image")
    client = registry.Client(repository)
    keys = [new_key(tmp_path, name) for name in ("first", "second")]
    with pytest.raises(errors.CheckError, match="push the image first"):
        signature_objects.add(client, repository, artifact.digest, keys[0])
    push.Pusher(client).push(artifact, repository.name, ["v1"])
    assert [signature_objects.add(client, repository, artifact.digest, key) for key in (*keys, *keys)] == [True, True, False, False]
    client.close()
    tag = f"{artifact.digest.replace(':', '-')}.sig"
    skopeo("copy", "--src-tls-verify=false", f"docker://{repository}:{tag}", f"dir:{tmp_path / 'copy'}")
    manifest = json.loads((tmp_path / "copy/manifest.json").read_bytes())
    found = []
    for layer in manifest["layers"]:
        payload = (tmp_path / "copy" / layer["digest"].removeprefix("sha256:")).read_bytes()
        found.append(signatures.check_payload(payload, layer["annotations"][signatures.SIGNATURE_ANNOTATION], artifact.digest))
    assert found == [key.public for key in keys]
