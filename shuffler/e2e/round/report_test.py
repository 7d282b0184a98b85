"""The page shows what there is, escapes what it shows, and asks nobody for anything."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

from shuffler.e2e.round import report
from shuffler.e2e.round.results import Results, Round, TaskRounds

_VOID = {"meta", "line", "circle", "polyline"}


def _results(**metrics: float) -> Results:
    rounds = [Round(i, 10, {"loss": 1 / i, **metrics}, 2.5) for i in range(1, 6)]
    return Results(
        settings={"--model": "<digits> & co"},
        hashes={"collector": "sha256:" + "0" * 64},
        tasks=[TaskRounds("training", 1, rounds), TaskRounds("evaluation", 2, rounds[:1])],
        outcomes={"uploaded": 50, "dropped out": 3},
        phases={"build": 1.25, "rounds": 12.5},
    )


class _Balanced(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, _attributes: object) -> None:
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_is_well_formed_and_shows_everything() -> None:
    page = report.render(_results())
    parser = _Balanced()
    parser.feed(page)
    assert not parser.open
    for shown in ("5 federated rounds", "60 uploads", "<digits> & co", "dropped out", "sha256:000", "1 → 0.2", "Task 2: evaluation"):
        assert shown in parser.text
    assert page == report.render(_results())


def test_page_asks_nobody_for_anything() -> None:
    page = report.render(_results())
    assert "default-src 'none'" in page
    assert not re.search(r"<script|src=|href=|url\(|@import|https?:", page)


def test_what_is_no_number_is_left_out() -> None:
    page = report.render(_results(broken=math.nan, huge=math.inf))
    assert page.count("no numbers") == 4
    assert "nan" not in re.sub(r"<style>.*</style>", "", page, flags=re.DOTALL)


def test_one_point_and_a_constant_have_curves() -> None:
    assert report.render(_results(constant=0.0)).count("<polyline") == 2 * 4


def test_lines_for_a_terminal_have_a_round_each() -> None:
    lines = report.text(_results()).splitlines()
    assert len(lines) == 6
    assert lines[1] == "training 2: 10 uploads, 2.5 s, loss 0.5"
