"""The list of causes, and the page that is made of it."""

import pathlib

from image_hash import causes

from docs import causes_page


def test_the_page_is_what_the_list_says() -> None:
    assert pathlib.Path(causes_page.PAGE).read_text("utf-8") == causes_page.text(), "run: bazel run //docs:causes_page"


def test_names_are_there_once_and_fit_on_a_line() -> None:
    names = [cause.name for cause in causes.ALL]
    assert len(set(names)) == len(names)
    assert all(name.isprintable() and name == name.strip() and len(name) < 40 for name in names)


def test_meaning_and_advice_are_sentences_that_a_table_can_hold() -> None:
    for cause in causes.ALL:
        for sentence in (cause.meaning, cause.advice):
            assert sentence.endswith(".")
            assert sentence[0].isupper() or not sentence[0].isalpha()
            assert "|" not in sentence
            assert "\n" not in sentence
