"""Who belongs to the subsets that promises and remedies name."""

import numpy as np
import polars as pl
import pytest

from iip_assets.settings import GroupPair, GuaranteeSettings, RemedySettings
from iip_assets.training_set.subsets import (
    floors_by_subset,
    memberships,
    named_axes,
    pair_sides,
    subsets_table,
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
    assert named_axes(remedy, GuaranteeSettings()) == {"ethnicity"}
    assert subsets_table(SLICES, {"ethnicity"})["axis"].unique().to_list() == ["ethnicity"]
    assert subsets_table(SLICES, named_axes(RemedySettings(), GuaranteeSettings())).is_empty()


def test_all_images_are_a_subset_of_their_own():
    promise = GuaranteeSettings(recall={"overall": {"all": 0.9}, "gender": {"female": 0.8}})
    table = subsets_table(SLICES, named_axes(RemedySettings(), promise))
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
