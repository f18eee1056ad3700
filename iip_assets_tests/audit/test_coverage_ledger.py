"""The ledger names empty and small cells, and asks for as many subjects as a difference takes."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.special import ndtri

from iip_assets.audit.coverage_ledger import (
    COMMONEST,
    coverage_table,
    most_lacking,
    subjects_needed,
)
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.settings import EvaluationSettings
from iip_assets.tables import TABLES

GENDERS, ETHNICITIES = ("female", "male"), ("asian", "black")


def people(count: int = 240, *, geography: str = "unknown", seed: int = 0):
    """Two images of each; nobody is both male and black. A third is in test."""
    rows, slices = [], []
    for person in range(count):
        gender = GENDERS[person % 2]
        words = {
            "age_band": "30-44",
            "gender": gender,
            "ethnicity": "asian" if gender == "male" else ETHNICITIES[person // 2 % 2],
            "geography": geography,
        }
        for shot in range(2):
            image_id = f"{person:04d}{shot}"
            rows.append((image_id, f"g{person}", "test" if person % 3 == 0 else "train"))
            slices += [(image_id, axis, word) for axis, word in words.items()]
    splits = pl.DataFrame(rows, schema=["image_id", "group_id", "split"], orient="row")
    return splits, pl.DataFrame(slices, schema=["image_id", "axis", "slice"], orient="row")


def answers(splits, *, right: float = 0.8, seed: int = 0):
    """The filter is right on this share of the test images; nobody asked the segmenter."""
    rng = np.random.default_rng(seed)
    test = splits.filter(split="test").select("image_id", "split")
    truth = rng.integers(0, 3, test.height)
    said = np.where(rng.uniform(size=test.height) < right, truth, (truth + 1) % 3)
    names = np.array(FILTER_CLASSES)
    return test.with_columns(
        label=pl.Series(names[truth]),
        predicted=pl.Series(names[said]),
        confusion=pl.lit(None, pl.List(pl.Int64)),
        **{f"prob_{name}": pl.Series((said == at) * 1.0) for at, name in enumerate(FILTER_CLASSES)},
    )


def ledger(splits, slices, predictions=None, **changed):
    options = {"difference": 0.1, "mask_classes": ("background", "iris")}
    evaluation = EvaluationSettings(resamples=300)
    return coverage_table(splits, slices, predictions, evaluation=evaluation, **(options | changed))


def test_nobody_is_asked_for_more_subjects_of_a_challenge_set():
    here, there = people(geography="kenya"), people(geography="india")
    frozen = there[0].with_columns(pl.all().exclude("split") + "f", split=pl.lit("challenge"))
    splits = pl.concat([here[0], frozen])
    slices = pl.concat([here[1], there[1].with_columns(pl.col("image_id") + "f")])
    assert ledger(splits, slices).equals(ledger(*here))


def test_a_cell_of_which_only_the_single_values_occur_is_named_as_empty() -> None:
    splits, slices = people()
    table = ledger(splits, slices)
    empty = table.filter(n_images=0)
    assert empty["cell"].to_list() == ["30-44 × male × black"]
    assert most_lacking(table)["cell"].to_list() == ["30-44 × male × black"]


def test_cells_count_images_and_subjects_in_all_and_in_test() -> None:
    splits, slices = people()
    row = ledger(splits, slices).filter(cell="30-44 × male × asian").row(0, named=True)
    assert (row["n_images"], row["n_subjects"]) == (240, 120)
    assert row["test_subjects"] == 40
    assert row["value"] is row["model"] is row["subjects_needed"] is None


def test_where_geography_is_known_it_crosses_the_others_too() -> None:
    axes = ledger(*people(geography="north"))["axis"].unique().to_list()
    assert sorted(axes) == ["age_band×gender×ethnicity", "age_band×gender×ethnicity×geography"]
    assert ledger(*people())["axis"].unique().to_list() == ["age_band×gender×ethnicity"]


def test_each_cell_has_the_metric_its_width_and_what_lacks() -> None:
    splits, slices = people()
    table = ledger(splits, slices, answers(splits))
    assert table["model"].unique().to_list() == ["filter"]
    rows = {row["cell"]: row for row in table.to_dicts()}
    empty, large = rows["30-44 × male × black"], rows["30-44 × male × asian"]
    assert 0.5 < large["value"] < 1
    assert large["width"] == pytest.approx(large["high"] - large["low"])
    assert (empty["value"], empty["test_subjects"]) == (None, 0)
    assert empty["more_subjects"] == empty["subjects_needed"] > large["more_subjects"]
    assert most_lacking(table)["cell"].first() == "30-44 × male × black"


def test_so_many_subjects_see_the_difference_in_eight_of_ten_trials() -> None:
    deviation, others, difference = 0.4, 2000, 0.1
    needed = subjects_needed(deviation, others, difference=difference, confidence=0.95)
    rng = np.random.default_rng(0)
    inside = rng.normal(-difference, deviation, (2000, needed)).mean(1)
    outside = rng.normal(0, deviation / np.sqrt(others), 2000)
    error = np.sqrt(deviation**2 / needed + deviation**2 / others)
    seen = (np.abs(inside - outside) / error > ndtri(0.975)).mean()
    assert seen == pytest.approx(0.8, abs=0.03)


def test_others_that_are_fewer_are_taken_to_grow_with_them() -> None:
    needed = [
        subjects_needed(0.4, others, difference=0.1, confidence=0.95)
        for others in (0, 10, 126, 252, 500, 10**6)
    ]
    # 2 × (1.96 + 0.84)² × 0.4² / 0.1² of each, and half of it beside very many.
    assert needed[:2] == [252, 252]
    assert needed == sorted(needed, reverse=True)
    assert needed[-1] == 126


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_images_or_none_make_a_table_all_the_same(count: int) -> None:
    splits, slices = people()
    few = splits.head(count)
    table = ledger(few, slices, answers(few) if count else None)
    assert set(table.columns) == TABLES["coverage_ledger"][""].keys()
    assert table["subjects_needed"].count() == 0


def test_where_no_axis_is_known_there_is_no_cell() -> None:
    splits, slices = people()
    assert ledger(splits, slices.with_columns(slice=pl.lit("unknown"))).is_empty()
    nothing = ledger(splits, slices.clear())
    assert nothing.is_empty()
    assert most_lacking(nothing).is_empty()


def test_of_very_many_empty_cells_those_of_common_values_have_a_row() -> None:
    rows = [(f"{one:04d}", f"g{one}", "test") for one in range(60)]
    splits = pl.DataFrame(rows, schema=["image_id", "group_id", "split"], orient="row")
    slices = pl.DataFrame(
        [
            (image, axis, f"{axis} {int(image) % 30}")
            for image, *_ in rows
            for axis in ("age_band", "gender", "ethnicity")
        ],
        schema=["image_id", "axis", "slice"],
        orient="row",
    )
    table = ledger(splits, slices)
    assert table.filter(n_images=0).height == COMMONEST**3 - COMMONEST
    assert table.filter(pl.col("n_images") > 0).height == 30
