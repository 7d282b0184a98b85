"""check_classes.py as the action calls it."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

_CHECK = pathlib.Path(__file__).parent.parent / "springboot/private/check_classes.py"


class CheckClassesTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.jars: list[pathlib.Path] = []

    def jar(self, name: str, **classes: str) -> None:
        with zipfile.ZipFile(self.folder / name, "w") as jar:
            for entry, content in classes.items():
                jar.writestr(entry.replace("_", "/") + ".class", content)
        self.jars.append(self.folder / name)

    def check(self, ignored: str = "") -> tuple[int, str]:
        (self.folder / "ignored.txt").write_text(ignored)
        words = ["--output", str(self.folder / "checked"), "--target", "//a:b", "--ignored", str(self.folder / "ignored.txt")]
        for jar in self.jars:
            words += ["--jar", str(jar)]
        (self.folder / "parameters").write_text("\n".join(words) + "\n")
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-B", str(_CHECK), str(self.folder / "parameters")], capture_output=True, text=True, check=False
        )
        self.assertEqual((self.folder / "checked").exists(), done.returncode == 0)
        return done.returncode, done.stderr

    def test_different_copies_are_refused(self) -> None:
        self.jar("one.jar", p_A="1", p_B="1", p_C="same")
        self.jar("two.jar", p_A="2", p_B="2", p_C="same")
        found = "springboot //a:b: one.jar and two.jar hold different p/A.class and 1 more classes:"
        advice = " exclude one (deps_exclude_labels), or name it in dupeclassescheck_ignorelist\n"
        self.assertEqual(self.check(), (1, found + advice))

    def test_equal_copies_are_fine(self) -> None:
        self.jar("one.jar", p_A="1")
        self.jar("two.jar", p_A="1")
        self.assertEqual(self.check(), (0, ""))

    def test_module_descriptors_are_no_duplicates(self) -> None:
        self.jar("one.jar", **{"module-info": "1"})
        self.jar("two.jar", **{"module-info": "2"})
        self.assertEqual(self.check(), (0, ""))

    def test_ignored_jar_may_repeat_classes(self) -> None:
        self.jar("one.jar", p_A="1")
        self.jar("two.jar", p_A="2")
        self.assertEqual(self.check("# why\ntwo.jar  # here\n"), (0, ""))

    def test_other_jars_are_still_checked(self) -> None:
        self.jar("one.jar", p_A="1")
        self.jar("two.jar", p_A="2")
        self.assertEqual(self.check("three.jar\n")[0], 1)


if __name__ == "__main__":
    unittest.main()
