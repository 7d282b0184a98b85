"""GitHub's releases API on loopback, as strict as its documentation (https://docs.github.com/rest/releases, version 2022-11-28).

A request that the documentation does not allow is remembered in `wrong`, and answered by 400.
"""

import contextlib
import hashlib
import http.server
import json
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

TOKEN = "ghp_secret"
REPOSITORY = "owner/name"
_PAGE_DEFAULT = 30
_RELEASE_FIELDS = {
    "tag_name": str,
    "target_commitish": str,
    "name": str,
    "body": str,
    "draft": bool,
    "prerelease": bool,
    "discussion_category_name": str,
    "generate_release_notes": bool,
    "make_latest": str,
}


class State:
    """What the server holds, and how it misbehaves.

    Attributes:
        releases: in the order in which they were made.
        assets: id -> the asset, with its content as "data" and its release as "release".
        requests: "METHOD path" of each, in order.
        wrong: what was wrong with requests.
        digests: whether assets say their digest (since June 2025 they do).
        hook: called with a handler, before anything else; answers itself if it returns True.
        broken_uploads: names of assets whose upload is answered by 502 and leaves an asset in the state "starter".
    """

    def __init__(self) -> None:
        self.releases: list[dict[str, Any]] = []
        self.assets: dict[int, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.wrong: list[str] = []
        self.digests = True
        self.hook: Callable[[Handler], bool] = lambda _: False
        self.broken_uploads: list[str] = []
        self.address = ""
        self.next_id = 1

    def number(self) -> int:
        """A new id."""
        self.next_id += 1
        return self.next_id

    def named(self, name: str) -> dict[str, Any]:
        """The one asset of that name."""
        (found,) = [asset for asset in self.assets.values() if asset["name"] == name]
        return found


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    state: State

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def answer(self, status: int, content: object = None, headers: dict[str, str] | None = None) -> None:
        """Answers with JSON, or with bytes."""
        data = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_request(self) -> None:
        """Does what the documentation says."""
        self.state.requests.append(f"{self.command} {self.path}")
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urllib.parse.urlsplit(self.path)
        self.query = urllib.parse.parse_qs(parts.query)
        if parts.path.startswith("/storage/"):
            if self.headers.get("Authorization"):
                self._refuse("the token went to the storage")
                return
            self.answer(200, self.state.assets[int(parts.path.removeprefix("/storage/"))]["data"])
            return
        if self.state.hook(self):
            return
        if not self._headers_are_right():
            return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(401, {"message": f"Bad credentials {TOKEN}"})
            return
        upload = re.fullmatch(rf"/uploads/repos/{REPOSITORY}/releases/(\d+)/assets", parts.path)
        path = re.fullmatch(rf"/repos/{REPOSITORY}/releases(?:/(tags|assets)/([^/]+)|/(\d+)(/assets)?)?", parts.path)
        if upload:
            self._upload(int(upload[1]))
        elif not path:
            self.answer(404, {"message": "Not Found"})
        elif path[1] == "tags":
            self._by_tag(path[2])
        elif path[1] == "assets":
            self._asset(int(path[2]))
        elif path[4]:
            self._page([asset for asset in self.state.assets.values() if asset["release"] == int(path[3])])
        elif path[3]:
            self._edit(int(path[3]))
        elif self.command == "POST":
            self._create()
        else:
            self._page(self.state.releases[::-1])

    do_GET = do_POST = do_PATCH = do_DELETE = handle_request  # noqa: N815 (the names are http.server's)

    def _refuse(self, why: str) -> None:
        self.state.wrong.append(why)
        self.answer(400, {"message": why})

    def _invalid(self, error: dict[str, str]) -> None:
        self.answer(422, {"message": "Validation Failed", "errors": [error]})

    def _headers_are_right(self) -> bool:
        headers = self.headers
        problem = ""
        if not headers.get("User-Agent"):
            problem = "no User-Agent"
        elif headers.get("X-GitHub-Api-Version") != "2022-11-28":
            problem = "no version of the API"
        elif headers.get("Accept") not in ("application/vnd.github+json", "application/octet-stream"):
            problem = "Accept is not what is recommended"
        elif self.command in ("POST", "PATCH") and not (headers.get("Content-Type") and headers.get("Content-Length")):
            problem = "no Content-Type or Content-Length"
        elif self.command in ("GET", "DELETE") and self.body:
            problem = "a body"
        if problem:
            self._refuse(f"{self.command} {self.path}: {problem}")
        return not problem

    def _content(self) -> dict[str, Any] | None:
        content = json.loads(self.body)
        for name, value in content.items():
            if type(value) is not _RELEASE_FIELDS.get(name):
                self._refuse(f"{name} is no field of that type")
                return None
        return dict(content)

    def _shown(self, item: dict[str, Any]) -> dict[str, Any]:
        if "data" not in item:
            return item
        digest = f"sha256:{hashlib.sha256(item['data']).hexdigest()}"
        return {key: value for key, value in item.items() if key not in ("data", "release")} | {
            "digest": digest if self.state.digests else None
        }

    def _page(self, items: list[dict[str, Any]]) -> None:
        size = int(self.query.get("per_page", [str(_PAGE_DEFAULT)])[0])
        page = int(self.query.get("page", ["1"])[0])
        if not 1 <= size <= 100 or page < 1:
            self._refuse("pages have at most 100 entries")
            return
        self.answer(200, [self._shown(item) for item in items[(page - 1) * size : page * size]])

    def _by_tag(self, tag: str) -> None:
        found = [release for release in self.state.releases if release["tag_name"] == tag and not release["draft"]]
        self.answer(*((200, found[0]) if found else (404, {"message": "Not Found"})))

    def _create(self) -> None:
        content = self._content()
        if content is None:
            return
        if not content.get("tag_name"):
            self.answer(
                422, {"message": "Validation Failed", "errors": [{"resource": "Release", "code": "missing_field", "field": "tag_name"}]}
            )
            return
        number = self.state.number()
        address = f"http://{self.state.address}"
        release = {
            "id": number,
            "draft": False,
            "html_url": f"https://github.com/{REPOSITORY}/releases/tag/{content['tag_name']}",
            "upload_url": f"{address}/uploads/repos/{REPOSITORY}/releases/{number}/assets{{?name,label}}",
            **content,
        }
        self.state.releases.append(release)
        self.answer(201, release)

    def _edit(self, number: int) -> None:
        content = self._content()
        if content is None:
            return
        (release,) = [release for release in self.state.releases if release["id"] == number]
        release.update(content)
        self.answer(200, release)

    def _asset(self, number: int) -> None:
        asset = self.state.assets.get(number)
        if not asset:
            self.answer(404, {"message": "Not Found"})
        elif self.command == "DELETE":
            del self.state.assets[number]
            self.answer(204)
        elif self.headers["Accept"] == "application/octet-stream":
            # Another name of the same machine: what must not follow there is the token.
            self.answer(302, None, {"Location": f"http://{self.state.address.replace('127.0.0.1', 'localhost')}/storage/{number}"})
        else:
            self.answer(200, self._shown(asset))

    def _upload(self, release: int) -> None:
        names = self.query.get("name", [])
        if self.command != "POST" or len(names) != 1 or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]", names[0]):
            self._refuse(f"{self.command} with the names {names}")
            return
        name = names[0]
        if any(asset["name"] == name and asset["release"] == release for asset in self.state.assets.values()):
            self.answer(
                422, {"message": "Validation Failed", "errors": [{"resource": "ReleaseAsset", "code": "already_exists", "field": "name"}]}
            )
            return
        broken = name in self.state.broken_uploads
        number = self.state.number()
        asset = {
            "id": number,
            "release": release,
            "name": name,
            "state": "starter" if broken else "uploaded",
            "content_type": self.headers["Content-Type"],
            "size": 0 if broken else len(self.body),
            "data": b"" if broken else self.body,
        }
        self.state.assets[number] = asset
        if broken:
            self.state.broken_uploads.remove(name)
            self.answer(502, {"message": "Server Error"})
        else:
            self.answer(201, self._shown(asset))


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients may hang up."""


@contextlib.contextmanager
def serve() -> Iterator[State]:
    """A server that answers until the block ends."""
    state = State()
    server = _Server(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"state": state}))
    state.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
