import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iip_assets.metrics.intervals import holm
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scored_predictions import scored_probabilities
from iip_assets.registry.gate import Rules, judge_candidate, judged_slices, refusal

RULES = Rules(margin=0.02, alpha=0.05, min_images=10, resamples=1000, confidence=0.95, seed=0)
NAMES = ("filter", "2", "1")
COUNT = 400


def image_ids(count=COUNT):
    return [f"{place:04d}" for place in range(count)]


def slices():
    """Half of the images north, half south; every tenth of the south is of the far south."""
    words = ["north" if place % 2 else "south" for place in range(COUNT)]
    far = ["far" if place % 50 == 0 else "unknown" for place in range(COUNT)]
    ids = image_ids()
    return pl.concat(
        [
            pl.DataFrame({"image_id": ids, "axis": "region", "slice": words}),
            pl.DataFrame({"image_id": ids, "axis": "distance", "slice": far}),
        ]
    )


def word_of(right, *, seed=0):
    """A filter that is right with a probability of its own for each image."""
    rng = np.random.default_rng(seed)
    actual = np.arange(COUNT) // 2 % 3
    hit = rng.random(COUNT) < right
    said = np.where(hit, actual, (actual + 1) % 3)
    groups = [f"s{place // 4}" for place in range(COUNT)]
    return scored_probabilities(image_ids(), groups, actual, np.eye(3)[said], FILTER_CLASSES)


def judged(candidate, champion=None):
    champion = champion or word_of(np.full(COUNT, 0.9))
    return judge_candidate(champion, candidate, slices(), RULES, metric="f1_macro", names=NAMES)


def verdicts(table):
    return {name: word for name, word in table.select("slice", "verdict").iter_rows()}


def test_an_equal_model_passes():
    table = judged(word_of(np.full(COUNT, 0.9), seed=1))
    assert refusal(table, "filter", "2", "1") is None
    assert set(table["verdict"]) <= {"not worse", "too small to judge"}


def test_a_model_that_is_worse_on_one_slice_is_refused_by_the_slices_name():
    right = np.where(np.arange(COUNT) % 2 == 0, 0.65, 0.97)
    table = judged(word_of(right, seed=1))
    found = verdicts(table)
    assert found["south"] == "worse"
    assert found["north"] == "not worse"
    words = refusal(table, "filter", "2", "1")
    assert "region south" in words
    assert "region north" not in words


def test_a_regression_slice_of_the_team_stops_a_candidate_that_fails_on_it():
    inside = np.arange(COUNT) % 8 == 0
    team = pl.DataFrame(
        [(name, "regression", "dark and off") for name in np.array(image_ids())[inside]],
        schema=["image_id", "axis", "slice"],
        orient="row",
    )
    champion, candidate = (
        word_of(right, seed=1) for right in (np.full(COUNT, 0.9), np.where(inside, 0.3, 0.97))
    )
    looked_at = judged_slices(slices(), team, ["distance"])
    assert set(looked_at["axis"]) == {"distance", "regression"}
    table = judge_candidate(champion, candidate, looked_at, RULES, metric="f1_macro", names=NAMES)
    assert "regression dark and off" in refusal(table, "filter", "2", "1")
    none = judged_slices(slices(), team.clear(), ["distance"])
    table = judge_candidate(champion, candidate, none, RULES, metric="f1_macro", names=NAMES)
    assert refusal(table, "filter", "2", "1") is None


def test_a_loss_within_the_margin_is_no_loss():
    champion = word_of(np.full(COUNT, 0.9))
    generous = Rules(**{**vars(RULES), "margin": 0.9})
    worst = word_of(np.full(COUNT, 0.3), seed=1)
    table = judge_candidate(champion, worst, slices(), generous, metric="f1_macro", names=NAMES)
    assert refusal(table, "filter", "2", "1") is None


def test_a_slice_that_is_too_small_is_said_to_be_and_the_unknown_is_no_slice():
    table = judged(word_of(np.full(COUNT, 0.1), seed=1))
    small = table.filter(pl.col("slice") == "far").row(0, named=True)
    assert small["verdict"] == "too small to judge"
    assert small["p"] is small["p_holm"] is None
    assert small["difference"] < 0
    assert "unknown" not in table["slice"].to_list()


# statsmodels takes a twelfth of a second a call.
@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=20))
def test_adjusted_p_values_keep_their_order_and_are_never_below(p_values):
    given_ones = np.array(p_values)
    adjusted = holm(given_ones)
    order = np.argsort(given_ones, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
    assert (adjusted >= given_ones).all()
    assert adjusted.max() <= 1
    assert adjusted[order[0]] == pytest.approx(min(1, given_ones.min() * len(p_values)))


def test_holms_own_example():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == [0.03, 0.06, 0.06, 0.02]


@pytest.mark.slow
def test_equal_models_are_rarely_called_worse_however_many_slices_are_asked():
    """Twenty slices, twenty pairs of equally good models: at most alpha of them, give or take."""
    rng = np.random.default_rng(0)
    names = [f"{place % 20}" for place in range(COUNT)]
    twenty = pl.DataFrame({"image_id": image_ids(), "axis": "group", "slice": names})
    none_worse = Rules(**{**vars(RULES), "margin": 0.0, "resamples": 600})
    refused = 0
    for trial in range(20):
        seed = int(rng.integers(1 << 30))
        pair = [word_of(np.full(COUNT, 0.8), seed=seed + one) for one in (0, 1)]
        table = judge_candidate(*pair, twenty, none_worse, metric="accuracy", names=NAMES)
        refused += refusal(table, "filter", "2", "1") is not None
        del trial
    assert refused <= 3


def test_who_was_not_held_against_the_champion_is_refused_by_that():
    table = judged(word_of(np.full(COUNT, 0.9), seed=1))
    assert "cannot be held against the champion, version 3" in refusal(table, "filter", "2", "3")
    assert "tell other classes apart" in refusal(table.clear(), "filter", "2", "1")
    strict = Rules(**{**vars(RULES), "min_images": COUNT + 1})
    word = word_of(np.full(COUNT, 0.9))
    small = judge_candidate(word, word, slices(), strict, metric="f1_macro", names=NAMES)
    assert "400 test images of 100 subjects are too few" in refusal(small, "filter", "2", "1")


def test_a_loss_is_seen_however_many_slices_are_asked_and_few_the_draws():
    """With as many draws as are set no p-value could be small enough for forty slices."""
    names = [f"{place % 40:02d}" for place in range(COUNT)]
    forty = pl.DataFrame({"image_id": image_ids(), "axis": "group", "slice": names})
    few = Rules(**{**vars(RULES), "resamples": 100})
    pair = word_of(np.full(COUNT, 1.0)), word_of(np.full(COUNT, 0.2), seed=1)
    table = judge_candidate(*pair, forty, few, metric="accuracy", names=NAMES)
    assert "all test images" in refusal(table, "filter", "2", "1")
