from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from iip_assets.engine.values import Skipped
from iip_assets.models.examples import with_weights
from iip_assets.training_set.memory import ages_days, memory_table, remembered
from iip_assets.training_set.rebalanced import rebalanced_table

NEWEST = datetime(2026, 6, 1)
DAYS = [0, 90, 180, 360, 720, None]


def images():
    """Images of known age, and one without a date in a batch of its own."""
    return pl.DataFrame(
        {
            "image_id": [str(place) for place in range(len(DAYS))],
            "label": ["full", "none"] * 3,
            "batch": ["a", "a", "b", "b", "b", "c"],
            "captured_at": [None if d is None else NEWEST - timedelta(days=d) for d in DAYS],
        },
        schema_overrides={"captured_at": pl.Datetime("us")},
    )


def table(memory, *, max_weight=50.0, **changes):
    splits = images().select("image_id", split=pl.lit("train"), has_mask=pl.lit(True))
    slices = pl.DataFrame(schema=dict.fromkeys(("image_id", "axis", "slice"), pl.String))
    lengths = {"half_life_days": 90.0, "window_days": 200.0} | changes
    return rebalanced_table(
        images(),
        splits,
        slices,
        axes=(),
        max_weight=max_weight,
        memory=memory_table(images(), memory, **lengths),
    )


def test_ages_count_from_the_newest_image_and_an_undated_one_is_of_no_age():
    assert ages_days(images()).to_list() == [0, 90, 180, 360, 720, None]
    undated = images().with_columns(batch=pl.lit("a"))
    assert ages_days(undated).to_list()[-1] == 0


def test_where_no_image_has_a_date_all_count():
    nowhere = images().with_columns(captured_at=pl.lit(None, dtype=pl.Datetime("us")))
    ages = ages_days(nowhere)
    for memory in ("all", "newer", "window"):
        assert remembered(ages, memory, half_life_days=1, window_days=1).tolist() == [1] * 6


def test_all_images_weigh_alike_unless_told_otherwise():
    assert table("all")["weight"].to_list() == [1] * 6


def test_newer_images_weigh_more_by_the_half_life():
    weight = table("newer", half_life_days=90)["weight"].to_numpy()
    np.testing.assert_allclose(weight[:5] / weight[0], [1, 1 / 2, 1 / 4, 1 / 16, 1 / 256])
    assert weight[5] == weight[0]
    assert weight.mean() == pytest.approx(1)


def test_what_age_makes_of_a_weight_is_not_undone_by_the_cap_of_cells():
    weight = table("newer", half_life_days=9, max_weight=1.0)["weight"].to_numpy()
    assert weight[3] / weight[0] == pytest.approx(0.5**40)
    assert weight.mean() == pytest.approx(1)


def test_beyond_the_window_nothing_trains():
    found = table("window", window_days=200)
    assert found["weight"].to_list() == [1, 1, 1, 0, 0, 1]
    rows = images().select("image_id", split=pl.Series(["train"] * 4 + ["test", "train"]))
    kept = with_weights(rows, found)
    # A test image stays, however old.
    assert kept["image_id"].to_list() == ["0", "1", "2", "4", "5"]
    assert with_weights(rows, Skipped("no labels")).height == 6
