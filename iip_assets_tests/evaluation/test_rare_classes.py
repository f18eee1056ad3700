"""Of each class: how much there is to learn from, to be judged on, and whether that is little."""

import polars as pl
import pytest

from iip_assets.evaluation.rare_classes import (
    CLASSES,
    class_table,
    classes_to_judge,
    classes_to_learn,
)
from iip_assets.settings import RareClassSettings

MASKS = ("background", "iris", "pupil")
RARITY = RareClassSettings(min_share=0.1, min_subjects=3)


def training(labels):
    """Training images with these labels, two of a subject."""
    return pl.DataFrame(
        {
            "image_id": [f"t{index:03d}" for index in range(len(labels))],
            "group_id": [f"s{index // 2}" for index in range(len(labels))],
            "label": labels,
            "mask_id": [f"m{index:03d}" for index in range(len(labels))],
        }
    )


def predicted(rows):
    """Test images: label, what the filter said, pixels of the mask's classes."""
    names = ["label", "predicted"]
    table = pl.DataFrame([row[:2] for row in rows], schema=names, orient="row")
    confusions = [
        None if row[2] is None else [*row[2][:1], 0, 0, 0, row[2][1], 0, 0, 0, row[2][2]]
        for row in rows
    ]
    ids = [f"e{index:03d}" for index in range(len(rows))]
    return table.with_columns(
        image_id=pl.Series(ids),
        split=pl.lit("test"),
        confusion=pl.Series(confusions, dtype=pl.List(pl.Int64)),
    )


def metrics(*models):
    rows = [
        (model, f"{metric}_{name}", "overall", 0.5, 0.4, 0.6)
        for model, metric, classes in (
            ("filter", "f1", ("full", "partial", "none")),
            ("segmenter", "iou", MASKS),
        )
        if model in models
        for name in classes
    ]
    names = ["model", "metric", "axis", "value", "low", "high"]
    return pl.DataFrame(rows, schema=names, orient="row", schema_overrides={"value": pl.Float64})


def classes(labels, pixels, tests, *models, rarity=RARITY):
    known, test = training(labels), predicted(tests)
    counted = pl.DataFrame({"mask_id": known["mask_id"], "pixels": [list(row) for row in pixels]})
    groups = test.select("image_id", group_id=pl.format("g{}", pl.int_range(pl.len()) // 2))
    table = class_table(
        metrics(*models),
        classes_to_learn(known, known, counted, MASKS),
        classes_to_judge(test, groups, MASKS),
        mask_classes=MASKS,
        rarity=rarity,
    )
    assert table.schema == pl.Schema(CLASSES)
    return {(row["model"], row["class"]): row for row in table.iter_rows(named=True)}


FULL = ["full"] * 14 + ["none"] * 4 + ["unclear", None]
PIXELS = [(80, 15, 5)] * 2 + [(80, 20, 0)] * 18


def test_images_subjects_and_shares_are_counted_of_what_the_model_can_learn_from():
    tests = [("full", "none", (90, 10, 0))] * 5 + [("none", None, None)]
    found = classes(FULL, PIXELS, tests, "filter", "segmenter")
    full = found["filter", "full"]
    assert (full["train_images"], full["train_subjects"]) == (14, 7)
    # Neither `unclear` nor what nobody labelled is an image of the filter.
    assert full["train_share"] == pytest.approx(14 / 18)
    assert full["train_pixel_share"] is None
    assert (full["test_images"], full["test_subjects"], full["metric"]) == (5, 3, "f1_full")
    pupil = found["segmenter", "pupil"]
    assert (pupil["train_images"], pupil["train_subjects"]) == (2, 1)
    assert pupil["train_share"] == pytest.approx(2 / 20)
    assert pupil["train_pixel_share"] == pytest.approx(2 * 5 / (20 * 100))
    iris = found["segmenter", "iris"]
    assert (iris["train_images"], iris["test_images"], iris["metric"]) == (20, 5, "iou_iris")
    assert (iris["value"], iris["low"], iris["high"]) == (0.5, 0.4, 0.6)


@pytest.mark.parametrize(
    ("rarity", "rare"),
    [
        (RareClassSettings(min_share=0.0, min_subjects=0), set()),
        (RareClassSettings(min_share=0.0, min_subjects=3), {"none", "partial"}),
        (RareClassSettings(min_share=0.5, min_subjects=0), {"none", "partial"}),
        (RareClassSettings(min_share=0.1, min_subjects=0), {"partial"}),
        (RareClassSettings(min_share=0.0, min_subjects=8), {"full", "none", "partial"}),
    ],
)
def test_a_class_of_few_images_or_few_subjects_is_rare(rarity, rare):
    found = classes(FULL, PIXELS, [("full", "full", None)], "filter", rarity=rarity)
    assert {name for (_, name), row in found.items() if row["rare"]} == rare


def test_a_class_is_judged_by_enough_subjects_and_one_without_test_images_has_no_value():
    tests = [("full", "full", None)] * 40 + [("none", "none", None)] * 39
    found = classes(FULL, PIXELS, tests, "filter")
    assert found["filter", "full"]["enough"]
    assert found["filter", "full"]["test_subjects"] == 20
    none, partial = found["filter", "none"], found["filter", "partial"]
    assert (none["test_images"], none["enough"], none["value"]) == (39, True, 0.5)
    assert (partial["test_images"], partial["enough"]) == (0, False)
    assert partial["value"] is partial["low"] is partial["high"] is None
    few = classes(FULL, PIXELS, tests[:8], "filter")["filter", "full"]
    assert (few["test_subjects"], few["enough"]) == (4, False)


def test_a_model_that_was_not_judged_has_no_classes():
    tests = [("full", "full", (1, 1, 1))]
    found = classes(FULL, PIXELS, tests, "filter")
    assert {model for model, _ in found} == {"filter"}
    assert classes(FULL, PIXELS, tests) == {}
