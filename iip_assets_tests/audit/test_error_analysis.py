"""The table of error analysis: gaps, shares, what could be gained, and what to do."""

import numpy as np
import polars as pl
import pytest

from iip_assets.audit.augmentation_trials import TRIALS
from iip_assets.audit.error_analysis import error_analysis_table, people_of
from iip_assets.edge_cases.team_slices import SliceRule, TeamSlice
from iip_assets.settings import EvaluationSettings
from iip_assets_tests.audit.judged import difficulty, noisy, tags

EVALUATION = EvaluationSettings(resamples=60, min_slice_images=6)
NOBODY = people_of(None)
# A quarter is dark, and errs four times as often; the camera says nothing.
ERRORS = np.concatenate([noisy(0.4, 30), noisy(0.1, 90, seed=1)])
TAGS = tags(lighting=["dark"] * 30 + ["normal"] * 90, device=["a", "a", "b", "b"] * 30)


def table(errors=ERRORS, slices=TAGS, *, flagged=(), human=NOBODY, trials=None, team=()):
    return error_analysis_table(
        difficulty(errors),
        slices,
        flagged=flagged,
        human=human,
        trials=trials,
        team=team,
        evaluation=EVALUATION,
    )


def row(found, axis, name):
    (one,) = found.filter(axis=axis, slice=name).to_dicts()
    return one


def test_the_gap_the_shares_and_the_potential_of_a_slice_that_fails():
    dark = row(table(), "lighting", "dark")
    assert dark["value"] == pytest.approx(0.6, abs=0.03)
    assert dark["low"] < dark["value"] < dark["high"]
    assert (dark["n_images"], dark["n_subjects"], dark["share"]) == (30, 15, 0.25)
    assert dark["error_share"] == pytest.approx(12 / 21, abs=0.03)
    assert dark["reference_of"] == "all others"
    assert dark["gap"] == pytest.approx(0.3, abs=0.03)
    assert dark["potential"] == pytest.approx(dark["gap"] / 4)
    assert dark["action"] == "collect"


def test_what_fails_comes_first_below_all_images_and_what_does_not_wants_nothing():
    found = table()
    assert found.row(0, named=True)["axis"] == "overall"
    assert found["slice"][1] == "dark"
    assert set(found.filter(axis="device")["action"]) == {"none"}
    assert row(found, "lighting", "normal")["potential"] == 0


def test_where_labels_are_likely_wrong_they_are_fixed_first():
    wrong = [f"i{k:03}" for k in range(15)]
    dark = row(table(flagged=wrong), "lighting", "dark")
    assert dark["action"] == "fix labels"
    assert dark["flagged_share"] == pytest.approx(0.5, abs=0.05)


def test_an_augmentation_that_surely_gains_is_named():
    sure, luck = np.full(120, 0.05), np.random.default_rng(0).normal(0.02, 0.4, 120)
    trials = pl.concat(
        pl.DataFrame(
            {"image_id": [f"i{k:03}" for k in range(120)], "augmentation": name, "gain": gains},
            schema=TRIALS,
        )
        for name, gains in (("dim light", sure), ("noise", luck))
    )
    dark = row(table(trials=trials), "lighting", "dark")
    assert (dark["action"], dark["reason"]) == (
        "augment",
        "dim light in training gains 0.050 on it",
    )


def test_targets_of_the_team_come_before_people_and_these_before_all_others():
    people = pl.DataFrame(
        [("filter", "lighting", "dark", 0.9)],
        schema=["model", "axis", "slice", "value"],
        orient="row",
    )
    dark = row(table(human=people), "lighting", "dark")
    assert (dark["reference"], dark["reference_of"]) == (0.9, "people")
    team = (TeamSlice("nights", SliceRule({"lighting": ("dark",)}), 5, 1, 0.95),)
    dark = row(table(human=people, team=team), "lighting", "dark")
    assert (dark["reference"], dark["reference_of"]) == (0.95, "target")
    assert (dark["importance"], dark["ease"]) == (5, 1)
    assert dark["priority"] == pytest.approx(dark["potential"] * 5 / 9)


def test_a_slice_that_is_too_small_is_not_judged_and_what_is_unknown_is_no_slice():
    few = tags(lighting=["dark"] * 4 + ["normal"] * 100 + ["unknown"] * 16)
    found = table(slices=few)
    dark = row(found, "lighting", "dark")
    assert (dark["action"], dark["reason"]) == ("too few to judge", "4 images of 2 subjects")
    assert dark["priority"] is None
    assert "unknown" not in found["slice"].to_list()


@pytest.mark.parametrize(
    "errors", [np.zeros(20), np.array([0.5]), np.array([])], ids=["all right", "one image", "none"]
)
def test_there_is_a_table_of_any_data(errors):
    slices = tags(lighting=["dark", "normal"] * 10)
    assert table(errors, slices).height == (0 if not len(errors) else table(errors, slices).height)
