"""Who belongs to the subsets that promises and remedies name."""

import json

import numpy as np
import polars as pl
import pytest

from iip_assets.engine.values import Skipped
from iip_assets.settings import GroupPair, GuaranteeSettings, RemedySettings
from iip_assets.training_set.subsets import (
    floors_by_subset,
    memberships,
    named_axes,
    pair_sides,
    subsets_table,
    with_sides,
)

SLICES = pl.DataFrame(
    [
        ("a", "ethnicity", "black"),
        ("a", "gender", "female"),
        ("b", "ethnicity", "white"),
        ("b", "gender", "male"),
        ("c", "ethnicity", "unknown"),
        ("c", "gender", "female"),
        ("d", "ethnicity", "asian"),
        ("d", "gender", "male"),
    ],
    schema=["image_id", "axis", "slice"],
    orient="row",
)
IDS = ["d", "a", "b", "c"]


def test_only_axes_that_a_setting_names_are_in_the_table():
    remedy = RemedySettings(pairs=(GroupPair(axis="ethnicity", group="black"),))
    assert named_axes([remedy], GuaranteeSettings()) == {"ethnicity"}
    assert subsets_table(SLICES, {"ethnicity"})["axis"].unique().to_list() == ["ethnicity"]
    assert subsets_table(SLICES, named_axes([RemedySettings()], GuaranteeSettings())).is_empty()


def test_all_images_are_a_subset_of_their_own():
    promise = GuaranteeSettings(recall={"overall": {"all": 0.9}, "gender": {"female": 0.8}})
    table = subsets_table(SLICES, named_axes([RemedySettings()], promise))
    floors = floors_by_subset(promise.recall)
    assert floors == {("overall", "all"): 0.9, ("gender", "female"): 0.8}
    found = memberships(IDS, table, list(floors))
    assert np.array_equal(found, [[1, 0], [1, 1], [1, 0], [1, 1]])


def test_the_other_side_of_a_pair_is_a_group_or_all_of_known_value():
    pairs = [
        GroupPair(axis="ethnicity", group="black"),
        GroupPair(axis="ethnicity", group="black", other="white"),
    ]
    found = pair_sides(IDS, subsets_table(SLICES, {"ethnicity"}), pairs)
    assert np.array_equal(found, [[-1, 0], [1, 1], [-1, -1], [0, 0]])


def test_an_axis_that_is_none_is_named_with_what_may_be_meant():
    with pytest.raises(ValueError, match="did you mean ethnicity"):
        subsets_table(SLICES, {"ethnicty"})


PAIR = {"pairs": (GroupPair(axis="ethnicity", group="black", other="white"),)}
FLOOR = {"recall": {"gender": {"female": 0.8}}}
ROWS = pl.DataFrame(
    {"image_id": IDS, "split": ["train"] * 4, "label": ["full", "full", "full", "none"]}
)


def sided(rows=ROWS, model="filter", **settings):
    subsets = subsets_table(SLICES, {"ethnicity", "gender"})
    return with_sides(rows, subsets, RemedySettings(**settings), model, usable=("full",))


def test_examples_of_a_model_without_a_remedy_are_as_they_were():
    assert sided(**PAIR).equals(ROWS)


def test_examples_carry_their_sides_and_what_is_asked_of_the_model():
    found = sided(method="mindiff", weight=2.0, **PAIR)
    assert found["sides"].to_list() == [[0], [1], [-1], [0]]
    asked = {"method": "mindiff", "weight": 2.0, "kernel": "gaussian", "usable": ["full"]}
    assert [json.loads(one) for one in found["remedy"]] == [asked] * 4


def test_images_that_are_not_usable_stand_on_no_side_and_floors_take_validation_images():
    rows = ROWS.with_columns(split=pl.Series(["validation", "train", "train", "train"]))
    with pytest.raises(ValueError, match="gender female lack images of validation that count"):
        sided(rows, method="rate_constraint", **FLOOR)
    twice = pl.concat([rows, ROWS.with_columns(split=pl.lit("validation"))])
    found = sided(twice, method="rate_constraint", **FLOOR)
    assert found["sides"].to_list()[:4] == [[0], [1], [0], [0]]
    assert json.loads(found["remedy"][0])["floors"] == [0.8]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "mindiff"}, "filter_remedy.pairs: it names nobody"),
        ({"method": "rate_constraint"}, "filter_remedy.recall: it names nobody"),
        (
            {"method": "mindiff", "pairs": (GroupPair(axis="ethnicity", group="indian"),)},
            "ethnicity indian and others lack images of train that count; name others there, or "
            "set filter_remedy.method = 'none'",
        ),
    ],
    ids=["no pair", "no floor", "a group without images"],
)
def test_a_remedy_that_names_nobody_says_which_setting_and_how_to_mend_it(settings, words):
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        sided(**settings)
    with pytest.raises(ValueError, match="lack images"):
        with_sides(ROWS, Skipped("no slices"), RemedySettings(method="mindiff", **PAIR), "filter")
