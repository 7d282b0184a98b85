"""A Java image: the JVM's libraries, and FCP_OPTS, the one variable that Confidential Space lets an operator set."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shuffler.e2e import loader
from shuffler.e2e.services import Service
from tools.containers.container import Container
from tools.containers.layers import Root


@pytest.mark.parametrize("options", ["--project_id 'x", "--no_such_option 'x'", "project_id"])
def test_malformed_options_stop_the_start_with_one_line_and_64(root: Root, bundle: Path, service: Service, options: str) -> None:
    with Container(root, bundle, env={"FCP_OPTS": options}) as container:
        assert container.wait() == 64
        assert container.stdout == ""
        # Java itself tells that it has read JDK_JAVA_OPTIONS.
        lines = [line for line in container.stderr.splitlines() if not line.startswith("NOTE: Picked up JDK_JAVA_OPTIONS")]
        name = re.sub(r"^Greetings from (.*) Spring Boot!$", r"\1", service.greeting)
        assert len(lines) == 1
        assert lines[0].startswith(f"{name} cannot start: FCP_OPTS: ")


@pytest.mark.parametrize("path", ["/usr/bin/java", "/usr/lib/jvm/java-17-openjdk-amd64/lib/server/libjvm.so"])
def test_what_the_jvm_needs_comes_from_debian_layers(root: Root, bundle: Path, path: str) -> None:
    packages = loader.package_layers()
    found = loader.libraries(root, bundle, path)
    expected = loader.PACKAGES | {"libjli.so": "openjdk-17-jre-headless"}
    assert {name: loader.package(root, packages, library) for name, library in found.items()} == {
        name: expected.get(name) for name in found
    }
