"""SBOMs of the repository's own images, from its own locks, as SPDX's validator judges them."""

import json
import pathlib

import pytest
from image_hash import releases
from image_hash.publish import inputs, sbom
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from tools.inputs import list as input_list
from tools.inputs import notice, reach, workspace

CURRENT = releases.read_named(pathlib.Path("releases"), releases.CURRENT)
COMMIT = "1" * 40
TIME = "2026-01-31T12:00:00Z"


@pytest.fixture(name="found", scope="module")
def _found() -> list[inputs.Input]:
    """What `bazel run //tools/inputs:list -- --json` prints."""
    locked = workspace.locked()
    reaches = reach.join(locked, workspace.runfile(notice.REACH).read_text("utf-8").splitlines())
    return inputs.parse(input_list.to_json(locked, reaches, notice.read_licences(locked, workspace.runfile(notice.LICENCES))).encode())


def document(name: str, found: list[inputs.Input]) -> bytes:
    return sbom.document(name, CURRENT.images[name], "v1.2.3", COMMIT, TIME, found)


@pytest.mark.parametrize("name", sorted(CURRENT.images))
def test_the_sbom_of_an_image_is_valid(name: str, found: list[inputs.Input], tmp_path: pathlib.Path) -> None:
    path = tmp_path / f"{name}.spdx.json"
    path.write_bytes(document(name, found))
    parsed = parse_file(str(path))
    assert [message.validation_message for message in validate_full_spdx_document(parsed)] == []
    checksums = {package.checksums[0].value for package in parsed.packages if package.checksums}
    contained = {item.sha256 for item in found if name in item.contained_in}
    assert len(contained) > 20
    assert checksums == contained | {CURRENT.images[name].image_hash.removeprefix("sha256:")}
    assert len({relationship.related_spdx_element_id for relationship in parsed.relationships}) == len(parsed.packages)


def test_the_sbom_names_what_is_in_the_image_only(found: list[inputs.Input]) -> None:
    names = {package["name"] for package in json.loads(document("task_builder", found))["packages"]}
    assert {"task_builder_image", "tensorflow-cpu", "org.bytedeco:cpython:jar:linux-x86_64", "libc6"} <= names
    assert not {"clang-16", "pytest", "org.springframework:spring-core"} & names


def test_the_namespace_is_of_the_content(found: list[inputs.Input]) -> None:
    first = json.loads(document("collector", found))
    assert json.loads(document("collector", list(found))) == first
    other = json.loads(sbom.document("collector", CURRENT.images["collector"], "v1.2.3", "2" * 40, TIME, found))
    assert other["documentNamespace"] != first["documentNamespace"]


@pytest.mark.parametrize(
    ("kind", "name", "version", "purl"),
    [
        ("deb", "libc++1-16", "1:16.0.6-15~deb12u1", "pkg:deb/debian/libc%2B%2B1-16@1:16.0.6-15~deb12u1?distro=debian-12"),
        ("maven", "org.a:b", "1.0", "pkg:maven/org.a/b@1.0"),
        ("maven", "org.a:b:jar:linux-x86_64", "1.0", "pkg:maven/org.a/b@1.0?classifier=linux-x86_64"),
        ("maven", "org.a:b:exe:linux-x86_64", "1.0", "pkg:maven/org.a/b@1.0?classifier=linux-x86_64&type=exe"),
        ("wheel", "Flask_X.y", "3.1", "pkg:pypi/flask-x-y@3.1"),
        ("npm", "@bazel/buildifier", "8.0.0", "pkg:npm/%40bazel/buildifier@8.0.0"),
        ("go", "github.com/a/b", "v1.2.3", "pkg:golang/github.com/a/b@v1.2.3"),
    ],
)
def test_package_urls(kind: str, name: str, version: str, purl: str) -> None:
    assert inputs.Input(kind, name, version, "a" * 64, "MIT", (), ()).purl("debian-12") == purl


def test_a_licence_that_is_no_expression_is_a_comment() -> None:
    entries = [("a", "see copyright file (refers to GPL)"), ("b", "MIT AND (GPL-2.0-only WITH Classpath-exception-2.0 OR LicenseRef-X)")]
    found = [inputs.Input("deb", name, "1", name * 64, licence, ("collector",), ()) for name, licence in entries]
    content = json.loads(document("collector", found))
    packages = {package["name"]: package for package in content["packages"]}
    assert (packages["a"]["licenseDeclared"], packages["a"]["licenseComments"]) == ("NOASSERTION", "see copyright file (refers to GPL)")
    assert packages["b"]["licenseDeclared"] == entries[1][1]
    assert content["hasExtractedLicensingInfos"] == [
        {"licenseId": "LicenseRef-X", "name": "X", "extractedText": "The text is in the image: /usr/share/doc/b/copyright"}
    ]
