"""What the dynamic linker binds when a JVM holds libjvm, TensorFlow and both JNI libraries.

libjvm brings libstdc++ into the global scope, which is searched first, and TensorFlow brings it, too. Our libraries are compiled against
libc++. That is sound only if nothing of C++'s standard library binds across (DESIGN.md, section 8).
"""

import collections
import os
import pathlib
import re
import subprocess

import pytest

_OURS = ("libaggregation-jni.so", "libtensorflow-jni.so")
_TENSORFLOW = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")
_LIBCXX = ("libc++.so.1", "libc++abi.so.1", "libunwind.so.1")
_LIBSTDCXX = ("libstdc++.so.6", "libgcc_s.so.1")
_LIBC = ("ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6")

# Functions of the Itanium C++ ABI and of the unwinder's registry that GCC's and LLVM's runtimes define alike and that may be mixed:
# memory of either operator new is malloc's, and a guard variable is a byte that says whether its object is there.
_ALLOWED = {
    "_Znwm",  # operator new(unsigned long)
    "_ZdlPv",  # operator delete(void*)
    "__cxa_guard_acquire",
    "__cxa_guard_release",
    "__register_frame_info",
    "__deregister_frame_info",
}

_BINDING = re.compile(r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: (?:normal|weak|protected) symbol `([^']+)'")

Bindings = dict[tuple[str, str], set[str]]


@pytest.fixture(scope="module")
def bindings(tmp_path_factory: pytest.TempPathFactory) -> Bindings:
    """Symbols by (library that refers, library that defines), as the dynamic linker of a running JVM reports them."""
    directory = tmp_path_factory.mktemp("bindings")
    result = subprocess.run(
        [
            os.environ["JAVA"],
            "-Djava.library.path=" + os.environ["LIBRARIES"],
            "-cp",
            os.environ["JAR"],
            "com.google.fcp.LoadLibraries",
            directory,
        ],
        env={
            "LD_BIND_NOW": "1",
            "LD_DEBUG": "bindings",
            "LD_DEBUG_OUTPUT": str(directory / "log"),
            "LD_LIBRARY_PATH": os.environ["LIBCXX"],
            "TF_CPP_MIN_LOG_LEVEL": "2",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    print(result.stdout)
    found: Bindings = collections.defaultdict(set)
    (log,) = directory.glob("log.*")
    with log.open(errors="replace") as lines:
        for line in lines:
            if match := _BINDING.search(line):
                found[pathlib.Path(match[1]).name, pathlib.Path(match[2]).name].add(match[3])
    return found


def _to(bindings: Bindings, source: str) -> dict[str, set[str]]:
    return {target: symbols for (origin, target), symbols in bindings.items() if origin == source}


def test_the_process_holds_both_runtimes(bindings: Bindings) -> None:
    """Else the tests below say nothing."""
    assert bindings["libjvm.so", "libstdc++.so.6"]
    assert bindings["libtensorflow_cc.so.2", "libstdc++.so.6"]
    for library in _OURS:
        assert bindings[library, "libc++.so.1"]


@pytest.mark.parametrize("library", _OURS)
def test_exactly_the_allowed_functions_bind_across(bindings: Bindings, library: str) -> None:
    across = set().union(*(bindings[library, runtime] for runtime in _LIBSTDCXX))
    assert across == _ALLOWED


@pytest.mark.parametrize("library", _OURS)
def test_what_we_use_comes_from_libcxx_tensorflow_and_libc_only(bindings: Bindings, library: str) -> None:
    targets = set(_to(bindings, library))
    allowed = {library, *_LIBCXX, *_LIBSTDCXX, *_LIBC} | (set(_TENSORFLOW) if library == "libtensorflow-jni.so" else set())
    assert targets <= allowed
    for tensorflow in _TENSORFLOW:
        assert all(symbol.startswith("TF_") for symbol in bindings[library, tensorflow])


@pytest.mark.parametrize("library", [*_TENSORFLOW, "libjvm.so"])
def test_tensorflow_and_the_jvm_take_nothing_from_us_or_libcxx(bindings: Bindings, library: str) -> None:
    assert not set(_to(bindings, library)) & {*_OURS, *_LIBCXX}


def _readelf(library: str, option: str) -> str:
    return subprocess.run(
        [os.environ["READELF"], option, pathlib.Path(os.environ["LIBRARIES"]) / library], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("library", _OURS)
def test_what_is_needed_is_in_the_image(library: str) -> None:
    needed = re.findall(r"Shared library: \[([^\]]+)\]", _readelf(library, "--dynamic-table"))
    expected = [*_LIBCXX, "libm.so.6", "libc.so.6"]
    assert needed == ([*_TENSORFLOW] if library == "libtensorflow-jni.so" else []) + expected


@pytest.mark.parametrize("library", _OURS)
def test_the_run_path_is_the_directory_of_the_library(library: str) -> None:
    assert re.findall(r"R(?:UN)?PATH.*\[([^\]]*)\]", _readelf(library, "--dynamic-table")) == ["$ORIGIN"]


@pytest.mark.parametrize("library", _OURS)
def test_only_entry_points_of_jni_are_exported(library: str) -> None:
    exported = []
    for line in _readelf(library, "--dyn-syms").splitlines():
        fields = line.split()
        if len(fields) >= 8 and fields[4] in ("GLOBAL", "WEAK", "UNIQUE") and fields[6] != "UND":
            exported.append(fields[7])
    assert exported
    assert all(symbol.startswith("Java_com_google_fcp_") for symbol in exported), exported


@pytest.mark.parametrize("library", _TENSORFLOW)
def test_tensorflow_is_stripped(library: str) -> None:
    sections = _readelf(library, "--sections")
    assert ".dynsym" in sections
    assert ".symtab" not in sections
    assert ".debug_" not in sections
