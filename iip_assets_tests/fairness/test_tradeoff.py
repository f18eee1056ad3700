"""A planted weak group is found, remedies are priced, and no trial is made twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from fairlearn.metrics import MetricFrame
from hypothesis import given
from hypothesis import strategies as some

import iip_assets
from iip_assets.engine.code_key import CodeKeys
from iip_assets.engine.context import AssetContext
from iip_assets.engine.values import Skipped
from iip_assets.fairness.figures import tradeoff_figure
from iip_assets.fairness.tradeoff import ENDS, MEASURES, pareto
from iip_assets.fairness.tradeoff_assets import describe_fairness_tradeoff, fairness_tradeoff
from iip_assets.fairness.trials import pair_groups, planned, run_trials, trial_images
from iip_assets.figures import figure_png
from iip_assets.graph import FRAMEWORK
from iip_assets.settings import (
    ComputeSettings,
    EvaluationSettings,
    FilterSettings,
    ThresholdSettings,
)
from iip_assets.tables import TABLES
from iip_assets.training.trainer import Machine, TrainingRun

RECIPE = FilterSettings(epochs=15, learning_rate=0.01)
EVALUATION = EvaluationSettings(resamples=100)
REMEDIES = {
    "weights": (5.0,),
    "resampling": (5.0,),
    "mindiff": (1.0,),
    "rate_constraint": (0.7,),
    "threshold_optimizer": (0.02,),
    "reductions": (0.02,),
}


def eyes(subjects=150, *, images=6, seed=0):
    """Examples and slices: a rare group whose usable images look like what others' cannot be used.

    What tells images apart lies on the first axis; usable ones of the rare group lie on the second.
    """
    rng = np.random.default_rng(seed)
    rows, slices = [], []
    for subject in range(subjects):
        rare = subject % 5 == 0
        for image in range(images):
            usable = image % 2 == 0
            vector = rng.normal(size=12)
            vector[0] += (-0.5 if rare else 1.5) if usable else -1.5
            vector[1] += 1.5 * (rare and usable)
            name, label = f"{subject:04d}-{image}", "full" if usable else "none"
            split = ("train", "train", "validation")[subject % 3]
            rows.append((name, split, f"s{subject}", label, vector.tolist(), 1.0))
            group = "rare" if rare else ("common", "other")[subject // 3 % 2]
            slices.append((name, "ethnicity", group))
    names = ["image_id", "split", "group_id", "label", "embedding", "weight"]
    examples = pl.DataFrame(rows, schema=names, orient="row")
    return examples, pl.DataFrame(slices, schema=["image_id", "axis", "slice"], orient="row")


EXAMPLES, SLICES = eyes()


@pytest.fixture(scope="module")
def keys() -> CodeKeys:
    return CodeKeys("iip_assets", Path(iip_assets.__file__).parent, framework=FRAMEWORK)


@pytest.fixture(scope="module")
def state(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("state")


def tried(keys, state, remedies, *, examples=EXAMPLES, slices=SLICES, seeds=2):
    """The asset's value, and how many trials were made and reused for it."""
    context = AssetContext(state, keys, state, print)
    found = fairness_tradeoff.function(
        examples,
        slices,
        axis="ethnicity",
        seeds=seeds,
        remedies=remedies,
        recipe=RECIPE,
        balanced_by="weights",
        costs=ThresholdSettings(),
        evaluation=EVALUATION,
        compute=ComputeSettings(device="cpu", threads=1),
        context=context,
    )
    return found, (context.images_computed, context.images_reused)


@pytest.fixture(scope="module")
def tables(keys, state):
    return tried(keys, state, REMEDIES)[0]


def point(tables, remedy):
    return tables["tradeoff"].row(by_predicate=pl.col("remedy") == remedy, named=True)


def test_the_planted_group_fares_worst_and_remedies_help_it(tables):
    none = point(tables, "none")
    assert none["worst_group"] == "rare"
    assert none["gap_low"] > 0
    for remedy in REMEDIES:
        assert point(tables, remedy)["worst"] > none["worst"], remedy
    assert none["overall_change"] == none["gap_change"] == 0


def test_a_mean_lies_within_its_seeds_and_its_interval(tables):
    for row in tables["tradeoff"].to_dicts():
        seeds = tables["trials"].filter(remedy=row["remedy"], strength=row["strength"])
        assert row["seeds"] == seeds.height == (1 if row["remedy"] == "reductions" else 2)
        for name in MEASURES:
            assert row[name] == pytest.approx(seeds[name].mean())
            assert row[f"{name}_least"] == seeds[name].min() <= row[name] + 1e-9
            assert row[f"{name}_largest"] == seeds[name].max() >= row[name] - 1e-9
            low, high = row[f"{name}_low"], row[f"{name}_high"]
            assert low is None or low <= row[name] <= high


def test_the_numbers_are_fairlearns_over_the_groups_that_are_large_enough(tables):
    images = trial_images(EXAMPLES, SLICES, ["full"], least_images=10)
    judged = images.filter(part="judged")
    schedule = {"epochs": 15, "patience": 8, "learning_rate": 0.01, "weight_decay": 0.01}
    (answer,) = run_trials(
        [{"remedy": "none", "strength": "0", "seed": 1}],
        schedule=schedule | {"batch_size": 64},
        gate={"usable": ["full"], "lost_iris": 1.0, "failed_segmentation": 1.0},
        resampled=False,
        images=images,
        run=TrainingRun(Machine("cpu", threads=1)),
    )
    usable, passes = judged["usable"].to_numpy(), np.array(answer["answer"]) > 0.5
    frame = MetricFrame(
        metrics=lambda truth, said: float(said[truth].mean()),
        y_true=usable,
        y_pred=passes,
        sensitive_features=judged["group"].to_numpy(),
    )
    assert judged["compared"].all()
    row = tables["trials"].row(
        by_predicate=(pl.col("remedy") == "none") & (pl.col("seed") == 1), named=True
    )
    assert row["overall"] == pytest.approx((usable == passes).mean())
    assert row["worst"] == pytest.approx(frame.group_min())
    assert row["gap"] == pytest.approx(frame.difference())


def test_a_chart_that_grows_by_one_remedy_makes_its_trials_alone(keys, state, tables):
    del tables
    assert tried(keys, state, REMEDIES)[1] == (0, 13)
    assert tried(keys, state, {**REMEDIES, "weights": (2.0, 5.0)})[1] == (2, 13)
    assert tried(keys, state, {"weights": (5.0,)}, seeds=3)[1] == (2, 4)


def test_a_corrected_group_makes_all_trials_again_and_one_of_a_test_image_none(keys, state):
    test = EXAMPLES.with_columns(split=pl.lit("test"), image_id="t" + pl.col("image_id"))
    few = {"weights": (5.0,)}
    assert tried(keys, state, few, examples=pl.concat([EXAMPLES, test]))[1] == (0, 4)
    other = pl.when(image_id="0001-0").then(pl.lit("rare")).otherwise("slice")
    assert tried(keys, state, few, slices=SLICES.with_columns(slice=other))[1] == (4, 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda e, s: (e, s.with_columns(slice=pl.lit("rare"))), "it takes two, there is 1"),
        (lambda e, s: (e, s.with_columns(slice=pl.lit("unknown"))), "there is none"),
        (lambda e, s: (e, s.filter(axis="gender")), "there is none"),
        (lambda e, s: (e.filter(split="train"), s), "no image with a label fell to validation"),
        (lambda e, s: (e.with_columns(group_id=pl.lit("s")), s), "are one group"),
        (lambda e, s: (e.with_columns(label=pl.lit("full")), s), "needs two labels"),
        (
            lambda e, s: (e.filter((pl.col("split") == "train") | (pl.col("label") == "full")), s),
            "usable images and others are needed",
        ),
        (
            lambda e, s: (e, s.join(e.filter(label="full"), on="image_id", how="semi")),
            "usable images and others are needed",
        ),
    ],
    ids=[
        "one group",
        "unknown",
        "no axis",
        "no validation",
        "one subject",
        "one label",
        "all usable",
        "all of known groups usable",
    ],
)
def test_without_groups_to_compare_it_is_skipped_for_the_reason(keys, state, change, reason):
    examples, slices = change(EXAMPLES, SLICES)
    found, made = tried(keys, state, REMEDIES, examples=examples, slices=slices)
    assert isinstance(found, Skipped)
    assert reason in found.reason
    assert made == (0, 0)


def test_a_small_group_and_whose_group_is_not_known_are_judged_among_all_alone(keys, state):
    subject = pl.col("image_id").str.slice(0, 4).cast(pl.Int64)
    slices = SLICES.with_columns(
        slice=pl.when(subject < 12)
        .then(pl.lit("small"))
        .when(subject < 24)
        .then(pl.lit("unknown"))
        .otherwise("slice")
    )
    images = trial_images(EXAMPLES, slices, ["full"], least_images=10)
    assert set(images.filter("compared")["group"]) == {"common", "other", "rare"}
    found, _ = tried(keys, state, REMEDIES, slices=slices, seeds=1)
    assert found["tradeoff"]["groups"].to_list() == [["common", "other", "rare"]] * 7
    assert set(found["trials"]["worst_group"]) <= {"common", "other", "rare"}
    assert set(found["tradeoff"]["n_images"]) == {images.filter(part="judged").height}


@given(some.lists(some.tuples(some.integers(0, 5), some.integers(0, 5)), min_size=1, max_size=12))
def test_the_front_is_what_no_point_beats(points):
    first, second = np.array(points, dtype=float).T
    for one, on_front in zip(points, pareto(first, second), strict=True):
        beaten = any(a >= one[0] and b >= one[1] and (a, b) != one for a, b in points)
        assert on_front != beaten


def test_of_two_groups_one_pair_says_it_all():
    assert pair_groups(["b", "a"]) == ["a"]
    assert pair_groups(["b", "c", "a"]) == ["a", "b", "c"]
    assert planned("filter", {"reductions": (0.1, 0.2)}, seeds=3).height == 3 + 2


def test_the_dictionary_has_the_columns_of_both_tables(tables):
    for name, table in tables.items():
        assert set(table.columns) == set(TABLES["fairness_tradeoff"][name])
    assert {one + end for one in MEASURES for end in ENDS} < set(tables["tradeoff"].columns)


def test_the_chart_is_drawn_and_described(tables):
    assert figure_png(tradeoff_figure(tables)).startswith(b"\x89PNG")
    assert len(describe_fairness_tradeoff(tables)["tradeoff"].records) == 7
