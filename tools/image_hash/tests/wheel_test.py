"""The wheel is the same bytes everywhere, and all that a machine without Bazel needs: pip, and the few packages that it asks for."""

import email
import importlib.metadata
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import zipfile
from collections.abc import Iterator

import pytest
from runfiles import Runfiles
from tests import images

# What the wheel asks for, and what that asks for.
_PACKAGES = ("absl-py", "cffi", "cryptography", "pycparser", "typing_extensions", "zstandard")


def _runfile(path: str) -> pathlib.Path:
    runfiles = Runfiles.Create()
    found = runfiles and runfiles.Rlocation(path)
    assert found
    return pathlib.Path(found)


@pytest.fixture(name="wheel", scope="module")
def _wheel() -> pathlib.Path:
    return _runfile(os.environ["WHEEL"])


def _site(package: str) -> pathlib.Path:
    """The folder that a package is imported from, and nothing else."""
    return pathlib.Path(str(importlib.metadata.distribution(package).locate_file("")))


def _pack(package: str, folder: pathlib.Path) -> None:
    """Makes a wheel again of a locked one, which Bazel has unpacked: its files, under the name that its metadata give it (PEP 427)."""
    site = _site(package)
    (metadata,) = site.glob("*.dist-info")
    tags = email.message_from_bytes((metadata / "WHEEL").read_bytes()).get_all("Tag")
    assert tags
    with zipfile.ZipFile(folder / f"{metadata.name.removesuffix('.dist-info')}-{tags[0]}.whl", "w") as writer:
        for path in sorted(site.rglob("*")):
            if path.is_file():
                writer.write(path, path.relative_to(site))


@pytest.fixture(name="programs", scope="module")
def _programs(wheel: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """The folder of programs of a virtual environment into which pip, without a network, has installed the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "locked").mkdir()
    for package in _PACKAGES:
        _pack(package, folder / "locked")
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", str(folder / "venv")], env=environment, check=True)
    pip = [sys.executable, "-I", "-B", str(_site("pip") / "pip"), "--disable-pip-version-check", f"--python={folder / 'venv/bin/python'}"]
    install = ["install", "--quiet", "--no-index", f"--find-links={folder / 'locked'}", str(wheel)]
    subprocess.run([*pip, *install], env=environment, check=True)
    subprocess.run([*pip, "check"], env=environment, check=True, stdout=subprocess.DEVNULL)
    yield folder / "venv/bin"


def _run(programs: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(programs / "image_hash"), *arguments], env={"PATH": "/nowhere"}, capture_output=True, text=True, check=False)


def test_the_command_computes_and_compares_without_bazel(programs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "l")
    manifest = layout.image([images.tar({"a": b"b"})], compress=images.zstd)
    path = layout.finish(manifest)
    done = _run(programs, "compute", path, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["images"][0]["image_hash"] == manifest["digest"]
    assert _run(programs, "compare", path, path).returncode == 0
    layout.path(manifest["digest"]).write_bytes(b"{}")
    assert _run(programs, "compute", path).returncode == 2


def test_a_release_is_verified_without_a_checkout(programs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "collector")
    manifest = layout.image([images.tar({"a": b"b"})])
    config = json.loads(layout.path(manifest["digest"]).read_bytes())["config"]["digest"]
    layers = [{"digest": images.digest(images.tar({"a": b"b"})), "diff_id": images.digest(images.tar({"a": b"b"})), "size": 1}]
    image = {"image_hash": manifest["digest"], "config_digest": config, "layers": layers, "labels": {}, "entrypoint": ["/a"]}
    release = {"schema": 2, "release": "v1.2.3", "commit": "1" * 40, "rebuild": "", "build_settings": {}, "locks": {}, "documents": {}}
    path = tmp_path / "v1.2.3.json"
    path.write_text(json.dumps(release | {"images": {"collector": image}}))
    key = tmp_path / "key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key], check=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", f"{key}.pub"], check=True)
    subprocess.run(["openssl", "dgst", "-sha256", "-sign", key, "-out", f"{path}.sig", path], check=True)
    arguments = ("verify", "--release", "v1.2.3", "--releases", str(tmp_path), "--public_key", f"{key}.pub", layout.finish(manifest))
    done = _run(programs, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("MATCH: 1 of 1 images equal those of v1.2.3")
    path.write_text(path.read_text() + " ")
    assert _run(programs, *arguments).returncode == 1


def test_every_command_starts(programs: pathlib.Path) -> None:
    overview = _run(programs, "--help").stdout
    commands = re.findall(r"^  (\w+) ", overview, re.MULTILINE)
    assert "compute" in commands
    for command in commands:
        done = _run(programs, command, "--help")
        assert (done.returncode, done.stderr) == (0, ""), command


def _cpu_seconds(command: list[str]) -> float:
    """The processor time of the quickest of some runs."""
    found = []
    for _ in range(6):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env={"PATH": "/nowhere"}, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


@pytest.mark.parametrize("command", ["compute", "compare", "lint", "verify", "which"])
def test_it_starts_before_anyone_wonders(programs: pathlib.Path, command: str) -> None:
    # Of an idle machine, this is the time on the clock. A busy one is slower in all; there a bare interpreter takes more than 15 ms.
    bare = _cpu_seconds([str(programs / "python"), "-I", "-c", "pass"])
    assert _cpu_seconds([str(programs / "image_hash"), command, "--help"]) < max(0.15, 10 * bare)


def test_the_wheel_has_all_modules_and_nothing_of_this_machine(wheel: pathlib.Path) -> None:
    with zipfile.ZipFile(wheel) as reader:
        names = reader.namelist()
        assert {"image_hash/main.py", "image_hash/py.typed", "image_hash/sources/registry.py", "ocilib/registry.py"} <= {*names}
        assert not [name for name in names if name.endswith(("_test.py", ".pyc")) or name.startswith(("tests", "/"))]
        assert {entry.date_time for entry in reader.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 & 0o777 for entry in reader.infolist()} <= {0o644, 0o664}
        metadata = email.message_from_bytes(next(reader.read(name) for name in names if name.endswith("METADATA")))
        assert metadata.get_all("Requires-Dist") == ["absl-py>=2", "cryptography>=43", "zstandard>=0.22"]
        assert wheel.name.startswith(f"{metadata['Name'].replace('-', '_')}-{metadata['Version']}-")


def test_the_wheel_is_the_same_bytes_however_it_is_built(wheel: pathlib.Path, tmp_path: pathlib.Path) -> None:
    # Elsewhere, with another umask, and the files in another order.
    project = _runfile("com_google_ondevicepersonalization_federatedcompute/tools/image_hash/README.md").parent
    root = project.parents[1]
    sources = [project / "README.md", project / "pyproject.toml", *(path for path in (project / "image_hash").rglob("*") if path.is_file())]
    files = [(path, path.relative_to(root)) for path in sources if path.suffix != ".pyc"]
    ocilib = _runfile(os.environ["OCILIB"]).parent
    files += [(path, pathlib.Path("rules/oci/ocilib", path.name)) for path in ocilib.glob("*.py")]
    arguments = [str(word) for pair in sorted(files, reverse=True) for word in pair]
    program = str(project / "build_wheel.py")
    setuptools = str(_site("setuptools"))
    subprocess.run(
        [sys.executable, "-I", "-S", "-B", program, str(tmp_path / "again.whl"), setuptools, *arguments],
        cwd=root,
        env={"TZ": "Asia/Kathmandu", "TMPDIR": str(tmp_path)},
        umask=0o077,
        check=True,
    )
    assert (tmp_path / "again.whl").read_bytes() == wheel.read_bytes()
