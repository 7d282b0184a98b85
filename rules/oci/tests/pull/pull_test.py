"""Tests of oci_pull: Bazel itself pulls from a registry on loopback.

From the module's folder, where bazel may be called:

    python3 -m tests.pull.pull_test

No test of Bazel's, since it runs Bazel; with caches and an output base of its own.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import ssl
import subprocess
import tempfile
import unittest
from collections.abc import Iterator

from tests.ocilib import fake_registry

_RULES_OCI = pathlib.Path(__file__).resolve().parents[2]
_MODULE = """\
module(name = "pulls")
bazel_dep(name = "rules_oci", version = "2.3.2")
local_path_override(module_name = "rules_oci", path = "%s")
register_toolchains("@rules_oci//tests:python_toolchain")
oci = use_extension("@rules_oci//oci:extensions.bzl", "oci")
oci.pull(name = "base", %s)
use_repo(oci, "base")
"""
_BUILD = """\
load("@rules_oci//oci:defs.bzl", "oci_image")
oci_image(name = "image", base = "@base", entrypoint = ["/hello"])
filegroup(name = "digest", srcs = ["@base//:digest"])
"""


class PullTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(subprocess.run, ["chmod", "-R", "u+w", folder.name], check=False)
        self.root = pathlib.Path(folder.name)
        self.addCleanup(self._shutdown)
        # Bazel takes nothing over http whose sha256 it does not know: no token, and no manifest by its tag.
        self.tls = self._certificate()
        self.server = self._serve()
        self.environ = {"HOME": str(self.root), "PATH": os.environ["PATH"]}
        self.work = self.root / "work"
        self.work.mkdir()
        (self.work / "BUILD.bazel").write_text(_BUILD)

    def _certificate(self) -> ssl.SSLContext:
        """For 127.0.0.1; self.trust is a key store of Java with it."""
        certificate, key, self.trust = (str(self.root / name) for name in ("certificate.pem", "key.pem", "trust.jks"))
        name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", certificate, *name]
        subprocess.run(command, capture_output=True, check=True)
        command = ["keytool", "-importcert", "-noprompt", "-storepass", "changeit", "-file", certificate, "-keystore", self.trust]
        subprocess.run(command, capture_output=True, check=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def _serve(self) -> fake_registry.Registry:
        manager = fake_registry.serve(self.tls)
        self.addCleanup(manager.__exit__, None, None, None)
        return manager.__enter__()

    def _shutdown(self) -> None:
        subprocess.run([*self._bazel(), "shutdown"], cwd=self.work, env=self.environ, capture_output=True, check=False)

    def _bazel(self) -> list[str]:
        java = ["-Xmx512m", f"-Djavax.net.ssl.trustStore={self.trust}", "-Djavax.net.ssl.trustStorePassword=changeit"]
        return ["bazel", "--nohome_rc", *[f"--host_jvm_args={option}" for option in java], f"--output_base={self.root}/output"]

    def _image(self, name: str, architecture: str) -> dict[str, object]:
        """Puts an image into the registry; its descriptor with the platform."""
        layout = self.root / name
        fake_registry.write_layout(layout, [b"layer of " + name.encode()])
        entry = json.loads((layout / "index.json").read_bytes())["manifests"][0]
        blobs = layout / "blobs/sha256"
        manifest = json.loads((blobs / entry["digest"].removeprefix("sha256:")).read_bytes())
        config = json.dumps({"os": "linux", "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
        self._blob(config)
        manifest["config"] |= {"digest": "sha256:" + hashlib.sha256(config).hexdigest(), "size": len(config)}
        # Bytes, not characters, count.
        manifest["annotations"] = {"title": "Grüße"}
        for layer in manifest["layers"]:
            self._blob((blobs / layer["digest"].removeprefix("sha256:")).read_bytes())
        data = json.dumps(manifest, ensure_ascii=False).encode()
        digest = self._manifest(manifest["mediaType"], data)
        platform = {"os": "linux", "architecture": architecture}
        return {"mediaType": manifest["mediaType"], "digest": digest, "size": len(data), "platform": platform}

    def _blob(self, data: bytes) -> None:
        self.server.blobs["team/base", "sha256:" + hashlib.sha256(data).hexdigest()] = data

    def _manifest(self, media_type: str, data: bytes, tag: str = "") -> str:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        for name in filter(None, (digest, tag)):
            self.server.manifests["team/base", name] = (media_type, data)
        return digest

    def _index(self, *architectures: str) -> str:
        """Puts an image index with tag v1 into the registry; its digest."""
        media_type = "application/vnd.oci.image.index.v1+json"
        entries = [self._image(f"{len(architectures)} {architecture}", architecture) for architecture in architectures]
        return self._manifest(media_type, json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).encode(), "v1")

    def _build(self, attributes: str, *, code: int = 0, **environ: str) -> str:
        """Builds an image on the base; what Bazel says."""
        (self.work / "MODULE.bazel").write_text(_MODULE % (_RULES_OCI, attributes))
        options = [
            "--enable_bzlmod",
            "--noenable_workspace",
            "--lockfile_mode=off",
            f"--repository_cache={self.root}/cache",
            "--disk_cache=",
        ]
        command = [*self._bazel(), "build", *options, "--color=no", "--noshow_progress", "//:image", "//:digest"]
        done = subprocess.run(command, cwd=self.work, env=self.environ | environ, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def _forget(self) -> None:
        """The next build fetches again; only the repository cache is there."""
        self._shutdown()
        subprocess.run(["chmod", "-R", "u+w", str(self.root / "output")], check=False)
        subprocess.run(["rm", "-rf", str(self.root / "output")], check=True)

    def _layers(self) -> list[str]:
        layout = self.work / "bazel-bin/image"
        entry = json.loads((layout / "index.json").read_bytes())["manifests"][0]
        manifest = json.loads((layout / "blobs" / entry["digest"].replace(":", "/")).read_bytes())
        self.assertEqual(manifest["annotations"], {"title": "Grüße"})
        return [(layout / "blobs" / layer["digest"].replace(":", "/")).read_text() for layer in manifest["layers"]]

    def _address(self) -> str:
        return f"https://{self.server.address}/team/base"

    @contextlib.contextmanager
    def _login(self) -> Iterator[None]:
        with fake_registry.login(self.server.address) as environ:
            self.environ["DOCKER_CONFIG"] = environ["DOCKER_CONFIG"]
            yield

    def test_an_index_by_digest_and_platform_then_all_from_the_cache(self) -> None:
        digest = self._index("amd64", "arm64")
        attributes = f'image = "{self._address()}", digest = "{digest}", platforms = ["linux/amd64", "linux/arm64"]'
        self._build(attributes)
        self.assertEqual(self._layers(), ["layer of 2 amd64"])
        self.assertEqual(next((self.root / "output/external").glob("*base/digest")).read_text(), f"{digest}\n")
        self.assertEqual(self.server.count(hashlib.sha256(b"layer of 2 arm64").hexdigest()), 0, "the other platform is not fetched")
        self._forget()
        self.server.requests.clear()
        # Whatever is asked for now is refused: nothing may be.
        self.server.auth = "token"
        self._build(attributes)
        self.assertEqual((self.server.requests, self.server.challenges, self.server.tokens), ([], 0, []))

    def test_a_token_is_got_when_something_is_missing(self) -> None:
        self.server.auth = "token"
        realm = f'Bearer realm=\\"https://{self.server.address}/token\\",service=\\"fake\\"'
        digest = str(self._image("amd", "amd64")["digest"])
        attributes = (
            f'image = "{self._address()}", digest = "{digest}", www_authenticate_challenges = {{"{self.server.address}": "{realm}"}}'
        )
        self.assertIn("gives no token", self._build(attributes, code=1))
        with self._login():
            self._build(attributes)
        self.assertEqual(self._layers(), ["layer of amd"])
        self.assertEqual({tuple(scopes) for scopes in self.server.tokens}, {("repository:team/base:pull",)})

    def test_basic_login_and_a_mirror_that_has_nothing(self) -> None:
        mirror = self._serve()
        self.server.auth = "basic"
        digest = str(self._image("amd", "amd64")["digest"])
        attributes = f'image = "{self._address()}", digest = "{digest}", registry_mirrors = ["{mirror.address}"]'
        self.assertIn(f"cannot get {digest} from {mirror.address} or {self.server.address}", self._build(attributes, code=1))
        with self._login():
            self._build(attributes)
        self.assertEqual(self._layers(), ["layer of amd"])
        self.assertGreater(mirror.count("GET"), 0)

    def test_a_credential_helper_is_asked(self) -> None:
        self.server.auth = "basic"
        helper = self.root / "bin/docker-credential-fake"
        helper.parent.mkdir()
        answer = json.dumps({"Username": fake_registry.USER, "Secret": fake_registry.PASSWORD})
        helper.write_text(f"#!/bin/sh\n[ \"$1 $(cat)\" = 'get {self.server.address}' ] && echo '{answer}'\n")
        helper.chmod(0o755)
        (self.root / ".docker").mkdir()
        (self.root / ".docker/config.json").write_text(json.dumps({"credHelpers": {self.server.address: "fake"}}))
        self.environ["PATH"] += f":{helper.parent}"
        digest = str(self._image("amd", "amd64")["digest"])
        self._build(f'image = "{self._address()}", digest = "{digest}"')
        self.assertEqual(self._layers(), ["layer of amd"])

    def test_a_mirror_that_has_all_is_enough(self) -> None:
        registry = self._serve()
        registry.auth = "token"
        digest = str(self._image("amd", "amd64")["digest"])
        self._build(f'image = "https://{registry.address}/team/base", digest = "{digest}", registry_mirrors = ["{self.server.address}"]')
        self.assertEqual(self._layers(), ["layer of amd"])
        self.assertEqual((registry.requests, registry.challenges), ([], 0))

    def test_what_is_pulled_by_a_tag_is_said_to_change(self) -> None:
        digest = self._index("amd64")
        attributes = f'image = "{self._address()}", tag = "v1", platforms = ["linux/amd64"]'
        self.assertIn(f'may become another image at any time; write digest = "{digest}"', self._build(attributes))
        self._forget()
        self.assertNotIn("may become another image", self._build(attributes + ", reproducible = False"))

    def test_what_cannot_be_pulled_is_said_in_a_line(self) -> None:
        arm = self._index("arm64")
        digest = self._index("amd64", "arm64")
        image = f'image = "{self._address()}"'
        for attributes, message in (
            (
                f'{image}, digest = "{digest}"',
                "has several platforms (linux/amd64, linux/arm64), so that the attribute platforms is needed",
            ),
            (f'{image}, digest = "{arm}", platforms = ["linux/amd64"]', "has no image for linux/amd64; it has linux/arm64"),
            (image, "expected a digest or a tag"),
            (f'digest = "{digest}"', "expected either image, or registry and repository"),
            (f'{image}, digest = "sha256:{"0" * 64}"', "cannot get sha256:000"),
            (f'{image}, digest = "md5:00"', "expected a digest like sha256:<64 hexadecimal digits>"),
            (f'{image}, digest = "{digest}", platforms = ["plan9/amd64"]', "expected one of the platforms linux/386"),
        ):
            with self.subTest(message=message):
                self.assertIn(message, self._build(attributes, code=1))


if __name__ == "__main__":
    unittest.main()
