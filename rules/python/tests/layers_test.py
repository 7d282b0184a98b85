"""Tests of the layers that Bazel makes of //tests:greeter: their files, and the program that runs from them."""

from __future__ import annotations

import os
import subprocess
import tarfile
import tempfile
import unittest
from pathlib import Path

_LAYERS = ("interpreter_layer.tar", "packages_layer.tar", "app_tar_manifest.tar")
_RUNFILES = "greeting_service/greeting_service.runfiles"
_PYTHON = "python_x86_64-unknown-linux-gnu"


def _files(layer: str) -> set[str]:
    with tarfile.open(Path("tests") / layer) as tar:
        return {member.name for member in tar if not member.isdir()}


class LayersTest(unittest.TestCase):
    def test_each_layer_holds_its_part_of_the_tree_under_the_users_names(self) -> None:
        interpreter = _files("interpreter_layer.tar")
        self.assertTrue(all(path.startswith(f"{_RUNFILES}/{_PYTHON}/") for path in interpreter))
        self.assertTrue({f"{_RUNFILES}/{_PYTHON}/{path}" for path in ("bin/python3.10", "lib/python3.10/os.py")} <= interpreter)
        package = f"{_RUNFILES}/pypi_greeting/site-packages/greeting"
        self.assertEqual(
            _files("packages_layer.tar"),
            {
                f"{package}/{name}"
                for name in ("__init__.py", "__pycache__/__init__.cpython-310.pyc", "template.py", "tool", "with blank.txt")
            },
        )
        own = f"{_RUNFILES}/rules_python_layers/tests"
        self.assertEqual(
            _files("app_tar_manifest.tar"),
            {
                "greeting_service/greeting_service",
                f"{_RUNFILES}_manifest",
                *(f"{own}/{name}" for name in ("greeter.py", "name.py", "name.txt")),
                *(f"{own}/__pycache__/{name}.cpython-310.pyc" for name in ("greeter", "name")),
            },
        )

    def test_no_name_that_bazel_gives_or_path_of_the_machine_is_in_the_application(self) -> None:
        data = (Path("tests") / "app_tar_manifest.tar").read_bytes() + (Path("tests") / "packages_layer.tar").read_bytes()
        words = [b"_main/", b"bazel", b"execroot", b"~", b"package_repository", os.fsencode(os.path.expanduser("~"))]
        self.assertEqual([word for word in words if word in data], [])

    def test_the_program_runs_from_the_layers_alone(self) -> None:
        with tempfile.TemporaryDirectory() as root:
            for layer in _LAYERS:
                with tarfile.open(Path("tests") / layer) as tar:
                    tar.extractall(root)
            starter = Path(root) / "greeting_service/greeting_service"
            # The image's root is /; here it is a folder.
            text = starter.read_text().replace("/greeting_service/", f"{root}/greeting_service/")
            self.assertTrue(text.startswith(f"#!{root}/{_RUNFILES}/{_PYTHON}/bin/python3.10 -IB\n"))
            command = [f"{root}/{_RUNFILES}/{_PYTHON}/bin/python3.10", "-IB", "-c", text, "argument"]
            environment = {"PYTHONPATH": "/nothing", "PYTHONHOME": "/nothing", "PATH": "/nothing"}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, f"Hello, World {root}/{_RUNFILES}/{_PYTHON}/bin/python3.10 {root}/{_RUNFILES} argument\n")


if __name__ == "__main__":
    unittest.main()
