"""What the dynamic linker binds when a JVM holds libjvm, TensorFlow and both JNI libraries, and what the JNI libraries are."""

import os
import pathlib
import re
import subprocess

import pytest

from shuffler.native.bindings import ALLOWED, LIBC, LIBCXX, LIBSTDCXX, OURS, TENSORFLOW, Bindings, across, read, to


@pytest.fixture(scope="module")
def bindings(tmp_path_factory: pytest.TempPathFactory) -> Bindings:
    """Symbols by (library that refers, library that defines), as the dynamic linker of a running JVM reports them."""
    directory = tmp_path_factory.mktemp("bindings")
    result = subprocess.run(
        [
            os.environ["JAVA"],
            "-Djava.library.path=" + os.environ["LIBRARIES"],
            "-cp",
            os.environ["CLASSES"],
            "com.google.fcp.LoadLibraries",
        ],
        env={
            "LD_BIND_NOW": "1",
            "LD_DEBUG": "bindings",
            "LD_DEBUG_OUTPUT": str(directory / "log"),
            "LD_LIBRARY_PATH": os.environ["LIBCXX"],
            "TEST_TMPDIR": str(directory),
            "TF_CPP_MIN_LOG_LEVEL": "2",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    (log,) = directory.glob("log.*")
    with log.open(errors="replace") as lines:
        return read(lines)


def test_the_process_holds_both_runtimes(bindings: Bindings) -> None:
    """Else the tests below say nothing."""
    assert bindings["libjvm.so", "libstdc++.so.6"]
    assert bindings["libtensorflow_cc.so.2", "libstdc++.so.6"]
    for library in OURS:
        assert bindings[library, "libc++.so.1"]


@pytest.mark.parametrize("library", OURS)
def test_exactly_the_allowed_functions_bind_across(bindings: Bindings, library: str) -> None:
    assert across(bindings, library) == ALLOWED


@pytest.mark.parametrize("library", OURS)
def test_what_we_use_comes_from_libcxx_tensorflow_and_libc_only(bindings: Bindings, library: str) -> None:
    targets = set(to(bindings, library))
    allowed = {library, *LIBCXX, *LIBSTDCXX, *LIBC} | (set(TENSORFLOW) if library == "libtensorflow-jni.so" else set())
    assert targets <= allowed
    for tensorflow in TENSORFLOW:
        assert all(symbol.startswith("TF_") for symbol in bindings[library, tensorflow])


@pytest.mark.parametrize("library", [*TENSORFLOW, "libjvm.so"])
def test_tensorflow_and_the_jvm_take_nothing_from_us_or_libcxx(bindings: Bindings, library: str) -> None:
    assert not set(to(bindings, library)) & {*OURS, *LIBCXX}


def _readelf(library: str, option: str) -> str:
    return subprocess.run(
        [os.environ["READELF"], option, pathlib.Path(os.environ["LIBRARIES"]) / library], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("library", OURS)
def test_what_is_needed_is_in_the_image(library: str) -> None:
    needed = re.findall(r"Shared library: \[([^\]]+)\]", _readelf(library, "--dynamic-table"))
    expected = [*LIBCXX, "libm.so.6", "libc.so.6"]
    assert needed == ([*TENSORFLOW] if library == "libtensorflow-jni.so" else []) + expected


@pytest.mark.parametrize("library", OURS)
def test_the_run_path_is_the_directory_of_the_library(library: str) -> None:
    assert re.findall(r"R(?:UN)?PATH.*\[([^\]]*)\]", _readelf(library, "--dynamic-table")) == ["$ORIGIN"]


@pytest.mark.parametrize("library", OURS)
def test_only_entry_points_of_jni_are_exported(library: str) -> None:
    exported = []
    for line in _readelf(library, "--dyn-syms").splitlines():
        fields = line.split()
        if len(fields) >= 8 and fields[4] in ("GLOBAL", "WEAK", "UNIQUE") and fields[6] != "UND":
            exported.append(fields[7])
    assert exported
    assert all(symbol.startswith("Java_com_google_fcp_") for symbol in exported), exported


@pytest.mark.parametrize("library", TENSORFLOW)
def test_tensorflow_is_stripped(library: str) -> None:
    sections = _readelf(library, "--sections")
    assert ".dynsym" in sections
    assert ".symtab" not in sections
    assert ".debug_" not in sections
