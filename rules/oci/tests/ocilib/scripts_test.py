"""Tests of the scripts of actions as actions run them: arguments in, files or one line of error out."""

import hashlib
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import unittest

_RUN = pathlib.Path("ocilib/run.py").absolute()
_SCRIPTS = pathlib.Path("oci/private").absolute()


class ScriptsTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def _run(self, script: str, *arguments: str) -> str:
        """Runs a script; its error, or ""."""
        command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(_RUN), str(_SCRIPTS / script), *arguments]
        done = subprocess.run(command, cwd=self.root, env={}, capture_output=True, text=True, check=False)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.returncode, 1 if done.stderr else 0)
        if done.stderr:
            self.assertRegex(done.stderr, "^error: [^\n]*\n$")
        return done.stderr

    def _pack(self, *arguments: str) -> str:
        return self._run("pack_layer.py", "layer.tar", "layer.json", *arguments)

    def _members(self) -> dict[str, tarfile.TarInfo]:
        with tarfile.open(self.root / "layer.tar") as tar:
            return {member.name: member for member in tar.getmembers()}

    def test_files_folders_and_links_are_packed_sorted_with_their_parents(self) -> None:
        (self.root / "f").write_text("content")
        (self.root / "tree/b").mkdir(parents=True)
        (self.root / "tree/b/c").write_text("c")
        (self.root / "tree/a").symlink_to("b/c")
        error = self._pack(
            "file", "/opt/x", "f", "file", "/bin/", "f", "file", "/tree", "tree", "directory", "/tmp", "symlink", "/l", "/opt/x",
            "mode", "", "0640", "mode", "/tmp", "1777", "owner", "", "5:6", "owner", "/opt/x", "7:8",
        )  # fmt: skip
        self.assertEqual(error, "")
        members = self._members()
        self.assertEqual(list(members), ["bin", "bin/f", "l", "opt", "opt/x", "tmp", "tree", "tree/a", "tree/b", "tree/b/c"])
        self.assertEqual([oct(members[name].mode) for name in ("bin", "bin/f", "tmp")], ["0o755", "0o640", "0o1777"])
        self.assertEqual([(members[name].uid, members[name].gid) for name in ("bin/f", "opt/x")], [(5, 6), (7, 8)])
        self.assertTrue(members["tree/a"].isreg())
        self.assertEqual(members["l"].linkname, "/opt/x")
        described = json.loads((self.root / "layer.json").read_bytes())
        digest = "sha256:" + hashlib.sha256((self.root / "layer.tar").read_bytes()).hexdigest()
        self.assertEqual((described["digest"], described["diffid"], described["compression"]), (digest, digest, ""))

    def test_arguments_may_come_in_a_file(self) -> None:
        (self.root / "f").write_text("content")
        (self.root / "args").write_text("layer.tar\nlayer.json\nfile\n/a b\nf\n")
        self.assertEqual(self._run("pack_layer.py", "@args"), "")
        self.assertEqual(list(self._members()), ["a b"])

    def test_what_must_not_be_packed_is_refused_in_one_line(self) -> None:
        (self.root / "f").write_text("content")
        for arguments, message in (
            (("file", "relative", "f"), "does not start with a slash"),
            (("file", "/a/../b", "f"), '".." component'),
            (("file", "//a", "f"), "is absolute"),
            (("file", "/a", "f", "file", "/a", "f"), "two entries /a"),
            (("file", "/a", "f", "symlink", "/a", "b"), "two entries /a"),
            (("file", "/a", "f", "file", "/a/b", "f"), "lies below /a, which is no folder"),
            (("symlink", "/a", "b", "file", "/a/b", "f"), "lies below /a, which is no folder"),
            (("file", "/a", "f", "mode", "/b", "0644"), "mode or owner for /b, which is not in the layer"),
            (("file", "/a", "f", "mode", "", "0999"), "the mode '0999'"),
            (("file", "/a", "f", "mode", "", "10000"), "the mode '10000'"),
            (("file", "/a", "f", "owner", "", "root:0"), "the owner 'root:0'"),
            (("file", "/a", "missing"), "No such file"),
        ):
            with self.subTest(message=message):
                self.assertIn(message, self._pack(*arguments))

    def test_a_full_disk_is_an_error(self) -> None:
        (self.root / "f").write_text("content")
        self.assertIn("No space left", self._run("pack_layer.py", "/dev/full", "layer.json", "file", "/a", "f"))
        self._pack("file", "/a", "f")
        self.assertIn("No space left", self._run("describe_layer.py", "layer.tar", "/dev/full"))

    def test_strict_layers_are_whole_tars_and_others_are_taken_as_they_are(self) -> None:
        (self.root / "bad.tar").write_text("no tar")
        self.assertEqual(self._run("describe_layer.py", "bad.tar", "d.json"), "")
        self.assertIn("bad.tar: not a tar", self._run("describe_layer.py", "bad.tar", "d.json", "--strict"))
        subprocess.run(["gzip", "-kn", "bad.tar"], cwd=self.root, check=True)
        self.assertEqual(self._run("describe_layer.py", "bad.tar.gz", "d.json"), "")
        self.assertIn("bad.tar.gz: not a tar", self._run("describe_layer.py", "bad.tar.gz", "d.json", "--strict"))

    def test_compression_without_a_pinned_compressor_is_refused(self) -> None:
        (self.root / "f").write_text("content")
        self._pack("file", "/a", "f")
        self.assertIn("oci:compressors", self._run("describe_layer.py", "layer.tar", "d.json", "--compress=gzip", "layer.tar.gz"))

    def test_a_missing_base_and_a_strict_image_are_refused_with_their_names(self) -> None:
        outputs = ("out", "digest", "config")
        self.assertIn("base/index.json is missing", self._run("assemble_image.py", *outputs, "--base=base"))
        error = self._run("assemble_image.py", *outputs, "--scratch=linux,amd64,", "--strict=//a:b")
        self.assertIn("//a:b is not the image of a service: the entrypoint is empty", error)
        self.assertFalse((self.root / "out").exists())


if __name__ == "__main__":
    unittest.main()
