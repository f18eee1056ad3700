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
    SlicesFileError,
    accept_slice,
    drop_slice,
    observe_slices,
    parse_slices,
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


def test_a_file_gives_its_slices_in_its_order():
    first, second = parse_slices(TEXT)
    assert first.rule == SliceRule({"lighting": ("dark", "uneven"), "gaze": ("off",)})
    assert (first.importance, first.target, first.ease) == (3, 0.9, None)
    assert (first.regression, second.regression) == (True, False)
    assert second.rule == SliceRule(like=("g1_000",), within=0.2)
    assert all(SliceRule.from_dict(one.rule.to_dict()) == one.rule for one in (first, second))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("wher = { gaze = 'off' }", "no field 'wher'; did you mean where"),
        ("where = { gaze = 3 }", "each axis a word or a list"),
        ("regression = true", "needs either where or like"),
        ("where = { gaze = 'off' }\nlike = ['a']\nwithin = 0.1", "either where or like"),
        ("like = ['a']", "like and within belong together"),
        ("where = { gaze = 'off' }\nwithin = 0.1", "like and within belong together"),
        ("where = { gaze = 'off' }\nimportance = 9", "importance is 9; give a number from 1 to 5"),
        ("where = { gaze = 'off' }\nease = 2.5", "ease is 2.5; give a whole number"),
        ("where = { gaze = 'off' }\ntarget = true", "target is True; give a number from 0 to 1"),
        ("where = { gaze = 'off' }\nregression = 'yes'", "write true or false"),
        ("like = [1]\nwithin = 0.1", "like must be a list of image ids"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_file_slice_and_fix(fields, words):
    with pytest.raises(SlicesFileError, match=f"slices.toml: slice 'x': .*{words}"):
        parse_slices(f"[x]\n{fields}")


@pytest.mark.parametrize("text", ["[x", "x = 3"], ids=["no TOML", "no table"])
def test_what_is_no_table_of_slices_is_refused(text):
    with pytest.raises(SlicesFileError, match=r"slices\.toml"):
        parse_slices(text)


def test_accepting_and_dropping_leave_comments_and_other_slices_as_they_are(tmp_path):
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
    for name in ('off "gaze"', "images like ab"):
        drop_slice(tmp_path, name)
    assert (tmp_path / FILE).read_text().strip() == TEXT.strip()
    with pytest.raises(LookupError, match="did you mean lenses"):
        drop_slice(tmp_path, "lens")


def test_a_damaged_file_is_not_written_over(tmp_path):
    (tmp_path / FILE).write_text("[x")
    with pytest.raises(SlicesFileError):
        accept_slice(tmp_path, "y", SliceRule({"gaze": ("off",)}))
    assert (tmp_path / FILE).read_text() == "[x"


def test_the_version_moves_with_who_is_a_member_of_a_regression_slice_and_nothing_else(tmp_path):
    none = observe_slices(tmp_path)
    (tmp_path / FILE).write_text(TEXT)
    first = observe_slices(tmp_path)
    assert first != none
    for old, new in (("importance = 3", "ease = 1"), ("# since May", ""), ("0.2", "0.3")):
        (tmp_path / FILE).write_text(TEXT.replace(old, new))
        assert observe_slices(tmp_path) == first
    (tmp_path / FILE).write_text(TEXT.replace('"uneven"', '"bright"'))
    assert observe_slices(tmp_path) != first
    assert slices_version({FILE: TEXT}.__getitem__) == first
    assert slices_version({}.__getitem__) == none


@pytest.mark.parametrize("content", [b"[x", b"\xff\xfe"], ids=["no TOML", "no text"])
def test_a_damaged_file_is_told_by_whoever_loads_it_and_stops_no_look_at_the_graph(
    tmp_path, content
):
    (tmp_path / FILE).write_bytes(content)
    version = slices_file.observe(tmp_path)
    with pytest.raises(SlicesFileError, match=r"slices\.toml is not"):
        slices_file.load(tmp_path, version)


def test_a_file_that_changed_since_it_was_looked_at_is_not_loaded(tmp_path):
    version = slices_file.observe(tmp_path)
    (tmp_path / FILE).write_text(TEXT)
    with pytest.raises(LookupError, match="changed meanwhile"):
        slices_file.load(tmp_path, version)


def test_members_by_tags_have_one_slice_of_each_axis():
    nowhere = Space((), np.zeros((0, 1), np.float32))
    rule = parse_slices(TEXT)[0].rule
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
