"""Tests of oci_pull: Bazel itself pulls from a registry on loopback.

From the module's folder, where bazel may be called:

    python3 -m tests.pull.pull_test

No test of Bazel's, since it runs Bazel; with caches and an output base of its own.
"""

import base64
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

from tests.ocilib import fake_proxy, fake_registry
from tests.ocilib.fake_registry import Handler

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
# As in the other repositories of a workspace: the rulesets that it names come from Bazel, or from its command line.
_WORKSPACE = """\
local_repository(name = "rules_oci", path = "%s")
register_toolchains("@rules_oci//tests:python_toolchain")
load("@rules_oci//oci:pull.bzl", "oci_pull")
oci_pull(name = "base", %s)
"""
_BUILD = """\
load("@rules_oci//oci:defs.bzl", "oci_image")
oci_image(name = "image", base = "@base", entrypoint = ["/hello"])
filegroup(name = "digest", srcs = ["@base//:digest"])
"""


class PullTest(unittest.TestCase):
    shared: pathlib.Path
    work: pathlib.Path
    tls: ssl.SSLContext
    certificate: str
    trust: str

    @classmethod
    def setUpClass(cls) -> None:
        # One Bazel for all: its server takes seconds to start. Tests have an image by another address each, and a cache of their own.
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.shared = pathlib.Path(folder.name)
        cls.addClassCleanup(subprocess.run, ["chmod", "-R", "u+w", folder.name], check=False)
        cls.work = cls.shared / "work"
        cls.work.mkdir()
        (cls.work / "BUILD.bazel").write_text(_BUILD)
        # Bazel takes nothing over http whose sha256 it does not know: no token, and no manifest by its tag.
        cls.tls = cls._certificate()
        cls.addClassCleanup(cls._shutdown)

    @classmethod
    def _certificate(cls) -> ssl.SSLContext:
        """For 127.0.0.1 and registry.example; cls.certificate is the file, cls.trust a key store of Java with it."""
        cls.certificate, key, cls.trust = (str(cls.shared / name) for name in ("certificate.pem", "key.pem", "trust.jks"))
        name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:registry.example"]
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", cls.certificate, *name]
        subprocess.run(command, capture_output=True, check=True)
        command = ["keytool", "-importcert", "-noprompt", "-storepass", "changeit", "-file", cls.certificate, "-keystore", cls.trust]
        subprocess.run(command, capture_output=True, check=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cls.certificate, key)
        return context

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.server = self._serve()
        self.environ = {"HOME": str(self.root), "PATH": os.environ["PATH"]}

    def _serve(self) -> fake_registry.Registry:
        manager = fake_registry.serve(self.tls)
        self.addCleanup(manager.__exit__, None, None, None)
        return manager.__enter__()

    @classmethod
    def _shutdown(cls) -> None:
        environ = {"HOME": str(cls.shared), "PATH": os.environ["PATH"]}
        subprocess.run([*cls._bazel(), "shutdown"], cwd=cls.work, env=environ, capture_output=True, check=False)

    @classmethod
    def _bazel(cls) -> list[str]:
        java = ["-Xmx512m", f"-Djavax.net.ssl.trustStore={cls.trust}", "-Djavax.net.ssl.trustStorePassword=changeit"]
        folders = [f"--output_user_root={cls.shared}/user", f"--output_base={cls.shared}/output"]
        return ["bazel", "--nohome_rc", *[f"--host_jvm_args={option}" for option in java], *folders]

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

    def _build(self, attributes: str, *, code: int = 0, workspace: bool = False, **environ: str) -> str:
        """Builds an image on the base, which MODULE.bazel or WORKSPACE declares; what Bazel says."""
        (self.work / "MODULE.bazel").write_text(_MODULE % (_RULES_OCI, attributes))
        (self.work / "WORKSPACE").write_text(_WORKSPACE % (_RULES_OCI, attributes))
        options = [
            *(("--noenable_bzlmod", "--enable_workspace") if workspace else ("--enable_bzlmod", "--noenable_workspace")),
            "--lockfile_mode=off",
            # As many as tests need: attempts take twice as long each.
            "--http_connector_attempts=3",
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
        subprocess.run(["chmod", "-R", "u+w", str(self.shared / "output")], check=False)
        subprocess.run(["rm", "-rf", str(self.shared / "output")], check=True)

    def _layers(self) -> list[str]:
        layout = self.work / "bazel-bin/image"
        entry = json.loads((layout / "index.json").read_bytes())["manifests"][0]
        manifest = json.loads((layout / "blobs" / entry["digest"].replace(":", "/")).read_bytes())
        self.assertEqual(manifest["annotations"], {"title": "Grüße"})
        return [(layout / "blobs" / layer["digest"].replace(":", "/")).read_text() for layer in manifest["layers"]]

    def _address(self) -> str:
        return f"https://{self.server.address}/team/base"

    def _challenge(self) -> str:
        """The attribute that says where the registry's tokens come from."""
        realm = f'Bearer realm=\\"https://{self.server.address}/token\\",service=\\"fake\\"'
        return f'www_authenticate_challenges = {{"{self.server.address}": "{realm}"}}'

    @contextlib.contextmanager
    def _login(self, **fields: str) -> Iterator[None]:
        with fake_registry.login(self.server.address, **fields) as environ:
            self.environ["DOCKER_CONFIG"] = environ["DOCKER_CONFIG"]
            yield

    def test_an_index_by_digest_and_platform_then_all_from_the_cache(self) -> None:
        digest = self._index("amd64", "arm64")
        attributes = f'image = "{self._address()}", digest = "{digest}", platforms = ["linux/amd64", "linux/arm64"]'
        self._build(attributes)
        self.assertEqual(self._layers(), ["layer of 2 amd64"])
        self.assertEqual(next((self.shared / "output/external").glob("*base/digest")).read_text(), f"{digest}\n")
        self.assertEqual(self.server.count(hashlib.sha256(b"layer of 2 arm64").hexdigest()), 0, "the other platform is not fetched")
        self._forget()
        self.server.requests.clear()
        # Whatever is asked for now is refused: nothing may be.
        self.server.auth = "token"
        self._build(attributes)
        self.assertEqual((self.server.requests, self.server.challenges, self.server.tokens), ([], 0, []))

    def test_a_token_is_got_when_something_is_missing(self) -> None:
        self.server.auth = "token"
        digest = str(self._image("amd", "amd64")["digest"])
        attributes = f'image = "{self._address()}", digest = "{digest}", {self._challenge()}'
        self.assertIn("gives no token without a login", self._build(attributes, code=1))
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

    def test_a_refresh_token_is_exchanged(self) -> None:
        self.server.auth = "token"
        digest = str(self._image("amd", "amd64")["digest"])
        attributes = f'image = "{self._address()}", digest = "{digest}", {self._challenge()}'
        with self._login(identitytoken="guessed"):
            said = self._build(attributes, code=1, SSL_CERT_FILE=self.certificate)
            self.assertIn(f"/token takes no login from {self.environ['DOCKER_CONFIG']}/config.json for {self.server.address}", said)
            self.assertNotIn("guessed", said)
        with self._login(identitytoken="refresh-me"):
            self._build(attributes, SSL_CERT_FILE=self.certificate)
        self.assertEqual(self._layers(), ["layer of amd"])
        self.assertEqual({tuple(scopes) for scopes in self.server.tokens}, {("repository:team/base:pull",)})

    def test_a_refresh_token_of_a_helper_is_exchanged_and_a_registry_token_sent(self) -> None:
        self.server.auth = "token"
        helper = self.root / "bin/docker-credential-fake"
        helper.parent.mkdir()
        helper.write_text("""#!/bin/sh\necho '{"Username": "<token>", "Secret": "refresh-me"}'\n""")
        helper.chmod(0o755)
        (self.root / ".docker").mkdir()
        (self.root / ".docker/config.json").write_text(json.dumps({"credHelpers": {self.server.address: "fake"}}))
        self.environ["PATH"] += f":{helper.parent}"
        digest = str(self._image("amd", "amd64")["digest"])
        attributes = f'image = "{self._address()}", digest = "{digest}", {self._challenge()}'
        self._build(attributes, SSL_CERT_FILE=self.certificate)
        self.assertEqual(self._layers(), ["layer of amd"])
        # One for the digest, which is a repository of its own.
        self.assertEqual(len(self.server.tokens), 2)
        other = str(self._image("arm", "arm64")["digest"])
        with self._login(registrytoken="fresh-0"):
            self._build(f'image = "{self._address()}", digest = "{other}"')
        self.assertEqual(len(self.server.tokens), 2)

    def test_a_login_may_be_filed_under_the_path(self) -> None:
        self.server.auth = "basic"
        digest = str(self._image("amd", "amd64")["digest"])
        wrong, right = (base64.b64encode(f"{fake_registry.USER}:{word}".encode()).decode() for word in ("wrong", fake_registry.PASSWORD))
        auths = {self.server.address: {"auth": wrong}, f"{self.server.address}/team": {"auth": right}}
        (self.root / ".docker").mkdir()
        (self.root / ".docker/config.json").write_text(json.dumps({"auths": auths}))
        self._build(f'image = "{self._address()}", digest = "{digest}"')
        self.assertEqual(self._layers(), ["layer of amd"])

    def test_a_workspace_file_pulls_the_same(self) -> None:
        digest = self._index("amd64", "arm64")
        attributes = f'image = "{self._address()}", digest = "{digest}", platforms = ["linux/amd64", "linux/arm64"]'
        self._build(attributes, workspace=True)
        self.assertEqual(self._layers(), ["layer of 2 amd64"])
        first = (self.work / "bazel-bin/image/index.json").read_bytes()
        self._build(attributes)
        self.assertEqual((self.work / "bazel-bin/image/index.json").read_bytes(), first)

    def test_a_proxy_is_used_for_images_and_tokens(self) -> None:
        self.server.auth = "token"
        manager = fake_proxy.serve(self.server.address)
        self.addCleanup(manager.__exit__, None, None, None)
        proxy = manager.__enter__()
        digest = str(self._image("amd", "amd64")["digest"])
        challenge = self._challenge().replace(self.server.address, "registry.example")
        attributes = f'image = "registry.example/team/base", digest = "{digest}", {challenge}'
        address = f"http://127.0.0.1:{proxy.port}"
        with fake_registry.login("registry.example", identitytoken="refresh-me") as login:
            self._build(attributes, HTTPS_PROXY=address, SSL_CERT_FILE=self.certificate, DOCKER_CONFIG=login["DOCKER_CONFIG"])
        self.assertEqual(self._layers(), ["layer of amd"])
        self.assertEqual(set(proxy.asked), {"CONNECT registry.example:443"})

    def test_what_is_excepted_from_the_proxy_is_reached_without_it(self) -> None:
        digest = str(self._image("amd", "amd64")["digest"])
        self._build(f'image = "{self._address()}", digest = "{digest}"', HTTPS_PROXY="http://127.0.0.1:1", NO_PROXY="127.0.0.1")
        self.assertEqual(self._layers(), ["layer of amd"])

    def test_the_environment_names_mirrors(self) -> None:
        """By their own paths; plain http will do on loopback, since everything has its digest."""
        manager = fake_registry.serve()
        self.addCleanup(manager.__exit__, None, None, None)
        mirror = manager.__enter__()
        digest = str(self._image("amd", "amd64")["digest"])
        mirror.blobs = {(f"proxied/{name}", blob): data for (name, blob), data in self.server.blobs.items()}
        mirror.manifests = {(f"proxied/{name}", tag): data for (name, tag), data in self.server.manifests.items()}
        attributes = f'image = "registry.example/team/base", digest = "{digest}"'
        self._build(attributes, OCI_MIRRORS=f"other.example={self.server.address} registry.example={mirror.address}/proxied")
        self.assertEqual(self._layers(), ["layer of amd"])
        self.assertIn(f"GET /v2/proxied/team/base/manifests/{digest}", mirror.requests)
        for words, message in (
            ("registry.example", "expected words like registry.example=mirror.example/path, found"),
            ("registry.example=ftp://mirror.example", "expected words like registry.example=mirror.example/path, found"),
            ("registry.example=http://mirror.example", "plain http would show credentials to the network"),
        ):
            self.assertIn(message, self._build(attributes, code=1, OCI_MIRRORS=words))

    def test_a_registry_that_is_busy_stumbles_or_dies_is_asked_again(self) -> None:
        digest = str(self._image("amd", "amd64")["digest"])
        seen: dict[str, int] = {}

        def hook(handler: Handler) -> bool:
            seen[handler.path] = seen.get(handler.path, 0) + 1
            if seen[handler.path] == 1:
                handler.refuse(429, "TOOMANYREQUESTS", "slow down")
            elif seen[handler.path] == 2:
                handler.refuse(500)
            elif seen[handler.path] == 3 and "/blobs/" in handler.path:
                # The connection breaks in the middle.
                handler.send_response(200)
                handler.send_header("Content-Length", "1000")
                handler.end_headers()
                handler.wfile.write(b"layer")
                handler.close_connection = True
            else:
                return False
            return True

        self.server.hook = hook
        self._build(f'image = "{self._address()}", digest = "{digest}"')
        self.assertEqual(self._layers(), ["layer of amd"])

    def test_a_registry_that_refuses_or_gives_other_bytes_is_not_believed(self) -> None:
        digest = str(self._image("amd", "amd64")["digest"])
        layer = "sha256:" + hashlib.sha256(b"layer of amd").hexdigest()
        attributes = f'image = "{self._address()}", digest = "{digest}"'
        for pattern, wanted in (("/manifests/", digest), ("/blobs/", layer)):

            def lie(handler: Handler, pattern: str = pattern, wanted: str = wanted) -> bool:
                if handler.path.endswith(f"{pattern}{wanted}"):
                    handler.answer(200, {"Docker-Content-Digest": wanted}, b"LAYER OF AMD")
                    return True
                return False

            self.server.hook = lie
            said = self._build(attributes, code=1)
            self.assertIn(f"Checksum was {hashlib.sha256(b'LAYER OF AMD').hexdigest()} but wanted {wanted[7:]}", said)
            self.assertIn(f"cannot get {wanted} from {self.server.address}", said)

        def refuse(handler: Handler) -> bool:
            handler.refuse(403, "DENIED")
            return True

        self.server.hook = refuse
        other = str(self._image("arm", "arm64")["digest"])
        said = self._build(f'image = "{self._address()}", digest = "{other}"', code=1)
        self.assertIn("403", said)
        self.assertIn(f"cannot get {other} from {self.server.address}", said)

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
