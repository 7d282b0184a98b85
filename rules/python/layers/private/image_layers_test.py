"""Tests of the packer: what gets into a layer, and what stops the build."""

from __future__ import annotations

import os
import struct
import tarfile
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path

import image_layers
from ocilib.errors import Error

_ROOT = "service/service.runfiles"
_ELF = b"\x7fELF" + bytes(12)


class ImageLayersTest(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def file(self, name: str, content: bytes | str = b"") -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def run_action(self, action: str, *arguments: str, items: list[tuple[str, str]], before: int = 2) -> None:
        """Runs an action as Bazel does; ITEMS become its FILES, which stand after BEFORE arguments."""
        files = self.file(f"{action}.files", "".join(f"{place}\n{source}\n" for place, source in items))
        image_layers.main([action, *arguments[:before], files, *arguments[before:]])

    def layers(self) -> list[str]:
        """Makes the three layers of a program with one module, one package and an interpreter; returns app, interpreter and packages."""
        self.trees = {
            "interpreter": [("python/bin/python3.10", self.file("python3.10", _ELF + b"\2\0"))],
            "packages": [("pypi_p/site-packages", str(Path(self.file("p/site-packages/p/__init__.py", "x = 1\n")).parent.parent))],
            "app": [("main/app.py", self.file("app.py", "import p\n"))],
        }
        self.file("p/site-packages/p/a blank.txt", "text")
        for name, items in self.trees.items():
            self.run_action("compile", self.path(f"{name}.pyc.tar"), _ROOT, items=items)
        for name in ("interpreter", "packages"):
            arguments = (self.path(f"{name}.tar"), self.path(f"{name}.list"), _ROOT, self.path(f"{name}.pyc.tar"))
            self.run_action("pack", *arguments, items=self.trees[name], before=3)
        lists = [self.path("interpreter.list"), self.path("packages.list")]
        starter = self.file("start", "#!/python\n")
        self.run_action("app", self.path("app.tar"), _ROOT, starter, self.path("app.pyc.tar"), *lists, items=self.trees["app"])
        return [self.path(f"{name}.tar") for name in ("app", "interpreter", "packages")]

    def check(self, layers: list[str], items: list[tuple[str, str]] | None = None) -> None:
        everything = [item for items_of_layer in self.trees.values() for item in items_of_layer]
        self.run_action("check", self.path("checked.tar"), _ROOT, *layers, items=everything if items is None else items)

    def assert_problem(self, message: str, action: Callable[..., object], *arguments: object) -> None:
        with self.assertRaisesRegex(Error, message) as caught:
            action(*arguments)
        self.assertNotIn("\n", str(caught.exception))

    def test_layers_hold_directories_files_and_compiled_modules_sorted_and_of_one_time(self) -> None:
        app, _, packages = self.layers()
        with tarfile.open(packages) as tar:
            entries = [(member.name, oct(member.mode), member.mtime, member.uid, member.isdir()) for member in tar]
        p = f"{_ROOT}/pypi_p/site-packages/p"
        self.assertEqual(
            entries,
            [
                ("service", "0o755", 0, 0, True),
                (_ROOT, "0o755", 0, 0, True),
                (f"{_ROOT}/pypi_p", "0o755", 0, 0, True),
                (f"{_ROOT}/pypi_p/site-packages", "0o755", 0, 0, True),
                (p, "0o755", 0, 0, True),
                (f"{p}/__init__.py", "0o644", 0, 0, False),
                (f"{p}/__pycache__", "0o755", 0, 0, True),
                (f"{p}/__pycache__/__init__.cpython-310.pyc", "0o644", 0, 0, False),
                (f"{p}/a blank.txt", "0o644", 0, 0, False),
            ],
        )
        with tarfile.open(app) as tar:
            self.assertEqual(tar.getmember("service/service").mode, 0o755)

    def test_the_manifest_lists_every_file_of_all_layers_with_bazels_escapes(self) -> None:
        app = self.layers()[0]
        with tarfile.open(app) as tar:
            manifest = tar.extractfile(f"{_ROOT}_manifest")
            assert manifest is not None
            lines = manifest.read().decode().splitlines()
        places = [
            "main/__pycache__/app.cpython-310.pyc",
            "main/app.py",
            "pypi_p/site-packages/p/__init__.py",
            "pypi_p/site-packages/p/__pycache__/__init__.cpython-310.pyc",
            "python/bin/python3.10",
        ]
        escaped = rf" pypi_p/site-packages/p/a\sblank.txt /{_ROOT}/pypi_p/site-packages/p/a blank.txt"
        self.assertEqual(sorted(lines), sorted([escaped, *(f"{place} /{_ROOT}/{place}" for place in places)]))

    def test_layers_that_are_the_runfiles_pass_and_give_the_application(self) -> None:
        layers = self.layers()
        self.check(layers)
        self.assertEqual(Path(self.path("checked.tar")).read_bytes(), Path(layers[0]).read_bytes())

    def test_a_file_in_two_layers_stops_the_build(self) -> None:
        app, interpreter, packages = self.layers()
        problem = "is in .*packages.tar and in .*packages.tar; the layers must be disjoint"
        self.assert_problem(problem, self.check, [app, interpreter, packages, packages])

    def test_a_file_that_is_in_no_layer_stops_the_build(self) -> None:
        app, interpreter, _ = self.layers()
        self.assert_problem("p/__init__.py is in no layer", self.check, [app, interpreter])
        self.assertFalse(Path(self.path("checked.tar")).exists())

    def test_a_file_that_is_no_runfile_stops_the_build(self) -> None:
        layers = self.layers()
        items = self.trees["packages"] + self.trees["app"]
        self.assert_problem("python3.10 is in .*interpreter.tar, but does not belong", self.check, layers, items)

    def test_a_manifest_that_is_not_of_these_layers_stops_the_build(self) -> None:
        layers = self.layers()
        self.file("interpreter.list", "")
        arguments = (self.path("other.tar"), _ROOT, self.path("start"), self.path("app.pyc.tar"), self.path("packages.list"))
        self.run_action("app", *arguments, items=self.trees["app"])
        self.assert_problem("_manifest does not list exactly the files", self.check, [self.path("other.tar"), *layers[1:]])

    def test_two_files_for_one_place_stop_the_build(self) -> None:
        items = [("a/b", self.file("one")), ("a/b", self.file("two"))]
        self.assert_problem("one and .*two have the same place in the image: a/b", image_layers.walk, items)

    def test_names_that_no_list_can_hold_stop_the_build(self) -> None:
        for name in ("line\nbreak", "tab\t", os.fsdecode(b"\xff")):
            with self.subTest(name=name):
                items = [(f"a/{name}", self.file("f"))]
                self.assert_problem("control characters or without an encoding", image_layers.walk, items)

    def test_what_is_neither_file_nor_directory_stops_the_build(self) -> None:
        os.mkfifo(self.path("fifo"))
        os.symlink("nowhere", self.path("dangling"))
        for name in ("fifo", "dangling"):
            self.assert_problem("is neither a file nor a directory", image_layers.walk, [("a", self.path(name))])

    def test_paths_out_of_the_tree_stop_the_build(self) -> None:
        for place in ("../x", "a//x"):
            with self.subTest(place=place):
                entries = {f"{_ROOT}/{place}": self.file("f")}
                self.assert_problem("the path .* of a tar entry", image_layers.write_layer, self.path("t"), entries)

    def test_links_are_followed_and_compiled_modules_of_others_are_left_out(self) -> None:
        self.file("tree/__pycache__/m.cpython-310.pyc")
        target = self.file("target")
        os.symlink(target, self.path("tree/link"))
        self.assertEqual(image_layers.walk([("t", self.path("tree"))]), {"t/link": self.path("tree/link")})

    def test_programs_are_known_by_their_content(self) -> None:
        def elf(kind: int) -> bytes:
            return _ELF + struct.pack("<H", kind)

        for name, content, expected in (
            ("bin/tool", elf(2), True),
            ("bin/tool", elf(3), True),
            ("o.o", elf(1), False),
            ("lib/libx.so.2", elf(3), False),
            ("script", b"#!/bin/sh\n", True),
            ("module.py", b"#!/usr/bin/env python\n", False),
            ("empty", b"", False),
        ):
            with self.subTest(name=name, content=content):
                self.assertIs(image_layers.is_program(name, content), expected)
                self.assertIs(image_layers.is_program(name, self.file("f", content)), expected)


if __name__ == "__main__":
    unittest.main()
