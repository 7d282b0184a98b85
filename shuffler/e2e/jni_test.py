"""The native libraries of a Java image: what they need comes from Debian's layers, and nothing of C++'s standard library binds across."""

from __future__ import annotations

from pathlib import Path

from shuffler.e2e import loader
from shuffler.e2e.services import Service
from shuffler.native import bindings
from tools.containers.container import Container
from tools.containers.layers import Root
from tools.containers.local_options import ALONE


def test_the_libraries_of_the_image_are_those_that_the_service_has(root: Root, service: Service) -> None:
    found = {path.name for path in root.path.glob("*.so*")}
    assert found == {*service.libraries, *bindings.TENSORFLOW}


def test_what_is_needed_lies_beside_or_comes_from_debian_layers(root: Root, tmp_path: Path, service: Service) -> None:
    packages = loader.package_layers()
    for library in (*service.libraries, *bindings.TENSORFLOW):
        found = loader.libraries(root, tmp_path / library, f"/{library}")
        beside = {name for name in found if name in bindings.TENSORFLOW}
        assert {name: found[name] for name in beside} == {name: f"/{name}" for name in beside}
        assert bool(beside) == (library in ("libtensorflow-jni.so", "libtensorflow_cc.so.2"))
        system = found.keys() - beside
        assert {name: loader.package(root, packages, found[name]) for name in system} == {
            name: loader.PACKAGES.get(name) for name in system
        }
        assert system >= (set(bindings.LIBCXX) if library in bindings.OURS else {"libstdc++.so.6"})


def test_nothing_of_the_standard_library_binds_across(root: Root, bundle: Path, service: Service) -> None:
    env = {"LD_BIND_NOW": "1", "LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": "/tmp/bindings", "SPRING_PROFILES_ACTIVE": "local"}
    env["LOCAL_OPTS"] = ALONE
    with Container(root, bundle, env=env) as container:
        # The libraries are checked before a service answers at all.
        container.wait_for(service.port, "/healthz", seconds=300)
        # A file for each process; there is one, with the number 1.
        log = Path(f"/proc/{container.pid()}/root/tmp/bindings.1")
        with log.open(encoding="utf-8", errors="replace") as lines:
            found = bindings.read(lines)
    # Else what follows says nothing.
    assert found["libjvm.so", "libstdc++.so.6"]
    assert found["libtensorflow_cc.so.2", "libstdc++.so.6"]
    for library in service.libraries:
        assert found[library, "libc++.so.1"]
        assert bindings.across(found, library) == bindings.ALLOWED
    for library in bindings.LIBCXX:
        assert [symbol for symbol in sorted(bindings.across(found, library)) if not bindings.is_abi_library(symbol)] == []
    for library in (*bindings.TENSORFLOW, *bindings.LIBSTDCXX, "libjvm.so"):
        assert not bindings.to(found, library).keys() & {*service.libraries, *bindings.LIBCXX}
