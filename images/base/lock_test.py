"""The lock of bases in registries, against a registry on loopback."""

import hashlib
import json
import pathlib
from collections.abc import Iterator

import pytest
from image_hash import errors
from ocilib.errors import Error as OcilibError
from tests.ocilib import fake_registry

from images.base import lock

_INDEX = "application/vnd.oci.image.index.v1+json"
_COMMITTED = pathlib.Path(__file__).parent / "registry.lock.bzl"


@pytest.fixture(name="registry")
def _registry() -> Iterator[fake_registry.Registry]:
    with fake_registry.serve() as registry:
        yield registry


@pytest.fixture(name="environ")
def _environ(registry: fake_registry.Registry, tmp_path: pathlib.Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "OCI_MIRRORS": f"gcr.io={registry.address}/gcr docker.io={registry.address}"}


@pytest.fixture(name="path")
def _path(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "registry.lock.bzl"
    path.write_text(_COMMITTED.read_text("utf-8"), "utf-8")
    return path


def _put(registry: fake_registry.Registry, repository: str, tag: str, architecture: str = "amd64", version: int = 1) -> str:
    platform = {"os": "linux", "architecture": architecture}
    entries = [{"mediaType": "m", "digest": f"sha256:{version:064}", "size": 1, "platform": platform}]
    data = json.dumps({"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries}).encode()
    registry.manifests[repository, tag] = (_INDEX, data)
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_the_committed_lock_is_written_as_it_is_read(path: pathlib.Path) -> None:
    before = path.read_text("utf-8")
    lock.write(path, *lock.read(path))
    assert path.read_text("utf-8") == before
    assert set(lock.read(path)[1]) == {"java17", "python"}


def test_update_writes_what_the_tags_name_and_report_only_says_it(
    registry: fake_registry.Registry, environ: dict[str, str], path: pathlib.Path
) -> None:
    java = _put(registry, "gcr/distroless/java17-debian11", "nonroot")
    python = _put(registry, "library/python", "slim", version=2)
    _, bases = lock.read(path)
    for base in bases.values():
        base["digest"] = ""
    lock.write(path, "#", bases)
    assert lock.changes(path, environ, apply=True) == [
        f"java17: gcr.io/distroless/java17-debian11:nonroot is {java}, was not locked",
        f"python: docker.io/library/python:slim is {python}, was not locked",
    ]
    assert {name: base["digest"] for name, base in lock.read(path)[1].items()} == {"java17": java, "python": python}
    moved = _put(registry, "library/python", "slim", version=3)
    locked = path.read_bytes()
    assert lock.changes(path, environ, apply=False) == [
        f"java17: gcr.io/distroless/java17-debian11:nonroot is {java}, unchanged",
        f"python: docker.io/library/python:slim is {moved}, was {python}",
    ]
    assert path.read_bytes() == locked


def test_no_more_than_the_right_to_read_is_asked_for(registry: fake_registry.Registry, environ: dict[str, str], path: pathlib.Path) -> None:
    registry.auth = "token"
    with fake_registry.login(registry.address) as login:
        _put(registry, "gcr/distroless/java17-debian11", "nonroot")
        _put(registry, "library/python", "slim")
        lock.changes(path, environ | login, apply=True)
    assert registry.tokens == [["repository:gcr/distroless/java17-debian11:pull"], ["repository:library/python:pull"]]


def test_an_image_for_other_machines_is_refused(registry: fake_registry.Registry, environ: dict[str, str], path: pathlib.Path) -> None:
    _put(registry, "gcr/distroless/java17-debian11", "nonroot", "arm64")
    before = path.read_bytes()
    with pytest.raises(errors.CheckError, match="java17-debian11:nonroot: expected an image for linux/amd64 in its index, found none"):
        lock.changes(path, environ, apply=True)
    assert path.read_bytes() == before


def test_a_tag_that_is_nowhere_is_named_and_the_lock_stays(
    registry: fake_registry.Registry, environ: dict[str, str], path: pathlib.Path
) -> None:
    _, bases = lock.read(path)
    bases["java17"]["image"] = f"{registry.address}/nobody/here"
    lock.write(path, "#", bases)
    before = path.read_bytes()
    message = f"^{registry.address}: reading nobody/here:nonroot: 404, it has nothing by that name"
    with pytest.raises(OcilibError, match=message):
        lock.changes(path, environ, apply=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["", "\nREGISTRY_BASES = [", "\nREGISTRY_BASES = {'a': {'image': 'b'}}", "\nREGISTRY_BASES = 1"])
def test_what_is_no_lock_is_said_in_a_line(path: pathlib.Path, text: str) -> None:
    path.write_text(text, "utf-8")
    with pytest.raises(errors.CheckError, match=r"registry.lock.bzl: expected REGISTRY_BASES, .*; restore the file from git$"):
        lock.read(path)


@pytest.mark.parametrize("arguments", [[], ["upgrade"], ["update", "java17"]])
def test_other_commands_are_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(errors.UsageError, match="^expected update or report, found"):
        lock.main(arguments)
