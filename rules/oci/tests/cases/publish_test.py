"""Tests of oci_push and oci_load as `bazel run` starts them: flags, exit codes, what the registry and the engine get."""

import hashlib
import json
import os
import pathlib
import subprocess
import tarfile
import tempfile
import unittest

from tests.ocilib import fake_registry

_CASES = pathlib.Path("tests/cases").absolute()


class PublishTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        manager = fake_registry.serve()
        self.server = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        self.repository = f"{self.server.address}/team/app"

    def _run(self, program: str, *arguments: str, code: int = 0, **environ: str) -> str:
        """What the program says."""
        runfiles = os.environ.get("RUNFILES_DIR") or os.environ["TEST_SRCDIR"]
        environ = {"HOME": str(self.root), "PATH": f"{self.root}/bin:{os.environ['PATH']}", "RUNFILES_DIR": runfiles} | environ
        done = subprocess.run([str(_CASES / program), *arguments], env=environ, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        return done.stdout if code == 0 else done.stderr

    def _digest(self, image: str) -> str:
        return (_CASES / f"{image}.json.sha256").read_text().strip()

    def test_attributes_say_tags_and_the_command_line_says_more(self) -> None:
        out = self._run("push.sh", "--repository", self.repository, "-t", "a", "--tag=b", "-t=c")
        digest = self._digest("service")
        self.assertEqual({name for _, name in self.server.manifests}, {digest, "a", "b", "c", "latest", "v1"})
        self.assertIn(f"{self.repository}@{digest} :a :b :c :v1 :latest: ", out)
        again = self._run("push.sh", f"--repository={self.repository}", "-t", "a")
        self.assertIn("unchanged", again)

    def test_an_index_is_pushed_to_the_repository_of_a_file(self) -> None:
        self._run("push_index.sh", "-r", self.repository)
        self.assertIn(("team/app", self._digest("index")), self.server.manifests)
        self.assertIn("http would show the credentials", self._run("push_index.sh", code=1))

    def test_wrong_usage(self) -> None:
        for arguments in (["--unknown"], ["--tag"], ["positional"], ["--repo", "a/b"]):
            self.assertRegex(self._run("push.sh", *arguments, code=64), "^usage: .*; --help says what there is\n$")
        self.assertRegex(self._run("push.sh", code=1), "^error: no repository: expected --repository [^\n]*\n$")
        self.assertRegex(self._run("push.sh", "-r", "a.b/X", code=1), "^error: expected a repository like [^\n]*\n$")
        self.assertRegex(self._run("push.sh", "-r", self.repository, "-t", "a/b", code=1), "^error: expected a tag [^\n]*\n$")
        self.assertRegex(self._run("load.sh", "x", code=64), "^usage: expected no arguments")

    def test_verbose_prints_requests(self) -> None:
        runfiles = os.environ.get("RUNFILES_DIR") or os.environ["TEST_SRCDIR"]
        done = subprocess.run(
            [str(_CASES / "push.sh"), "-v", "-r", self.repository],
            env={"HOME": str(self.root), "RUNFILES_DIR": runfiles},
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
        self.assertIn(f"PUT {self.server.address}/v2/team/app/manifests/v1: 201", done.stderr)

    def test_an_engine_gets_the_archive(self) -> None:
        self.assertIn("expected one of docker, podman, nerdctl on the PATH", self._run("load.sh", code=1, PATH="/nowhere"))
        engine = self.root / "bin/podman"
        engine.parent.mkdir()
        engine.write_text(f'#!/bin/sh\n[ "$*" = load ] && cat >{self.root}/got.tar\n')
        engine.chmod(0o755)
        docker = self.root / "bin/docker"
        docker.symlink_to("podman")
        out = self._run("load.sh")
        self.assertIn("loaded app:v1 app:latest. ", out)
        self.assertIn("`docker push` and plain `skopeo copy` give it another digest", out)
        with tarfile.open(self.root / "got.tar") as tar:
            manifest = tar.extractfile("manifest.json")
            assert manifest
            (entry,) = json.load(manifest)
            for name in (entry["Config"], *entry["Layers"]):
                blob = tar.extractfile(name)
                assert blob
                self.assertEqual(name.removesuffix(".tar.gz"), f"blobs/sha256/{hashlib.sha256(blob.read()).hexdigest()}")
        engine.write_text("#!/bin/sh\nexit 3\n")
        self.assertIn("error: docker load has not taken the image (exit code 3)", self._run("load.sh", code=1))

    def test_another_loader(self) -> None:
        self.assertIn("loaded app:v1. ", self._run("load_otherwise.sh"))


if __name__ == "__main__":
    unittest.main()
