"""The forecast of a shift whose effect is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iip_assets.drift.forecast import (
    Side,
    Spread,
    expected_scores,
    forecast_recalibrated,
    forecast_reweighted,
    recalibrate,
)
from iip_assets.drift.forecast_mix import forecast_mix, parse_mix
from iip_assets.drift.forecast_tables import ALL, Known, forecast_tables, known_images
from iip_assets.drift.forecast_weights import (
    density_ratio,
    effective,
    far_share,
    principal_components,
    rake,
)
from iip_assets.engine.values import Skipped
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scored_predictions import scored_probabilities
from iip_assets.settings import ForecastSettings

SPREAD = Spread(0.9, 0)


def drawn(n, hard, seed):
    """Images of which a share is hard: there the filter is unsure, and rightly so."""
    rng = np.random.default_rng(seed)
    is_hard = rng.uniform(size=n) < hard
    truth = rng.integers(0, 3, n)
    sure = np.where(is_hard, 0.5, 0.96)
    answers = np.where(rng.uniform(size=n) < sure, truth, (truth + rng.integers(1, 3, n)) % 3)
    shares = np.repeat((1 - sure)[:, None] / 2, 3, axis=1)
    shares[np.arange(n), answers] = sure
    seen = rng.normal(size=(n, 6)) + 2 * is_hard[:, None]
    groups = [f"{seed}-{place // 3}" for place in range(n)]
    return Side(seen, groups, shares), truth, answers


def forecast(method, old, new, truth, subsets):
    ids = [str(place) for place in range(len(truth))]
    scored = scored_probabilities(ids, old.groups, truth, old.probabilities, FILTER_CLASSES)
    metrics = ["accuracy", "f1_macro"]
    found = forecast_reweighted(old, new, scored, SPREAD, metrics=metrics, subsets=subsets)
    if method == "recalibrated":
        found = forecast_recalibrated(old, new, truth, SPREAD, subsets=subsets, beside=found)
    return found[ALL]["accuracy"]


@pytest.mark.parametrize("method", ["reweighted", "recalibrated"])
def test_what_more_hard_images_cost_is_forecast_without_their_labels(method):
    old, truth, answers = drawn(1200, 0.2, 1)
    new, other, said = drawn(900, 0.7, 2)
    subsets = {ALL: (np.arange(1200), np.arange(900))}
    one = forecast(method, old, new, truth, subsets)
    came, was = (other == said).mean(), (truth == answers).mean()
    assert one.now == pytest.approx(was)
    assert was - came > 0.15
    assert one.value.low < came < one.value.high
    assert abs(one.value.value - came) < 0.35 * (was - came)
    assert one.change.high < -0.1


def test_without_a_shift_no_change_is_shown():
    old, truth, _ = drawn(900, 0.3, 3)
    new, _, _ = drawn(900, 0.3, 4)
    subsets = {ALL: (np.arange(900), np.arange(900))}
    one = forecast("recalibrated", old, new, truth, subsets)
    assert one.change.low < 0 < one.change.high
    assert one.effective > 700


def test_probabilities_that_are_too_sure_are_recalibrated_to_what_they_are_worth():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 3000)
    answers = np.where(rng.uniform(size=3000) < 0.7, truth, (truth + 1) % 3)
    shares = np.full((3000, 3), 0.005)
    shares[np.arange(3000), answers] = 0.99
    found = recalibrate(shares, truth, np.ones(3000), shares)
    assert found[np.arange(3000), answers].mean() == pytest.approx(0.7, abs=0.02)
    assert found.sum(1) == pytest.approx(1)


def test_a_class_that_no_label_names_is_not_expected():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([1, 1, 1], 50)
    found = recalibrate(shares, np.where(shares[:, 0] > 0.4, 0, 2), np.ones(50), shares)
    assert (found[:, 1] == 0).all()
    assert expected_scores([found], shares[:, [0, 2]].argmax(1) * 2)["f1_macro"][0] > 0.5


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.sampled_from("abc"), min_size=12, max_size=40),
    st.floats(0.05, 0.9),
    st.floats(0.05, 0.9),
)
def test_raked_images_have_the_shares_asked_for(letters, first, second):
    words = {
        "letter": np.array([*letters, "a", "b", "c"] * 2),
        "place": np.repeat(["here", "there"], len(letters) + 3),
    }
    weights = rake(words, {"letter": {"a": first}, "place": {"here": second}})
    share = {
        (axis, word): weights[words[axis] == word].sum() / weights.sum()
        for axis, word in (("letter", "a"), ("place", "here"), ("letter", "b"))
    }
    assert share["letter", "a"] == pytest.approx(first, abs=1e-6)
    assert share["place", "here"] == pytest.approx(second, abs=1e-6)
    left = [one for one in words["letter"] if one != "a"]
    assert share["letter", "b"] == pytest.approx(
        (1 - first) * left.count("b") / len(left), abs=1e-6
    )
    assert weights.mean() == pytest.approx(1)


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"letters": {"a": 0.1}}, "axis"),
        ({"letter": {"z": 0.1}}, "letter"),
        ({"letter": {"a": 0.7, "b": 0.6}}, "more than 1"),
    ],
)
def test_shares_that_cannot_be_are_answered_with_what_there_is(shares, words):
    with pytest.raises((LookupError, ValueError), match=words):
        rake({"letter": np.array(["a", "b", "c"])}, shares)


def test_weights_make_old_images_like_new_ones_and_tell_what_that_leaves():
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=(2000, 3)), rng.normal(0.5, 1, size=(1000, 3))
    weights = density_ratio(old, new, np.ones(2000), penalty=1.0)
    assert weights @ old / weights.sum() == pytest.approx(new.mean(0), abs=0.15)
    assert effective(np.ones(10)) == pytest.approx(10)
    assert effective(weights) < 1500
    assert effective(np.ones(4), ["a", "a", "b", "b"]) == pytest.approx(2)


def test_images_unlike_all_others_are_far():
    rng = np.random.default_rng(0)
    old, groups = rng.normal(size=(300, 4)), [str(place // 2) for place in range(300)]
    assert far_share(old, rng.normal(size=(200, 4)), groups, quantile=0.99) < 0.06
    assert far_share(old, rng.normal(9, 1, size=(200, 4)), groups, quantile=0.99) == 1
    assert far_share(old[:1], old[1:], groups[:1], quantile=0.99) == 0


def test_components_are_the_same_from_either_side_of_the_product():
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(12, 40)) * np.arange(1, 41)
    old, new = principal_components(wide[:8], wide[8:])
    assert old.shape == (8, 12)
    distances = [np.linalg.norm(one[0] - two[0]) for one, two in ((old, new), (wide[:8], wide[8:]))]
    assert distances[0] == pytest.approx(distances[1])


def test_a_mix_moves_a_metric_as_its_groups_differ():
    rng = np.random.default_rng(0)
    words = np.where(np.arange(600) % 4 == 0, "dark", "light")
    truth = rng.integers(0, 2, 600)
    right = rng.uniform(size=600) < np.where(words == "dark", 0.6, 0.95)
    shares = np.eye(3)[np.where(right, truth, 1 - truth)]
    ids, groups = [str(one) for one in range(600)], [str(one // 3) for one in range(600)]
    scored = scored_probabilities(ids, groups, truth, shares, FILTER_CLASSES)
    mix = parse_mix(["lighting.dark=0.8"])
    words_of = {"lighting": words}
    (row,) = forecast_mix(scored, words_of, mix, SPREAD, metrics=["accuracy"])
    expected = 0.8 * right[words == "dark"].mean() + 0.2 * right[words == "light"].mean()
    assert row["value"] == pytest.approx(expected, abs=1e-6)
    assert row["low"] < row["value"] < row["high"]
    assert row["change_high"] < 0
    assert row["effective_images"] < 300
    with pytest.raises(ValueError, match=r"ethnicity\.black=0\.4"):
        parse_mix(["dark=0.8"])


def tables(n_old=240, n_new=120, *, labels=None, far=0.0):
    """Images of two batches, with what a filter said of them."""
    parts = [drawn(n_old, 0.2, 5), drawn(n_new, 0.6, 6)]
    seen = np.concatenate([parts[0][0].seen, parts[1][0].seen + far])
    shares = np.concatenate([one[0].probabilities for one in parts])
    truth = np.concatenate([one[1] for one in parts])
    if labels is not None:
        truth[n_old:] = labels(truth[n_old:])
    n = n_old + n_new
    ids = [f"{place:04d}" for place in range(n)]
    words = [FILTER_CLASSES[one] for one in truth]
    images = pl.DataFrame({"image_id": ids, "batch": ["1"] * n_old + ["2"] * n_new, "label": words})
    splits = pl.DataFrame(
        {
            "image_id": ids,
            "split": ["test"] * n,
            "group_id": [*parts[0][0].groups, *parts[1][0].groups],
            "has_mask": [False] * n,
        }
    )
    chances = {f"prob_{name}": shares[:, place] for place, name in enumerate(FILTER_CLASSES)}
    verdicts = pl.DataFrame({"image_id": ids, **chances})
    empty = pl.Series("confusion", [None] * n, dtype=pl.List(pl.Int64))
    embeddings = pl.DataFrame({"image_id": ids, "embedding": seen.astype(np.float32).tolist()})
    known = known_images(images, splits, embeddings, verdicts, verdicts.with_columns(empty))
    slices = pl.DataFrame(schema=dict.fromkeys(("image_id", "axis", "slice"), pl.String()))
    return Known(known, slices, ("background", "iris"), ForecastSettings(), 10)


def reason_of(known):
    found = forecast_tables(known)
    assert not isinstance(found, Skipped)
    assert found["forecast"]["value"].is_null().all() == (found["sides"]["reason"][0] is not None)
    return found["sides"]["reason"][0]


def test_a_batch_is_forecast_and_held_against_its_labels():
    found = forecast_tables(tables(720, 360))
    assert {*found["forecast"]["verdict"]} == {"falls"}
    error = (found["forecast"]["value"] - found["forecast"]["measured"]).abs()
    change = (found["forecast"]["now"] - found["forecast"]["measured"]).abs()
    assert error.mean() < change.mean() / 2


def test_nothing_is_said_where_labels_mean_something_else():
    assert "contradict" in reason_of(tables(labels=lambda truth: (truth + 1) % 3))


def test_nothing_is_said_of_images_unlike_all_that_were_labelled():
    assert "far from all" in reason_of(tables(far=40.0))


def test_nothing_is_said_of_four_subjects():
    assert "subjects" in reason_of(tables(n_new=12))


def test_a_past_batch_of_which_nothing_could_be_said_is_not_among_the_past_ones():
    known = tables(far=40.0)
    later = known.images.filter(batch="2").with_columns(
        batch=pl.lit("3"), image_id=pl.lit("later ") + pl.col("image_id")
    )
    found = forecast_tables(replace(known, images=pl.concat([known.images, later])))
    assert not isinstance(found, Skipped)
    assert found["past"].is_empty()
    assert found["sides"]["batch"].to_list() == ["3"]


def test_images_of_challenge_sets_are_not_forecast():
    ids = ["a", "b"]
    images = pl.DataFrame({"image_id": ids, "batch": ["1", "2"], "label": ["full"] * 2})
    splits = pl.DataFrame({"image_id": ids, "group_id": ids, "split": ["test", "challenge"]})
    said = images.select("image_id", pl.lit([1]).alias("confusion")).with_columns(
        pl.lit(0.5).alias(f"prob_{name}") for name in FILTER_CLASSES
    )
    seen = images.select("image_id", embedding=pl.lit([0.0]))
    known = known_images(images, splits.with_columns(has_mask=False), seen, None, said)
    assert known["image_id"].to_list() == ["a"]


def test_one_batch_has_nothing_to_be_forecast_from():
    known = tables()
    one = Known(known.images.filter(batch="1"), known.slices, known.classes, known.settings, 10)
    found = forecast_tables(one)
    assert isinstance(found, Skipped)
    assert "older batches" in found.reason
