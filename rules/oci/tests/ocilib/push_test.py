"""Tests of ocilib.push and ocilib.registry against a registry that misbehaves."""

import os
import pathlib
import random
import re
import shutil
import ssl
import subprocess
import tempfile
import time
import unittest
import unittest.mock
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from ocilib import push, registry
from ocilib.credentials import Keychain
from ocilib.errors import Error
from tests.ocilib import fake_proxy, fake_registry
from tests.ocilib.fake_registry import Handler

Value = TypeVar("Value")


class PushTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.server = self._enter(fake_registry.serve())
        self.environ = {"HOME": str(self.root)}
        self.sleeps: list[float] = []
        self.log: list[str] = []
        self.moved = 0

    def _enter(self, manager: AbstractContextManager[Value]) -> Value:
        value = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        return value

    def _client(self) -> registry.Client:
        where = registry.parse_repository(f"{self.server.address}/a")
        client = registry.Client(where, keychain=Keychain(self.environ), log=self.log.append, sleep=self.sleeps.append)
        self.addCleanup(client.close)
        return client

    def _moved(self, count: int) -> None:
        self.moved += count

    def _image(self, name: str = "image", sizes: tuple[int, ...] = (3_000_000, 10, 0, 1)) -> push.Artifact:
        fake_registry.write_layout(self.root / name, [random.Random(size).randbytes(size) for size in sizes])
        return push.read(str(self.root / name))

    def _push(self, artifact: push.Artifact, tags: list[str], repository: str = "team/app") -> push.Result:
        return push.Pusher(self._client(), self._moved).push(artifact, repository, tags)

    def _complete(self, artifact: push.Artifact, tags: list[str], repository: str = "team/app") -> None:
        for tag in (*tags, artifact.digest):
            self.assertEqual(self.server.manifests[repository, tag][1], artifact.manifests[-1].data)
        for blob in artifact.blobs:
            self.assertEqual(self.server.blobs[repository, blob.digest], pathlib.Path(blob.path).read_bytes())
        self.assertEqual(self.moved, sum(blob.size for blob in artifact.blobs), "the bar ends at its end")

    def _fails(self, message: str, artifact: push.Artifact | None = None) -> None:
        artifact = artifact or self._image()
        with self.assertRaisesRegex(Error, message) as raised:
            self._push(artifact, ["v1"])
        self.assertNotIn("\n", str(raised.exception))
        self.assertNotIn(fake_registry.PASSWORD, str(raised.exception) + "".join(self.log))
        self.assertNotIn(("team/app", "v1"), self.server.manifests)

    def test_an_image_arrives_with_its_bytes_and_its_tags(self) -> None:
        artifact = self._image()
        result = self._push(artifact, ["v1", "latest"])
        self._complete(artifact, ["v1", "latest"])
        self.assertEqual((result.uploaded, result.mounted, result.present, result.unchanged), (5, 0, 0, False))
        self.assertEqual(result.sent, sum(blob.size for blob in artifact.blobs))
        tagged = [self.server.requests.index(f"PUT /v2/team/app/manifests/{tag}") for tag in ("v1", "latest")]
        last_blob = max(index for index, request in enumerate(self.server.requests) if "/blobs/" in request)
        self.assertLess(last_blob, min(tagged), "tags come last")

    def test_an_unchanged_image_costs_one_head_for_each_tag(self) -> None:
        artifact = self._image()
        self._push(artifact, ["v1"])
        self.server.requests.clear()
        self.assertTrue(self._push(artifact, ["v1"]).unchanged)
        self.assertEqual(self.server.requests, ["HEAD /v2/team/app/manifests/v1"])

    def test_without_a_tag_the_digest_is_pushed(self) -> None:
        artifact = self._image()
        self._push(artifact, [])
        self._complete(artifact, [])
        self.assertEqual(len(self.server.manifests), 1)
        self.assertTrue(self._push(artifact, []).unchanged)

    def test_only_what_is_missing_is_sent(self) -> None:
        self._push(self._image(), ["v1"])
        self.server.requests.clear()
        changed = self._image("changed", (3_000_000, 10, 77))
        result = self._push(changed, ["v1"])
        self.assertEqual((result.uploaded, result.present, result.sent < 1000), (2, 2, True))
        self.assertEqual(self.server.count("PATCH"), 2)

    def test_what_another_repository_of_the_process_has_is_mounted(self) -> None:
        artifact = self._image()
        pusher = push.Pusher(self._client())
        pusher.push(artifact, "team/app", ["v1"])
        result = pusher.push(artifact, "team/other", ["v1"])
        self.assertEqual((result.uploaded, result.mounted), (0, 5))
        self.assertEqual(self.server.manifests["team/other", "v1"][1], artifact.manifests[-1].data)

    def test_a_registry_that_does_not_mount_gets_an_upload(self) -> None:
        artifact = self._image()
        self.server.mounts = False
        pusher = push.Pusher(self._client())
        pusher.push(artifact, "team/app", ["v1"])
        result = pusher.push(artifact, "team/other", ["v1"])
        self.assertEqual((result.uploaded, result.mounted), (5, 0))

    def test_an_index_arrives_with_its_images(self) -> None:
        self._image("one", (100, 200))
        self._image("two", (100, 300))
        fake_registry.write_index(self.root / "index", [self.root / "one", self.root / "two"])
        artifact = push.read(str(self.root / "index"))
        self.assertEqual((len(artifact.manifests), len(artifact.blobs)), (3, 5))
        self._push(artifact, ["v1"])
        self._complete(artifact, ["v1"])
        self.assertEqual(len(self.server.manifests), 4)

    def test_layers_that_are_not_to_be_distributed_stay_here(self) -> None:
        path = self.root / "foreign"
        fake_registry.write_layout(path, [b"layer"], layer_type="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
        self.assertEqual(len(push.read(str(path)).blobs), 1)
        self.assertEqual(len(push.read(str(path), foreign=True).blobs), 2)
        self.server.strict = False
        self._push(push.read(str(path)), ["v1"])
        self.assertEqual(len(self.server.blobs), 1)

    def test_a_broken_upload_goes_on_where_it_broke(self) -> None:
        artifact = self._image()
        self.server.die_after = [1_000_000, 500_000]
        self._push(artifact, ["v1"])
        self._complete(artifact, ["v1"])
        ranges = [request for request in self.server.requests if request.startswith("GET") and "uploads" in request]
        self.assertEqual(len(ranges), 2)
        self.assertEqual(self.server.count("POST"), 5, "no upload was started twice")

    def test_a_long_upload_may_break_often_if_it_gets_on(self) -> None:
        artifact = self._image(sizes=(3_000_000,))
        self.server.die_after = [100_000] * 20
        self._push(artifact, ["v1"])
        self._complete(artifact, ["v1"])

    def test_an_upload_that_cannot_go_on_starts_again(self) -> None:
        artifact = self._image(sizes=(3_000_000,))
        self.server.die_after = [1_000_000]
        self.server.resumes = False
        self._push(artifact, ["v1"])
        self._complete(artifact, ["v1"])
        self.assertEqual(self.server.count("POST"), 3)

    def test_a_registry_that_always_dies_is_given_up(self) -> None:
        self.server.die_after = [0] * 1000
        self._fails("after 6 attempts")
        self.assertEqual(self.server.incomplete, [])

    def test_a_registry_that_is_busy_or_stumbles_is_asked_again(self) -> None:
        artifact = self._image()
        seen: dict[str, int] = {}

        def hook(handler: Handler) -> bool:
            key = f"{handler.command} {re.sub('upload-.*|[?].*', '', handler.path)}"
            seen[key] = seen.get(key, 0) + 1
            if seen[key] == 1:
                handler.refuse(429, "TOOMANYREQUESTS", "slow down", {"Retry-After": "7"})
            elif seen[key] == 2:
                handler.refuse(500)
            return seen[key] <= 2

        self.server.hook = hook
        self._push(artifact, ["v1"])
        self._complete(artifact, ["v1"])
        self.assertIn(7.0, self.sleeps)
        self.assertTrue(any(0.4 <= delay <= 1.3 for delay in self.sleeps))

    def test_delays_grow_and_end(self) -> None:
        self.server.hook = self._refusing(503, "HEAD")
        self._fails("HEAD /v2/team/app/manifests/v1: 503 .*after 6 attempts")
        self.assertEqual(len(self.sleeps), 5)
        self.assertEqual(sorted(self.sleeps), self.sleeps)

    def test_retry_after_may_be_a_date(self) -> None:
        for value, expected in (("3", 3.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None), ("", None)):
            response = registry.Response(429, {"retry-after": value}, b"")
            self.assertEqual(registry._retry_after(response), expected)
        later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
        self.assertAlmostEqual(registry._retry_after(registry.Response(429, {"retry-after": later}, b"")) or 0, 100, delta=5)

    def _refusing(self, status: int, pattern: str, code: str = "", message: str = "") -> Callable[[Handler], bool]:
        def hook(handler: Handler) -> bool:
            if not re.search(pattern, f"{handler.command} {handler.path}"):
                return False
            handler.refuse(status, code, message)
            return True

        return hook

    def test_each_refusal_has_its_own_line(self) -> None:
        artifact = self._image()
        for status, pattern, message in (
            (400, "PUT .*uploads", "uploading the blob sha256:.* got other bytes than that digest is of: CODE why; is .* damaged"),
            (400, "PUT .*manifests", "storing the manifest .*400, it takes the request for wrong: CODE why"),
            (403, "POST", "403, it forbids that; may this login push there.*: CODE why"),
            (404, "POST", "404, it has nothing by that name; a registry that makes no repositories.* made first"),
            (405, "POST", "405, it does not take pushes; is it read-only"),
            (413, "PATCH", "413, too large; it, or a proxy before it, has a limit"),
            (415, "PUT .*manifests/sha256", "415, it does not take this kind of manifest"),
            (418, "POST", "418, expected 202"),
            (507, "PATCH", "507, it has no space left"),
        ):
            with self.subTest(status=status, pattern=pattern):
                self.server.blobs.clear()
                self.server.manifests.clear()
                self.server.hook = self._refusing(status, pattern, "CODE", "why")
                self._fails(f"^{self.server.address}: .*{message}", artifact)
        self.assertEqual(self.server.incomplete, [])

    def test_what_a_registry_says_is_one_line(self) -> None:
        self.server.hook = self._refusing(403, "POST", "DENIED", "a\nb\r\n\tc" + "x" * 1000)
        self._fails("DENIED a b cxxx")

    def test_no_tag_is_put_when_a_blob_does_not_arrive(self) -> None:
        # A registry that does not check: completeness is the client's.
        self.server.strict = False
        artifact = self._image()
        last = min(artifact.blobs, key=lambda blob: blob.size).digest
        self.server.hook = self._refusing(500, f"(HEAD|GET) .*{last}")
        self._fails("after 6 attempts", artifact)
        self.assertEqual(self.server.manifests, {})

    def test_a_registry_that_names_another_digest_is_not_believed(self) -> None:
        for pattern in ("PUT .*uploads", "PUT .*manifests/sha256", "GET .*manifests"):
            with self.subTest(pattern=pattern):
                self.server.blobs.clear()
                self.server.manifests.clear()
                self.server.digests = lambda request, digest, pattern=pattern: (  # type: ignore[misc]
                    "sha256:" + "0" * 64 if re.search(pattern, request) else digest
                )
                with self.assertRaisesRegex(registry.RegistryError, "it says that the digest is sha256:0+, expected sha256:"):
                    self._push(self._image(pattern[:1] + str(len(pattern))), ["v1"])
                if "GET" not in pattern:
                    self.assertNotIn(("team/app", "v1"), self.server.manifests)

    def test_a_manifest_that_the_registry_changes_is_an_error(self) -> None:
        artifact = self._image()

        def hook(handler: Handler) -> bool:
            if handler.command == "GET" and handler.path.endswith("/manifests/v1"):
                handler.answer(200, {}, artifact.manifests[-1].data + b" ")
                return True
            return False

        self.server.hook = hook
        with self.assertRaisesRegex(registry.RegistryError, "serves sha256:.* as team/app:v1, expected .*it has changed the manifest"):
            self._push(artifact, ["v1"])

    def test_a_blob_of_another_size_is_an_error(self) -> None:
        artifact = self._image()
        blob = artifact.blobs[0]
        self.server.blobs["team/app", blob.digest] = b"other"
        self._fails(f"says that the blob {blob.digest} of team/app has 5 bytes; it has {blob.size}", artifact)

    def test_a_registry_without_digest_headers_is_asked_for_the_manifest(self) -> None:
        artifact = self._image()

        self.server.digests = lambda *_: None
        self._push(artifact, ["v1"])
        self._complete(artifact, ["v1"])
        self.assertTrue(self._push(artifact, ["v1"]).unchanged)

    def test_basic_authentication(self) -> None:
        self.server.auth = "basic"
        self.environ = self._enter(fake_registry.login(self.server.address))
        artifact = self._image()
        self._push(artifact, ["v1"])
        self._complete(artifact, ["v1"])
        self.assertEqual(self.server.challenges, 1)
        self.server.requests.clear()
        self.assertTrue(self._push(artifact, ["v1"]).unchanged)
        self.assertEqual(self.server.requests, ["HEAD /v2/team/app/manifests/v1"])

    def test_token_authentication(self) -> None:
        self.server.auth = "token"
        self.environ = self._enter(fake_registry.login(self.server.address))
        artifact = self._image()
        self._push(artifact, ["v1"])
        self._complete(artifact, ["v1"])
        self.assertEqual(self.server.tokens, [["repository:team/app:pull,push"]], "one token does for all")

    def test_a_refresh_token_is_exchanged(self) -> None:
        self.server.auth = "token"
        self.environ = self._enter(fake_registry.login(self.server.address, identitytoken="refresh-me"))
        artifact = self._image()
        self._push(artifact, ["v1"])
        self._complete(artifact, ["v1"])

    def test_a_registry_token_is_sent_as_it_is(self) -> None:
        self.server.auth = "token"
        self.environ = self._enter(fake_registry.login(self.server.address, registrytoken="fresh-0"))
        artifact = self._image()
        self._push(artifact, ["v1"])
        self._complete(artifact, ["v1"])
        self.assertEqual(self.server.tokens, [])

    def test_an_expired_token_is_renewed_in_the_middle(self) -> None:
        self.server.auth = "token"
        self.environ = self._enter(fake_registry.login(self.server.address))
        artifact = self._image()
        expired: list[str] = []

        def hook(handler: Handler) -> bool:
            if handler.command == "PATCH" and not expired:
                expired.append(handler.headers["Authorization"])
            if handler.headers["Authorization"] in expired:
                handler._challenge()
                return True
            return False

        self.server.hook = hook
        self._push(artifact, ["v1"])
        self._complete(artifact, ["v1"])
        self.assertEqual(len(self.server.tokens), 2)

    def test_mounts_ask_for_the_right_to_read_their_source(self) -> None:
        self.server.auth = "token"
        self.environ = self._enter(fake_registry.login(self.server.address))
        pusher = push.Pusher(self._client())
        artifact = self._image(sizes=(10,))
        pusher.push(artifact, "team/app", ["v1"])
        self.assertEqual(pusher.push(artifact, "team/other", ["v1"]).mounted, 2)
        self.assertIn(["repository:team/other:pull,push", "repository:team/app:pull"], self.server.tokens)

    def test_wrong_credentials_name_their_store_and_not_the_secret(self) -> None:
        for auth in ("basic", "token"):
            self.server.auth = auth
            with fake_registry.login(self.server.address, "wrong secret") as environ:
                self.environ = environ
                self._fails(f"does not take the credentials of user alice from {environ['DOCKER_CONFIG']}/config.json", self._image(auth))
                self.assertNotIn("wrong secret", "".join(self.log))

    def test_no_credentials_say_where_was_looked(self) -> None:
        for auth in ("basic", "token"):
            self.server.auth = auth
            self._fails(
                f"there are no credentials for {self.server.address}; looked in {self.root}/.docker/config.json .not there., "
                f"{self.root}/.config/containers/auth.json .not there.; log in with docker login",
                self._image(auth),
            )

    def test_a_secret_that_the_registry_echoes_is_not_printed(self) -> None:
        self.server.auth = "basic"
        self.environ = self._enter(fake_registry.login(self.server.address))
        self.server.hook = self._refusing(403, "POST", "DENIED", f"the password {fake_registry.PASSWORD} is old")
        self._fails("DENIED the password \\*\\*\\* is old")

    def test_a_realm_without_https_gets_no_credentials(self) -> None:
        self.environ = self._enter(fake_registry.login(self.server.address))

        def hook(handler: Handler) -> bool:
            handler.refuse(401, headers={"WWW-Authenticate": 'Bearer realm="http://tokens.example/token",service="x"'})
            return True

        self.server.hook = hook
        self._fails("wants a token from 'http://tokens.example/token': expected an https address; no credentials are sent there")

    def test_logins_of_other_kinds_are_named(self) -> None:
        headers = {"WWW-Authenticate": "Negotiate"}

        def hook(handler: Handler) -> bool:
            handler.refuse(401, headers=headers)
            return True

        self.server.hook = hook
        self._fails("offers negotiate to do it; Basic and Bearer are supported")
        headers.clear()
        self._fails("offers no way to do it", self._image("second"))

    def test_redirects_are_followed_without_credentials_to_others(self) -> None:
        self.server.auth = "basic"
        self.environ = self._enter(fake_registry.login(self.server.address))
        other = self._enter(fake_registry.serve())
        seen: list[str | None] = []
        artifact = self._image()

        def elsewhere(handler: Handler) -> bool:
            seen.append(handler.headers.get("Authorization"))
            handler.answer(200, {"Content-Length": "10"})
            return True

        other.hook = elsewhere
        ten = next(blob.digest for blob in artifact.blobs if blob.size == 10)

        def hook(handler: Handler) -> bool:
            if handler.command == "HEAD" and handler.path.endswith(ten):
                handler.answer(307, {"Location": f"http://{other.address}/storage?signed=1"})
                return True
            return False

        self.server.hook = hook
        self.server.strict = False
        result = self._push(artifact, ["v1"])
        self.assertEqual((result.present, seen), (1, [None]))

    def test_a_damaged_layout_is_found_before_anything_is_sent(self) -> None:
        artifact = self._image()
        path = pathlib.Path(artifact.blobs[1].path)
        os.chmod(path, 0o644)
        path.write_bytes(path.read_bytes()[:-1])
        with self.assertRaisesRegex(Error, f"{path}: expected 3000000 bytes, found 2999999"):
            push.read(str(self.root / "image"))
        path.unlink()
        with self.assertRaisesRegex(Error, f"{path} is missing: the layout is incomplete"):
            push.read(str(self.root / "image"))
        with self.assertRaisesRegex(Error, "index.json is missing: is it the folder of an OCI layout"):
            push.read(str(self.root))

    def test_a_layer_whose_bytes_are_damaged_is_refused_by_the_registry(self) -> None:
        artifact = self._image()
        pathlib.Path(artifact.blobs[1].path).write_bytes(bytes(3_000_000))
        self._fails("got other bytes than that digest is of: DIGEST_INVALID", artifact)

    def test_a_registry_that_is_not_there_is_one_line(self) -> None:
        where = registry.parse_repository("127.0.0.1:1/a")
        client = registry.Client(where, keychain=Keychain(self.environ), sleep=self.sleeps.append)
        with self.assertRaisesRegex(registry.RegistryError, "127.0.0.1:1: cannot connect: Connection refused .after 6 attempts"):
            client.head_manifest("a", "b")

    def _serve_tls(self, name: str) -> tuple[fake_registry.Registry, str]:
        """A registry over TLS, and the file of its certificate for NAME."""
        certificate, key = (str(self.root / name) for name in ("certificate.pem", "key.pem"))
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", certificate]
        subprocess.run([*command, "-subj", "/CN=here", "-addext", f"subjectAltName={name}"], capture_output=True, check=True)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        return self._enter(fake_registry.serve(tls)), certificate

    @unittest.skipUnless(shutil.which("openssl"), "no openssl to make a certificate with")
    def test_a_proxy_is_used_with_its_login(self) -> None:
        server, certificate = self._serve_tls("DNS:registry.example")
        proxy = self._enter(fake_proxy.serve(server.address, "carol:through"))
        artifact = self._image()

        def client(login: str) -> registry.Client:
            environ = {"SSL_CERT_FILE": certificate, "HTTPS_PROXY": f"http://{login}@127.0.0.1:{proxy.port}", "NO_PROXY": "other.example"}
            self._enter(unittest.mock.patch.dict(os.environ, environ))
            where = registry.parse_repository("registry.example/a")
            made = registry.Client(where, keychain=Keychain(self.environ), sleep=self.sleeps.append)
            self.addCleanup(made.close)
            return made

        push.Pusher(client("carol:through")).push(artifact, "team/app", ["v1"])
        self.assertIn(("team/app", "v1"), server.manifests)
        self.assertEqual(set(proxy.asked), {"CONNECT registry.example:443"})
        with self.assertRaisesRegex(registry.RegistryError, "cannot connect through the proxy 127.0.0.1: .*407") as raised:
            push.Pusher(client("carol:guessed")).push(artifact, "team/app", ["v2"])
        self.assertNotIn("guessed", str(raised.exception))

    @unittest.skipUnless(shutil.which("openssl"), "no openssl to make a certificate with")
    def test_certificates_are_verified(self) -> None:
        server, certificate = self._serve_tls("IP:127.0.0.1")
        artifact = self._image()

        def client() -> registry.Client:
            made = registry.Client(registry.parse_repository(f"https://{server.address}/a"), keychain=Keychain(self.environ))
            self.addCleanup(made.close)
            return made

        with self.assertRaisesRegex(
            registry.RegistryError, "the certificate cannot be verified: self.signed certificate; .* SSL_CERT_FILE"
        ):
            push.Pusher(client()).push(artifact, "team/app", ["v1"])
        with unittest.mock.patch.dict(os.environ, {"SSL_CERT_FILE": certificate}):
            push.Pusher(client()).push(artifact, "team/app", ["v1"])
        self.assertIn(("team/app", "v1"), server.manifests)

    def test_memory_does_not_grow_with_a_blob(self) -> None:
        import tracemalloc

        def hook(handler: Handler) -> bool:
            # Reads it, and keeps nothing.
            if handler.command == "PATCH":
                while handler.left:
                    handler.read(1 << 16)
                handler.answer(202, {"Location": handler.path})
            elif handler.command == "PUT":
                handler.answer(201, {})
            else:
                return False
            return True

        self.server.hook = hook
        path = self.root / "large"
        with open(path, "wb") as file:
            file.truncate(200_000_000)
        tracemalloc.start()
        self._client().upload_blob("team/app", "sha256:" + "0" * 64, str(path), 200_000_000, self._moved)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        self.assertLess(peak, 10_000_000)
        self.assertEqual(self.moved, 200_000_000)


class NamesTest(unittest.TestCase):
    def test_repositories(self) -> None:
        for text, expected in (
            ("registry.example/team/app", ("registry.example", "team/app", "")),
            ("registry.example:5000/a", ("registry.example:5000", "a", "")),
            ("localhost/a", ("localhost", "a", "")),
            ("[::1]:5000/a", ("[::1]:5000", "a", "")),
            ("https://127.0.0.1/a", ("127.0.0.1", "a", "https")),
            ("index.docker.io/team/app", ("docker.io", "team/app", "")),
            ("team/app", ("docker.io", "team/app", "")),
            ("app", ("docker.io", "library/app", "")),
        ):
            found = registry.parse_repository(text)
            self.assertEqual((found.registry, found.name, found.scheme), expected)

    def test_malformed_repositories(self) -> None:
        for text in (
            "", "registry.example/", "registry.example/Upper", "registry.example/a:tag", "registry.example/a@sha256:00", "ftp://h/a",
            "registry.example/a//b", "registry.example/../a", "registry.example/a b", "u:secret@registry.example/a", "regi stry/a",
        ):  # fmt: skip
            with self.subTest(text=text), self.assertRaises(registry.NameFormatError):
                registry.parse_repository(text)

    def test_mirrors(self) -> None:
        text = "gcr.io=mirror.example/gcr  docker.io=http://127.0.0.1:5000 gcr.io=localhost:5000/"
        found = registry.mirrors(registry.parse_repository("gcr.io/a/b"), text)
        self.assertEqual([(str(place), place.scheme) for place in found], [("mirror.example/gcr/a/b", ""), ("localhost:5000/a/b", "")])
        (hub,) = registry.mirrors(registry.parse_repository("python"), text)
        self.assertEqual((str(hub), hub.scheme), ("127.0.0.1:5000/library/python", "http"))
        self.assertEqual(registry.mirrors(registry.parse_repository("quay.io/a"), text), [])
        for word in ("gcr.io", "gcr.io=", "=mirror.example", "gcr.io=ftp://mirror.example", "gcr.io=mirror.example/Upper", "gcr.io=mirror"):
            with self.subTest(word=word), self.assertRaisesRegex(registry.NameFormatError, "OCI_MIRRORS: expected words like"):
                registry.mirrors(registry.parse_repository("gcr.io/a"), word)

    def test_tags(self) -> None:
        self.assertEqual(registry.check_tag("v1.0_x-y"), "v1.0_x-y")
        for tag in ("", ".a", "-a", "a b", "a/b", "a:b", "x" * 129):
            with self.assertRaises(registry.NameFormatError):
                registry.check_tag(tag)

    def test_http_is_for_loopback(self) -> None:
        for host, loopback in (
            ("localhost:5000", True),
            ("127.8.0.1", True),
            ("[::1]:80", True),
            ("127.0.0.1.evil.example", False),
            ("10.0.0.1", False),
        ):
            self.assertEqual(registry.is_loopback(host), loopback)
        with self.assertRaisesRegex(registry.RegistryError, "registry.example: plain http would show the credentials"):
            registry.Client(registry.parse_repository("http://registry.example/a"))
        registry.Client(registry.parse_repository("http://registry.example/a"), insecure=True)

    def test_challenges(self) -> None:
        parse = registry.parse_challenges
        self.assertEqual(
            parse('Bearer realm="https://t/x?a=b,c",service="s \\"q\\"", scope=a'),
            [("bearer", {"realm": "https://t/x?a=b,c", "service": 's "q"', "scope": "a"})],
        )
        self.assertEqual(parse('Basic Realm="x", Bearer realm = "y"'), [("basic", {"realm": "x"}), ("bearer", {"realm": "y"})])
        self.assertEqual(parse("Negotiate, Basic realm=x"), [("negotiate", {}), ("basic", {"realm": "x"})])
        self.assertEqual(parse(""), [])
        for header in ('Bearer realm="x', 'Bearer realm="a" b', "=x", 'Bearer realm="a",realm="b"', "Bearer realm=a/b"):
            with self.subTest(header=header), self.assertRaises(registry.RegistryError):
                parse(header)


if __name__ == "__main__":
    unittest.main()
