"""Alarms over the stream of batches: when they are raised, and how seldom without a reason."""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl
import pytest

from iip_assets.drift.alarms import alarm_tables
from iip_assets.drift.assets import drift_history, no_drift_alarm
from iip_assets.drift.figures import alarm_in_words, history_figure
from iip_assets.drift.streams import OTHER, REFERENCE, Stream, Streams, drift_streams
from iip_assets.engine.values import Skipped
from iip_assets.figures import figure_png
from iip_assets_tests.drift.samples import drift_tables


def streams(rng, sizes, *, features=6, shift=0.0, at=None):
    """Streams of normal numbers, of which the first is larger by `shift` from batch `at` on."""
    batches = np.repeat(np.arange(len(sizes)), sizes)
    at = len(sizes) - 1 if at is None else at
    later = shift * (batches >= at)
    found = [
        Stream(f"f{k}", "", rng.normal(size=len(batches)) + later * (k == 0))
        for k in range(features)
    ]
    return Streams([f"b{k}" for k in range(len(sizes))], batches, found)


def alarms(followed, level=0.05, seed=0):
    return alarm_tables(followed, level=level, confidence=0.95, seed=seed)["alarms"]


def test_a_sudden_change_is_found_in_its_batch_and_named_first():
    found = alarms(streams(np.random.default_rng(0), [60, 60, 80], shift=1.0))
    first = found.row(0, named=True)
    assert (first["feature"], first["since"]) == ("f0", "b2")
    assert first["shift"] == pytest.approx(1.0, abs=0.35)
    assert (first["n_before"], first["n_after"]) == (120, 80)
    assert found["since"].count() == 1
    assert "f0 since b2" in alarm_in_words(first)


def test_a_change_that_is_spread_over_small_batches_is_found_in_time():
    """No batch of five shows it alone; sixteen of them do, and tell since about when."""
    found = alarms(streams(np.random.default_rng(1), [60] + [5] * 20, shift=1.0, at=4))
    first = found.row(0, named=True)
    assert first["feature"] == "f0"
    assert abs(int(first["since"][1:]) - 4) <= 4


@pytest.mark.parametrize("sizes", [[20] * 6, [10, 100, 10, 10], [60, 5, 5, 5, 5, 5]])
def test_without_a_change_alarms_are_as_rare_as_the_level_says_over_all_looks(sizes):
    rng = np.random.default_rng(2)
    raised = sum(
        alarms(streams(rng, sizes, features=3), level=0.2, seed=seed)["since"].count() > 0
        for seed in range(40)
    )
    # Binomial(40, 0.2) is above 15 with a probability of 0.002.
    assert raised <= 15


def test_who_and_with_what_stands_before_what_images_measure():
    """More subjects of a darker skin move brightness farther; they are why."""
    images, splits, statistics = images_of()
    last = pl.col("batch") == "c"
    images = images.with_columns(
        gender=pl.when(last & (pl.col("eye") == "left")).then(pl.lit("male")).otherwise("gender")
    )
    darker = statistics.with_columns(
        brightness=pl.col("brightness") - 60 * (images["batch"] == "c").cast(pl.Int8)
    )
    found = run((images, splits, darker))["alarms"].drop_nulls("since")["feature"]
    assert found.unique(maintain_order=True).to_list() == ["gender", "brightness"]


def test_one_image_each_after_ten_of_each_subject_is_no_change():
    """Means of ten images vary less, which is no alarm: each side has its own variance."""
    raised = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        spread = np.repeat([0.3, 1.0], [160, 25])
        values = [Stream(f"f{k}", "", rng.normal(size=185) * spread) for k in range(5)]
        raised += alarms(Streams(["a", "b"], np.repeat([0, 1], [160, 25]), values), level=0.2)[
            "since"
        ].count()
    # Binomial(40, 0.2) is above 15 with a probability of 0.002.
    assert raised <= 15


def test_what_was_looked_at_stays_when_a_batch_is_added():
    rng = np.random.default_rng(4)
    whole = streams(rng, [30, 30, 30, 40])
    kept = whole.batches < 3
    part = Streams(
        whole.names[:3],
        whole.batches[kept],
        [Stream(one.feature, one.part, one.values[kept]) for one in whole.streams],
    )
    before, after = (
        alarm_tables(one, level=0.05, confidence=0.95, seed=0)["history"] for one in (part, whole)
    )
    assert before.equals(after.filter(pl.col("batch") != "b3"))


def test_values_that_are_tied_or_missing_raise_nothing():
    batches = np.repeat([0, 1], 40)
    constant, unknown = np.ones(80), np.full(80, np.nan)
    unknown[[0, 79]] = 1.0
    followed = Streams(["a", "b"], batches, [Stream("c", "", constant), Stream("u", "", unknown)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert alarms(followed)["since"].count() == 0


def images_of(n=300, **changes):
    images, splits, statistics = drift_tables(n=n, **changes)
    groups = images.select("image_id", group_id="subject_id")
    return images, splits.join(groups, on="image_id"), statistics


def test_a_subject_counts_once_with_the_batch_that_first_had_it():
    images, splits, statistics = images_of()
    table = images.join(splits, on="image_id").join(statistics, on="image_id")
    again = table.with_columns(image_id="image_id" + pl.lit("x"), batch=pl.lit("d"))
    both = drift_streams(pl.concat([table, again]), columns=["brightness"])
    assert both.names == ["a", "b", "c"]
    assert len(both.batches) == 300


def test_ten_images_of_each_subject_are_no_change():
    images, splits, statistics = images_of()
    table = images.join(splits, on="image_id").join(statistics, on="image_id")
    last = table.filter(batch="c")
    copies = [last.with_columns(image_id="image_id" + pl.lit(f"-{k}")) for k in range(9)]
    followed = drift_streams(pl.concat([table, *copies]), columns=["brightness"])
    assert alarms(followed)["since"].count() == 0


def test_a_word_that_comes_up_later_is_followed_as_another_word():
    images, splits, statistics = images_of()
    images = images.with_columns(
        device=pl.when(pl.col("batch") == "c").then(pl.lit("new")).otherwise(pl.lit("old"))
    )
    found = run((images, splits, statistics))["alarms"].drop_nulls("since")
    assert {*found.filter(feature="device")["part"]} == {"old", OTHER}
    assert {*found["since"]} == {"c"}


def test_the_embedding_is_followed_after_the_first_subjects():
    rng = np.random.default_rng(5)
    images, splits, statistics = images_of()
    vectors = rng.normal(size=(300, 12)) * np.linspace(3, 0.5, 12)
    vectors[(images["batch"] == "c").to_numpy(), 0] += 5
    table = pl.DataFrame({"image_id": images["image_id"], "embedding": vectors.tolist()})
    tables = run((images, splits, statistics), embeddings=table)
    first = tables["alarms"].row(0, named=True)
    assert (first["feature"], first["since"]) == ("embedding", "c")
    assert tables["history"].filter(feature="embedding", part="component 1")[
        "n_subjects"
    ].sum() == (300 - REFERENCE)
    assert figure_png(history_figure(tables)).startswith(b"\x89PNG")


def run(tables, embeddings=None, **changes):
    images, splits, statistics = tables
    none = pl.DataFrame(schema={"image_id": pl.String, "embedding": pl.List(pl.Float32)})
    options = {"columns": ("brightness", "contrast"), "level": 0.05, "since": ""}
    options |= {"confidence": 0.95, "seed": 0} | changes
    return drift_history.function(
        {"images": images},
        splits,
        statistics,
        none if embeddings is None else embeddings,
        **options,
    )


def test_the_check_names_what_changed_and_since_when():
    assert no_drift_alarm(run(images_of())).passed
    check = no_drift_alarm(run(images_of(darker=1.5)))
    assert (check.passed, check.severity) == (False, "warning")
    assert "brightness since c: " in check.description


def test_a_change_that_is_taken_for_granted_raises_nothing_more():
    images = images_of(darker=1.5, batches=("a", "b", "c"))
    later = images[0].with_columns(
        batch=pl.when((pl.col("batch") == "c") & (pl.col("image_id") > "0250"))
        .then(pl.lit("d"))
        .otherwise("batch")
    )
    assert no_drift_alarm(run((later, *images[1:]), since="c")).passed


def test_one_batch_has_nothing_before_it():
    outcome = run(images_of(batches=("only",)))
    assert isinstance(outcome, Skipped)
    assert outcome.reason.endswith("there is only alone")


def test_batches_of_the_same_subjects_are_told_to_have_nothing_new() -> None:
    table = pl.DataFrame(
        {"image_id": ["1", "2"], "batch": ["a", "b"], "group_id": ["s", "s"], "brightness": [1, 9]}
    )
    assert isinstance(drift_streams(table, columns=["brightness"]), Skipped)
