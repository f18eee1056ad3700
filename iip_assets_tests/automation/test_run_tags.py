"""Tags say what changed and why, in a length that every database takes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from iip_assets.automation.run_tags import listed, reasons
from iip_assets.engine.staleness import State


def test_all_words_are_shown_where_they_fit() -> None:
    assert listed(["2031-05-clinic", "2031-06-school"]) == "2031-05-clinic, 2031-06-school"
    assert listed([]) == ""


def test_what_does_not_fit_is_counted() -> None:
    shown = listed([f"2031-{number:03d}-a-batch" for number in range(400)])
    count = shown.count("a-batch")
    assert count > 5
    assert shown.endswith(f" and {400 - count} more")


@settings(max_examples=100, derandomize=True, deadline=None)
@given(words=st.lists(st.text(max_size=400), max_size=60))
def test_any_words_make_a_tag_that_is_printable_text_of_bounded_length(words: list[str]) -> None:
    tag = listed(words)
    assert len(tag) <= 250
    assert len(tag.encode()) <= 1000
    assert tag.isprintable()


def test_reasons_are_those_of_their_own_and_not_what_follows() -> None:
    states = {
        "a": State("stale", ("input data changed", "setting x.y changed: 1 → 2")),
        "b": State("stale", ("upstream a is stale",)),
        "c": State("stale", ("code changed: m:f",)),
    }
    assert reasons(states, ["a", "b"]) == "a: input data changed; a: setting x.y changed: 1 → 2"
