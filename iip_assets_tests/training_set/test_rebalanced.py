"""The training set: cells, memory, weights."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iip_assets.dataset.slices import slice_table
from iip_assets.engine.values import Markdown, Skipped
from iip_assets.figures import figure_png
from iip_assets.models.examples import with_weights
from iip_assets.settings import TrainingSetSettings
from iip_assets.training_set.assets import (
    describe_rebalanced_training_set,
    rebalanced_training_set,
)
from iip_assets.training_set.balance import (
    balance_weights,
    capped_to_mean_one,
    describe_balance,
    effective_sample_size,
    shrunk_sizes,
)
from iip_assets.training_set.figures import balance_rows, cell_summary, cells_figure
from iip_assets.training_set.rebalanced import (
    ages_days,
    reason_for_no_training,
    rebalanced_table,
    remembered,
    target_mix,
    training_rows,
    with_cells,
)

BANDS = (0, 18)
AXES = ("age_band", "gender")
IMAGES = {
    "image_id": pl.String, "label": pl.String, "age_years": pl.Float64,
    "gender": pl.String, "ethnicity": pl.String, "batch": pl.String,
    "captured_at": pl.Datetime("us"),
}  # fmt: skip
SPLITS = {
    "image_id": pl.String,
    "group_id": pl.String,
    "split": pl.String,
    "has_mask": pl.Boolean,
}


def data_of(*rows, groups=""):
    """Images and splits from (label, split, has_mask, age_years, gender)."""
    images = [
        {"image_id": f"{i:03}", "label": label, "age_years": age, "gender": gender}
        for i, (label, _, _, age, gender) in enumerate(rows)
    ]
    splits = [
        {"image_id": f"{i:03}", "group_id": groups[i : i + 1], "split": split, "has_mask": mask}
        for i, (_, split, mask, _, _) in enumerate(rows)
    ]
    return pl.DataFrame(images, schema=IMAGES), pl.DataFrame(splits, schema=SPLITS)


def table_of(*rows, target=None):
    images, splits = data_of(*rows)
    slices = slice_table(images, age_bands=BANDS, axes=AXES)
    settings = TrainingSetSettings(axes=AXES, toward="target" if target else "uniform")
    return rebalanced_table(images, splits, slices, settings, target or {})


MIXED = (
    ("full", "train", True, 20, "male"),
    ("unclear", "train", True, 20, "male"),
    (None, "train", True, 20, "female"),
    (None, "train", False, 20, "female"),
    ("none", "test", True, 20, "male"),
    ("partial", "validation", True, 20, "male"),
    ("none", "train", False, None, "male"),
)


def test_only_the_train_split_with_a_training_label_or_a_mask_is_kept():
    rows = training_rows(*data_of(*MIXED))
    assert rows["image_id"].to_list() == ["000", "002", "006"]
    assert rows["label"].to_list() == ["full", None, "none"]


def test_cells_join_the_axes_and_are_unknown_where_a_part_is():
    table = table_of(*MIXED)
    assert table["cell"].to_list() == ["18+ × male", "18+ × female", None]
    assert table["weight"].mean() == pytest.approx(1)


def test_an_axis_of_which_nothing_is_known_does_not_hide_the_others():
    rows = [("full", "train", False, None, gender) for gender in ("male", "male", "female")]
    table = table_of(*rows)
    assert table["cell"].to_list() == ["male", "male", "female"]
    assert table["weight"].to_list() == pytest.approx([0.75, 0.75, 1.5])


def test_without_any_demographics_every_image_weighs_one():
    table = table_of(*[("full", "train", False, None, None)] * 3)
    assert table["cell"].null_count() == 3
    assert table["weight"].to_list() == [1, 1, 1]


def test_a_target_mix_multiplies_the_axes():
    rows = [("full", "train", False, age, g) for age in (5, 20) for g in ("male", "female")]
    images, splits = data_of(*rows)
    slices = slice_table(images, age_bands=BANDS, axes=AXES)
    cells = with_cells(training_rows(images, splits), slices, AXES)
    mix = target_mix(cells, AXES, {"gender": {"female": 0.8}})
    # Ages keep their halves; men have what women leave.
    assert mix == pytest.approx(
        {"0-17 × female": 0.4, "0-17 × male": 0.1, "18+ × female": 0.4, "18+ × male": 0.1}
    )
    table = table_of(*rows, target={"gender": {"female": 0.8}})
    female = table.filter(pl.col("cell").str.ends_with("female"))
    assert female["weight"].sum() == pytest.approx(0.8 * 4)


def test_the_summary_shows_shares_before_and_after():
    rows = [("full", "train", False, 20, "male")] * 3 + [("full", "train", False, 20, "female")]
    summary = cell_summary(table_of(*rows))
    assert summary["cell"].to_list() == ["18+ × male", "18+ × female"]
    assert summary["share_before"].to_list() == [0.75, 0.25]
    assert summary["share_after"].to_list() == pytest.approx([0.5, 0.5])
    (sizes,) = balance_rows(table_of(*rows), max_weight=5)
    assert (sizes["images"], sizes["effective_images"]) == (4, 3.0)


@pytest.mark.parametrize("n_cells", [0, 1, 60])
def test_the_plot_of_cells_draws_any_number_of_them(n_cells):
    rows = [("full", "train", False, 20, f"g{i}") for i in range(n_cells)]
    figure = cells_figure(cell_summary(table_of(*rows)))
    assert figure_png(figure).startswith(b"\x89PNG")
    assert len(figure.axes[0].get_yticklabels()) == min(n_cells, 40)
    assert ("20 between not shown" in figure.axes[0].get_title()) == (n_cells == 60)


def asset_of(*rows, groups="", **settings):
    images, splits = data_of(*rows, groups=groups)
    return rebalanced_training_set.function(
        {"images": images},
        splits,
        balance=TrainingSetSettings(axes=AXES, **settings),
        age_bands=BANDS,
        target={"gender": {"female": 0.9}},
    )


def test_the_asset_follows_the_target_only_when_told_to():
    uniform = asset_of(*MIXED)
    towards = asset_of(*MIXED, toward="target")
    assert uniform["weight"].to_list() == pytest.approx([1, 1, 1])
    assert towards["weight"][1] > 5 * towards["weight"][0]


def test_the_description_counts_rows_cells_and_what_they_are_worth():
    told = describe_rebalanced_training_set(asset_of(*MIXED), max_weight=5)
    assert (told["rows"], told["forgotten"], told["cells"]) == (3, 0, 2)
    assert told["effective_sample_size"].records[0]["images"] == 3
    assert isinstance(told["plot"], Markdown)


UNLABELLED = (None, "train", False, 20, "male")
UNCLEAR = ("unclear", "train", True, 20, "male")


def held(split):
    return ("full", split, True, 20, "male")


@pytest.mark.parametrize(
    ("rows", "groups", "reason"),
    [
        ((), "", "there is no image in the data"),
        ((UNLABELLED,), "a", "no image has a label or a valid mask"),
        ((UNCLEAR,), "a", "the only image with … is labelled unclear, which trains nothing"),
        ((UNCLEAR,) * 2, "ab", "all 2 images with … are labelled unclear, which trains nothing"),
        ((held("test"),), "a", "the only image with … fell to test; none is to train on"),
        (
            (held("validation"),) * 3,
            "aaa",
            "all 3 images with … are one group, which fell to validation; none is to train on",
        ),
        (
            (held("test"), held("validation"), held("test")),
            "aba",
            "the 2 groups of the 3 images with … fell to test and validation; none is to train on",
        ),
        (
            (held("test"), held("test"), UNCLEAR),
            "aab",
            "all 2 images with …, unclear ones apart, are one group, which fell to test; none is "
            "to train on",
        ),
    ],
    ids=[
        *("no images", "no label or mask", "unclear", "all unclear", "one image", "one group"),
        *("groups", "one group, and unclear"),
    ],
)
def test_without_anything_to_learn_from_the_reason_is_true_of_the_data(rows, groups, reason):
    value = asset_of(*rows, groups=groups)
    assert value == Skipped(reason.replace("…", "a label or a valid mask"))


def test_what_cannot_be_decoded_is_named_as_such():
    images, splits = data_of(UNLABELLED, UNLABELLED)
    asked = {"has": pl.col("label").is_not_null(), "what": "a label"}
    none = "none of the 2 images can be decoded"
    assert reason_for_no_training(images, splits.clear(), **asked) == none
    one = "no decodable image has a label"
    assert reason_for_no_training(images, splits.head(1), **asked) == one


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


def table(memory, **changes):
    splits = images().select("image_id", split=pl.lit("train"), has_mask=pl.lit(True))
    slices = pl.DataFrame(schema=dict.fromkeys(("image_id", "axis", "slice"), pl.String))
    settings = TrainingSetSettings(axes=(), memory=memory, **{"max_weight": 50.0, **changes})
    return rebalanced_table(images(), splits, slices, settings, {})


def test_ages_count_from_the_newest_image_and_an_undated_one_is_of_no_age():
    assert ages_days(images()).to_list() == [0, 90, 180, 360, 720, None]
    undated = images().with_columns(batch=pl.lit("a"))
    assert ages_days(undated).to_list()[-1] == 0


def test_where_no_image_has_a_date_all_count():
    nowhere = images().with_columns(captured_at=pl.lit(None, dtype=pl.Datetime("us")))
    ages = ages_days(nowhere)
    for memory in ("all", "newer", "window"):
        settings = TrainingSetSettings(memory=memory, half_life_days=1, window_days=1)
        assert remembered(ages, settings).tolist() == [1] * 6


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


CELLS = st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=1, max_size=80)
CAPS = st.floats(1, 20)


@given(cells=CELLS, cap=CAPS)
def test_weights_are_positive_of_mean_one_and_within_the_cap(cells, cap):
    weights = balance_weights(cells, max_weight=cap)
    assert len(weights) == len(cells)
    assert weights.min() > 0
    assert weights.mean() == pytest.approx(1)
    assert weights.max() <= cap


@given(
    raw=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=50),
    cap=CAPS,
)
def test_capping_keeps_proportions_below_the_cap(raw, cap):
    raw = np.array(raw)
    weights = capped_to_mean_one(raw, cap)
    assert weights.mean() == pytest.approx(1)
    assert weights.max() <= cap
    free = weights < cap * (1 - 1e-9)
    ratio = weights[free] / raw[free]
    assert np.allclose(ratio, ratio[:1])
    # Nothing at the cap would have come out below it.
    if free.any() and not free.all():
        assert (raw[~free] * ratio[0] >= cap * (1 - 1e-6)).all()


def test_cells_weigh_alike_where_the_cap_allows():
    cells = ["a"] * 90 + ["b"] * 10
    weights = balance_weights(cells, max_weight=5)
    assert weights[:90].sum() == pytest.approx(50)
    assert weights[90:].sum() == pytest.approx(50)


def test_the_cap_holds_back_a_very_rare_cell():
    weights = balance_weights(["a"] * 99 + ["b"], max_weight=5)
    assert weights[99] == 5
    assert weights[:99] == pytest.approx(95 / 99)


def test_a_mix_is_reached():
    weights = balance_weights(["a"] * 50 + ["b"] * 50, max_weight=5, mix={"a": 0.2, "b": 0.8})
    assert weights[:50].sum() == pytest.approx(20)


def test_an_unknown_cell_weighs_as_the_average_of_the_known():
    weights = balance_weights(["a"] * 6 + ["b"] * 2 + [None] * 4, max_weight=5)
    assert weights[8:] == pytest.approx(1)


def test_all_unknown_cells_weigh_one():
    assert balance_weights([None] * 3, max_weight=5).tolist() == [1, 1, 1]
    assert balance_weights([], max_weight=5).tolist() == []


def test_a_cap_below_one_or_a_mix_with_holes_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        balance_weights(["a"], max_weight=0.9)
    with pytest.raises(ValueError, match=r"none for \['b'\]"):
        balance_weights(["a", "b"], max_weight=5, mix={"a": 1.0})


def test_effective_size_is_kishs():
    assert effective_sample_size(np.ones(7)) == pytest.approx(7)
    assert effective_sample_size(np.array([3.0, 1.0])) == pytest.approx(16 / 10)
    assert effective_sample_size(np.empty(0)) == 0
    found = describe_balance(np.array([5.0, 0.5, 0.5]), max_weight=5)
    assert (found.n_images, found.largest, found.n_capped) == (3, 5.0, 1)


def test_a_thin_cell_is_drawn_towards_what_its_axes_give():
    counts = {"a": 1000, "b": 4, "c": 100}
    expected = {"a": 0.88, "b": 0.02, "c": 0.1}
    assert shrunk_sizes(counts, expected, 0) == counts
    shrunk = shrunk_sizes(counts, expected, 20)
    # 4 images beside 20 that are worth 2% of 1,104.
    assert shrunk["b"] == pytest.approx((4 * 4 + 20 * 0.02 * 1104) / 24)
    assert abs(shrunk["a"] - 1000) < 1


def test_shrinkage_spares_thin_cells_the_largest_weights():
    cells = [("x", "u")] * 60 + [("x", "v")] * 20 + [("y", "u")] * 19 + [("y", "v")]
    ids = [f"{place:03d}" for place in range(100)]
    known = pl.DataFrame({"image_id": ids, "label": "full"}).with_columns(
        captured_at=pl.lit(None, pl.Datetime), batch=pl.lit("a")
    )
    splits = known.select("image_id", split=pl.lit("train"), has_mask=pl.lit(False))
    slices = pl.DataFrame(
        [
            (one, axis, cell[at])
            for one, cell in zip(ids, cells, strict=True)
            for at, axis in enumerate("ab")
        ],
        schema=["image_id", "axis", "slice"],
        orient="row",
    )

    def heaviest(shrinkage):
        settings = TrainingSetSettings(axes=("a", "b"), max_weight=50, shrinkage=shrinkage)
        table = rebalanced_table(known, splits, slices, settings, {})
        assert table["weight"].mean() == pytest.approx(1)
        return table.filter(cell="y × v")["weight"][0]

    assert heaviest(0) == pytest.approx(25)
    assert heaviest(10) < 10 < heaviest(0.5) < 25
