"""The report's numbers, and those that DVC compares."""

from __future__ import annotations

import json
import math

import polars as pl
import pytest

from iip_assets.audit.explained_images import held_out
from iip_assets.engine.values import Skipped
from iip_assets.report.metrics import headline, rounded
from iip_assets.report.sections.clusters import map_digest
from iip_assets.report.sections.data import balance_content, tags
from iip_assets.report.sections.failures import surest_errors, worst_segmentations
from iip_assets.report.sections.models import confusion_tables
from iip_assets.report.sections.robustness import robustness_table
from iip_assets_tests.report.samples import (
    HOSTILE,
    MAY_BE_SKIPPED,
    content_of,
    drift_data,
    sample_inputs,
)


def content(**changes):
    return content_of(sample_inputs(**changes))


def test_equal_inputs_give_equal_plain_json():
    first, second = content(), content()
    assert first == second
    assert json.loads(json.dumps(first)) == first


def test_counts_add_up():
    counts = content()["counts"]
    assert counts["images"] == sum(counts["labels"].values()) == sum(counts["splits"].values())
    assert counts["labels"] == dict.fromkeys(["full", "partial", "none", "unclear", "no label"], 24)
    batches = content()["batches"]
    assert sum(row["images"] for row in batches) == counts["images"]
    assert [row["batch"] for row in batches] == sorted([HOSTILE, "2024-01", "2024-02"])


def test_skipped_assets_are_listed_with_their_reasons_and_their_sections_are_absent():
    found = content(**{name: Skipped(f"no {name}") for name in MAY_BE_SKIPPED})
    assert {"asset": "predictions", "reason": "no predictions"} in found["skipped"]
    assert len(found["skipped"]) == len(vars(sample_inputs())) - 1
    for section in ("coverage", "clusters", "metrics", "robustness", "drift", "failures"):
        assert section not in found
    assert found["next_steps"]


def test_headlines_carry_the_interval_the_number_of_images_and_the_baseline():
    first = content()["headlines"][0]
    assert (first["model"], first["value"], first["baseline"]) == ("filter", 0.9, 0.3)
    assert (first["low"], first["high"], first["n_images"]) == (0.87, 0.93, 90)


def test_baselines_stand_beside_and_not_among_the_metrics():
    rows = content()["metrics"]
    assert [row["metric"] for row in rows] == ["accuracy", "f1_macro", "mean_iou"]


def test_confusion_counts_stand_by_actual_and_predicted_class_in_the_order_of_the_evaluation():
    table = pl.DataFrame(
        [("filter", "b", "b", 5), ("filter", "b", "a", 2), ("filter", "a", "b", 3)],
        schema=["model", "actual", "predicted", "n"],
        orient="row",
    )
    assert confusion_tables(table) == {
        "filter": {"classes": ["b", "a"], "counts": [[5, 2], [3, 0]]}
    }


def test_the_corruption_that_costs_most_comes_first():
    rows = robustness_table(sample_inputs().robustness_benchmark["curves"])
    assert [(row["model"], row["corruption"]) for row in rows][:2] == [
        ("filter", "blur"),
        ("filter", "noise"),
    ]
    assert rows[0]["loss"] == 0.4
    assert rows[0]["severities"] == [0, 1, 2, 3, 4, 5]


def test_a_loss_is_told_with_the_severity_at_which_it_is_known():
    """Of the highest severity nothing is known here; elsewhere nothing of clean images."""
    table = sample_inputs().robustness_benchmark["curves"]
    unknown = pl.when(severity=5).then(None).otherwise("value").alias("value")
    rows = robustness_table(table.with_columns(unknown))
    for row in rows:
        assert row["worst_severity"] == 4
        assert row["loss"] == pytest.approx(row["values"][0] - row["values"][4])
    not_clean = pl.when(severity=0).then(None).otherwise("value").alias("value")
    assert {row["loss"] for row in robustness_table(table.with_columns(not_clean))} == {None}


def test_only_held_out_images_are_shown_as_failures():
    inputs = sample_inputs()
    test_ids = set(inputs.data_splits.filter(pl.col("split") == "test")["image_id"])
    found = content()["failures"]
    assert {row["image_id"] for row in found["segmenter"]} <= test_ids
    validation = inputs.predictions.filter(pl.col("split") != "test")
    assert set(held_out(validation)["split"]) == {"validation"}


def test_the_worst_segmentation_comes_first():
    values = [row["value"] for row in content()["failures"]["segmenter"]]
    assert values == sorted(values)
    assert len(values) == 12


def test_only_contradicted_labels_count_as_errors_of_the_filter_the_surest_first():
    predictions = pl.DataFrame(
        {
            "image_id": ["a", "b", "c", "d", "e"],
            "split": ["test"] * 5,
            "label": ["full", "none", "full", "unclear", None],
            "predicted": ["none", "full", "full", "full", "full"],
            "prob_full": [0.3, 0.9, 0.9, 0.9, 0.9],
            "prob_partial": [0.1, 0.05, 0.1, 0.1, 0.1],
            "prob_none": [0.6, 0.05, 0.0, 0.0, 0.0],
        }
    )
    images = pl.DataFrame({"image_id": list("abcde"), "path": ["p"] * 5, "batch": ["x"] * 5})
    rows = surest_errors(predictions, images)
    assert [(row["image_id"], row["confidence"]) for row in rows] == [("b", 0.9), ("a", 0.6)]


def test_predictions_of_one_model_alone_have_failures_of_that_model_alone():
    inputs = sample_inputs()
    no_filter = inputs.predictions.drop("predicted", "prob_full", "prob_partial", "prob_none")
    assert surest_errors(no_filter, inputs.raw_dataset["images"]) == []
    no_masks = inputs.predictions.with_columns(iou_iris=pl.lit(None, dtype=pl.Float64))
    assert worst_segmentations(no_masks, inputs.raw_dataset["images"]) == []


def test_a_moved_map_is_another_report():
    table = sample_inputs().embedding_map
    assert map_digest(table) == map_digest(table.reverse())
    assert map_digest(table) != map_digest(table.with_columns(pl.col("x") + 1))


def test_equal_weights_say_as_much_as_all_images_and_unequal_ones_less():
    table = pl.DataFrame({"cell": ["a"] * 4, "weight": [1.0] * 4})
    assert balance_content(table)["effective"] == 4
    table = pl.DataFrame({"cell": ["a"] * 4, "weight": [4.0, 0.0, 0.0, 0.0]})
    assert balance_content(table)["effective"] == 1


def test_headlines_hold_each_overall_metric_the_main_interval_and_no_baseline():
    inputs = sample_inputs()
    found = headline(inputs.model_evaluation, inputs.raw_dataset, drift=drift_data())
    assert found["filter"] == {
        "accuracy": 0.92,
        "f1_macro": 0.9,
        "f1_macro_low": pytest.approx(0.87),
        "f1_macro_high": pytest.approx(0.93),
        "images": 90,
    }
    assert found["segmenter"]["mean_iou"] == 0.8
    assert found["data"] == {"images": 120, "labelled": 96, "with_mask": 60, "batches": 3}
    assert found["drift"] == {"share_moved": 0.5}


def test_every_leaf_is_a_number_as_dvc_wants():
    inputs = sample_inputs()
    found = headline(inputs.model_evaluation, inputs.raw_dataset, quarantine=inputs.quarantine)
    for section in json.loads(json.dumps(found)).values():
        assert all(isinstance(value, (int, float)) for value in section.values())


def test_models_that_were_not_made_are_left_out():
    inputs = sample_inputs()
    assert list(headline(Skipped("no labels"), inputs.raw_dataset)) == ["data"]


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_what_json_cannot_hold_becomes_null(value):
    assert rounded(value) is None


def test_tags_are_counted_with_their_share_of_all_images():
    rows = tags(sample_inputs().image_tags).data["tags"]
    assert [(row["axis"], row["n"], row["share"]) for row in rows] == [
        ("openness", 80, pytest.approx(80 / 120, abs=0.001)),
        ("openness", 40, pytest.approx(40 / 120, abs=0.001)),
    ]
    assert tags(sample_inputs().image_tags.clear()).blocks == []
