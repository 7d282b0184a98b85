"""The files of releases: what is written is read, and what could be misunderstood is refused."""

import dataclasses
import json
import pathlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_hash import errors, files, releases

A, B, C, D = (f"sha256:{letter * 64}" for letter in "abcd")
IMAGES = {
    "b": releases.Image(B, D, (releases.Layer(C, C, 10), releases.Layer(A, D, 20)), {"tee.x": "1"}, ("java", "-jar")),
    "a": releases.Image(A, C, (releases.Layer(C, C, 10),), {}, ("/a",)),
}
FULL = releases.Release(
    name="v1.2.3",
    build_settings={"layer_compression": "none", "encryption_opts": ""},
    images=IMAGES,
    commit="12" * 20,
    rebuild='git checkout 1212 && ./build "all"',
    locks={"requirements_lock.txt": D},
    documents={"a.spdx.json": B},
)
SHORT = releases.Release(
    releases.CURRENT, FULL.build_settings, {name: releases.Image(i.image_hash, i.config_digest) for name, i in IMAGES.items()}
)


def loaded(release: releases.Release) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(release.text())
    return found


def parse(content: object) -> releases.Release:
    return releases.parse(json.dumps(content).encode(), "releases/v1.2.3.json")


def test_the_current_list_is_sorted_with_one_image_a_line() -> None:
    assert SHORT.text() == (
        "{\n"
        '  "schema": 1,\n'
        '  "build_settings": {"encryption_opts": "", "layer_compression": "none"},\n'
        '  "images": {\n'
        f'    "a": {{"image_hash": "{A}", "config_digest": "{C}"}},\n'
        f'    "b": {{"image_hash": "{B}", "config_digest": "{D}"}}\n'
        "  }\n"
        "}\n"
    )


def test_the_list_of_a_release_has_one_image_a_line_too() -> None:
    lines = FULL.text().splitlines()
    assert lines[:5] == [
        "{",
        '  "schema": 2,',
        '  "release": "v1.2.3",',
        f'  "commit": "{"12" * 20}",',
        '  "rebuild": "git checkout 1212 && ./build \\"all\\"",',
    ]
    assert [line.split(":")[0].strip() for line in lines if "image_hash" in line] == ['"a"', '"b"']


@pytest.mark.parametrize("release", [FULL, SHORT, dataclasses.replace(FULL, locks={}, documents={})])
def test_what_is_written_is_read(release: releases.Release) -> None:
    assert releases.parse(release.text().encode(), "x") == release
    assert release.differences(release) == []


def test_the_lists_of_a_release_and_of_a_build_are_compared_by_settings_and_hashes() -> None:
    assert FULL.differences(SHORT) == []
    other = {"a": releases.Image(C, C), "b": releases.Image(B, C), "n": releases.Image(D, D)}
    found = dataclasses.replace(SHORT, build_settings={"layer_compression": "gzip"}, images=other)
    assert FULL.differences(found) == [
        'build settings: expected {"encryption_opts": "", "layer_compression": "none"}, found {"layer_compression": "gzip"}',
        f"a: expected {A}, found {C}",
        f"b: expected the config {D}, found {C}",
        f"n: expected no such image, found {D}",
    ]


def test_the_lists_of_this_repository_are_valid() -> None:
    lists = releases.read_all(pathlib.Path("releases"))
    assert lists[-1].name == "current"
    assert len(lists[-1].images) == 7


def changed(path: str, value: object) -> dict[str, Any]:
    """The content of a release with another value at PATH."""
    content = loaded(FULL)
    *parents, last = path.split(".")
    item: Any = content
    for parent in parents:
        item = item[int(parent) if isinstance(item, list) else parent]
    item[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("schema", 3, "schema: expected 1 or 2, found 3"),
        ("schema", True, "schema: expected 1 or 2, found True"),
        ("schema", "1", "schema: expected 1 or 2, found '1'"),
        ("schema", 1, "the file: 'commit' is not known"),
        ("extra", 1, "the file: 'extra' is not known"),
        ("images", {}, "images: expected at least one image, found {}"),
        ("images", [], r"images: expected an object, found \[\]"),
        ("images", {"a": {}}, "images.a: 'config_digest' is missing"),
        ("images.a", None, "images.a: expected an object, found None"),
        ("images.A\n", {}, r"names like \[a-z\].*, found 'A\\n'"),
        ("images.a.image_hash", "sha256:abc", "images.a.image_hash: expected sha256: and 64 hexadecimal digits"),
        ("images.a.image_hash", A.upper(), "images.a.image_hash: expected sha256: and 64 hexadecimal digits"),
        ("images.a.image_hash", f"{A}\n", "images.a.image_hash: expected sha256: and 64 hexadecimal digits"),
        ("images.a.image_hash", "", "images.a.image_hash: expected sha256: and 64 hexadecimal digits"),
        ("images.a.image_hash", B, "a and b have the same image_hash"),
        ("images.a.layers", [], r"images.a.layers: expected a list that is not empty, found \[\]"),
        ("images.b.layers.0.size", -1, r"images.b.layers\[0\].size: expected a number of bytes, found -1"),
        ("images.b.layers.0.size", 1.5, "expected a number of bytes, found 1.5"),
        ("images.a.entrypoint", [1], r"images.a.entrypoint\[0\]: expected text, found 1"),
        ("images.a.labels.x", 1, "images.a.labels.x: expected text, found 1"),
        ("release", "1.2.3", "release: expected a version like v1.2.3, found '1.2.3'"),
        ("commit", "abc", "commit: expected the 40 or 64 hexadecimal digits"),
        ("locks", {"../x": A}, "locks: expected names like"),
        ("locks", {"/x": A}, "locks: expected names like"),
        ("documents", {"x": "y"}, "documents.x: expected sha256:"),
    ],
)
def test_anything_else_cannot_be_checked(path: str, value: object, message: str) -> None:
    with pytest.raises(errors.CheckError, match=f"^releases/v1.2.3.json: .*{message}"):
        parse(changed(path, value))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a JSON object"),
        (b"[]", "found list"),
        (b"null", "found NoneType"),
        (b'{"schema": 1, "schema": 2}', "the key 'schema' comes twice"),
        (b'{"images": {"a": 1, "a": 2}}', "the key 'a' comes twice"),
        (b'{"schema": NaN}', "NaN is no number of JSON"),
        (b'{"schema": 1}\xff', "can't decode byte"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b'{"schema": "\\ud800"}', "surrogates not allowed"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"schema": 1' + b"0" * 5000 + b"}", "expected a JSON object"),
        (SHORT.text().encode()[:-5], "expected a JSON object"),
    ],
)
def test_what_is_no_plain_json_cannot_be_checked(data: bytes, message: str) -> None:
    with pytest.raises(errors.CheckError, match=message):
        releases.parse(data, "x.json")


@given(st.binary(max_size=60), st.integers(0, len(FULL.text())))
def test_no_damage_makes_anything_but_a_refusal_or_another_valid_list(noise: bytes, position: int) -> None:
    data = FULL.text().encode()
    try:
        found = releases.parse(data[:position] + noise + data[position + len(noise) :], "x.json")
    except errors.CheckError as error:
        assert "\n" not in str(error)
    else:
        assert releases.parse(found.text().encode(), "x.json") == found


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("bazel-bin/shuffler/services/a/a_image", "a"),
        ("/x/a_image/", "a"),
        ("b.tar.gz", "b"),
        ("registry.example:5000/team/a_image:v1", "a"),
        (f"registry.example/a@{A}", "a"),
    ],
)
def test_a_reference_names_its_image(reference: str, name: str) -> None:
    assert FULL.name_of(reference) == (name, reference)


def test_a_name_can_be_given() -> None:
    assert FULL.name_of("a=/tmp/x=y/b_image") == ("a", "/tmp/x=y/b_image")


@pytest.mark.parametrize(("reference", "message"), [("/tmp/image.tar", "which image of v1.2.3 is"), ("c=x", "v1.2.3 has no image 'c'")])
def test_an_image_that_is_not_in_the_list_cannot_be_checked(reference: str, message: str) -> None:
    with pytest.raises(errors.CheckError, match=message):
        FULL.name_of(reference)


def test_every_kind_of_digest_is_found() -> None:
    def places(digest: str) -> list[tuple[str, str, str]]:
        return [(match.release.name, match.image, match.kind) for match in releases.find([FULL, SHORT], digest)]

    assert places(A) == [("v1.2.3", "b", "layer 1, compressed"), ("v1.2.3", "a", "image hash"), ("current", "a", "image hash")]
    assert ("v1.2.3", "b", "layer 1, uncompressed (diff id)") in places(D)
    assert ("v1.2.3", "", "lock requirements_lock.txt") in places(D)
    assert ("current", "b", "config digest") in places(D)
    assert ("v1.2.3", "", "document a.spdx.json") in places(B)
    assert ("v1.2.3", "a", "layer 0") in places(C)
    assert places(f"sha256:{'0' * 64}") == []


def test_all_lists_are_read_newest_first(tmp_path: pathlib.Path) -> None:
    for name in ("v1.10.0", "v1.9.0", "v1.2.3"):
        (tmp_path / f"{name}.json").write_text(dataclasses.replace(FULL, name=name).text())
    (tmp_path / "current.json").write_text(SHORT.text())
    (tmp_path / "v1.2.3.json.sig").write_text("not a list")
    assert [release.name for release in releases.read_all(tmp_path)] == ["v1.10.0", "v1.9.0", "v1.2.3", "current"]


@pytest.mark.parametrize(("file", "release"), [("v1.2.4.json", FULL), ("current.json", FULL), ("v1.2.3.json", SHORT)])
def test_a_list_under_a_wrong_name_cannot_be_checked(tmp_path: pathlib.Path, file: str, release: releases.Release) -> None:
    (tmp_path / file).write_text(release.text())
    with pytest.raises(errors.CheckError, match=f"{file}: expected the list of .*, found that of {release.name}"):
        releases.read_all(tmp_path)


def test_a_folder_without_lists_cannot_be_checked(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.CheckError, match="expected files of releases, found none"):
        releases.read_all(tmp_path)
    with pytest.raises(errors.CheckError, match="No such file or directory"):
        releases.read_all(tmp_path / "absent")
    with pytest.raises(errors.CheckError, match="v9.9.9.json: No such file"):
        releases.read_named(tmp_path, "v9.9.9")


def test_a_file_that_is_too_large_cannot_be_checked(tmp_path: pathlib.Path) -> None:
    with (tmp_path / "v1.2.3.json").open("wb") as file:
        file.truncate(17 << 20)
    with pytest.raises(errors.CheckError, match="found more than"):
        releases.read_all(tmp_path)


@pytest.mark.parametrize("version", ["1.2.3", "v1.2", "v01.2.3", "v1.2.3-rc1", "v1.2.3\n", "../v1.2.3", ""])
def test_a_version_has_three_numbers(version: str) -> None:
    assert releases.check_version("v1.20.3") == "v1.20.3"
    with pytest.raises(errors.UsageError, match="expected a release like v1.2.3"):
        releases.check_version(version)


def test_a_file_is_replaced_as_a_whole(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "current.json"
    target.write_text("old")
    files.write(target, b"new")
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o644
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(OSError, match="folder.json"):
        files.write(tmp_path / "folder.json", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current.json", "folder.json"]
