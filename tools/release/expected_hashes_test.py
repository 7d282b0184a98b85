"""What is recorded of a build, and how it is compared."""

import json
import pathlib

import pytest
from image_hash import errors

from tools.release import expected_hashes
from tools.release.drift import drift
from tools.release.expected_hashes import Image

IMAGES = {"b": Image("sha256:b", "sha256:bc", 2_000_000, 1_500_000), "a": Image("sha256:a", "sha256:ac", 10, 10)}
SETTINGS = {"layer_compression": "none", "encryption_opts": ""}


def test_the_file_is_sorted_with_one_image_a_line() -> None:
    assert expected_hashes.to_json(IMAGES, SETTINGS) == (
        "{\n"
        '  "schema": 1,\n'
        '  "build_settings": {"encryption_opts": "", "layer_compression": "none"},\n'
        '  "images": {\n'
        '    "a": {"image_hash": "sha256:a", "config_digest": "sha256:ac"},\n'
        '    "b": {"image_hash": "sha256:b", "config_digest": "sha256:bc"}\n'
        "  }\n"
        "}\n"
    )


def test_what_was_written_has_no_differences() -> None:
    assert expected_hashes.differences(json.loads(expected_hashes.to_json(IMAGES, SETTINGS)), IMAGES, SETTINGS) == []


def test_every_difference_is_named() -> None:
    recorded = json.loads(expected_hashes.to_json(IMAGES, SETTINGS))
    images = {"a": Image("sha256:x", "c", 0, 0), "n": IMAGES["b"]}
    found = expected_hashes.differences(recorded, images, {**SETTINGS, "encryption_opts": "--x"})
    assert [line.split(":")[0] for line in found] == ["build settings", "a", "b", "n"]


def test_another_schema_cannot_be_checked() -> None:
    with pytest.raises(errors.CheckError, match="expected schema 1"):
        expected_hashes.differences({"schema": 2}, IMAGES, SETTINGS)


def test_the_table_shows_sizes_and_times() -> None:
    lines = expected_hashes.table(IMAGES, {"b": "3.1"}).splitlines()
    assert lines[0].split() == ["image", "image", "hash", "size", "on", "disk", "pull", "size", "build", "time"]
    assert lines[2].split() == ["b", "sha256:b", "2.0", "MB", "1.5", "MB", "3.1", "s"]
    assert lines[1].split()[-1] == "-"


def test_drift_is_read_from_the_environment(tmp_path: pathlib.Path) -> None:
    (tmp_path / "drift").write_text("bazel-bootstrap locked 1 actual 2\n")
    assert drift(tmp_path / "drift") == ["bazel-bootstrap locked 1 actual 2"]
    assert drift(tmp_path / "absent") == []


def test_a_file_is_replaced_as_a_whole(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "current.json"
    target.write_text("old")
    expected_hashes.write_atomically(target, "new")
    assert target.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["current.json"]
