"""Credentials of registries, from where `docker login`, `podman login` and their helpers keep them.

The first store that knows the registry counts:

1. `$DOCKER_CONFIG/config.json`; without the variable, `~/.docker/config.json`
2. `$REGISTRY_AUTH_FILE`
3. `$XDG_RUNTIME_DIR/containers/auth.json`
4. `$XDG_CONFIG_HOME/containers/auth.json`; without the variable, `~/.config/containers/auth.json`

The format is Docker's (docker/cli, cli/config/configfile; containers-auth.json(5) for keys with a path): `auths`, `credHelpers`,
`credsStore`. Secrets are in no message and in no repr.
"""

from __future__ import annotations

import base64
import binascii
import os
import shutil
import subprocess

from ocilib import jsontext
from ocilib.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ocilib.jsontext import Json

_HELPER_SECONDS = 120
# Docker Hub's logins are under the address of its API's first version, whatever name the hub is called by.
_HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")
# The protocol's own words for "no such login" (docker-credential-helpers, credentials/error.go).
_NOT_FOUND = "credentials not found in native keychain"
# With this user name, the secret is an OAuth2 refresh token.
_TOKEN_USER = "<token>"


class CredentialsError(Error):
    """A store that is there, and cannot be used."""


class Credential:
    """A login.

    Attributes:
        source: the store that it comes from, for messages.
        username: "" if there is none.
        password: for basic authentication; "" if there is none.
        identity_token: OAuth2 refresh token, to be exchanged for a token; "" if there is none.
        registry_token: bearer token, to be sent as it is; "" if there is none.
    """

    __slots__ = ("identity_token", "password", "registry_token", "source", "username")

    def __init__(self, source: str, username: str = "", password: str = "", identity_token: str = "", registry_token: str = "") -> None:
        self.source = source
        self.username = username
        self.password = password
        self.identity_token = identity_token
        self.registry_token = registry_token

    def secrets(self) -> list[str]:
        """What no message may contain."""
        return [secret for secret in (self.password, self.identity_token, self.registry_token) if secret]


class Keychain:
    """Looks for credentials as the environment ENVIRON says; remembers where, for messages."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self.tried: list[str] = []

    def find(self, registry: str, repository: str) -> Credential | None:
        """The login for REPOSITORY of REGISTRY (host, with port if there is one), or None if no store knows one.

        Raises:
            CredentialsError: a store cannot be read, or a helper fails.
        """
        self.tried = []
        for path in self._stores():
            try:
                with open(path, "rb") as file:
                    data = file.read()
            except (FileNotFoundError, NotADirectoryError):
                self.tried.append(f"{path} (not there)")
                continue
            except OSError as error:
                raise CredentialsError(f"{path}: cannot read the credentials of registries: {error.strerror}") from None
            self.tried.append(path)
            found = self._in_config(_parse(data, path), path, registry, repository)
            if found:
                return found
        return None

    def _stores(self) -> Iterator[str]:
        home = self._environ.get("HOME") or os.path.expanduser("~")
        yield f"{self._environ.get('DOCKER_CONFIG') or f'{home}/.docker'}/config.json"
        if file := self._environ.get("REGISTRY_AUTH_FILE"):
            yield file
        if folder := self._environ.get("XDG_RUNTIME_DIR"):
            yield f"{folder}/containers/auth.json"
        yield f"{self._environ.get('XDG_CONFIG_HOME') or f'{home}/.config'}/containers/auth.json"

    def _in_config(self, config: dict[str, Json], path: str, registry: str, repository: str) -> Credential | None:
        keys = _keys(registry, repository)
        helpers = _object(config, "credHelpers", path)
        auths = {_host(key): (key, entry) for key, entry in _object(config, "auths", path).items()}
        for key in keys:
            if key in helpers:
                return self._ask(_text(helpers, key, path), key, path)
        for key in keys:
            if key in auths:
                written, entry = auths[key]
                found = _entry(entry, f"{path}, auths[{written!r}]")
                if found:
                    return found
        store = _text(config, "credsStore", path)
        if not store:
            return None
        if not shutil.which(f"docker-credential-{store}", path=self._environ.get("PATH")) and not any(key in auths for key in keys):
            # Nobody has logged in with it here.
            self.tried[-1] += f" (its credsStore, docker-credential-{store}, is not installed)"
            return None
        return self._ask(store, _HUB_KEY if registry in _HUB_NAMES else registry, path)

    def _ask(self, helper: str, server: str, path: str) -> Credential | None:
        program = f"docker-credential-{helper}"
        found = None if "/" in helper else shutil.which(program, path=self._environ.get("PATH"))
        if not found:
            raise CredentialsError(
                f"{path} names the credential helper {program}, which is not on the PATH; install it or log in without it"
            )
        command = [found, "get"]
        try:
            result = subprocess.run(
                command,
                input=server.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=dict(self._environ),
                timeout=_HELPER_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CredentialsError(f"{program} get (from {path}) has not answered within {_HELPER_SECONDS} s") from None
        except OSError as error:
            raise CredentialsError(f"{program} (from {path}) cannot be started: {error.strerror}") from None
        self.tried[-1] += f" ({program})"
        if result.returncode:
            if _NOT_FOUND in result.stdout.decode("utf-8", "replace"):
                return None
            # What it says might have the secret in it.
            raise CredentialsError(f"{program} get (from {path}) for {server} fails with exit code {result.returncode}; run it to see why")
        answer = _parse(result.stdout, f"the answer of {program}")
        source = f"{program} (from {path})"
        username, secret = _text(answer, "Username", source), _text(answer, "Secret", source)
        if not secret:
            return None
        if username == _TOKEN_USER:
            return Credential(source, identity_token=secret)
        return Credential(source, username, secret)


def _keys(registry: str, repository: str) -> list[str]:
    """What an entry for REPOSITORY may be filed under: from the whole path to the host."""
    if registry in _HUB_NAMES:
        return [*_HUB_NAMES]
    parts = [registry, *repository.split("/")]
    return ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]


def _host(key: str) -> str:
    """A key of `auths` without scheme and version of the API."""
    host = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    return host.removesuffix("/v1").removesuffix("/v2")


def _entry(entry: Json, where: str) -> Credential | None:
    if not isinstance(entry, dict):
        raise CredentialsError(f"{where}: expected an object")
    username, password = _text(entry, "username", where), _text(entry, "password", where)
    if encoded := _text(entry, "auth", where):
        try:
            username, colon, password = base64.b64decode(encoded, validate=True).decode().rstrip("\0").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            colon = ""
        if not colon:
            raise CredentialsError(f"{where}: expected the base64 of user:password in auth; log in again")
    identity, bearer = _text(entry, "identitytoken", where), _text(entry, "registrytoken", where)
    if not (password or identity or bearer):
        return None
    return Credential(where, username, password, identity, bearer)


def _parse(data: bytes, where: str) -> dict[str, Json]:
    try:
        return jsontext.parse_object(data, where)
    except jsontext.JsonError:
        # The parser's message may quote a secret.
        raise CredentialsError(f"{where}: expected a JSON object") from None


def _object(parent: dict[str, Json], key: str, where: str) -> dict[str, Json]:
    value = parent.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CredentialsError(f"{where}: expected an object as {key}")
    return value


def _text(parent: dict[str, Json], key: str, where: str) -> str:
    value = parent.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or not value.isprintable():
        raise CredentialsError(f"{where}: expected one line of text as {key}")
    return value
