"""The HTML report, as a file: what it says, that nothing of an image gets out of its place, that nothing has to be loaded."""

import base64
import dataclasses
import hashlib
import html.parser
import os
import pathlib
import re
import stat
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_hash import causes, errors
from image_hash.differences import Comparison, Difference, LayerSize
from image_hash.report import html as report
from image_hash.report import style, treemap
from tests import comparisons

_ONE = [Difference(("a",), causes.MTIME, "1", "2")]

_HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "</title></style></svg><script>",
    "]]>--><!--",
    "&lt;b&gt;&amp;",
    "{digest}{0}%s",
    "javascript:alert(1)",
    "\x1b[31mred\x00\r\n\x85",
    "\u202eevil\u2066\u200b\ufeff",
    "\ud800",
    "x" * 100_000,
)


class _Page(html.parser.HTMLParser):
    """A page's tags with their attributes, and its text by tag."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(attrs)))
        self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(attrs)))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data

    def skeleton(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(name for name, _ in attributes)) for tag, attributes in self.tags]


def _with_text(text: str) -> Comparison:
    """A mismatch in which every string that comes from an image or a user is TEXT."""
    layer = LayerSize(0, text, 1_000_000, text, False)
    difference = Difference((text, text), causes.TEXT_CONTENT, text, text, 0, text)
    return Comparison(text, text, text, text, False, [difference, dataclasses.replace(difference, target="//x")], [layer], [layer])


@pytest.mark.parametrize("text", _HOSTILE, ids=range(len(_HOSTILE)))
def test_text_of_an_image_stays_text(text: str) -> None:
    page = report.render([_with_text(text), comparisons.same(text)])
    assert _Page(page).skeleton() == _Page(report.render([_with_text("x"), comparisons.same("x")])).skeleton()
    assert all(c.isprintable() or c == "\n" for c in page)
    assert len(page) < 40_000
    page.encode()


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(), min_size=1))
def test_no_text_changes_the_structure(text: str) -> None:
    page = report.render([_with_text(text)])
    assert _Page(page).skeleton() == _Page(report.render([_with_text("x")])).skeleton()
    assert all(c.isprintable() or c == "\n" for c in page)


def test_text_is_readable_after_escaping() -> None:
    assert "a<b>&\"'\\x1b\\u202e" in _Page(report.render([_with_text("a<b>&\"'\x1b\u202e")])).text


def test_the_page_needs_nothing_and_may_load_nothing() -> None:
    page = _Page(report.render([comparisons.different(), comparisons.same()]))
    allowed = {"href": re.compile(r"#image-\d+")}
    for tag, attributes in page.tags:
        assert tag not in ("script", "img", "iframe", "object", "embed", "link", "base", "form", "use", "image", "foreignobject")
        for name, value in attributes:
            assert not name.startswith("on")
            assert name not in ("src", "srcset", "style", "action", "xlink:href", "background", "data")
            assert name != "href" or allowed["href"].fullmatch(value or "")
    assert not re.search(r"url\(|@import|image-set|expression", style.STYLE)
    policy = next(dict(attributes) for _, attributes in page.tags if dict(attributes).get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(style.STYLE.encode()).digest()).decode()
    assert policy["content"] == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_the_verdict_says_which_why_where_and_what_to_do() -> None:
    text = _Page(report.render([comparisons.different()])).text
    verdict = text[: text.index("First")]
    assert "The images differ" in verdict
    assert "collector_image ≠ registry.example/fcp/collector_image:rebuilt" in verdict
    assert "Causes: zip timestamp (312), text content, env." in verdict
    assert "Made by //shuffler/services/collector:binary_tar.tar, //shuffler/services/collector:collector_image." in verdict
    assert f"What to do first: {causes.ZIP_TIMESTAMP.advice}" in verdict


def test_a_match_says_so_and_has_no_causes() -> None:
    text = _Page(report.render([comparisons.same()])).text
    assert "The images are the same" in text
    assert "the same image, byte for byte" in text
    assert "Why" not in text


def test_a_match_without_manifest_does_not_claim_the_hash() -> None:
    text = _Page(report.render([dataclasses.replace(comparisons.same(), left_hash=None)])).text
    assert "the image hash is not compared" in text
    assert "no image hash: this format does not keep the manifest" in text


def test_several_images_are_counted_and_listed() -> None:
    names = ["aggregator_image", "collector_image", "model_updater_image"]
    text = _Page(report.render([comparisons.same(names[0]), comparisons.different(names[1]), comparisons.same(names[2])])).text
    assert "1 of 3 images differs" in text
    assert "All 2 images are the same" in _Page(report.render([comparisons.same(names[0]), comparisons.same(names[2])])).text
    rows = text[text.index("Images") :]
    assert rows.index("aggregator_image") < rows.index("collector_image") < rows.index("model_updater_image")


def test_what_has_no_cause_comes_last() -> None:
    differences = [Difference(("a",), cause, "1", "2") for cause in (causes.UNKNOWN, causes.MTIME, causes.OWNER)]
    text = _Page(report.render([comparisons.mismatch(differences)])).text
    assert "Causes: mtime, owner, unknown." in text
    assert text.count("What to do first: " + causes.MTIME.advice) == 1


def test_many_causes_and_targets_are_cut_short() -> None:
    differences = [Difference((str(n),), cause, "1", "", None, f"//x:{n}") for n, cause in enumerate(causes.ALL)]
    text = _Page(report.render([comparisons.mismatch(differences)])).text
    assert f" and {len(causes.ALL) - 4} other causes." in text
    assert f"Made by //x:0, //x:1, //x:2 and {len(causes.ALL) - 3} more." in text


def test_a_long_list_is_cut_and_says_so() -> None:
    differences = [Difference((f"place{n}",), causes.MTIME, "1", "2") for n in range(5000)]
    page = report.render([comparisons.mismatch(differences)])
    assert "place199<" in page
    assert "place200<" not in page
    assert "And 4,800 more" in page
    assert "5,000 places" in page


def test_targets_have_a_column_only_where_they_differ() -> None:
    one = [Difference((str(n),), causes.MTIME, "1", "2", None, "//x:a") for n in range(2)]
    assert "Bazel target" not in report.render([comparisons.mismatch(one)])
    assert "Bazel target" in report.render([comparisons.mismatch([*one, dataclasses.replace(one[0], target="//x:b")])])


def test_the_same_comparison_makes_the_same_page() -> None:
    assert report.render([comparisons.different()]) == report.render([comparisons.different()])


def test_an_image_without_layers_has_no_map() -> None:
    page = report.render([dataclasses.replace(comparisons.mismatch(_ONE), left_layers=(), right_layers=())])
    assert "<figure" not in page


def test_a_list_of_expected_hashes_has_no_map() -> None:
    nothing = [LayerSize(0, "sha256:x", 0, "", True)]
    page = report.render([dataclasses.replace(comparisons.same(), left_layers=nothing)])
    assert page.count("<figure") == 1
    assert "254.6 MB" in page
    assert "<figure" not in report.render([dataclasses.replace(comparisons.mismatch(_ONE), left_layers=(), right_layers=nothing)])


def test_sizes_are_those_of_build_images() -> None:
    layers = [LayerSize(n, "sha256:x", size, "", n == 0) for n, size in enumerate((0, 999, 1000, 254_600_000, 1_288_900_000, 10**16))]
    page = report.render([dataclasses.replace(comparisons.mismatch(_ONE), left_layers=layers)])
    for size in ("0 B", "999 B", "1.0 kB", "254.6 MB", "1.3 GB", "10000.0 TB"):
        assert f"<td>{size}</td>" in page


def _contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours: WCAG 2.1, 1.4.3."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_contrast(scheme: int) -> None:
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", re.findall(r":root \{([^}]*)\}", style.STYLE)[scheme]))
    for text, grounds in {
        "text": ("page", "card", "same-card", "different-card"),
        "soft": ("page", "card"),
        "link": ("page", "card"),
        "same": ("page", "card", "same-card"),
        "different": ("page", "card", "different-card"),
        "quiet-text": ("quiet",),
        "changed-text": ("changed",),
    }.items():
        for ground in grounds:
            assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


_SIZES = st.lists(st.integers(0, 10**12), max_size=60)


@settings(deadline=None)
@given(_SIZES)
def test_areas_are_as_sizes_and_fill_the_map(sizes: list[int]) -> None:
    areas = treemap.squarify(sizes, 1000, 170)
    seen = {index: size for index, size in enumerate(sizes) if size * 1_000_000 > sum(sizes)}
    assert sorted(area.index for area in areas) == sorted(seen)
    for area in areas:
        share = sizes[area.index] / sum(seen.values())
        assert area.width * area.height == pytest.approx(share * 170_000, rel=1e-6)
        assert area.x >= -1e-6
        assert area.y >= -1e-6
        assert area.x + area.width <= 1000 + 1e-6
        assert area.y + area.height <= 170 + 1e-6


def test_areas_do_not_overlap() -> None:
    areas = treemap.squarify([171, 50, 13, 4, 3, 3, 3, 2, 1, 1], 1000, 170)
    for i, a in enumerate(areas):
        for b in areas[i + 1 :]:
            across = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
            down = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
            assert min(across, down) < 1e-6


def test_a_report_is_written_whole_or_not_at_all(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    report.write(str(path), [comparisons.same()])
    before = path.read_text()
    assert before == report.render([comparisons.same()])
    assert stat.S_IMODE(path.stat().st_mode) == 0o644

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(errors.CheckError, match="the report was not written to .*report.html: No space left on device"):
        report.write(str(path), [comparisons.different()])
    assert path.read_text() == before
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_folder_that_is_missing_is_an_error_of_one_line(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.CheckError, match="No such file or directory$"):
        report.write(str(tmp_path / "missing" / "report.html"), [comparisons.same()])
