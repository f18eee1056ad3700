"""Groups are told apart where they differ, and only there; the numbers are Fairlearn's."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from iip_assets.engine.values import Skipped
from iip_assets.fairness.group_metrics import (
    GAPS,
    GROUPS,
    TOO_FEW,
    WORSE,
    audit_models,
    failed_groups,
    failed_in_words,
    primary_rows,
    with_intersections,
)
from iip_assets.metrics.scores import Gate
from iip_assets.settings import EvaluationSettings

GATE = Gate(("full",), 1.0, 1.0)
CLASSES = ("background", "iris")
SETTINGS = EvaluationSettings(resamples=100, min_slice_images=10)


def people(rejected, *, subjects=40, images=3, seed=0, small=0):
    """Predictions and slices of groups by name, each with its rate of usable images rejected."""
    rng = np.random.default_rng(seed)
    rows, slices = [], []
    for group, rate in rejected.items():
        for subject in range(small or subjects if group == "small" else subjects):
            for image in range(images):
                usable = bool(rng.random() < 0.7)
                passes = bool(rng.random() >= rate) if usable else bool(rng.random() < 0.2)
                share = rng.uniform(0.6, 0.9) if passes else rng.uniform(0.1, 0.4)
                hits = int(80 - 60 * rate + rng.integers(-8, 9))
                name = f"{group}-{subject}-{image}"
                rows.append(
                    {
                        "image_id": name,
                        "group_id": f"{group}-{subject}",
                        "split": "test",
                        "label": "full" if usable else "none",
                        "mask_id": name,
                        "prob_full": share,
                        "prob_partial": 0.0,
                        "prob_none": 1 - share,
                        "predicted": "full" if share > 0.5 else "none",
                        "passes": passes,
                        "confusion": [900, 20, 100 - hits, hits],
                    }
                )
                slices.append((name, "ethnicity", group))
                slices.append((name, "gender", "female" if subject % 2 else "male"))
    return pl.DataFrame(rows), pl.DataFrame(
        slices, schema=["image_id", "axis", "slice"], orient="row"
    )


def audited(rejected, **given):
    table, slices = people(rejected, **given)
    return audit_models(table, slices, gate=GATE, mask_classes=CLASSES, evaluation=SETTINGS)


def single(table, **values):
    return table.filter(*(pl.col(name) == value for name, value in values.items())).row(
        0, named=True
    )


def test_a_group_whose_usable_images_are_rejected_more_is_named_by_both_models():
    found = audited({"black": 0.4, "white": 0.05, "asian": 0.05})
    failed = failed_groups(primary_rows(found["groups"]))
    assert set(failed.filter(axis="ethnicity").select("model", "slice").iter_rows()) == {
        ("filter", "black"),
        ("segmenter", "black"),
    }
    row = single(found["groups"], metric="false_rejection_rate", slice="black")
    assert row["others"] < row["value"]
    assert row["difference_low"] > 0
    assert "black" in failed_in_words(failed.to_dicts()[0])
    gap = single(found["gaps"], metric="false_rejection_rate", axis="ethnicity")
    assert (gap["highest"], gap["n_judged"]) == ("black", 3)
    assert gap["low"] > 0
    assert gap["gap"] == pytest.approx(0.35, abs=0.12)


def test_where_all_groups_are_alike_hardly_any_is_called_worse():
    named = 0
    for seed in range(20):
        groups = audited({one: 0.15 for one in "abcdef"}, subjects=20, seed=seed)["groups"]
        of_filter = primary_rows(groups).filter(model="filter", axis="ethnicity")
        named += (of_filter["verdict"] == WORSE).any()
    assert named <= 3  # of 20 families at 5%: 4 or more happen in 2% of all cases


def test_few_others_who_happen_to_be_right_make_no_group_worse():
    named = 0
    for seed in range(30):
        groups = audited({"large": 0.1, "small": 0.1}, small=5, seed=seed)["groups"]
        row = single(groups, metric="false_rejection_rate", axis="ethnicity", slice="large")
        named += row["verdict"] == WORSE
    assert named <= 4  # of 30 at 5%: 5 or more happen in 2% of all cases


def test_intersections_are_judged_where_they_are_large_enough():
    found = audited({"black": 0.3, "small": 0.1}, small=3)["groups"]
    cell = single(found, metric="false_rejection_rate", slice="black × female")
    assert cell["axis"] == "ethnicity×gender"
    assert cell["enough"]
    few = single(found, metric="false_rejection_rate", slice="small × male")
    assert (few["verdict"], few["p"], few["difference_low"]) == (TOO_FEW, None, None)


def test_an_unknown_value_is_no_group():
    _, slices = people({"black": 0.3, "white": 0.1})
    unknown = slices.with_columns(
        slice=pl.when(pl.col("axis") == "gender").then(pl.lit("unknown")).otherwise("slice")
    )
    assert with_intersections(unknown)["axis"].unique().to_list() == ["ethnicity"]


def test_gaps_and_ratios_are_those_of_fairlearn():
    from fairlearn.metrics import (
        MetricFrame,
        false_negative_rate,
        false_positive_rate,
        selection_rate,
    )
    from sklearn.metrics import precision_score, recall_score

    table, slices = people({"black": 0.4, "white": 0.05, "asian": 0.2})
    found = audit_models(table, slices, gate=GATE, mask_classes=CLASSES, evaluation=SETTINGS)
    group = dict(slices.filter(axis="ethnicity").select("image_id", "slice").iter_rows())
    frame = MetricFrame(
        metrics={
            "false_rejection_rate": false_negative_rate,
            "false_positive_rate": false_positive_rate,
            "selection_rate": selection_rate,
            "recall": recall_score,
            "precision": precision_score,
        },
        y_true=(table["label"] == "full").to_numpy().astype(int),
        y_pred=table["passes"].to_numpy().astype(int),
        sensitive_features=[group[one] for one in table["image_id"]],
    )
    for metric, wanted in frame.difference(method="between_groups").items():
        gap = single(found["gaps"], model="filter", metric=metric, axis="ethnicity")
        assert gap["gap"] == pytest.approx(wanted, abs=1e-12)
        assert gap["ratio"] == pytest.approx(frame.ratio()[metric], abs=1e-12)
    for name, values in frame.by_group.iterrows():
        for metric, wanted in values.items():
            row = single(found["groups"], model="filter", metric=metric, slice=name)
            assert row["value"] == pytest.approx(wanted, abs=1e-12)


def test_without_the_segmenter_or_the_filter_the_other_is_audited():
    table, slices = people({"black": 0.3, "white": 0.1})
    given = {"gate": GATE, "mask_classes": CLASSES, "evaluation": SETTINGS}
    nothing = pl.lit(None, pl.String)
    alone = audit_models(table.with_columns(predicted=nothing), slices, **given)
    assert alone["groups"]["model"].unique().to_list() == ["segmenter"]
    no_masks = table.with_columns(confusion=pl.lit(None, pl.List(pl.Int64)))
    alone = audit_models(no_masks, slices, **given)
    assert alone["groups"]["model"].unique().to_list() == ["filter"]
    neither = audit_models(no_masks.with_columns(predicted=nothing), slices, **given)
    assert isinstance(neither, Skipped)


def test_without_anything_known_of_people_it_says_so():
    table, slices = people({"black": 0.3, "white": 0.1})
    unknown = slices.with_columns(slice=pl.lit("unknown"))
    given = {"gate": GATE, "mask_classes": CLASSES, "evaluation": SETTINGS}
    found = audit_models(table, unknown, **given)
    assert isinstance(found, Skipped)
    assert "nothing is known" in found.reason


def test_one_group_alone_has_a_value_and_no_difference():
    found = audited({"black": 0.2})
    row = single(found["groups"], metric="false_rejection_rate", axis="ethnicity")
    assert row["enough"]
    assert row["others"] is None
    assert row["verdict"] is None
    assert single(found["gaps"], metric="recall", axis="ethnicity")["gap"] is None
    assert found["groups"].schema == pl.Schema(GROUPS)
    assert found["gaps"].schema == pl.Schema(GAPS)
