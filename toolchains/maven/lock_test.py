"""Tests of the lock command, and of the lock that is committed."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from toolchains.maven import lock

_LOCK = Path("toolchains/maven/maven.lock.json")


def test_the_committed_lock_is_whole() -> None:
    artifacts = json.loads(_LOCK.read_text(encoding="utf-8"))["artifacts"]
    keys = {coordinate.rsplit(":", 1)[0] for coordinate in artifacts}
    assert len(keys) > 50
    for coordinate, entry in artifacts.items():
        assert re.fullmatch("[0-9a-f]{64}", entry["sha256"]), coordinate
        assert entry["size"] > 0, coordinate
        assert set(entry.get("deps", [])) <= keys, coordinate


def test_the_committed_lock_holds_no_address() -> None:
    assert "://" not in _LOCK.read_text(encoding="utf-8")


def test_what_maven_resolved_is_parsed() -> None:
    text = """
The following files have been resolved:
   org.slf4j:slf4j-api:jar:2.0.18:compile:/m2/org/slf4j/slf4j-api.jar -- module org.slf4j
   com.google.protobuf:protoc:exe:linux-x86_64:4.36.2:compile:/m2/protoc.exe
   org.yaml:snakeyaml:jar:2.4:runtime:/m2/with space/snakeyaml.jar
"""
    assert dict(lock.parse_resolved(text)) == {
        lock.Coordinate("org.slf4j", "slf4j-api", "jar", "", "2.0.18"): Path("/m2/org/slf4j/slf4j-api.jar"),
        lock.Coordinate("com.google.protobuf", "protoc", "exe", "linux-x86_64", "4.36.2"): Path("/m2/protoc.exe"),
        lock.Coordinate("org.yaml", "snakeyaml", "jar", "", "2.4"): Path("/m2/with space/snakeyaml.jar"),
    }


def test_coordinates_are_written_as_short_as_possible() -> None:
    assert str(lock.Coordinate("g", "a", "jar", "", "1")) == "g:a:1"
    assert str(lock.Coordinate("g", "a", "jar", "linux", "1")) == "g:a:jar:linux:1"


def _node(name: str, *children: object, optional: str = "false") -> dict[str, object]:
    return {"groupId": "g", "artifactId": name, "type": "jar", "classifier": "", "version": "1", "optional": optional, "children": children}


def test_edges_are_those_of_every_place_in_the_tree_without_optional_ones() -> None:
    tree = _node("root", _node("a", _node("b", _node("c")), _node("d", optional="true")), _node("b", _node("e")))
    assert lock.edges(tree) == {"g:a": {"g:b"}, "g:b": {"g:c", "g:e"}, "g:c": set(), "g:e": set()}


def test_dependencies_are_read_from_a_pom_and_its_parents(tmp_path: Path) -> None:
    def publish(artifact: str, content: str) -> None:
        folder = tmp_path / "g" / "h" / artifact / "1"
        folder.mkdir(parents=True)
        pom = f'<project xmlns="http://maven.apache.org/POM/4.0.0"><artifactId>{artifact}</artifactId>{content}</project>'
        (folder / f"{artifact}-1.pom").write_text(pom, encoding="utf-8")

    def dependency(content: str) -> str:
        return f"<dependency><groupId>${{project.groupId}}</groupId>{content}</dependency>"

    own = "".join(
        dependency(content)
        for content in (
            "<artifactId>a</artifactId>",
            "<artifactId>b</artifactId><scope>runtime</scope><classifier>x</classifier>",
            "<artifactId>c</artifactId><scope>test</scope>",
            "<artifactId>d</artifactId><optional>true</optional>",
        )
    )
    parent = "<parent><groupId>g.h</groupId><artifactId>parent</artifactId><version>1</version></parent>"
    publish("child", f"{parent}<dependencies>{own}</dependencies>")
    publish("parent", f"<dependencies>{dependency('<artifactId>e</artifactId>')}</dependencies>")
    assert lock.declared(tmp_path, "g.h", "child", "1") == {"g.h:a", "g.h:b:jar:x", "g.h:e"}


def test_a_jar_without_classes_is_told(tmp_path: Path) -> None:
    for name, entry in (("starter.jar", "META-INF/LICENSE.txt"), ("library.jar", "a/A.class")):
        with zipfile.ZipFile(tmp_path / name, "w") as jar:
            jar.writestr(entry, "")
    assert not lock.has_classes(tmp_path / "starter.jar")
    assert lock.has_classes(tmp_path / "library.jar")


def test_changes_are_told_in_one_line_each() -> None:
    old: dict[str, dict[str, Any]] = {
        "g:a:1": {"sha256": "x"},
        "g:b:1": {"sha256": "x"},
        "g:c:1": {"sha256": "x"},
        "g:d:1": {"sha256": "x"},
    }
    new: dict[str, dict[str, Any]] = {
        "g:a:2": {"sha256": "y"},
        "g:b:1": {"sha256": "y"},
        "g:c:1": {"sha256": "x", "deps": ["g:a"]},
        "g:e:1": {"sha256": "x"},
    }
    assert lock.changes(old, new) == [
        "g:a: 1 -> 2",
        "g:d: 1 -> none",
        "g:e: none -> 1",
        "g:b:1: OTHER CONTENT, sha256 x -> y",
        "g:c:1: other edges",
    ]
    assert lock.changes(old, old) == []


def test_newer_versions_are_released_ones() -> None:
    report = """<?xml version='1.0' encoding='UTF-8'?>
<DependencyUpdatesReport xmlns="https://www.mojohaus.org/VERSIONS/DEPENDENCY-UPDATES-REPORT/2.0.0"><dependencies>
<dependency><groupId>g</groupId><artifactId>a</artifactId><currentVersion>3.5.1</currentVersion>
<incrementals><incremental>3.5.2</incremental><incremental>3.5.3</incremental></incrementals>
<majors><major>4.0.0</major><major>4.1.0-RC1</major></majors></dependency>
<dependency><groupId>g</groupId><artifactId>b</artifactId><currentVersion>1</currentVersion>
<majors><major>2.0-M1</major></majors></dependency>
</dependencies></DependencyUpdatesReport>"""
    assert list(lock.newer_versions(report)) == ["g:a 3.5.1 -> 3.5.3 (patch), 4.0.0 (major)"]


def test_failed_maven_changes_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mvn = tmp_path / "mvn"
    mvn.write_text("#!/bin/sh\necho '[INFO] working'\necho '[ERROR] no such artifact'\nexit 1\n")
    mvn.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "pom.xml").write_text("<project/>")
    (tmp_path / "maven.lock.json").write_text("before")
    with pytest.raises(lock.LockError, match=r"^mvn failed for pom.xml: no such artifact$"):
        lock.update(tmp_path)
    assert (tmp_path / "maven.lock.json").read_text() == "before"


def test_missing_maven_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(lock.LockError, match="^mvn: not found on PATH"):
        lock.run_maven(tmp_path / "pom.xml")
