"""Releases on GitHub, by its REST API (version 2022-11-28, https://docs.github.com/rest/releases).

A release is a draft, which only those see who may write to the repository, until all its files are there: whoever sees it sees all of it. A
run that broke off is taken up by the next: a file that is there with the same bytes stays; with other bytes, nothing is changed.
"""

import dataclasses
import email.message
import hashlib
import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from absl import logging
from image_hash import errors
from image_hash.text import printable
from ocilib import registry

API = "https://api.github.com"
"""Where the API of github.com is."""

_VERSION = "2022-11-28"
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9_.-]{1,100}")
_JSON = "application/json"
_ATTEMPTS = 5
_FIRST_DELAY = 2.0
_LONGEST_DELAY = 60.0
_SECONDS = 120
_PAGE = 100
# GitHub lists no more than 10,000 results.
_PAGES = 100
_MAX_ANSWER = 64 << 20
# What is read of GitHub's objects.
_RELEASE = {"id": int, "draft": bool, "tag_name": str, "html_url": str, "upload_url": str}
_ASSET = {"id": int, "name": str}


@dataclasses.dataclass(frozen=True)
class Asset:
    """A file of a release.

    Attributes:
        name: letters, digits, and . _ -; GitHub changes others.
        media_type: of the content.
        data: the content.
    """

    name: str
    media_type: str
    data: bytes


class GithubError(errors.CheckError):
    """GitHub cannot be reached, refuses, or says what cannot be."""


class _AgainError(Exception):
    """A request that may succeed when it is repeated."""

    def __init__(self, reason: str, delay: float | None = None) -> None:
        super().__init__(reason)
        self.delay = delay


@dataclasses.dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


class Github:
    """The releases of one repository."""

    def __init__(self, repository: str, token: str, *, api: str = API, sleep: Callable[[float], None] = time.sleep) -> None:
        """Nothing is sent yet.

        Args:
            repository: owner/name.
            token: may write the contents of the repository; in no message.
            api: address of the API.
            sleep: waits for a time in seconds.

        Raises:
            errors.UsageError: the repository or the address is none.
        """
        if not _REPOSITORY.fullmatch(repository):
            raise errors.UsageError(f"expected a repository of GitHub like owner/name, found {ascii(repository)[:200]}")
        parts = urllib.parse.urlsplit(api)
        if parts.scheme != "https" and not (parts.scheme == "http" and registry.is_loopback(parts.netloc)):
            raise errors.UsageError(f"expected an https address of GitHub's API, found {ascii(api)[:200]}")
        self._repository = repository
        self._token = token
        self._api = api.rstrip("/")
        self._sleep = sleep
        self._opener = urllib.request.build_opener(_NoRedirects, urllib.request.HTTPSHandler(context=registry.tls_context()))

    def publish(self, tag: str, commit: str, notes: str, assets: Sequence[Asset]) -> str:
        """Makes the release of a tag with its files, or completes it.

        Args:
            tag: of the release; GitHub makes it if it is not there.
            commit: what the tag is made at then.
            notes: text of the release, in Markdown; of one that is there already it stays.
            assets: the files.

        Returns:
            The address of the release's page.

        Raises:
            errors.MismatchError: the release has a file with other bytes; nothing was changed.
            GithubError: it did not succeed; the next run goes on.
        """
        release = self._find(tag) or self._create(tag, commit, notes)
        present = {asset["name"]: asset for asset in self._assets(release)}
        # All comparisons come before the first change.
        missing = [asset for asset in assets if asset.name not in present or not self._is_there(present[asset.name], asset)]
        for asset in missing:
            self._upload(release, asset, present.get(asset.name))
        if release["draft"]:
            what = f"publishing {tag}"
            address = f"{self._of_repository()}/releases/{release['id']}"
            release = _object(self._request("PATCH", address, what=what, body=_encoded({"draft": False})).body, what, _RELEASE)
        return str(release["html_url"])

    # The steps.

    def _of_repository(self) -> str:
        return f"{self._api}/repos/{self._repository}"

    def _find(self, tag: str) -> dict[str, Any] | None:
        what = f"looking for the release {tag}"
        answer = self._request("GET", f"{self._of_repository()}/releases/tags/{tag}", what=what, statuses=(200, 404))
        if answer.status == 200:
            return _object(answer.body, what, _RELEASE)
        # Drafts are not found by their tag.
        found = [release for release in self._pages(f"{self._of_repository()}/releases", what, _RELEASE) if release["tag_name"] == tag]
        if len(found) > 1:
            raise GithubError(f"GitHub has {len(found)} drafts of {tag} in {self._repository}; delete all but one")
        return found[0] if found else None

    def _create(self, tag: str, commit: str, notes: str) -> dict[str, Any]:
        content = {"tag_name": tag, "target_commitish": commit, "name": tag, "body": notes, "draft": True}
        what = f"making the release {tag} at {commit} (has that commit been pushed?)"
        for attempt in range(_ATTEMPTS):
            try:
                return _object(
                    self._send("POST", f"{self._of_repository()}/releases", _JSON, _encoded(content), what, (201,)).body, what, _RELEASE
                )
            except _AgainError as error:  # noqa: PERF203 (it waits anyway)
                self._wait(attempt, error)
                # It may have been made all the same.
                found = self._find(tag)
                if found:
                    return found
        raise AssertionError("the last attempt raises")

    def _assets(self, release: Mapping[str, Any]) -> list[dict[str, Any]]:
        return list(self._pages(f"{self._of_repository()}/releases/{release['id']}/assets", "listing the files of the release", _ASSET))

    def _is_there(self, found: Mapping[str, Any], asset: Asset) -> bool:
        """Whether the release has a file.

        Raises:
            errors.MismatchError: it has another one of that name.
        """
        if found.get("state") != "uploaded":
            return False
        wanted = f"sha256:{hashlib.sha256(asset.data).hexdigest()}"
        # Files from before June 2025 have no digest.
        digest = found.get("digest") or self._digest(found, asset.name)
        if digest != wanted:
            raise errors.MismatchError(
                f"{self._repository} on GitHub has another {asset.name}: {ascii(digest)[:100]}, expected {wanted}; "
                "a version that is published does not change: publish the next one"
            )
        return True

    def _digest(self, found: Mapping[str, Any], name: str) -> str:
        what = f"reading {name}"
        address = f"{self._of_repository()}/releases/assets/{found['id']}"
        answer = self._request("GET", address, what=what, statuses=(200, 302), accept="application/octet-stream")
        if answer.status == 302:
            # To a storage, for which the token is not.
            answer = self._request("GET", _checked(answer.headers.get("location", "")), what=what, statuses=(200,), login=False)
        return f"sha256:{hashlib.sha256(answer.body).hexdigest()}"

    def _upload(self, release: Mapping[str, Any], asset: Asset, leftover: Mapping[str, Any] | None) -> None:
        what = f"uploading {asset.name}"
        target = f"{self._upload_address(release)}?{urllib.parse.urlencode({'name': asset.name})}"
        for attempt in range(_ATTEMPTS):
            if leftover:
                # What an upload that broke leaves (state "starter") keeps the name.
                self._request("DELETE", f"{self._of_repository()}/releases/assets/{leftover['id']}", what=what, statuses=(204, 404))
            try:
                answer = _object(self._send("POST", target, asset.media_type, asset.data, what, (201,)).body, what, _ASSET)
            except _AgainError as error:
                self._wait(attempt, error)
                leftover = next((found for found in self._assets(release) if found["name"] == asset.name), None)
                if leftover and self._is_there(leftover, asset):
                    return
                continue
            if answer["name"] != asset.name or answer.get("state") != "uploaded" or answer.get("size") != len(asset.data):
                raise GithubError(f"GitHub: {what}: expected {len(asset.data)} bytes under that name, it says it has something else")
            if not self._is_there(answer, asset):
                raise GithubError(f"GitHub: {what}: it says that it has the file, and then that it has not")
            return
        raise AssertionError("the last attempt raises")

    def _upload_address(self, release: Mapping[str, Any]) -> str:
        # A template of RFC 6570: https://uploads.github.com/repos/o/r/releases/1/assets{?name,label}
        address = _checked(str(release["upload_url"]).partition("{")[0])
        own, other = urllib.parse.urlsplit(self._api), urllib.parse.urlsplit(address)
        if other.netloc not in (own.netloc, re.sub(r"^api\.", "uploads.", own.netloc)):
            raise GithubError(f"GitHub wants files to be sent to {ascii(other.netloc)[:100]}, which is none of its hosts")
        return address

    # One request.

    def _pages(self, address: str, what: str, fields: Mapping[str, type]) -> Iterator[dict[str, Any]]:
        for page in range(1, _PAGES + 1):
            answer = self._request("GET", f"{address}?per_page={_PAGE}&page={page}", what=what)
            found = _parsed(answer.body)
            if not isinstance(found, list):
                raise GithubError(f"GitHub: {what}: expected a list, found something else")
            yield from (_checked_object(item, what, fields) for item in found)
            if len(found) < _PAGE:
                return

    def _request(
        self,
        method: str,
        address: str,
        *,
        what: str,
        body: bytes = b"",
        statuses: tuple[int, ...] = (200,),
        accept: str = "",
        login: bool = True,
    ) -> _Answer:
        """Sends a request that does no harm when it comes twice, again and again until there is an answer that stays."""
        for attempt in range(_ATTEMPTS):
            try:
                return self._send(method, address, _JSON if body else "", body, what, statuses, accept=accept, login=login)
            except _AgainError as error:  # noqa: PERF203 (it waits anyway)
                self._wait(attempt, error)
        raise AssertionError("the last attempt raises")

    def _wait(self, attempt: int, error: _AgainError) -> None:
        if attempt + 1 == _ATTEMPTS:
            raise GithubError(f"GitHub: {error} (after {_ATTEMPTS} attempts); run it again later, it goes on where it was")
        delay = _FIRST_DELAY * 2**attempt if error.delay is None else error.delay
        if delay > _LONGEST_DELAY:
            raise GithubError(f"GitHub: {error}; it asks to wait for {delay:.0f} s: run it again then, it goes on where it was")
        logging.info("GitHub: %s; again in %.0f s", error, delay)
        self._sleep(delay)

    def _send(
        self,
        method: str,
        address: str,
        media_type: str,
        body: bytes,
        what: str,
        statuses: tuple[int, ...],
        *,
        accept: str = "",
        login: bool = True,
    ) -> _Answer:
        headers = {"Accept": accept or "application/vnd.github+json", "User-Agent": "image_hash"}
        if login:
            headers |= {"Authorization": f"Bearer {self._token}", "X-GitHub-Api-Version": _VERSION}
        if media_type:
            headers["Content-Type"] = media_type
        request = urllib.request.Request(address, body if media_type else None, headers, method=method)
        try:
            with self._opener.open(request, timeout=_SECONDS) as response:
                answer = _answer(response.status, response.headers, response.read(_MAX_ANSWER))
        except urllib.error.HTTPError as error:
            with error:
                answer = _answer(error.code, error.headers, error.read(_MAX_ANSWER))
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise _AgainError(f"{what}: {' '.join(str(reason).split()) or type(error).__name__}") from None
        if answer.status not in statuses:
            self._refused(answer, what)
        return answer

    def _refused(self, answer: _Answer, what: str) -> None:
        said = self._said(answer.body)
        limited = "retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0"
        if answer.status >= 500 or answer.status == 429 or (answer.status == 403 and limited):
            raise _AgainError(f"{what}: {answer.status}{said}", _delay(answer.headers))
        explained = {
            301: "the repository has another name now; give that",
            307: "the repository has another name now; give that",
            308: "the repository has another name now; give that",
            401: "it does not take the token of the environment (GH_TOKEN or GITHUB_TOKEN)",
            403: "the token may not do that; it needs write access to the repository's contents",
            404: f"there is no {self._repository} that the token may write to",
            422: "it takes the request for wrong",
        }
        reason = explained.get(answer.status, "not expected")
        raise GithubError(f"GitHub: {what}: {answer.status}, {reason}{said}")

    def _said(self, body: bytes) -> str:
        """What GitHub says about an error, in one printable line without the token."""
        content = _parsed(body)
        if not isinstance(content, dict):
            return ""
        details = content.get("errors")
        lines = [content.get("message"), *(details if isinstance(details, list) else ())]
        text = "; ".join(line if isinstance(line, str) else json.dumps(line) for line in lines if line)
        return ": " + printable(text.replace(self._token, "***")) if text else ""


def _answer(status: int, headers: email.message.Message, body: bytes) -> _Answer:
    return _Answer(status, {name.lower(): value for name, value in headers.items()}, body)


def _encoded(content: Mapping[str, object]) -> bytes:
    return json.dumps(content).encode()


def _parsed(body: bytes) -> object:
    """JSON; None if it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _object(body: bytes, what: str, fields: Mapping[str, type]) -> dict[str, Any]:
    return _checked_object(_parsed(body), what, fields)


def _checked_object(content: object, what: str, fields: Mapping[str, type]) -> dict[str, Any]:
    if not isinstance(content, dict) or any(not isinstance(content.get(name), kind) for name, kind in fields.items()):
        raise GithubError(f"GitHub: {what}: expected an object with {', '.join(fields)}, found something else")
    return content


def _checked(address: str) -> str:
    parts = urllib.parse.urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and registry.is_loopback(parts.netloc)):
        raise GithubError(f"GitHub sends us to {ascii(parts.netloc)[:100]} without https")
    return address


def _delay(headers: Mapping[str, str]) -> float | None:
    """The time that GitHub asks to wait for, in seconds: https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api."""
    if headers.get("retry-after", "").isdigit():
        return float(headers["retry-after"])
    if headers.get("x-ratelimit-remaining") == "0" and headers.get("x-ratelimit-reset", "").isdigit():
        return max(1.0, float(headers["x-ratelimit-reset"]) - time.time())
    return None
