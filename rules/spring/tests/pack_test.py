"""pack.py as the action calls it."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

_PACK = pathlib.Path(__file__).parent.parent / "springboot/private/pack.py"
_LAUNCHER = "org.springframework.boot.loader.launch.JarLauncher"


def write_jar(path: pathlib.Path, *names: str, content: bytes = b"content") -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as jar:
        for name in names:
            jar.writestr(name, content)
    return path


class PackTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.loader = write_jar(
            self.folder / "loader.jar",
            _LAUNCHER.replace(".", "/") + ".class",
            "META-INF/MANIFEST.MF",
            "META-INF/services/x",
            "META-INF/NOTICE",
        )
        self.app = write_jar(self.folder / "app.jar", "b/B.class", "a/A.class", "META-INF/MANIFEST.MF", "application.properties")
        self.libraries = [
            ("z-1.jar", write_jar(self.folder / "z.jar", "z/Z.class")),
            ("own/liba.jar", write_jar(self.folder / "a.jar", "x/X.class")),
        ]

    def run_pack(
        self, output: str = "out.jar", cwd: pathlib.Path | None = None, limit: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs pack.py; limit holds arguments of resource.setrlimit."""
        words = ["--output", str(self.folder / output), "--target", "//services:collector_application", "--start_class", "com.example.App"]
        words += ["--launcher_class", _LAUNCHER, "--loader", str(self.loader), "--classes", str(self.app)]
        for name, path in self.libraries:
            words += ["--library", name, str(path)]
        parameters = self.folder / "parameters"
        parameters.write_text("\n".join(words) + "\n")
        command = [sys.executable, "-I", "-S", "-B", str(_PACK), str(parameters)]
        if limit:
            limited = f"import resource, runpy, sys; resource.setrlimit({limit}); del sys.argv[0]; "
            command[4:4] = ["-c", limited + "runpy.run_path(sys.argv[0], run_name='__main__')"]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment or None, check=False)

    def names(self) -> list[str]:
        with zipfile.ZipFile(self.folder / "out.jar") as jar:
            return [name for name in jar.namelist() if not name.endswith("/")]

    def assert_fails(self, message: str, limit: str = "") -> None:
        done = self.run_pack(limit=limit)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, f"springboot //services:collector_application: {message}\n")
        self.assertFalse((self.folder / "out.jar").exists(), "a jar was left behind")

    def test_libraries_keep_class_path_order_and_files_are_sorted(self) -> None:
        self.assertEqual(self.run_pack().stderr, "")
        self.assertEqual(
            self.names(),
            [
                "META-INF/MANIFEST.MF",
                "build-data.properties",
                "META-INF/services/x",
                "org/springframework/boot/loader/launch/JarLauncher.class",
                "BOOT-INF/classes/a/A.class",
                "BOOT-INF/classes/application.properties",
                "BOOT-INF/classes/b/B.class",
                "BOOT-INF/lib/z-1.jar",
                "BOOT-INF/lib/own/liba.jar",
            ],
        )

    def test_libraries_are_unchanged(self) -> None:
        self.run_pack()
        with zipfile.ZipFile(self.folder / "out.jar") as jar:
            self.assertEqual(jar.read("BOOT-INF/lib/z-1.jar"), (self.folder / "z.jar").read_bytes())

    def test_every_folder_has_an_entry_before_its_files(self) -> None:
        self.run_pack()
        with zipfile.ZipFile(self.folder / "out.jar") as jar:
            seen: set[str] = set()
            for name in jar.namelist():
                parent = name.rstrip("/").rpartition("/")[0]
                self.assertTrue(not parent or parent + "/" in seen, f"{name} comes before its folder")
                seen.add(name)

    def test_bytes_do_not_depend_on_path_times_umask_or_environment(self) -> None:
        self.run_pack()
        first = (self.folder / "out.jar").read_bytes()
        moved = self.folder / "another" / "place"
        moved.mkdir(parents=True)
        for attribute in ("loader", "app"):
            path = moved / f"other-{attribute}.jar"
            shutil.copy(getattr(self, attribute), path)
            os.utime(path, (1, 1))
            path.chmod(0o600)
            setattr(self, attribute, path)
        self.libraries = [(name, pathlib.Path(shutil.copy(path, moved))) for name, path in self.libraries]
        umask = os.umask(0o077)
        try:
            done = self.run_pack("second.jar", cwd=moved, TZ="Asia/Tokyo", LC_ALL="tr_TR.UTF-8", PYTHONHASHSEED="7", SOURCE_DATE_EPOCH="1")
        finally:
            os.umask(umask)
        self.assertEqual(done.stderr, "")
        self.assertEqual((self.folder / "second.jar").read_bytes(), first)

    def test_no_zip64_and_no_data_descriptors(self) -> None:
        self.run_pack()
        with zipfile.ZipFile(self.folder / "out.jar") as jar:
            self.assertEqual({(entry.flag_bits, entry.extra) for entry in jar.infolist()}, {(0, b"")})

    def test_memory_stays_small(self) -> None:
        big = self.folder / "big.jar"
        with zipfile.ZipFile(big, "w") as jar, jar.open("big.bin", "w", force_zip64=True) as file:
            for _ in range(300):
                file.write(b"\0" * (1 << 20))
        self.libraries.append(("big.jar", big))
        done = self.run_pack(limit="resource.RLIMIT_AS, (200 << 20,) * 2")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_full_disk(self) -> None:
        self.assert_fails("[Errno 27] File too large", limit="resource.RLIMIT_FSIZE, (1000,) * 2")

    def test_class_name_of_the_launcher_is_checked(self) -> None:
        self.loader = write_jar(self.folder / "old.jar", "org/springframework/boot/loader/JarLauncher.class")
        self.assert_fails("old.jar: holds no org/springframework/boot/loader/launch/JarLauncher.class; see boot_launcher_class")

    def test_library_that_is_no_jar(self) -> None:
        (self.folder / "z.jar").write_bytes(b"<html>Not found</html>")
        self.assert_fails("z.jar: not a jar: File is not a zip file")

    def test_same_file_twice(self) -> None:
        self.libraries.append(self.libraries[0])
        self.assert_fails("two files would be BOOT-INF/lib/z-1.jar")


if __name__ == "__main__":
    unittest.main()
