import numpy as np
import polars as pl
import pytest

from iip_assets.dataset.challenge_sets import ChallengeSet
from iip_assets.robustness.challenge import asked_images, challenge_table
from iip_assets.robustness.holdout import holdout_images, holdout_table, planned, run_holdouts
from iip_assets.settings import ComputeSettings, EvaluationSettings, TrainingSettings
from iip_assets.training.trainer import Schedule, TrainingRun, machine_of

RIGHT, WRONG = [0.9, 0.1, 0.0], [0.1, 0.9, 0.0]
INTERVALS = EvaluationSettings(resamples=100)


def _accuracies(wrong, *, of_set):
    """The row of accuracy of a set that is the first images; the others, of 60, are for testing."""
    ids = [f"i{place:02d}" for place in range(60)]
    images = pl.DataFrame({"image_id": ids, "label": ["full"] * 60, "mask_id": [None] * 60})
    splits = pl.DataFrame(
        {
            "image_id": ids,
            "group_id": ids,
            "split": ["challenge"] * of_set + ["test"] * (60 - of_set),
            "has_mask": [False] * 60,
        }
    )
    sets = [ChallengeSet("hard", (*ids[:of_set], "gone"), {}), ChallengeSet("lost", ("gone",), {})]
    asked = asked_images(sets, images.with_columns(pl.col("mask_id").cast(pl.String)), splits)
    assert asked.height == 60
    said = [WRONG if one else RIGHT for one in wrong]
    clean = pl.DataFrame({"image_id": ids, "probabilities": said, "confusions": [None] * 60})
    table = challenge_table(
        *(sets, asked, {"filter": {"clean": clean}}),
        mask_classes=("background", "iris"),
        intervals=INTERVALS,
        least_images=5,
    )
    row, lost = table.filter(metric="accuracy").to_dicts()
    # A set does not vanish in silence.
    assert (lost["set"], lost["value"], lost["n_images"], lost["missing"]) == ("lost", None, 0, 1)
    return row


def test_a_set_stands_beside_the_test_images_with_what_is_missing():
    # Of the set half are wrong; of 40 test images one in ten.
    wrong = [place % 2 == 0 if place < 20 else place % 10 == 0 for place in range(60)]
    row = _accuracies(wrong, of_set=20)
    assert (row["value"], row["test"], row["n_images"], row["missing"]) == (0.5, 0.9, 20, 1)
    assert row["difference"] == pytest.approx(-0.4)
    # Two independent shares: sqrt(.25/20 + .09/40) is 0.12.
    half = (row["difference_high"] - row["difference_low"]) / 2
    assert half == pytest.approx(1.96 * 0.12, rel=0.2)
    assert row["difference_high"] < 0


def test_a_small_set_of_which_all_is_right_is_not_told_to_be_easier():
    # Of six images at 0.9 all are right every other time.
    row = _accuracies([place % 10 == 9 for place in range(60)], of_set=6)
    assert row["difference"] == pytest.approx(1 - 48 / 54)
    assert row["difference_low"] < 0 < row["difference_high"]


@pytest.fixture(scope="module")
def examples():
    """Embeddings of two classes; in group `odd` they stand the other way round."""
    rng = np.random.default_rng(0)
    rows = []
    for place in range(360):
        group = ("even", "plain", "odd")[place % 3]
        label = ("full", "none")[(place // 3) % 2]
        sign = (1 if label == "full" else -1) * (-1 if group == "odd" else 1)
        # What tells the group apart, and the class within it.
        mark = 3.0 if group == "odd" else 0.0
        vector = [mark, 2 * sign + rng.normal(), 2 * sign * (group == "odd") + rng.normal()]
        split = "validation" if (place // 6) % 3 == 0 else "train"
        rows.append((f"i{place:03d}", split, f"s{place // 2}", label, vector, 1.0, group))
    names = ["image_id", "split", "group_id", "label", "embedding", "weight", "slice"]
    return pl.DataFrame(rows, schema=names, orient="row")


def test_a_group_unlike_all_others_loses_most_when_it_is_left_out(examples):
    images = holdout_images(
        examples.drop("slice"), examples.select("image_id", "slice"), least_images=5
    )
    plan = planned(images, 2)
    assert plan.height == 3 * 2 * 2
    run = TrainingRun(machine_of(ComputeSettings(threads=1), TrainingSettings()))
    schedule = {
        **{"epochs": 30, "patience": 30, "learning_rate": 0.05, "weight_decay": 0.0},
        **{"batch_size": 64, "seed": None},
    }
    assert schedule.keys() <= Schedule.__dataclass_fields__.keys()
    found = run_holdouts(plan.to_dicts(), schedule=schedule, images=images, run=run)
    answers = plan.with_columns(right=pl.Series([one["right"] for one in found]))
    table = holdout_table(answers, images, INTERVALS)
    losses = {row["slice"]: row for row in table.to_dicts()}
    assert losses["odd"]["difference"] < -0.5
    assert losses["odd"]["high"] < -0.3
    assert abs(losses["even"]["difference"]) < 0.1
    assert losses["odd"]["left_out"] == 80
    assert losses["odd"]["n_images"] == 40


def test_a_head_without_others_lacks_about_as_many_and_none_of_the_group(examples):
    from iip_assets.robustness.holdout import _left_out

    images = holdout_images(
        examples.drop("slice"), examples.select("image_id", "slice"), least_images=5
    )
    train = images.filter(split="train")
    own = train.filter(_left_out(images, "odd", own=True, seed=0))
    others = train.filter(_left_out(images, "odd", own=False, seed=0))
    assert set(own["group"]) == {"odd"}
    assert "odd" not in set(others["group"])
    assert own.height <= others.height <= own.height + 2
    again = train.filter(_left_out(images, "odd", own=False, seed=1))
    assert set(again["image_id"]) != set(others["image_id"])


def test_a_group_that_outnumbers_all_others_is_not_left_out(examples):
    # Beside it no head could be trained without as many images of others.
    merged = pl.col("slice").replace("even", "plain")
    images = holdout_images(
        examples.drop("slice"), examples.select("image_id", slice=merged), least_images=5
    )
    assert set(images.filter("tried")["group"]) == {"odd"}


def test_without_groups_or_validation_images_it_is_said_why(examples):
    slices = examples.select("image_id", slice=pl.lit("unknown"))
    reason = holdout_images(examples.drop("slice"), slices, least_images=5)
    assert "no group can be left out" in reason
    alone = examples.with_columns(group_id=pl.lit("s"), split=pl.lit("train"))
    reason = holdout_images(alone.drop("slice"), slices, least_images=5)
    assert isinstance(reason, str)
