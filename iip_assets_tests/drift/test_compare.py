"""Which images stand on which side."""

from __future__ import annotations

import polars as pl

from iip_assets.drift.compare import newest_against_training
from iip_assets.engine.values import Skipped


def tables(rows):
    images = pl.DataFrame(
        rows, schema={"image_id": pl.String, "batch": pl.String, "split": pl.String}, orient="row"
    )
    splits = images.select("image_id", "split").drop_nulls("split")
    return images.drop("split"), splits


def test_the_newest_batch_is_the_last_by_name_and_older_training_images_are_the_reference():
    sides = newest_against_training(
        *tables(
            [
                ("1", "b", "test"),
                ("2", "b", "train"),
                ("3", "a", "train"),
                ("4", "a", "test"),
                ("5", None, "train"),
            ]
        )
    )
    assert sides.batch == "b"
    assert sides.current["image_id"].to_list() == ["1", "2"]
    assert sides.reference["image_id"].to_list() == ["3", "5"]


def test_images_that_could_not_be_decoded_take_no_part():
    sides = newest_against_training(
        *tables([("1", "b", "train"), ("2", "b", None), ("3", "a", "train"), ("4", "c", None)])
    )
    assert sides.batch == "b"
    assert sides.current["image_id"].to_list() == ["1"]


def test_one_batch_alone_is_skipped_and_named():
    outcome = newest_against_training(*tables([("1", "only", "train"), ("2", "only", "test")]))
    assert isinstance(outcome, Skipped)
    assert "beside only" in outcome.reason


def test_no_batch_at_all_is_skipped():
    outcome = newest_against_training(*tables([("1", None, "train")]))
    assert isinstance(outcome, Skipped)
    assert "no image is in a batch" in outcome.reason


def test_older_batches_without_training_images_are_skipped():
    outcome = newest_against_training(*tables([("1", "b", "train"), ("2", "a", "test")]))
    assert isinstance(outcome, Skipped)
