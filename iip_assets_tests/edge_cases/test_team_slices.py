"""`slices.toml`: what it may say, who belongs to its slices, and when it is another version."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from iip_assets.edge_cases.assets import describe_team_slices, slices_file, team_slices
from iip_assets.edge_cases.slice_members import Space, members_of
from iip_assets.edge_cases.team_slices import (
    FILE,
    SliceRule,
    accept_slice,
    observe_slices,
    read_slices,
    slices_version,
)
from iip_assets_tests.edge_cases.blobs import blob_embeddings

TEXT = """# what we watch
["dark and off"]  # since May
where = { lighting = ["dark", "uneven"], gaze = "off" }
importance = 3
target = 0.9
regression = true

[lenses]
like = ["g1_000"]
within = 0.2
"""
TAGS = pl.DataFrame(
    [
        ("a", "lighting", "dark"),
        ("a", "gaze", "off"),
        ("b", "lighting", "uneven"),
        ("b", "gaze", "off"),
        ("c", "lighting", "dark"),
        ("c", "gaze", "unknown"),
        ("d", "lighting", "normal"),
        ("d", "gaze", "off"),
    ],
    schema=["image_id", "axis", "slice"],
    orient="row",
)


def parsed(folder, text):
    (folder / FILE).write_text(text)
    return read_slices(folder)


def test_a_file_gives_its_slices_in_its_order(tmp_path):
    first, second = parsed(tmp_path, TEXT)
    assert first.rule == SliceRule({"lighting": ("dark", "uneven"), "gaze": ("off",)})
    assert (first.importance, first.target, first.ease) == (3, 0.9, None)
    assert (first.regression, second.regression) == (True, False)
    assert second.rule == SliceRule(like=("g1_000",), within=0.2)
    assert all(SliceRule(**one.rule.to_dict()) == one.rule for one in (first, second))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("where = { gaze = 'off' }\ngoal = 0.9", "goal Unexpected"),
        ("where = { gaze = 3 }", "where.gaze"),
        ("regression = true", "either where, or like and within"),
        ("where = { gaze = 'off' }\nlike = ['a']\nwithin = 0.1", "either where, or like"),
        ("like = ['a']", "like and within"),
        ("where = { gaze = 'off' }\nimportance = 9", "importance .* less than or equal to 5"),
        ("where = { gaze = 'off' }\nease = 2.5", "ease .* integer"),
        ("where = { gaze = 'off' }\nregression = 'often'", "regression .* boolean"),
        ("like = [1]\nwithin = 0.1", "like.0 .* string"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_file_slice_and_reason(tmp_path, fields, words):
    with pytest.raises(ValueError, match=f"slices.toml: slice 'x': .*{words}"):
        parsed(tmp_path, f"[x]\n{fields}")


@pytest.mark.parametrize("text", ["[x", "x = 3"], ids=["no TOML", "no table"])
def test_what_is_no_table_of_slices_is_refused(tmp_path, text):
    with pytest.raises(ValueError, match=r"slices\.toml"):
        parsed(tmp_path, text)


def test_accepting_leaves_comments_and_other_slices_as_they_are(tmp_path):
    (tmp_path / FILE).write_text(TEXT)
    accept_slice(tmp_path, 'off "gaze"', SliceRule({"gaze": ("off",)}))
    accept_slice(tmp_path, "images like ab", SliceRule(like=("ab", "cd"), within=0.25))
    text = (tmp_path / FILE).read_text()
    assert text.startswith(TEXT)
    assert [one.name for one in read_slices(tmp_path) if one.regression] == [
        "dark and off",
        'off "gaze"',
        "images like ab",
    ]
    with pytest.raises(ValueError, match=r"lenses.*already"):
        accept_slice(tmp_path, "lenses", SliceRule({"gaze": ("off",)}))


def test_a_damaged_file_is_not_written_over(tmp_path):
    (tmp_path / FILE).write_text("[x")
    with pytest.raises(ValueError, match="no TOML"):
        accept_slice(tmp_path, "y", SliceRule({"gaze": ("off",)}))
    assert (tmp_path / FILE).read_text() == "[x"


def test_the_version_moves_with_what_the_file_says_and_not_with_comments_or_order(tmp_path):
    none = observe_slices(tmp_path)
    (tmp_path / FILE).write_text(TEXT)
    first = observe_slices(tmp_path)
    assert first != none
    (tmp_path / FILE).write_text(TEXT.replace("# since May", "").replace("importance = 3\n", ""))
    assert observe_slices(tmp_path) != first
    head, body = TEXT.split("[lenses]")
    (tmp_path / FILE).write_text("[lenses]" + body + head.replace("# since May", ""))
    assert observe_slices(tmp_path) == first
    assert slices_version({FILE: TEXT}.__getitem__) == first
    assert slices_version({}.__getitem__) == none


@pytest.mark.parametrize("content", [b"[x", b"\xff\xfe"], ids=["no TOML", "no text"])
def test_a_damaged_file_is_told_by_whoever_loads_it_and_stops_no_look_at_the_graph(
    tmp_path, content
):
    (tmp_path / FILE).write_bytes(content)
    version = slices_file.observe(tmp_path)
    with pytest.raises(ValueError, match=r"slices\.toml is no TOML"):
        slices_file.load(tmp_path, version)


def test_a_file_that_changed_since_it_was_looked_at_is_not_loaded(tmp_path):
    version = slices_file.observe(tmp_path)
    (tmp_path / FILE).write_text(TEXT)
    with pytest.raises(LookupError, match="changed meanwhile"):
        slices_file.load(tmp_path, version)


def test_members_by_tags_have_one_slice_of_each_axis(tmp_path):
    nowhere = Space((), np.zeros((0, 1), np.float32))
    rule = parsed(tmp_path, TEXT)[0].rule
    assert members_of(rule, TAGS, nowhere) == ["a", "b"]
    assert members_of(SliceRule({"no axis": ("off",)}), TAGS, nowhere) == []


def test_members_by_likeness_are_those_near_the_middle_of_the_typical_ones():
    space = Space.from_embeddings(blob_embeddings([60, 40]))
    rule = SliceRule(like=tuple(f"g1_{place:03d}" for place in range(6)), within=0.6)
    found = members_of(rule, TAGS, space)
    assert len(found) > 10
    assert all(one.startswith("g1") for one in found)
    assert members_of(SliceRule(like=("gone",), within=0.8), TAGS, space) == []


def test_regression_slices_are_an_axis_and_without_the_file_there_is_none(tmp_path):
    def computed():
        slices = slices_file.load(tmp_path, slices_file.observe(tmp_path))
        return team_slices.function(slices, TAGS, blob_embeddings([60, 40]))

    empty = computed()
    assert empty.is_empty()
    assert empty.schema == TAGS.schema
    (tmp_path / FILE).write_text(TEXT)
    table = computed()
    assert table.rows() == [
        ("a", "regression", "dark and off"),
        ("b", "regression", "dark and off"),
    ]
    assert describe_team_slices(table)["rows"] == 2
