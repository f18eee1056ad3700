"""Only words that labelers gave apart from each other tell how well people label."""

from datetime import datetime

import polars as pl

from iip_assets.dataset.schema import label_rows_schema
from iip_assets.labels.agreement import words_of_labelers

LABELS, OPINIONS = "labels.csv", "annotations.csv"


def rows(*told):
    """Label rows: image, batch, file, labeler, label, mask and, where it matters, the day."""
    names = ("image_id", "batch", "file", "labeler", "label", "mask_id", "labeled_at")
    full = [dict(zip(names, (*one, None), strict=False)) for one in told]
    return pl.DataFrame(
        [{name: row.get(name) for name in label_rows_schema()} for row in full],
        schema=label_rows_schema(),
    )


def words(*told, split="test"):
    ids = sorted({one[0] for one in told})
    splits = pl.DataFrame({"image_id": ids, "group_id": [f"g{one}" for one in ids]})
    found = words_of_labelers(rows(*told), splits.with_columns(split=pl.lit(split)))
    assert found["group_id"].to_list() == [f"g{one}" for one in found["image_id"]]
    return found.select("image_id", "labeler", "label", "mask_id").rows()


def test_labelers_of_one_batch_and_annotations_of_any_stand_side_by_side():
    found = words(
        ("a", "b1", LABELS, "ann", "full", "m1"),
        ("a", "b1", LABELS, "bob", "none", None),
        ("a", "b2", OPINIONS, "zoe", "full", "m2"),
    )
    assert found == [
        ("a", "ann", "full", "m1"),
        ("a", "bob", "none", None),
        ("a", "zoe", "full", "m2"),
    ]


def test_images_of_one_labeler_and_images_that_are_no_test_images_are_left_out():
    lone = ("a", "b1", LABELS, "ann", "full", "m1")
    assert words(lone, ("b", "b1", LABELS, "bob", "none", None)) == []
    several = (lone, ("a", "b1", OPINIONS, "bob", "none", None))
    assert words(*several, split="train") == words(*several, split="validation") == []
    # Two labels and one mask: the mask has nothing to be held against.
    assert words(*several) == [("a", "ann", "full", None), ("a", "bob", "none", None)]


def test_what_a_later_batch_corrected_is_no_second_opinion():
    corrected = (("a", "b1", LABELS, "ann", "full", None), ("a", "b2", LABELS, "bob", "none", None))
    assert words(*corrected) == []
    unnamed = (("a", "b1", LABELS, "ann", "full", None), ("a", "b2", LABELS, None, "none", None))
    opinion = ("a", "b1", OPINIONS, "zoe", "none", None)
    assert words(*unnamed, opinion) == []


def test_a_row_without_a_name_is_no_labelers_word():
    agreed = ("a", "b1", LABELS, None, "full", "m")
    assert words(agreed, ("a", "b1", OPINIONS, "ann", "full", None)) == []
    assert (
        len(words(agreed, *(("a", "b1", OPINIONS, n, "full", None) for n in ("ann", "bob")))) == 2
    )


def test_a_labeler_has_one_word_the_newest():
    found = words(
        ("a", "b1", OPINIONS, "ann", "full", None, datetime(2026, 1, 3)),
        ("a", "b2", OPINIONS, "ann", "none", None, datetime(2026, 1, 2)),
        ("a", "b1", OPINIONS, "bob", "partial", None, datetime(2026, 1, 1)),
    )
    assert found == [("a", "ann", "none", None), ("a", "bob", "partial", None)]
