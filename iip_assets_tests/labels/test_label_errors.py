"""What is wrong is named first, with what it should be and why."""

import numpy as np
import polars as pl
import pytest

from iip_assets.labels.label_errors import (
    all_errors,
    class_errors,
    contradictions,
    mask_errors,
    outliers,
)
from iip_assets.labels.mask_scores import KINDS, mask_numbers
from iip_assets_tests.labels.drawn import CLASSES, EYE, damaged, eye_mask, shares_of


def predictions(*rows):
    names = ("image_id", "label", "prob_full", "prob_partial", "prob_none")
    table = pl.DataFrame(rows, schema=names, orient="row")
    return table.with_columns(group_id=pl.col("image_id"), split=pl.lit("train"))


def score_row(image_id, given, shares, scale=2.0):
    return {
        "image_id": image_id,
        "group_id": image_id,
        **mask_numbers(given, shares, EYE),
        "scale": scale,
    }


def clean_predictions(count=40):
    labels = ("full", "partial", "none")
    return [
        (f"c{k:02}", labels[k % 3], *(0.9 if k % 3 == one else 0.05 for one in range(3)))
        for k in range(count)
    ]


def test_a_contradicted_label_comes_first_with_what_it_should_be():
    found = class_errors(predictions(("bad", "full", 0.03, 0.02, 0.95), *clean_predictions()))
    first = found.row(0, named=True)
    assert (first["image_id"], first["given"], first["suggested"]) == ("bad", "full", "none")
    assert first["flagged"]
    assert first["reason"] == "heads that did not see it say none (95%), full 3%"
    assert not found[1:]["flagged"].any()


def test_a_class_that_nobody_gave_is_never_suggested():
    found = class_errors(
        predictions(*((i, "full", 0.2, 0.2, 0.6) for i in "abcd"), ("e", "none", 0.1, 0.8, 0.1))
    )
    assert set(found["suggested"]) <= {"full", "none"}


@pytest.mark.parametrize(
    ("kind", "suggested"),
    [
        ("swapped", "exchange iris and pupil"),
        ("shifted", "move the mask"),
        ("resized", "smaller iris"),
        ("missing", "mark pupil"),
        ("empty", "mark the eye"),
    ],
)
def test_a_damaged_mask_is_flagged_above_the_others_and_its_kind_is_named(kind, suggested):
    true = eye_mask()
    rows = [
        score_row(f"c{k}", eye_mask(pupil=5 + k), shares_of(eye_mask(pupil=5 + k)))
        for k in range(4)
    ]
    rows.append(score_row("bad", damaged(true, kind), shares_of(true)))
    found = mask_errors(pl.DataFrame(rows), CLASSES)
    assert found.filter("flagged").select("image_id", "kind", "suggested").rows() == [
        ("bad", kind, suggested)
    ]


def test_a_shift_is_told_in_pixels_of_the_image():
    row = score_row("bad", damaged(eye_mask(), "shifted"), shares_of(eye_mask()), scale=3.0)
    reason = mask_errors(pl.DataFrame([row]), CLASSES)["reason"][0]
    assert reason == "it fits what is seen when it is moved by 21 pixels to the left and 12 up"


def test_near_duplicates_with_other_labels_are_named_with_each_other():
    labels = {"a": "full", "b": "none", "c": "full", "d": "full"}
    found = contradictions([("a", "b"), ("c", "d"), ("a", "x")], labels, {"a": "g", "b": "g"})
    assert found.select("image_id", "other_id", "suggested").sort("image_id").rows() == [
        ("a", "b", "none"),
        ("b", "a", "full"),
    ]


def test_an_image_unlike_all_others_is_named():
    rng = np.random.default_rng(0)
    vectors = rng.normal(0, 0.2, (80, 8)) + np.eye(8)[0]
    vectors[7] = -np.eye(8)[3]
    table = pl.DataFrame({"image_id": [f"i{k}" for k in range(80)], "embedding": vectors.tolist()})
    assert outliers(table, {})["image_id"].to_list() == ["i7"]
    assert outliers(table.head(5), {}).is_empty()


def test_without_labels_and_masks_there_is_a_table_still():
    images = pl.DataFrame(
        {"image_id": ["a"], "label": [None]}, schema={"image_id": pl.String, "label": pl.String}
    )
    none = pl.DataFrame(
        schema={
            "image_id": pl.String,
            "phash": pl.String,
            "group_id": pl.String,
            "embedding": pl.List(pl.Float32),
        }
    )
    found = all_errors(
        images,
        none,
        none,
        none,
        predictions=None,
        scores=None,
        near_duplicate_bits=40,
        mask_classes=CLASSES,
    )
    assert found.is_empty()
    assert found.columns[0] == "rank"


def test_every_kind_has_a_weight_and_words():
    for kind in KINDS:
        row = score_row("one", damaged(eye_mask(), kind), shares_of(eye_mask()))
        assert mask_errors(pl.DataFrame([row]), CLASSES)["reason"][0]
