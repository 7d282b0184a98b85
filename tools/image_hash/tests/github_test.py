"""Releases on GitHub: complete or not to be seen, taken up where they broke off, never changed."""

import re
import socket
from collections.abc import Iterator

import pytest
from image_hash import errors
from image_hash.publish import github
from tests import fake_github

COMMIT = "1" * 40
ASSETS = [github.Asset("v1.2.3.json", "application/json", b"{}"), github.Asset("v1.2.3.json.sig", "application/octet-stream", b"\0\xff")]


@pytest.fixture(name="server")
def _server() -> Iterator[fake_github.State]:
    with fake_github.serve() as state:
        yield state
        assert state.wrong == []


@pytest.fixture(name="waits")
def _waits() -> list[float]:
    return []


@pytest.fixture(name="client")
def _client(server: fake_github.State, waits: list[float]) -> github.Github:
    return github.Github(fake_github.REPOSITORY, fake_github.TOKEN, api=f"http://{server.address}/", sleep=waits.append)


def publish(client: github.Github, assets: list[github.Asset] = ASSETS) -> str:
    return client.publish("v1.2.3", COMMIT, "notes", assets)


def test_a_release_is_published_when_all_its_files_are_there(server: fake_github.State, client: github.Github) -> None:
    assert publish(client) == "https://github.com/owner/name/releases/tag/v1.2.3"
    (release,) = server.releases
    assert {key: release[key] for key in ("tag_name", "target_commitish", "name", "body", "draft")} == {
        "tag_name": "v1.2.3",
        "target_commitish": COMMIT,
        "name": "v1.2.3",
        "body": "notes",
        "draft": False,
    }
    for asset in ASSETS:
        found = server.named(asset.name)
        assert (found["data"], found["content_type"], found["release"]) == (asset.data, asset.media_type, release["id"])
    changes = [request.split("?")[0] for request in server.requests if not request.startswith("GET")]
    number = release["id"]
    uploads = f"POST /uploads/repos/owner/name/releases/{number}/assets"
    assert changes == ["POST /repos/owner/name/releases", uploads, uploads, f"PATCH /repos/owner/name/releases/{number}"]


@pytest.mark.parametrize("digests", [True, False])
def test_a_second_run_changes_nothing(server: fake_github.State, client: github.Github, digests: bool) -> None:
    server.digests = digests
    publish(client)
    server.requests.clear()
    publish(client)
    assert {request.split()[0] for request in server.requests} == {"GET"}


def test_a_run_that_broke_off_is_taken_up(server: fake_github.State, client: github.Github) -> None:
    publish(client, ASSETS[:1])
    server.releases[0]["draft"] = True
    for number in range(150):
        server.releases.append({**server.releases[0], "id": 1000 + number, "tag_name": f"v0.0.{number}", "draft": number % 2 == 0})
    server.requests.clear()
    publish(client)
    assert len([release for release in server.releases if release["tag_name"] == "v1.2.3"]) == 1
    assert not server.releases[0]["draft"]
    assert server.named("v1.2.3.json.sig")["data"] == ASSETS[1].data
    assert [request for request in server.requests if request.startswith("POST")] == [
        f"POST /uploads/repos/owner/name/releases/{server.releases[0]['id']}/assets?name=v1.2.3.json.sig"
    ]


@pytest.mark.parametrize("digests", [True, False])
def test_a_file_with_other_bytes_stops_all(server: fake_github.State, client: github.Github, digests: bool) -> None:
    server.digests = digests
    publish(client, ASSETS[:1])
    other = [ASSETS[1], github.Asset("v1.2.3.json", "application/json", b"{ }")]
    server.requests.clear()
    with pytest.raises(errors.MismatchError, match="owner/name on GitHub has another v1.2.3.json: 'sha256:.*, expected sha256:"):
        publish(client, other)
    assert {request.split()[0] for request in server.requests} == {"GET"}


def test_what_a_broken_upload_leaves_is_replaced(server: fake_github.State, client: github.Github, waits: list[float]) -> None:
    server.broken_uploads = ["v1.2.3.json", "v1.2.3.json"]
    publish(client)
    assert server.named("v1.2.3.json")["data"] == ASSETS[0].data
    assert waits == [2.0, 4.0]


def test_an_answer_that_gets_lost_makes_no_second_release(server: fake_github.State, client: github.Github, waits: list[float]) -> None:
    lost = ["POST /repos/owner/name/releases", "POST /uploads/repos/owner/name/releases/2/assets?name=v1.2.3.json"]

    def hang_up(handler: fake_github.Handler) -> bool:
        if f"{handler.command} {handler.path}" in lost:
            lost.remove(f"{handler.command} {handler.path}")
            handler.answer = lambda *_: handler.connection.shutdown(socket.SHUT_RDWR)  # type: ignore[method-assign]
        return False

    server.hook = hang_up
    publish(client)
    assert len(server.releases) == 1
    assert server.named("v1.2.3.json")["state"] == "uploaded"
    assert waits == [2.0, 2.0]


def test_the_limit_of_requests_is_kept(server: fake_github.State, client: github.Github, waits: list[float]) -> None:
    limits = [{"Retry-After": "7"}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}]

    def limit(handler: fake_github.Handler) -> bool:
        if limits:
            handler.answer(403, {"message": "API rate limit exceeded"}, limits.pop(0))
            return True
        return False

    server.hook = limit
    publish(client)
    assert waits == [7.0, 1.0]


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (401, {}, '401, it does not take the token of the environment .GH_TOKEN or GITHUB_TOKEN.: no [*]{3}; {"code": "x"}$'),
        (403, {}, "403, the token may not do that"),
        (404, {}, "there is no owner/name that the token may write to"),
        (301, {"Location": "/repositories/1"}, "the repository has another name now"),
        (422, {}, "it takes the request for wrong"),
        (418, {}, "418, not expected"),
        (429, {"Retry-After": "3600"}, "it asks to wait for 3600 s"),
        (500, {}, "500.* .after 5 attempts.; run it again later, it goes on where it was"),
    ],
)
def test_a_refusal_is_one_line_without_the_token(
    server: fake_github.State, client: github.Github, status: int, headers: dict[str, str], message: str
) -> None:
    def refuse(handler: fake_github.Handler) -> bool:
        if handler.command == "POST" or status == 404:
            handler.answer(status, {"message": f"no {fake_github.TOKEN}", "errors": [{"code": "x"}]}, headers)
            return True
        return False

    server.hook = refuse
    with pytest.raises(github.GithubError, match=message) as raised:
        publish(client)
    assert fake_github.TOKEN not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"<html>", b'[{"id": "1"}]', b"[" * 10_000])
@pytest.mark.parametrize("request_line", ["GET .*page=1", "GET .*/tags/", "POST .*/releases", "POST .*/assets", "PATCH"])
def test_what_is_no_answer_of_github_cannot_be_checked(
    server: fake_github.State, client: github.Github, content: bytes, request_line: str
) -> None:
    def garble(handler: fake_github.Handler) -> bool:
        if re.match(request_line, f"{handler.command} {handler.path}"):
            handler.answer(201 if handler.command == "POST" else 200, content)
            return True
        return False

    server.hook = garble
    with pytest.raises(github.GithubError, match="expected (a list|an object with [a-z_, ]*), found something else"):
        publish(client)


@pytest.mark.parametrize("target", ["http://uploads.example/x{?name}", "https://uploads.example/x{?name}", "ftp://x/"])
def test_files_and_token_go_nowhere_else(server: fake_github.State, client: github.Github, target: str) -> None:
    publish(client, [])
    server.releases[0]["upload_url"] = target
    with pytest.raises(github.GithubError, match="without https|none of its hosts"):
        publish(client)


def test_a_server_that_is_not_there_is_named(waits: list[float]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = github.Github("owner/name", "x", api=f"http://127.0.0.1:{taken.getsockname()[1]}", sleep=waits.append)
        with pytest.raises(github.GithubError, match="looking for the release v1.2.3: .*Connection refused .after 5 attempts"):
            publish(client)


@pytest.mark.parametrize("repository", ["name", "owner/name/more", "owner/..%2f", "-a/b", "https://github.com/owner/name", "a b/c", ""])
def test_a_repository_has_an_owner_and_a_name(repository: str) -> None:
    with pytest.raises(errors.UsageError, match="expected a repository of GitHub like owner/name"):
        github.Github(repository, "x")


@pytest.mark.parametrize("api", ["http://github.example", "github.example", "file:///etc"])
def test_the_token_goes_over_https_only(api: str) -> None:
    with pytest.raises(errors.UsageError, match="expected an https address of GitHub's API"):
        github.Github("owner/name", "x", api=api)
