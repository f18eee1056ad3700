"""What a chosen batch promised stands beside what it brought, whatever is labelled later."""

from __future__ import annotations

import json
from functools import partial

import polars as pl
import pytest

from iip_assets.audit.batch_trials import try_batches, try_promised
from iip_assets.audit.kept_promises import (
    batches_of,
    keep_promises,
)
from iip_assets.settings import EvaluationSettings
from iip_assets.training.trainer import Machine
from iip_assets_tests.audit.test_batch_verdict import SCHEDULE, SHUFFLED, SOUND, blobs

PROMISED = "promised_gain"
FIRST, LATER = "2026-01-first", "2026-09-later"
SETTINGS = EvaluationSettings(resamples=100)


def promised(images, **by_batch):
    """The images, with a promise of each image of some batches."""
    value = pl.col("batch").replace_strict(by_batch, default=None, return_dtype=pl.Float64)
    trains = pl.col("split") == "train"
    return images.with_columns(pl.when(trains).then(value).alias(PROMISED))


def kept(images, seeds=1):
    attempt = partial(
        try_batches,
        schedule=SCHEDULE,
        seeds=seeds,
        machine=Machine("cpu", threads=1),
        progress=lambda items, total, label: items,
    )
    trials = try_promised(images, attempt)
    batches = images.filter(pl.col("split") == "train").select("image_id", "batch", PROMISED)
    return keep_promises({"promised": trials}, batches, images, SETTINGS)


@pytest.fixture(scope="module")
def table():
    return kept(promised(blobs(), **{SOUND: 0.001, SHUFFLED: 0.002}))


def test_a_batch_that_hurts_breaks_its_promise_and_its_images_are_summed_up(table):
    shuffled, sound = table.to_dicts()
    assert (shuffled["batch"], sound["batch"]) == (SHUFFLED, SOUND)
    assert (shuffled["training_images"], sound["training_images"]) == (180, 60)
    assert (shuffled["promised"], sound["promised"]) == pytest.approx((0.36, 0.06))
    assert shuffled["high"] < 0 < sound["high"]
    assert (sound["n_images"], sound["n_subjects"]) == (180, 40)


def test_what_a_batch_brought_is_not_changed_by_what_is_labelled_later(table):
    images = promised(blobs(), **{SOUND: 0.001})
    later = images.filter((pl.col("batch") == FIRST) & (pl.col("split") == "train"))
    copies = later.with_columns(
        pl.lit(LATER).alias("batch"), pl.concat_str(pl.lit("later-"), "image_id").alias("image_id")
    )
    (row,) = kept(pl.concat([images, copies])).to_dicts()
    assert row == table.row(1, named=True)


def test_a_batch_with_too_little_before_it_is_listed_without_a_value():
    (row,) = kept(promised(blobs(), **{FIRST: 0.001})).to_dicts()
    assert (row["promised"], row["realised"], row["low"]) == (pytest.approx(0.06), None, None)


def test_where_nothing_was_promised_there_is_no_row():
    assert kept(promised(blobs())).is_empty()


def test_a_chosen_image_is_of_the_batch_that_labelled_it_first_and_others_of_that_they_came_with():
    tags = [json.dumps({PROMISED: "0.25", "glasses": "no"}), None, '{"promised_gain": "much"}']
    images = pl.DataFrame({"image_id": ["a", "b", "c"], "batch": ["1", "1", None], "tags": tags})
    rows = [("a", "1", None), ("a", "3", "full"), ("a", "4", "none"), ("b", "3", "full")]
    label_rows = pl.DataFrame(rows, schema=["image_id", "batch", "label"], orient="row")
    assert batches_of(images, label_rows).rows() == [
        ("a", "3", 0.25),
        ("b", "1", None),
        ("c", None, None),
    ]
