"""Alarms over the stream of batches: when they are raised, and how seldom without a reason."""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl
import pytest
from mapie.exchangeability_testing import OnlineMartingaleTest

from iip_assets.drift.alarms import (
    alarm_tables,
    batch_evidence,
    bet_on_ranks,
    conformal_p_values,
)
from iip_assets.drift.assets import drift_history, no_drift_alarm
from iip_assets.drift.figures import alarm_in_words, history_figure
from iip_assets.drift.limits import limit_table
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
    assert (first["feature"], first["since"], first["test"]) == ("f0", "b2", "batch")
    assert first["shift"] == pytest.approx(1.0, abs=0.35)
    assert (first["n_before"], first["n_after"]) == (120, 80)
    assert found["since"].count() == 1
    assert "f0 since b2" in alarm_in_words(first)


def test_a_change_that_is_spread_over_small_batches_is_found_in_time():
    """No batch of five shows it alone; bets that go on do, and tell since about when."""
    found = alarms(streams(np.random.default_rng(1), [60] + [5] * 20, shift=1.0, at=4))
    first = found.row(0, named=True)
    assert (first["feature"], first["test"]) == ("f0", "stream")
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


def test_bets_and_ranks_are_those_of_mapie():
    rng = np.random.default_rng(3)
    stream = Stream("f", "", rng.normal(size=60).round(1))
    theirs = OnlineMartingaleTest(warn=False)
    ours = conformal_p_values(stream, seed=0)
    bet = [theirs.update_simple_jumper_martingale(p) for p in ours]
    assert bet_on_ranks(ours, np.zeros(60, dtype=np.int64))[0] == pytest.approx(bet)
    for place, value in enumerate(stream.values[1:], start=1):
        p = theirs.compute_p_value(value, stream.values[:place])
        ties = 1 + (stream.values[:place] == value).sum()
        assert abs(p - ours[place]) <= ties / (place + 1)


def test_bets_that_begin_with_a_change_win_more_on_it_than_those_of_a_long_quiet_time():
    quiet = np.random.default_rng(6).random(900)
    found = bet_on_ranks(np.append(quiet, np.full(20, 0.1)), np.repeat([0, 1], [900, 20]))
    assert (found[1, :900] == 1).all()
    assert found[1, -1] > 5 * found[0, -1]


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
        assert batch_evidence(followed, level=0.05, seed=0).max() < 1
    assert alarms(followed)["since"].count() == 0


def images_of(n=300, **changes):
    images, splits, statistics = drift_tables(n=n, **changes)
    groups = images.select("image_id", group_id="subject_id")
    return images, splits.join(groups, on="image_id"), statistics


def test_a_subject_counts_once_with_the_batch_that_first_had_it():
    images, splits, statistics = images_of()
    table = images.join(splits, on="image_id").join(statistics, on="image_id")
    again = table.with_columns(image_id="image_id" + pl.lit("x"), batch=pl.lit("d"))
    both = drift_streams(pl.concat([table, again]), None, columns=["brightness"])
    assert both.names == ["a", "b", "c"]
    assert len(both.batches) == 300


def test_ten_images_of_each_subject_are_no_change():
    images, splits, statistics = images_of()
    table = images.join(splits, on="image_id").join(statistics, on="image_id")
    last = table.filter(batch="c")
    copies = [last.with_columns(image_id="image_id" + pl.lit(f"-{k}")) for k in range(9)]
    followed = drift_streams(pl.concat([table, *copies]), None, columns=["brightness"])
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
    options = {"columns": ("brightness", "contrast"), "level": 0.05, "limits": {}, "since": ""}
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


def predicted(right):
    """Two batches of 60 test images, of which the filter tells so many of each right."""
    ids = [f"{k:03d}" for k in range(120)]
    rng = np.random.default_rng(0)
    hits = rng.random(120) < np.repeat(right, 60)
    images = pl.DataFrame({"image_id": ids, "batch": ["a"] * 60 + ["b"] * 60, "group_id": ids})
    said = pl.DataFrame(
        {
            **{"image_id": ids, "split": ["test"] * 120, "label": ["full"] * 120},
            **{"predicted": np.where(hits, "full", "none"), "iou_iris": np.where(hits, 0.9, 0.4)},
        }
    )
    return said, images


def limited(right, **limits):
    return limit_table(*predicted(right), limits=limits, level=0.05, confidence=0.95)


def test_a_metric_that_falls_below_its_limit_raises_an_alarm_since_then():
    found = limited([1.0, 0.5], **{"filter.accuracy": 0.85})
    assert found["alarm"].to_list() == [False, True]
    assert found["at_most"][1] < 0.85 <= found["at_most"][0]
    assert found["low"][1] < found["value"][1] < found["high"][1]


def test_a_metric_at_its_limit_raises_none():
    limits = {"filter.accuracy": 0.9, "segmenter.image_iou": 0.8}
    assert not limited([0.92, 0.92], **limits)["alarm"].any()


def test_images_of_other_splits_do_not_count():
    said, images = predicted([0.2, 0.2])
    trained = said.with_columns(split=pl.lit("train"))
    limits = {"filter.accuracy": 0.9}
    assert limit_table(trained, images, limits=limits, level=0.05, confidence=0.95).is_empty()
