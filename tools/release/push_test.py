"""Where images are published, and when they are not."""

import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from ocilib.errors import Error
from tests.ocilib import fake_registry

from tools.release import push

NAMES = ("collector_image", "aggregator_image")


@pytest.fixture(name="registry")
def _registry(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Iterator[fake_registry.Registry]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with fake_registry.serve() as registry:
        yield registry


@pytest.fixture(name="settings")
def _settings(tmp_path: pathlib.Path, registry: fake_registry.Registry) -> dict[str, Any]:
    """Two images with a layer in common."""
    for name in NAMES:
        fake_registry.write_layout(tmp_path / name, [b"base" * 100, name.encode()])
    images = [{"name": name, "layout": name} for name in NAMES]
    return {"images": images, "registry": registry.address, "repository_prefix": "", "tag": "v1"}


def one(settings: dict[str, Any]) -> dict[str, Any]:
    return settings | {"images": settings["images"][:1]}


def test_the_settings_say_where_to(registry: fake_registry.Registry, settings: dict[str, Any], tmp_path: pathlib.Path) -> None:
    push.push_images(str(tmp_path), settings | {"repository_prefix": "/team/odp/"}, [], [])
    assert {f"team/odp/{name}" for name in NAMES} == {repository for repository, _ in registry.manifests}
    assert {"v1"} == {tag for _, tag in registry.manifests if not tag.startswith("sha256:")}


def test_the_command_line_overrides_them(registry: fake_registry.Registry, settings: dict[str, Any], tmp_path: pathlib.Path) -> None:
    push.push_images(str(tmp_path), one(settings), [], ["--repository", f"{registry.address}/other/name", "--tag", "v2"])
    assert ("other/name", "v2") in registry.manifests
    assert ("other/name", "v1") not in registry.manifests
    push.push_images(str(tmp_path), settings, [], ["--registry", f"{registry.address}/below"])
    assert ("below/aggregator_image", "v1") in registry.manifests


def test_what_is_served_is_printed(
    registry: fake_registry.Registry, settings: dict[str, Any], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    push.push_images(str(tmp_path), settings, [], [])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    for name, line in zip(NAMES, lines, strict=False):
        digest = next(tag for repository, tag in registry.manifests if repository == name and tag.startswith("sha256:"))
        assert line.startswith(f"{registry.address}/{name}@{digest} :v1: ")
    assert lines[0].endswith("3 blobs uploaded (0.0 MB), 0 mounted, 0 already there")
    assert lines[1].endswith("2 blobs uploaded (0.0 MB), 1 mounted, 0 already there")
    assert lines[2] == f"2 published: every digest that {registry.address} serves equals the image hash that was built"


def test_unchanged_images_cost_a_head_each(registry: fake_registry.Registry, settings: dict[str, Any], tmp_path: pathlib.Path) -> None:
    push.push_images(str(tmp_path), settings, [], [])
    registry.requests.clear()
    push.push_images(str(tmp_path), settings, [], [])
    assert registry.requests == [f"HEAD /v2/{name}/manifests/v1" for name in NAMES]


@pytest.mark.parametrize(
    ("unset", "message"),
    [
        ({"registry": ""}, "no registry is set: expected --//shuffler/services:registry=HOST"),
        ({"tag": ""}, "no tag is set: expected --//shuffler/services:tag=TAG"),
        ({"tag": "a b"}, "expected a tag of at most 128"),
        ({"repository_prefix": "Team"}, "expected a repository like"),
        ({"registry": "http://registry.example"}, "plain http would show the credentials"),
    ],
)
def test_what_is_not_set_or_malformed_is_said(
    settings: dict[str, Any], tmp_path: pathlib.Path, unset: dict[str, str], message: str
) -> None:
    with pytest.raises(Error, match=re.escape(message)):
        push.push_images(str(tmp_path), settings | unset, [], [])


def test_one_repository_is_not_for_two_images(settings: dict[str, Any], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        push.push_images(str(tmp_path), settings, [], ["--repository", "registry.example/a"])
    assert ended.value.code == 64
    assert "usage: --repository is for one image, this publishes 2" in capsys.readouterr().err


def test_a_drifted_environment_publishes_nothing(
    registry: fake_registry.Registry, settings: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    with pytest.raises(push.PushError, match="nothing is published from a drifted build environment .1 packages, the first: bazel"):
        push.push_images(str(tmp_path), settings, ["bazel locked 1 actual 2"], [])
    assert registry.requests == []


def test_a_damaged_image_stops_all(registry: fake_registry.Registry, settings: dict[str, Any], tmp_path: pathlib.Path) -> None:
    for blob in (tmp_path / NAMES[1] / "blobs/sha256").iterdir():
        blob.unlink()
    with pytest.raises(Error, match="is missing: the layout is incomplete"):
        push.push_images(str(tmp_path), settings, [], [])
    assert registry.requests == []
