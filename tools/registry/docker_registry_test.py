"""Pushes to Debian's docker-registry, with each way to log in that registries have."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import random
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ocilib import push, registry
from ocilib.credentials import Keychain
from ocilib.registry import Client, RegistryError
from tests.ocilib import fake_registry

from tools.registry import docker_registry, tokens
from tools.registry.docker_registry import PASSWORD, USER, DockerRegistry
from tools.registry.tokens import TokenService, User

_USERS = {
    USER: User(PASSWORD, refresh_token="refresh me"),
    "reader": User("may read", actions=frozenset({"pull"})),
}
_LARGE = 5_000_000

MakePusher = Callable[..., push.Pusher]


@pytest.fixture(name="basic")
def _basic(tmp_path: Path) -> Iterator[DockerRegistry]:
    with docker_registry.serve(tmp_path / "registry", basic=True) as server:
        yield server


@pytest.fixture(name="service")
def _service(tmp_path: Path) -> Iterator[TokenService]:
    with tokens.serve(tmp_path, _USERS) as service:
        yield service


@pytest.fixture(name="token")
def _token(tmp_path: Path, service: TokenService) -> Iterator[DockerRegistry]:
    with docker_registry.serve(tmp_path / "registry", tokens=service) as server:
        yield server


@pytest.fixture(name="server", params=["basic", "token"])
def _server(request: pytest.FixtureRequest) -> DockerRegistry:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, DockerRegistry)
    return found


@pytest.fixture(name="pusher")
def _pusher(tmp_path: Path) -> Iterator[MakePusher]:
    """Makes pushers whose docker config has a login for a registry: a user and a password, or other fields."""
    with contextlib.ExitStack() as stack:

        def make(server: DockerRegistry, user: str = USER, password: str = PASSWORD, **fields: str) -> push.Pusher:
            entry = fields or {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
            (tmp_path / "config.json").write_text(json.dumps({"auths": {server.address: entry}}), "utf-8")
            keychain = Keychain({"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)})
            client = Client(registry.parse_repository(f"{server.address}/a"), keychain=keychain, sleep=lambda _: None)
            stack.callback(client.close)
            return push.Pusher(client)

        yield make


def _image(folder: Path, *layers: bytes) -> push.Artifact:
    fake_registry.write_layout(folder, list(layers))
    return push.read(str(folder))


def _served(server: DockerRegistry, repository: str, tag: str, authorization: str) -> str:
    """The digest of what the registry really sends."""
    request = urllib.request.Request(f"http://{server.address}/v2/{repository}/manifests/{tag}")
    request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json")
    request.add_header("Authorization", authorization)
    with urllib.request.urlopen(request) as answer:
        return f"sha256:{hashlib.sha256(answer.read()).hexdigest()}"


def _login() -> str:
    return "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def test_what_is_served_is_what_was_built_and_repeats_send_what_is_missing(
    basic: DockerRegistry, pusher: MakePusher, tmp_path: Path
) -> None:
    layers = [random.Random(size).randbytes(size) for size in (_LARGE, 0, 1, 100)]
    one, two = _image(tmp_path / "one", *layers), _image(tmp_path / "two", *layers, b"changed")
    fake_registry.write_index(tmp_path / "index", [tmp_path / "one", tmp_path / "two"])
    index = push.read(str(tmp_path / "index"))
    first = pusher(basic).push(one, "team/app", ["v1", "latest"])
    assert (first.uploaded, first.present) == (5, 0)
    second = pusher(basic).push(two, "team/app", ["v2"])
    assert (second.uploaded, second.present) == (2, 4)
    whole = pusher(basic).push(index, "team/app", ["all"])
    assert (whole.uploaded, whole.present) == (0, 7)
    for tag, artifact in (("v1", one), ("latest", one), ("v2", two), ("all", index)):
        assert _served(basic, "team/app", tag, _login()) == artifact.digest


def test_an_image_arrives_under_its_digest_with_a_token(
    token: DockerRegistry, service: TokenService, pusher: MakePusher, tmp_path: Path
) -> None:
    artifact = _image(tmp_path / "image", random.Random(1).randbytes(_LARGE), b"layer")
    result = pusher(token).push(artifact, "team/app", ["v1"])
    assert (result.uploaded, result.present) == (3, 0)
    assert service.given == [f"{USER} repository:team/app:pull,push"], "one token does for all"
    form = {"service": ["registry of the tests"], "scope": ["repository:team/app:pull"]}
    answer = service.answer(form, _login())
    assert answer
    assert _served(token, "team/app", "v1", f"Bearer {answer['token']}") == artifact.digest


def test_unchanged_images_cost_one_head_each(server: DockerRegistry, pusher: MakePusher, tmp_path: Path) -> None:
    artifacts = {f"service{number}": _image(tmp_path / f"image{number}", b"base", b"%d" % number) for number in range(7)}
    first = pusher(server)
    for name, artifact in artifacts.items():
        first.push(artifact, name, ["v1"])
    before = len(server.requests())
    second = pusher(server)
    for name, artifact in artifacts.items():
        assert second.push(artifact, name, ["v1"]).unchanged
    # The first finds out that a login is wanted.
    assert server.requests()[before:] == [
        "HEAD /v2/service0/manifests/v1 401",
        *(f"HEAD /v2/{name}/manifests/v1 200" for name in artifacts),
    ]


def test_blobs_are_mounted(server: DockerRegistry, pusher: MakePusher, tmp_path: Path) -> None:
    artifact = _image(tmp_path / "image", b"layer")
    once = pusher(server)
    once.push(artifact, "team/app", ["v1"])
    result = once.push(artifact, "team/other", ["v1"])
    assert (result.mounted, result.uploaded) == (2, 0)


def test_a_refresh_token_is_exchanged(token: DockerRegistry, service: TokenService, pusher: MakePusher, tmp_path: Path) -> None:
    pusher(token, identitytoken="refresh me").push(_image(tmp_path / "image", b"layer"), "team/app", ["v1"])
    assert service.given == [f"{USER} repository:team/app:pull,push"]


def _fails(pusher: push.Pusher, artifact: push.Artifact, message: str, *secrets: str) -> None:
    with pytest.raises(RegistryError, match=message) as raised:
        pusher.push(artifact, "team/app", ["v1"])
    assert "\n" not in str(raised.value)
    for secret in secrets:
        assert secret not in str(raised.value)


def test_a_wrong_password_names_its_store_and_not_the_secret(server: DockerRegistry, pusher: MakePusher, tmp_path: Path) -> None:
    wrong = pusher(server, password="battery staple")
    store = re.escape(str(tmp_path / "config.json"))
    _fails(wrong, _image(tmp_path / "image", b"layer"), f"401.* does not take the credentials of user {USER} from {store}", "staple")


def test_a_wrong_refresh_token_names_its_store(token: DockerRegistry, pusher: MakePusher, tmp_path: Path) -> None:
    wrong = pusher(token, identitytoken="guessed")
    _fails(wrong, _image(tmp_path / "image", b"layer"), r"401.* does not take the credentials from .*config.json", "guessed")


def test_an_expired_token_is_renewed(token: DockerRegistry, service: TokenService, pusher: MakePusher, tmp_path: Path) -> None:
    service.expired = 1
    artifact = _image(tmp_path / "image", b"layer")
    pusher(token).push(artifact, "team/app", ["v1"])
    assert len(service.given) == 2
    assert [line for line in token.requests() if line.endswith(" 401")] == ["HEAD /v2/team/app/manifests/v1 401"] * 2


def test_tokens_that_have_always_expired_end_it(token: DockerRegistry, service: TokenService, pusher: MakePusher, tmp_path: Path) -> None:
    service.expired = 1000
    message = (
        f"401, it does not take the token that {service.address} gives for user {USER} from .*config.json.*; are the clocks of both right"
    )
    _fails(pusher(token), _image(tmp_path / "image", b"layer"), message, PASSWORD)
    assert len(service.given) == 2, "it is tried once more, not for ever"


def test_a_user_who_may_not_push_is_told_so(token: DockerRegistry, service: TokenService, pusher: MakePusher, tmp_path: Path) -> None:
    reader = pusher(token, "reader", "may read")
    message = f"the token that {service.address} gives does not allow that; may user reader from .*config.json.* do it"
    _fails(reader, _image(tmp_path / "image", b"layer"), message, "may read")
    assert not list(token.folder.glob("store/**/_manifests/tags/*"))


def test_what_the_registry_has_may_be_read_by_who_may_not_push(token: DockerRegistry, pusher: MakePusher, tmp_path: Path) -> None:
    artifact = _image(tmp_path / "image", b"layer")
    pusher(token).push(artifact, "team/app", ["v1"])
    assert pusher(token, "reader", "may read").push(artifact, "team/app", ["v1"]).unchanged
