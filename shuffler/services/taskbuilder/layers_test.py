"""Tests of the layers of the image, as far as they need no container."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest
from runfiles import Runfiles

_FOLDER = Path("shuffler/services/taskbuilder")
_LAYERS = ("interpreter_layer.tar", "packages_layer.tar", "app_tar_manifest.tar")
_ROOT = "task_builder/task_builder.runfiles"


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """All files of the layers, by path, with the layer that has each."""
    found: dict[str, str] = {}
    for layer in _LAYERS:
        with tarfile.open(_FOLDER / layer) as tar:
            for member in tar:
                if not member.isdir():
                    assert member.name not in found
                    found[member.name] = layer
    return found


def _read(name: str) -> bytes:
    with tarfile.open(_FOLDER / "app_tar_manifest.tar") as tar:
        content = tar.extractfile(name)
        assert content is not None
        return content.read()


def test_every_line_of_the_manifest_resolves_to_a_file_of_the_layers(files: dict[str, str], tmp_path: Path) -> None:
    manifest = tmp_path / "manifest"
    manifest.write_bytes(_read("task_builder/task_builder.runfiles_manifest"))
    runfiles = Runfiles.CreateManifestBased(str(manifest))
    tree = [path.removeprefix(f"{_ROOT}/") for path in files if path.startswith(f"{_ROOT}/")]
    assert len(tree) > 10_000
    assert [path for path in tree if runfiles.Rlocation(path) != f"/{_ROOT}/{path}"] == []
    assert len(manifest.read_text(encoding="utf-8").splitlines()) == len(tree)


def test_folders_have_the_names_that_the_reference_gives_them(files: dict[str, str]) -> None:
    folders: dict[str, set[str]] = {layer: set() for layer in _LAYERS}
    for path, layer in files.items():
        if path.startswith(f"{_ROOT}/"):
            folders[layer].add(path.split("/")[2])
    assert folders["interpreter_layer.tar"] == {"python_x86_64-unknown-linux-gnu"}
    assert folders["app_tar_manifest.tar"] == {"com_google_ondevicepersonalization_federatedcompute"}
    assert {"pypi_tensorflow_cpu", "pypi_flask", "pypi_waitress"} <= folders["packages_layer.tar"]
    assert all(re.fullmatch(r"pypi_[a-z0-9_]+", folder) for folder in folders["packages_layer.tar"])


def test_developer_tools_are_not_in_the_image(files: dict[str, str]) -> None:
    folders = {path.split("/")[2] for path in files if path.startswith(f"{_ROOT}/")}
    assert folders.isdisjoint({"pypi_pytest", "pypi_mypy", "pypi_ruff", "pypi_pip", "pypi_pip_tools"})


def test_the_start_script_runs_on_the_bundled_interpreter(files: dict[str, str]) -> None:
    interpreter = _read("task_builder/task_builder").decode().partition("\n")[0].removeprefix("#!").split(" ")[0]
    assert files[interpreter.removeprefix("/")] == "interpreter_layer.tar"


def test_every_module_of_ours_is_compiled(files: dict[str, str]) -> None:
    modules = [Path(path) for path in files if path.startswith(f"{_ROOT}/com_google") and path.endswith(".py")]
    assert len(modules) >= 3
    for module in modules:
        assert str(module.parent / "__pycache__" / f"{module.stem}.cpython-310.pyc") in files
