"""The Python image: its runfiles, its libraries, its trust store, all asked for by its own interpreter."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest
import runfiles

from images.base import certificates
from shuffler.e2e import loader
from shuffler.e2e.certificate_authority import CertificateAuthority
from tools.containers.bundle import Mount
from tools.containers.container import Container
from tools.containers.layers import Root

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

# Standard input: {runfiles path: path in the image}. Prints those that bazel-runfiles locates elsewhere.
_LOCATE = """
import json, sys
sys.path.insert(0, "/tmp/site-packages")
from runfiles import Runfiles
runfiles = Runfiles.Create({"RUNFILES_MANIFEST_FILE": sys.argv[1]})
for path, expected in json.load(sys.stdin).items():
    if runfiles.Rlocation(path) != expected:
        print(path, runfiles.Rlocation(path))
"""

# Standard input: the paths of ELF files. Prints what the linker finds for each as JSON.
_LIBRARIES = """
import json, subprocess, sys
found = {}
for path in json.load(sys.stdin):
    output = subprocess.run([sys.argv[1], "--list", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    found[path] = output
print(json.dumps(found))
"""

_CERTIFICATES = """
import ssl
for der in ssl.create_default_context().get_ca_certs(binary_form=True):
    print(der.hex())
"""

_ASK = """
import sys, urllib.request
try:
    print("status", urllib.request.urlopen(sys.stdin.readline().strip(), timeout=60).status)
except OSError as error:
    print("failed:", error)
"""


@pytest.fixture(scope="module")
def program() -> str:
    """The start script."""
    return f"/{os.environ['SERVICE']}/{os.environ['SERVICE']}"


@pytest.fixture(scope="module")
def interpreter(root: Root, program: str) -> str:
    """The interpreter that the start script names."""
    first = root.file(program).read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(f"#!{program}.runfiles/")
    return first[2:].split()[0]


@pytest.fixture(scope="module")
def manifest(root: Root, program: str) -> dict[str, str]:
    """The manifest of the image: runfiles path -> absolute path."""
    entries = {}
    for line in root.file(f"{program}.runfiles_manifest").read_text(encoding="utf-8").splitlines():
        if line.startswith(" "):
            # What has blanks or backslashes is escaped, and then the line begins with a blank (Bazel 7.4).
            path, _, target = line[1:].partition(" ")
            path = path.replace(r"\s", " ").replace(r"\b", "\\")
            target = target.replace(r"\b", "\\")
        else:
            path, _, target = line.partition(" ")
        assert path not in entries
        entries[path] = target
    return entries


def _run(root: Root, bundle: Path, args: Sequence[str], text: str, mounts: Sequence[Mount] = ()) -> str:
    with Container(root, bundle, args=args, mounts=mounts) as container:
        container.write(text)
        assert container.wait(300) == 0, container.stdout + container.stderr
        return container.stdout


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def test_every_line_of_the_manifest_names_a_file(root: Root, program: str, manifest: dict[str, str]) -> None:
    tree = root.path / f"{program[1:]}.runfiles"
    for path, target in manifest.items():
        assert target == f"{program}.runfiles/{path}"
        file = root.path / target[1:]
        assert file.is_file()
        assert not file.is_symlink()
    files = {str(file.relative_to(tree)) for file in tree.rglob("*") if not file.is_dir()}
    assert files == manifest.keys()
    repositories = {path.split("/")[0] for path in manifest}
    expected = {"com_google_ondevicepersonalization_federatedcompute", "python_x86_64-unknown-linux-gnu"}
    assert expected < repositories
    assert all(name.startswith("pypi_") for name in repositories - expected)


def test_bazel_runfiles_locates_every_file(root: Root, bundle: Path, program: str, interpreter: str, manifest: dict[str, str]) -> None:
    library = Mount(Path(os.path.realpath(runfiles.__file__)).parent, "/tmp/site-packages/runfiles")
    args = [interpreter, "-c", _LOCATE, f"{program}.runfiles_manifest"]
    assert _run(root, bundle, args, json.dumps(manifest), [library]) == ""


def test_every_library_is_found_in_a_debian_layer_or_beside_its_user(
    root: Root, bundle: Path, program: str, interpreter: str, manifest: dict[str, str]
) -> None:
    files = [target for target in manifest.values() if _is_elf(root.path / target[1:])]
    assert len(files) > 100
    packages = loader.package_layers()
    origins: dict[str, str | None] = {}
    for file, output in json.loads(_run(root, bundle, [interpreter, "-c", _LIBRARIES, loader.LINKER], json.dumps(files))).items():
        for soname, path in loader.parse(output).items():
            assert path != "not found", f"{file} needs {soname}, which is nowhere"
            if not path.startswith(f"{program}.runfiles/"):
                origins[soname] = loader.package(root, packages, path)
    assert {name: loader.PACKAGES.get(name) for name in origins} == origins
    assert origins.keys() > {"libc.so.6", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1"}


def test_python_and_the_package_have_the_same_certificates(root: Root, bundle: Path, interpreter: str) -> None:
    files, _ = certificates.read_package(loader.data("CA_CERTIFICATES"))
    expected = sorted(certificates.decode_pem(pem, name) for name, pem in files.items())
    assert sorted(bytes.fromhex(line) for line in _run(root, bundle, [interpreter, "-c", _CERTIFICATES], "").splitlines()) == expected
    assert len(expected) > 100


def _ask(root: Root, folder: Path, interpreter: str, authority: CertificateAuthority, mounts: Sequence[Mount] = ()) -> str:
    with Container(root, folder, args=[interpreter, "-c", _ASK], mounts=mounts) as container:
        with authority.serve(container) as url:
            container.write(url + "\n")
            assert container.wait() == 0, container.stdout + container.stderr
        return container.stdout


def test_tls_works_if_the_root_is_in_the_bundle_and_fails_otherwise(root: Root, tmp_path: Path, interpreter: str) -> None:
    authority = CertificateAuthority(tmp_path)
    assert "CERTIFICATE_VERIFY_FAILED" in _ask(root, tmp_path / "unknown", interpreter, authority)

    bundle = tmp_path / "ca-certificates.crt"
    bundle.write_bytes(root.file(BUNDLE).read_bytes() + authority.certificate)
    assert ssl.create_default_context(cafile=str(bundle)).get_ca_certs()
    assert _ask(root, tmp_path / "known", interpreter, authority, [Mount(bundle, BUNDLE)]) == "status 204\n"
