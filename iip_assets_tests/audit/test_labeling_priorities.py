"""What is chosen to be labelled next: planted modes, sparse labels, near duplicates, reasons."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from iip_assets.audit.labeling_priorities import (
    choose,
    coverage_needs,
    macro_errors,
    priorities,
    promised_gains,
    reason_for_no_choice,
    unit_vectors,
)
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.tables import TABLES

COMMON, RARE, FAR = "common", "rare", "far"
COUNTS = {COMMON: 300, RARE: 12, FAR: 20}
SHARES = {COMMON: (0.9, 0.08, 0.02), RARE: (0.5, 0.1, 0.4), FAR: (0.9, 0.08, 0.02)}
LABELLED = 60


class Planted:
    """Labelled images of six common kinds; a pool of these, of a rare kind, and of one far off."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        centres = {kind: rng.normal(size=(6 if kind == COMMON else 1, 16)) * 3 for kind in COUNTS}
        kinds = [COMMON] * LABELLED + [kind for kind, n in COUNTS.items() for _ in range(n)]
        vectors = [rng.choice(centres[kind]) + rng.normal(size=16) for kind in kinds]
        self.kinds = dict(
            zip((ids := [f"{i:032x}" for i in range(len(kinds))]), kinds, strict=True)
        )
        labels = [FILTER_CLASSES[i % 2] if i < LABELLED else None for i in range(len(ids))]
        self.images = pl.DataFrame(
            {"image_id": ids, "label": labels}, schema_overrides={"label": pl.String}
        )
        self.splits = pl.DataFrame(
            {
                "image_id": ids,
                "split": ["train" if i % 5 else "test" for i in range(len(ids))],
                "has_mask": [False] * len(ids),
            }
        )
        self.embeddings = pl.DataFrame(
            {"image_id": ids, "embedding": [one.astype(np.float32).tolist() for one in vectors]},
        )
        self.slices = pl.DataFrame(
            {"image_id": ids, "axis": "gender", "slice": ["male", "female"] * (len(ids) // 2)}
        )
        said = np.array([SHARES[kind] for kind in kinds])
        self.verdicts = pl.DataFrame(
            {"image_id": ids, **{f"prob_{c}": said[:, k] for k, c in enumerate(FILTER_CLASSES)}}
        )

    def chosen(self, count=30, *, filtered=True, **changes):
        given = {**vars(self), **changes}
        return priorities(
            *(given[name] for name in ("images", "splits", "embeddings", "slices")),
            verdicts=given["verdicts"] if filtered else None,
            count=count,
            axes=("gender",),
            target={},
        )


@pytest.fixture
def planted():
    return Planted()


def test_a_rare_mode_and_one_far_from_labels_are_chosen_first(planted):
    kinds = [planted.kinds[one] for one in planted.chosen(24)["image_id"]]
    others = kinds.count(RARE) + kinds.count(FAR)
    assert others >= 16  # by chance 2 of 24
    assert min(kinds.count(RARE), kinds.count(FAR)) >= 3  # by chance 1 each


def test_every_image_has_its_reason_in_words(planted):
    chosen = planted.chosen(24)
    told = {planted.kinds[i]: reason for i, reason in chosen.select("image_id", "reason").rows()}
    assert "the filter is unsure: full 0.50, none 0.40" in told[RARE]
    assert "few labels near it" in told[FAR]
    assert all(chosen["reason"].str.len_chars() > 0)


def test_only_unlabelled_images_that_would_be_trained_on_are_chosen_each_once(planted):
    chosen = planted.chosen(10_000)
    free = planted.images.filter(pl.col("label").is_null()).join(
        planted.splits.filter(pl.col("split") == "train"), on="image_id"
    )
    assert set(chosen["image_id"]) == set(free["image_id"])
    assert chosen["rank"].to_list() == list(range(1, free.height + 1))


def test_the_first_of_many_are_those_of_few(planted):
    assert planted.chosen(5)["image_id"].to_list() == (
        planted.chosen(20)["image_id"].head(5).to_list()
    )


def test_a_copy_of_a_labelled_image_comes_last_and_one_of_a_chosen_image_late(planted):
    first, second, twin = planted.chosen(3)["image_id"]
    vectors = dict(planted.embeddings.rows())
    vectors[first] = vectors[planted.images["image_id"][1]]
    vectors[twin] = vectors[second]
    table = {"image_id": list(vectors), "embedding": list(vectors.values())}
    chosen = planted.chosen(10_000, embeddings=pl.DataFrame(table))
    assert chosen["image_id"][-1] == first
    late = chosen.filter(pl.col("image_id").is_in([second, twin]))[-1]
    assert late["rank"][0] > 40
    assert late["promised_gain"][0] < 1e-9


@pytest.mark.parametrize("labelled", [0, 1])
def test_without_a_filter_or_any_label_images_are_typical_and_varied(planted, labelled):
    images = planted.images.with_columns(
        label=pl.when(pl.int_range(pl.len()) == 1).then(pl.lit("full" if labelled else None))
    )
    chosen = planted.chosen(12, filtered=False, images=images)
    assert {planted.kinds[one] for one in chosen["image_id"]} == {*COUNTS}
    assert chosen["reason"].str.starts_with("no filter yet").all()
    assert chosen["prob_full"].null_count() == chosen.height


def test_an_error_of_a_rare_class_costs_more():
    shares = np.array([[0.9, 0.1]] * 20 + [[0.4, 0.6], [0.6, 0.4]])
    perhaps_common, perhaps_rare = macro_errors(shares, np.zeros(22))[-2:]
    assert perhaps_rare > 3 * perhaps_common
    assert macro_errors(np.array([[0.5, 0.5]] * 4), np.zeros(4)).mean() == pytest.approx(0.5)


def test_a_class_that_nobody_labelled_is_looked_for_where_labels_are_far():
    shares = np.tile([0.98, 0.02 - 1e-9, 1e-9], (50, 1))
    novelty = np.zeros(50)
    novelty[:3] = 1
    errors = macro_errors(shares, novelty)
    assert errors[:3].min() > 5 * errors[3:].max()


def test_a_cell_with_few_labels_is_in_need_and_targets_say_of_what_there_should_be_more():
    cells = pl.DataFrame(
        {"gender": ["f"] * 5 + ["m"] * 5 + [None], "cell": ["f"] * 5 + ["m"] * 5 + [None]}
    )
    labelled = pl.Series([True, *[False] * 4, *[True] * 3, *[False] * 3])
    need = coverage_needs(cells, labelled, ["gender"], {})
    assert need[[0, 5, 10]].tolist() == [0.5, 0, 0]
    wanted = {"gender": {"f": 0.1, "m": 0.9}}
    assert coverage_needs(cells, labelled, ["gender"], wanted)[[0, 5]] == pytest.approx([0, 1 / 6])
    assert coverage_needs(cells, pl.Series([False] * 11), ["gender"], {}).tolist() == [0] * 11


def test_promises_add_up_to_no_more_than_the_pools_error_and_a_twin_promises_nothing():
    rng = np.random.default_rng(0)
    pool, labelled = unit_vectors(rng.normal(size=(60, 8))), unit_vectors(rng.normal(size=(9, 8)))
    error = rng.random(60)
    all_of_it = promised_gains(pool, labelled, error, np.arange(60))
    assert 0 < all_of_it.sum() <= error.mean()
    twice = promised_gains(pool, labelled, error, np.array([4, 4]))
    assert twice[0] > 0
    assert twice[1] == 0


def test_of_equal_gain_the_images_farthest_from_labels_and_one_another_are_chosen():
    angles = np.array([0, 0.1, 0.2, 1.5, 1.6, 3.1])
    places = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    pool, labelled = places[1:], places[:1]
    assert set(choose(pool, labelled, np.ones(5), 2)) in ({4, 2}, {4, 3})
    assert choose(pool, labelled, np.array([1, 1, 99, 1, 1.0]), 1).tolist() == [2]
    assert sorted(choose(pool, labelled, np.ones(5), 99)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("labels", "split", "reason"),
    [
        ([], "train", "there is no image in the data"),
        (["full", "unclear"], "train", "every image that can be decoded has a label or a mask"),
        ([None, None], "test", "no image without a label fell to train"),
        (["full", None], "train", None),
    ],
)
def test_why_there_is_nothing_to_choose(labels, split, reason):
    ids = [str(place) for place in range(len(labels))]
    images = pl.DataFrame({"image_id": ids, "label": labels}, schema_overrides={"label": pl.String})
    splits = pl.DataFrame({"image_id": ids, "split": split, "has_mask": False}).head(len(ids))
    assert reason_for_no_choice(images, splits) == reason


def test_the_table_holds_what_the_data_dictionary_says_with_and_without_a_filter(planted):
    for filtered in (True, False):
        table = planted.chosen(3, filtered=filtered)
        known = set(TABLES["labeling_priorities"][""]) - {"prob_<class>"}
        assert set(table.columns) == known | {f"prob_{one}" for one in FILTER_CLASSES}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_of_a_few_images_without_labels_all_are_ranked(planted, count):
    few = {
        name: getattr(planted, name).tail(count).with_columns(changed)
        for name, changed in {
            "images": pl.lit(None, pl.String).alias("label"),
            "splits": pl.lit("train").alias("split"),
        }.items()
    }
    chosen = planted.chosen(9, filtered=False, **few)
    assert chosen.height == count
    assert np.isfinite(chosen.select("gain", "promised_gain").to_numpy()).all()
