"""The configuration of the OCI runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools.containers.bundle import BundleError, Mount, runtime_config
from tools.containers.layers import Root

if TYPE_CHECKING:
    from ocilib.jsontext import Json

GOLDEN = Path(__file__).parent / "testdata" / "config.json"


def _root(path: Path, settings: dict[str, Json]) -> Root:
    (path / "etc").mkdir(exist_ok=True)
    (path / "etc/passwd").write_text("root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65533:nonroot:/home/nonroot:/sbin/nologin\n")
    (path / "etc/group").write_text("root:x:0:\ntty:x:5:\n")
    return Root(path, (), {"config": settings})


def test_golden(tmp_path: Path) -> None:
    settings: dict[str, Json] = {
        "Entrypoint": ["java", "-jar"],
        "Cmd": ["collector_application.jar"],
        "Env": ["PATH=/usr/bin", "SPRING_PROFILES_ACTIVE=gcp", "EMPTY"],
        "User": "65532",
    }
    config = runtime_config(
        _root(tmp_path, settings), env={"SPRING_PROFILES_ACTIVE": "local", "FCP_OPTS": "--a 'b=c'"}, mounts=[Mount(Path("/a"), "/tmp/a")]
    )
    assert config["root"] == {"path": str(tmp_path), "readonly": True}
    config["root"] = {"path": "ROOT", "readonly": True}
    assert json.dumps(config, indent=2, sort_keys=True) + "\n" == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", (0, 0, "/root")),
        ("0", (0, 0, "/root")),
        ("nonroot", (65532, 65533, "/home/nonroot")),
        ("65532", (65532, 65533, "/home/nonroot")),
        ("65532:7", (65532, 7, "/home/nonroot")),
        ("nonroot:tty", (65532, 5, "/home/nonroot")),
        ("1000", (1000, 0, "/")),
    ],
)
def test_the_user_is_looked_up_in_the_image(tmp_path: Path, user: str, expected: tuple[int, int, str]) -> None:
    config = runtime_config(_root(tmp_path, {"User": user}), args=["/a"])
    process = config["process"]
    assert isinstance(process, dict)
    assert process["user"] == {"uid": expected[0], "gid": expected[1]}
    assert process["env"] == [f"HOME={expected[2]}", "HOSTNAME=container"]


def test_memory_file_system_is_for_root_only(tmp_path: Path) -> None:
    assert "/dev/shm" in json.dumps(runtime_config(_root(tmp_path, {"User": "0"}), args=["/a"]))
    assert "/dev/shm" not in json.dumps(runtime_config(_root(tmp_path, {"User": "65532"}), args=["/a"]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "neither Entrypoint nor Cmd"),
        ({"Cmd": ["/a"], "User": "somebody"}, "has no 'somebody'"),
        ({"Cmd": ["/a"], "User": "0:some"}, "has no 'some'"),
    ],
)
def test_an_image_that_cannot_be_started_is_refused(tmp_path: Path, settings: dict[str, Json], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        runtime_config(_root(tmp_path, settings))
