"""The HTML report in a real browser: what is seen, by eyes and by screen readers; that nothing runs and nothing is asked for.

`bazel run //tools/image_hash/tests:html_browser_test` also takes the picture of docs/image-hash-tools.md again.
"""

import contextlib
import dataclasses
import http.server
import itertools
import os
import pathlib
import struct
import tempfile
import threading
from collections.abc import Iterator

import pytest
from image_hash import causes
from image_hash.differences import Comparison, Difference, LayerSize
from image_hash.report import html as report
from tests import browser, comparisons

_NAMES = ("aggregator", "collector", "model_updater", "task_assignment", "task_builder", "task_management", "task_scheduler")
_SEVEN = [comparisons.different(f"{n}_image") if n == "collector" else comparisons.same(f"{n}_image") for n in _NAMES]
_REPORTS = {"same": [comparisons.same()], "different": [comparisons.different()], "seven": _SEVEN}

# Contrast (WCAG 2.1, 1.4.3) of every text against what is behind it; the texts with less than 4.5.
_LOW_CONTRAST = """
(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = (c) => c.slice(0, 3).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const low = [];
  let seen = 0;
  for (let node; node = walker.nextNode();) {
    const e = node.parentElement;
    if (!node.data.trim() || !e.checkVisibility() || e.closest('svg')) continue;
    seen++;
    const [a, b] = [luminance(rgb(getComputedStyle(e).color)), luminance(behind(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) low.push(node.data);
  }
  return {seen, low};
})()
"""


@pytest.fixture(scope="module")
def shared() -> Iterator[browser.Page]:
    """One browser for all tests of this file; short, since sockets have short names."""
    with tempfile.TemporaryDirectory() as folder, browser.page(pathlib.Path(folder)) as page:
        yield page


@pytest.fixture
def page(shared: browser.Page) -> browser.Page:
    """A page as a user has it at first, who has turned JavaScript off."""
    shared.call("Emulation.setScriptExecutionDisabled", value=True)
    shared.resize(1200, 900)
    shared.prefer("light")
    shared.open("about:blank")
    shared.messages.clear()
    shared.requests.clear()
    return shared


def show(page: browser.Page, folder: pathlib.Path, text: str) -> str:
    """Opens TEXT as a file; its URL."""
    path = folder / "report.html"
    path.write_text(text, encoding="utf-8")
    page.open(path.as_uri())
    return path.as_uri()


@pytest.mark.parametrize(
    ("name", "verdict", "kind"),
    [
        ("same", "The images are the same", "same"),
        ("different", "The images differ", "different"),
        ("seven", "1 of 7 images differs", "different"),
    ],
)
def test_the_verdict_is_seen_at_first_glance(page: browser.Page, tmp_path: pathlib.Path, name: str, verdict: str, kind: str) -> None:
    url = show(page, tmp_path, report.render(_REPORTS[name]))
    assert page.evaluate("document.title") == verdict
    heading = page.evaluate(
        "(() => { const e = document.querySelector('h1'), r = e.getBoundingClientRect(), s = getComputedStyle(e);"
        " return {text: e.innerText, top: r.top, bottom: r.bottom, size: parseFloat(s.fontSize), seen: e.checkVisibility(),"
        " kind: e.closest('.verdict').className}; })()"
    )
    assert heading["text"] == verdict
    assert heading["seen"]
    assert 0 <= heading["top"] < heading["bottom"] < 200
    assert heading["size"] >= 28
    assert heading["kind"] == f"verdict {kind}"
    first_screen = page.evaluate("document.querySelector('.verdict').getBoundingClientRect().bottom")
    assert first_screen < 400
    if kind == "different":
        seen = page.evaluate("document.querySelector('.verdict').innerText")
        for part in ("collector_image", "zip timestamp (312)", "//shuffler/services/collector:binary_tar.tar", causes.ZIP_TIMESTAMP.advice):
            assert part in seen
    assert page.messages == []
    assert page.requests == [url]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", sorted(_REPORTS))
def test_every_text_can_be_read(page: browser.Page, tmp_path: pathlib.Path, name: str, scheme: str) -> None:
    page.prefer(scheme)
    show(page, tmp_path, report.render(_REPORTS[name]).replace("<details>", "<details open>"))
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) > 382) == (scheme == "light")
    contrast = page.evaluate(_LOW_CONTRAST)
    assert contrast["low"] == []
    assert contrast["seen"] > 30


@pytest.mark.parametrize("width", [320, 800, 2400])
@pytest.mark.parametrize("name", sorted(_REPORTS))
def test_nothing_is_cut_off_at_any_width(page: browser.Page, tmp_path: pathlib.Path, name: str, width: int) -> None:
    page.resize(width, 900)
    show(page, tmp_path, report.render(_REPORTS[name]))
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_long_names_do_not_widen_the_page(page: browser.Page, tmp_path: pathlib.Path) -> None:
    page.resize(360, 900)
    show(
        page,
        tmp_path,
        report.render([comparisons.mismatch([Difference(("a" * 400,), causes.MTIME, "b" * 400, "", 0, "//c" * 99)], "d" * 200)]),
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_screen_reader_finds_its_way(page: browser.Page, tmp_path: pathlib.Path) -> None:
    show(page, tmp_path, report.render(_SEVEN))
    nodes = [node for node in page.call("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
    named = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes]
    assert ("main", "") in named
    assert ("contentinfo", "") in named
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(e => +e.localName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    maps = [name for role, name in named if role in ("image", "img")]
    assert "collector_image: 31 layers, 254.6 MB, of which 26.4 MB in this image only" in maps
    assert [name for role, name in named if role == "columnheader"][:4] == ["Image", "Result", "Causes", "Bazel targets"]
    assert ("link", "collector_image") in named
    assert sum(role == "DisclosureTriangle" for role, _ in named) >= 8
    assert all(name for role, name in named if role in ("link", "image", "img", "heading", "DisclosureTriangle", "columnheader"))


def test_places_open_by_keyboard(page: browser.Page, tmp_path: pathlib.Path) -> None:
    show(page, tmp_path, report.render([comparisons.different()]))
    is_seen = "document.querySelector('article details table').checkVisibility()"
    assert page.evaluate(is_seen) is False
    page.press("Tab", 9, "")
    assert page.evaluate("document.activeElement.localName") == "summary"
    page.press("Enter", 13, "\r")
    assert page.evaluate(is_seen) is True
    assert page.evaluate("document.querySelectorAll('article details tbody')[0].rows.length") == 200


def test_the_map_shows_sizes_as_areas(page: browser.Page, tmp_path: pathlib.Path) -> None:
    show(page, tmp_path, report.render([comparisons.different()]))
    areas = page.evaluate(
        "[...document.querySelector('figure').querySelectorAll('g')].map(g => {"
        " const r = g.querySelector('rect').getBoundingClientRect(); return [g.querySelector('title').textContent, r.width * r.height,"
        " g.querySelector('rect').className.baseVal]; })"
    )
    total = sum(area for _, area, _ in areas)
    shares = {title: area / total for title, area, _ in areas}
    assert shares["layer 29 openjdk-17-jre-headless_amd64.tar, 193.0 MB"] == pytest.approx(192_957_952 / 254_609_408, abs=0.002)
    assert [title for title, _, kind in areas if kind == "other"] == ["layer 30 binary_tar.tar, 26.4 MB"]


def _hostile() -> list[Comparison]:
    found = []
    for text in (
        "<script>window.pwned = 1; document.title = 'pwned'</script>",
        '"><img src=x onerror="window.pwned = 1">',
        "'><svg onload=window.pwned=1>",
        "</title></style></textarea><script>window.pwned = 1</script>",
        '" onmouseover="window.pwned=1" x="',
        "\u202e\u2066gnp.x\x1b]0;pwned\x07",
    ):
        layer = LayerSize(0, text, 1_000_000, text, False)
        found.append(
            Comparison(text, text, text, text, False, [Difference((text, text), causes.ENV, text, text, 0, text)], [layer], [layer])
        )
    return found


def test_names_of_an_image_do_nothing(page: browser.Page, tmp_path: pathlib.Path) -> None:
    page.call("Emulation.setScriptExecutionDisabled", value=False)
    url = show(page, tmp_path, report.render(_hostile()))
    assert page.evaluate("window.pwned === undefined && document.title") == "6 of 6 images differ"
    assert page.evaluate("document.querySelectorAll('script, img, [onerror], [onload], [onmouseover]').length") == 0
    seen = page.evaluate("document.body.innerText")
    assert '"><img src=x onerror="window.pwned = 1">' in seen
    assert "\\u202e\\u2066gnp.x\\x1b]0;pwned\\x07" in seen
    assert page.messages == []
    assert page.requests == [url]


@contextlib.contextmanager
def _server() -> Iterator[tuple[str, list[str]]]:
    """A server on loopback; its address, and the paths that it is asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is inherited)
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_even_if_something_got_into_the_page_it_could_do_nothing(page: browser.Page, tmp_path: pathlib.Path) -> None:
    """The same intruder runs and asks without the policy, so the test sees what it looks for, and does neither under it."""
    page.call("Emulation.setScriptExecutionDisabled", value=False)
    with _server() as (address, asked):
        intruder = (
            f"<main><img src='{address}/img'><link rel=stylesheet href='{address}/css'><iframe src='{address}/frame'></iframe>"
            f"<style>body {{ background: url({address}/style) }}</style><script>window.pwned = 1; fetch('{address}/fetch')</script>"
        )
        text = report.render([comparisons.same()]).replace("<main>", intruder)
        show(page, tmp_path, text)
        assert page.evaluate("window.pwned === undefined")
        assert asked == []
        assert sum("Content Security Policy" in message for message in page.messages) >= 4
        policy = text[text.index('<meta http-equiv="Content-Security-Policy"') :].split("\n")[0]
        show(page, tmp_path, text.replace(policy, ""))
        assert page.evaluate("window.pwned") == 1
        assert {"/img", "/css", "/frame", "/fetch"} <= {*asked}


def test_the_picture_of_the_documentation(page: browser.Page, tmp_path: pathlib.Path) -> None:
    comparison = comparisons.different()
    two_causes = [difference for difference in comparison.differences if difference.cause != causes.TEXT_CONTENT]
    page.resize(1080, 600)
    show(page, tmp_path, report.render([dataclasses.replace(comparison, differences=two_causes)]))
    height = page.evaluate("document.documentElement.scrollHeight")
    page.resize(1080, height)
    picture = page.screenshot()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", picture[16:24]) == (1080, height)
    # Set by bazel run only.
    workspace = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
    if workspace:
        (pathlib.Path(workspace) / "docs/image-hash-report.png").write_bytes(picture)
