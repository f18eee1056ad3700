"""Planted failing slices are found and named; where none is planted, none is."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from iip_assets.audit.discovered_slices import (
    SLICES,
    discover_slices,
    in_words,
    name_of,
    tag_members,
)
from iip_assets.edge_cases.slice_members import Space, members_of
from iip_assets.edge_cases.team_slices import SliceRule
from iip_assets.settings import SliceDiscoverySettings

N = 600
LOOKS_ODD = np.arange(N) % 15 == 0


def image_ids(count=N):
    return [f"{place:04d}" for place in range(count)]


def axes(*, seed=0):
    rng = np.random.default_rng([seed, 1])
    return {
        "lighting": rng.choice(["dark", "normal", "bright"], N, p=[0.3, 0.5, 0.2]),
        "gaze": rng.choice(["off", "centred", "unknown"], N, p=[0.25, 0.65, 0.1]),
        "gender": rng.choice(["female", "male"], N),
    }


def tag_table(words):
    ids = image_ids()
    return pl.concat(
        pl.DataFrame({"image_id": ids, "axis": axis, "slice": names})
        for axis, names in words.items()
    )


def looks(*, seed=0):
    """Where images lie: every fifteenth lies apart from the others."""
    rng = np.random.default_rng([seed, 2])
    vectors = rng.normal(size=(N, 8)) + 6 * LOOKS_ODD[:, None] * np.eye(8)[0]
    table = {"image_id": image_ids(), "embedding": vectors.astype(np.float32).tolist()}
    return pl.DataFrame(table)


def error_table(inside, *, seed=0, subjects=150, model="filter"):
    """Half of the images inside are wrong, and one in ten of the others."""
    rng = np.random.default_rng(seed)
    wrong = rng.uniform(size=N) < np.where(inside, 0.6, 0.1)
    groups = [f"s{place % subjects}" for place in range(N)]
    table = {"image_id": image_ids(), "group_id": groups, "error": wrong.astype(float)}
    return pl.DataFrame(table).with_columns(model=pl.lit(model))


def members(found):
    """The images that the rule of the first slice gives."""
    rule = SliceRule(**json.loads(found["rule"][0]))
    return members_of(rule, tag_table(axes()), Space.from_embeddings(looks()))


def discovered(errors, tags=None, embeddings=None, *, seed=0):
    return discover_slices(
        errors,
        tag_table(axes()) if tags is None else tags,
        Space.from_embeddings(looks() if embeddings is None else embeddings),
        options=SliceDiscoverySettings(draws=100, seed=seed),
        least=10,
        confidence=0.95,
    )


@pytest.fixture(scope="module")
def dark_and_off():
    words = axes()
    inside = (words["lighting"] == "dark") & (words["gaze"] == "off")
    return inside, discovered(error_table(inside))


def test_a_planted_conjunction_is_found_in_words_and_neither_of_its_tags_beside_it(dark_and_off):
    inside, found = dark_and_off
    assert found["name"].to_list() == ["off gaze and dark lighting"]
    row = found.row(0, named=True)
    assert row["n_images"] == inside.sum()
    assert row["low"] < row["error"] < row["high"]
    assert row["error"] > 4 * row["rest_error"]
    assert row["p"] <= 0.02
    assert members(found) == np.array(image_ids())[inside].tolist()


def test_the_images_shown_of_a_slice_are_those_that_went_wrong(dark_and_off):
    inside, found = dark_and_off
    wrong = error_table(inside).filter(pl.col("error") == 1)["image_id"]
    assert set(found["exemplars"][0]) <= set(wrong)


def test_images_that_look_alike_are_found_where_no_tag_says_what_they_share():
    found = discovered(error_table(LOOKS_ODD))
    row = found.row(0, named=True)
    assert row["name"].startswith("images like ")
    inside = LOOKS_ODD[[int(one) for one in members(found)]]
    assert inside.mean() > 0.85
    assert inside.sum() > LOOKS_ODD.sum() / 2


def test_where_a_model_fails_everywhere_alike_hardly_any_search_finds_a_slice():
    nowhere = np.zeros(N, bool)
    found = [discovered(error_table(nowhere, seed=s), seed=s).height for s in range(10)]
    assert sum(one > 0 for one in found) <= 1


def test_hard_people_are_not_taken_for_a_slice_of_what_they_happen_to_share():
    """Of 40 people six fail mostly, by chance alike; they count as six, not as 90 images."""
    people = np.arange(N) % 40

    def found(seed):
        rng = np.random.default_rng([seed, 3])
        hard = np.isin(people, rng.choice(40, 6, replace=False))
        words = {
            axis: rng.choice(["one", "other", "third"], 40)[people]
            for axis in ("gender", "ethnicity", "geography")
        }
        errors = error_table(hard, seed=seed, subjects=40)
        return discovered(errors, tag_table(words), seed=seed).height

    assert sum(found(seed) > 0 for seed in range(4, 10)) <= 1


def test_each_model_has_slices_of_its_own():
    words = axes()
    errors = pl.concat(
        [
            error_table(words["lighting"] == "bright"),
            error_table(words["gaze"] == "off", model="segmenter"),
        ]
    )
    first = discovered(errors).unique("model", keep="first", maintain_order=True)
    assert first.select("model", "name").rows() == [
        ("filter", "bright lighting"),
        ("segmenter", "off gaze"),
    ]


def test_equal_inputs_in_another_order_give_equal_slices(dark_and_off):
    inside, found = dark_and_off
    shuffled = error_table(inside).sample(fraction=1, shuffle=True, seed=1)
    again = discovered(shuffled, tag_table(axes()).reverse(), looks().reverse())
    assert again.equals(found)


@pytest.mark.parametrize(
    ("errors", "tags", "embeddings"),
    [
        (error_table(LOOKS_ODD).clear(), None, None),
        (error_table(LOOKS_ODD).head(1), None, None),
        (error_table(LOOKS_ODD, subjects=1), None, None),
        (error_table(LOOKS_ODD).with_columns(error=pl.lit(1.0)), None, None),
        (error_table(LOOKS_ODD).with_columns(error=pl.lit(0.0)), None, None),
        (error_table(LOOKS_ODD), tag_table(axes()).clear(), looks().clear()),
    ],
    ids=["no image", "one image", "one person", "all wrong", "all right", "nothing known"],
)
def test_of_too_little_no_slice_is_told(errors, tags, embeddings):
    found = discovered(errors, tags, embeddings)
    assert found.is_empty()
    assert dict(found.schema) == SLICES


def test_a_sphere_is_described_by_the_tag_that_most_of_it_has_and_few_others_have():
    words = {"lighting": np.where(LOOKS_ODD, "dark", "normal"), "gender": axes()["gender"]}
    tagged = tag_members(pl.Series(image_ids()), tag_table(words))
    sphere = SliceRule(like=("abcdef0123",), within=0.1)
    assert name_of(sphere, LOOKS_ODD, tagged) == "dark lighting like abcdef01"
    assert name_of(sphere, np.arange(N) < 30, tagged) == "images like abcdef01"


def test_of_slices_of_one_name_and_other_rules_each_can_be_named():
    """Both models fail on images that look odd, the segmenter on some more of them."""
    errors = pl.concat(
        [
            error_table(LOOKS_ODD),
            error_table(LOOKS_ODD | (np.arange(N) % 40 == 0), seed=1, model="segmenter"),
        ]
    )
    found = discovered(errors)
    assert found.group_by("name").agg(pl.col("rule").n_unique())["rule"].max() == 1


def test_tags_read_as_people_say_them():
    assert in_words([("sharpness", "blurred"), ("age_band", "60+")]) == "blurred and age band 60+"
