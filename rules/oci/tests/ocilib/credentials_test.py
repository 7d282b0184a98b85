"""Tests of ocilib.credentials: which store answers, and what is said when none can."""

import base64
import json
import os
import pathlib
import tempfile
import unittest

from ocilib.credentials import Credential, CredentialsError, Keychain

SECRET = "s3cret:with:colons"


def auth(user: str, password: str = SECRET) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


class CredentialsTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.environ = {"HOME": str(self.root), "PATH": f"{self.root}/bin:{os.environ['PATH']}"}

    def _store(self, path: str, content: object) -> pathlib.Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    def _helper(self, name: str, script: str) -> None:
        """A credential helper in shell; its input is in $server."""
        file = self._store(f"bin/docker-credential-{name}", f'#!/bin/sh\n[ "$1" = get ] || exit 9\nserver=$(cat)\n{script}\n')
        file.chmod(0o755)

    def _find(self, registry: str = "registry.example", repository: str = "team/app") -> Credential | None:
        return Keychain(self.environ).find(registry, repository)

    def _user(self, registry: str = "registry.example", repository: str = "team/app") -> str:
        found = self._find(registry, repository)
        self.assertIsNotNone(found)
        return found.username if found else ""

    def _fails(self, message: str) -> None:
        with self.assertRaisesRegex(CredentialsError, message) as raised:
            self._find()
        self.assertNotIn("s3cret", str(raised.exception))
        self.assertNotIn("\n", str(raised.exception))

    def test_stores_are_asked_in_order_until_one_knows_the_registry(self) -> None:
        self.environ |= {
            "DOCKER_CONFIG": f"{self.root}/docker",
            "REGISTRY_AUTH_FILE": f"{self.root}/auth-file.json",
            "XDG_RUNTIME_DIR": f"{self.root}/run",
        }
        self._store(".docker/config.json", {"auths": {"registry.example": auth("not asked")}})
        paths = ["docker/config.json", "auth-file.json", "run/containers/auth.json", ".config/containers/auth.json"]
        for path in reversed(paths):
            self._store(path, {"auths": {"registry.example": auth(path)}})
            self.assertEqual(self._user(), path)
        self._store("docker/config.json", {"auths": {"other.example": auth("other")}})
        self.assertEqual(self._user(), "auth-file.json")

    def test_without_a_login_the_keychain_says_where_it_looked(self) -> None:
        keychain = Keychain(self.environ)
        self.assertIsNone(keychain.find("registry.example", "a"))
        self.assertEqual(
            keychain.tried, [f"{self.root}/.docker/config.json (not there)", f"{self.root}/.config/containers/auth.json (not there)"]
        )

    def test_entries_have_several_forms(self) -> None:
        for entry, expected in (
            (auth("u"), ("u", SECRET, "", "")),
            ({"username": "u", "password": "p"}, ("u", "p", "", "")),
            ({"identitytoken": "t"}, ("", "", "t", "")),
            ({"registrytoken": "t"}, ("", "", "", "t")),
        ):
            self._store(".docker/config.json", {"auths": {"registry.example": entry}})
            found = self._find()
            assert found
            self.assertEqual((found.username, found.password, found.identity_token, found.registry_token), expected)
            self.assertNotIn("s3cret", repr(found))
        self._store(".docker/config.json", {"auths": {"registry.example": {}}})
        self.assertIsNone(self._find())

    def test_keys_may_have_a_scheme_and_a_path(self) -> None:
        self._store(
            ".docker/config.json",
            {
                "auths": {
                    "https://registry.example/v2/": auth("host"),
                    "registry.example/team": auth("team"),
                    "r.example:5000": auth("port"),
                }
            },
        )
        self.assertEqual(self._user(), "team")
        self.assertEqual(self._user(repository="teams/app"), "host")
        self.assertEqual(self._user("r.example:5000"), "port")
        self.assertIsNone(self._find("r.example"))

    def test_docker_hub_has_several_names(self) -> None:
        self._store(".docker/config.json", {"auths": {"https://index.docker.io/v1/": auth("hub")}})
        self.assertEqual(self._user("docker.io"), "hub")

    def test_helpers_are_asked_for_their_registry(self) -> None:
        self._helper("one", 'echo "{\\"Username\\":\\"$server\\",\\"Secret\\":\\"s3cret\\"}"')
        self._helper("two", 'echo "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"refresh\\"}"')
        self._store(
            ".docker/config.json",
            {"credHelpers": {"registry.example": "one"}, "credsStore": "two", "auths": {"registry.example": auth("plain")}},
        )
        self.assertEqual(self._user(), "registry.example")
        found = self._find("other.example")
        assert found
        self.assertEqual((found.username, found.identity_token), ("", "refresh"))
        self.assertIn("docker-credential-two", found.source)

    def test_the_store_of_docker_hub_has_its_old_address(self) -> None:
        self._helper("one", 'echo "{\\"Username\\":\\"$server\\",\\"Secret\\":\\"s3cret\\"}"')
        self._store(".docker/config.json", {"credsStore": "one"})
        self.assertEqual(self._user("docker.io"), "https://index.docker.io/v1/")

    def test_a_helper_that_knows_nothing_leaves_it_to_the_next_store(self) -> None:
        self._helper("one", "echo credentials not found in native keychain; exit 1")
        self._store(".docker/config.json", {"credsStore": "one"})
        self._store(".config/containers/auth.json", {"auths": {"registry.example": auth("podman")}})
        self.assertEqual(self._user(), "podman")

    def test_a_helper_that_fails_is_named_without_what_it_says(self) -> None:
        self._helper("one", "echo s3cret; echo s3cret >&2; exit 3")
        self._store(".docker/config.json", {"credHelpers": {"registry.example": "one"}})
        self._fails("docker-credential-one get .from .*config.json. for registry.example fails with exit code 3")
        self._helper("one", "echo s3cret")
        self._fails("the answer of docker-credential-one: expected a JSON object")
        self._helper("one", 'echo "{\\"Username\\":1,\\"Secret\\":\\"s3cret\\"}"')
        self._fails("docker-credential-one .*: expected one line of text as Username")

    def test_a_helper_that_is_not_installed(self) -> None:
        self._store(".docker/config.json", {"credHelpers": {"registry.example": "absent"}})
        self._fails("names the credential helper docker-credential-absent, which is not on the PATH")
        self._store(".docker/config.json", {"credsStore": "absent", "auths": {"registry.example": {}}})
        self._fails("names the credential helper docker-credential-absent")
        # A login of another registry, or none: pushes to a registry without login go on.
        self._store(".docker/config.json", {"credsStore": "absent"})
        keychain = Keychain(self.environ)
        self.assertIsNone(keychain.find("registry.example", "a"))
        self.assertIn("docker-credential-absent, is not installed", keychain.tried[0])
        self._store(".docker/config.json", {"credHelpers": {"registry.example": "../../bin/sh"}})
        self._fails("which is not on the PATH")

    def test_malformed_stores_are_named_without_their_content(self) -> None:
        for content, message in (
            ("{s3cret", "config.json: expected a JSON object"),
            ("[]", "config.json: expected a JSON object"),
            ({"auths": "s3cret"}, "config.json: expected an object as auths"),
            ({"auths": {"registry.example": "s3cret"}}, "auths.'registry.example'.: expected an object"),
            ({"auths": {"registry.example": {"auth": "s3cret"}}}, "expected the base64 of user:password in auth"),
            ({"auths": {"registry.example": {"auth": 7}}}, "expected one line of text as auth"),
            ({"credHelpers": {"registry.example": "a\nb"}}, "expected one line of text as registry.example"),
        ):
            with self.subTest(content=content):
                self._store(".docker/config.json", content)
                self._fails(message)

    def test_a_store_that_cannot_be_read_is_an_error(self) -> None:
        (self.root / ".docker/config.json").mkdir(parents=True)
        self._fails("config.json: cannot read the credentials of registries: Is a directory")


if __name__ == "__main__":
    unittest.main()
