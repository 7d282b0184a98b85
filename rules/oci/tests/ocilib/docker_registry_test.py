"""Tests of pushes to Debian's docker-registry (the package of that name), where it is installed."""

import hashlib
import pathlib
import random
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.request

from ocilib import push, registry
from ocilib.credentials import Keychain
from tests.ocilib import fake_registry

_PROGRAM = shutil.which("docker-registry")
# Of fake_registry.PASSWORD, with bcrypt, which is what docker-registry takes.
_HTPASSWD = f"{fake_registry.USER}:$2b$04$rR3F6pDlGk.lAUfH3NZNvuC8hbqGGq7Zn2z/NaGPv.8YH8xGobedy\n"
_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}/store}}}}
http: {{addr: "{address}"}}
auth: {{htpasswd: {{realm: here, path: {root}/htpasswd}}}}
"""


@unittest.skipUnless(_PROGRAM, "docker-registry is not installed here: apt-get install docker-registry")
class DockerRegistryTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        (self.root / "htpasswd").write_text(_HTPASSWD)
        (self.root / "config.yml").write_text(_CONFIG.format(root=self.root, address=self.address))
        with open(self.root / "log", "w") as log:
            server = subprocess.Popen([str(_PROGRAM), "serve", str(self.root / "config.yml")], stdout=log, stderr=log)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        manager = fake_registry.login(self.address)
        self.environ = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        self.log: list[str] = []
        for _ in range(100):
            try:
                socket.create_connection((self.address.partition(":")[0], int(self.address.partition(":")[2]))).close()
                return
            except OSError:  # noqa: PERF203 - it waits anyway
                time.sleep(0.1)
        self.fail((self.root / "log").read_text())

    def _pusher(self, environ: dict[str, str] | None = None) -> push.Pusher:
        where = registry.parse_repository(f"{self.address}/a")
        client = registry.Client(where, keychain=Keychain(environ or self.environ), log=self.log.append, sleep=lambda _: None)
        self.addCleanup(client.close)
        return push.Pusher(client)

    def _served(self, repository: str, tag: str) -> str:
        """The digest of what the registry really sends."""
        request = urllib.request.Request(f"http://{self.address}/v2/{repository}/manifests/{tag}")
        request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json")
        password = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        password.add_password(None, f"http://{self.address}/", fake_registry.USER, fake_registry.PASSWORD)
        opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(password))
        with opener.open(request) as answer:
            return f"sha256:{hashlib.sha256(answer.read()).hexdigest()}"

    def test_what_is_served_is_what_was_built_and_repeats_send_what_is_missing(self) -> None:
        layers = [random.Random(size).randbytes(size) for size in (5_000_000, 0, 1, 100)]
        fake_registry.write_layout(self.root / "one", layers)
        fake_registry.write_layout(self.root / "two", [*layers, b"changed"])
        fake_registry.write_index(self.root / "index", [self.root / "one", self.root / "two"])
        one, two, index = (push.read(str(self.root / name)) for name in ("one", "two", "index"))
        first = self._pusher().push(one, "team/app", ["v1", "latest"])
        self.assertEqual((first.uploaded, first.present), (5, 0))
        self.assertEqual([self._served("team/app", tag) for tag in ("v1", "latest")], [one.digest] * 2)
        second = self._pusher().push(two, "team/app", ["v2"])
        self.assertEqual((second.uploaded, second.present), (2, 4))
        self.assertEqual(self._served("team/app", "v2"), two.digest)
        self.log.clear()
        self.assertTrue(self._pusher().push(two, "team/app", ["v2"]).unchanged)
        self.assertEqual([line.rpartition(":")[2].split()[0] for line in self.log], ["401", "200"], "a challenge and one HEAD")
        whole = self._pusher().push(index, "team/app", ["all"])
        self.assertEqual((whole.uploaded, whole.present), (0, 7))
        self.assertEqual(self._served("team/app", "all"), index.digest)

    def test_blobs_are_mounted(self) -> None:
        fake_registry.write_layout(self.root / "one", [b"layer"])
        artifact = push.read(str(self.root / "one"))
        pusher = self._pusher()
        pusher.push(artifact, "team/app", ["v1"])
        self.assertEqual(pusher.push(artifact, "team/other", ["v1"]).mounted, 2)
        self.assertEqual(self._served("team/other", "v1"), artifact.digest)

    def test_a_wrong_password_is_one_line(self) -> None:
        fake_registry.write_layout(self.root / "one", [b"layer"])
        with (
            fake_registry.login(self.address, "wrong") as environ,
            self.assertRaisesRegex(registry.RegistryError, "401, it does not take the credentials of user alice from .*config.json"),
        ):
            self._pusher(environ).push(push.read(str(self.root / "one")), "team/app", ["v1"])


if __name__ == "__main__":
    unittest.main()
