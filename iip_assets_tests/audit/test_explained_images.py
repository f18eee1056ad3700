"""Which images are explained, and what is told of them together."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from iip_assets.audit.explained_images import CHOSEN, filter_images, segmenter_images
from iip_assets.audit.explained_measures import APART, RIGHT, WRONG, faithful_check, measures
from iip_assets.audit.figures import explained_caption
from iip_assets.settings import EvaluationSettings, ExplanationSettings

SETTINGS = EvaluationSettings(resamples=200)
N = 60


def options(hardest, sample, seed=0):
    return ExplanationSettings(images=hardest, sample=sample, seed=seed)


def predicted(split="test"):
    """Every third word is wrong and every fifth iris lost; the first 40 images have a mask."""
    ids = [f"{place:03d}" for place in range(N)]
    wrong = [place % 3 == 0 for place in range(N)]
    sure = np.linspace(0.5, 0.99, N)
    table = pl.DataFrame(
        {
            "image_id": ids,
            "split": [split] * N,
            "label": ["full"] * N,
            "predicted": ["none" if one else "full" for one in wrong],
            "prob_full": [1 - s if one else s for one, s in zip(wrong, sure, strict=True)],
            "prob_partial": [0.0] * N,
            "prob_none": [s if one else 1 - s for one, s in zip(wrong, sure, strict=True)],
            "iou_background": [0.9] * N,
            "iou_iris": [
                None if place >= 40 else 0.1 if place % 5 == 0 else 0.9 for place in range(N)
            ],
        }
    )
    about = pl.DataFrame(
        {
            "image_id": ids,
            "mask_id": [f"m{one}" if int(one) < 40 else None for one in ids],
            "group_id": [f"s{int(one) // 2}" for one in ids],
        }
    )
    return table, about


def test_the_surest_errors_come_first_and_samples_hold_as_many_right_ones_as_wrong_ones():
    chosen = filter_images(*predicted(), options(3, 8))
    assert dict(chosen.schema) == CHOSEN
    ranked = chosen.filter(pl.col("rank").is_not_null()).sort("rank")
    assert ranked["image_id"].to_list() == ["057", "054", "051"]
    assert ranked["confidence"].is_sorted(descending=True)
    sample = chosen.filter("sampled")
    assert sample["right"].sum() == 8
    assert (~sample["right"]).sum() == 8
    assert sample["mask_id"].null_count() == 0
    assert (chosen["right"] == (chosen["said"] == chosen["label"])).all()


def test_what_is_sampled_does_not_hang_on_how_many_are_the_hardest():
    few, many = (
        filter_images(*predicted(), options(hardest, 8)).filter("sampled") for hardest in (1, 20)
    )
    assert few["image_id"].to_list() == many["image_id"].to_list()
    other = filter_images(*predicted(), options(1, 8, seed=1)).filter("sampled")
    assert other["image_id"].to_list() != few["image_id"].to_list()


def test_a_new_image_moves_at_most_one_out_of_a_sample():
    table, about = predicted()
    before, after = (
        filter_images(table.head(rows), about, options(1, 8)).filter("sampled")
        for rows in (N - 1, N)
    )
    assert len(set(before["image_id"]) - set(after["image_id"])) <= 1


def test_a_sample_has_one_image_of_each_subject_before_it_has_two():
    for sample in (8, 12):
        chosen = filter_images(*predicted(), options(1, sample))
        right = chosen.filter(pl.col("sampled") & pl.col("right"))
        assert right["group_id"].n_unique() == right.height == sample


def test_a_found_iris_is_right_and_a_lost_one_wrong():
    chosen = segmenter_images(*predicted(), options(2, 50))
    assert chosen.height == 40
    assert set(chosen["said"]) == {"iris"}
    assert chosen.filter(~pl.col("right"))["iou"].to_list() == [0.1] * 8
    ranked = chosen.filter(pl.col("rank").is_not_null()).sort("rank")
    assert ranked["image_id"].to_list() == ["000", "005"]


def test_of_a_model_that_said_nothing_nothing_is_chosen():
    table, about = predicted()
    no_words = table.with_columns(predicted=pl.lit(None, pl.String))
    assert filter_images(no_words, about, options(3, 8)).is_empty()
    no_masks = table.with_columns(iou_background=None, iou_iris=None)
    nothing = segmenter_images(no_masks, about, options(3, 8))
    assert nothing.is_empty()
    assert dict(nothing.schema) == CHOSEN


def test_training_images_are_not_explained():
    table, about = predicted("train")
    assert filter_images(table, about, options(3, 8)).is_empty()
    assert segmenter_images(table, about, options(3, 8)).is_empty()


def explained(gain=0.2, subjects=20):
    """Right words lie on the eye with 0.6 of what counted, wrong ones with 0.2; chance is 0.1."""
    count = 40
    right = [place % 2 == 0 for place in range(count)]
    return pl.DataFrame(
        {
            "model": ["filter"] * count,
            "image_id": [f"{place:03d}" for place in range(count)],
            "group_id": [f"s{place % subjects}" for place in range(count)],
            "right": right,
            "sampled": [True] * count,
            "share_on_eye": [0.6 if one else 0.2 for one in right],
            "chance_share": [0.1] * count,
            "chance_area": [0.5 + 0.01 * (place % 3) for place in range(count)],
            "deletion_area": [0.5 - gain] * count,
        }
    )


def measured(table):
    found = measures(table, SETTINGS)
    keys = found.select("metric", "predictions").rows()
    return found, dict(zip(keys, found.to_dicts(), strict=True))


def test_known_shares_give_known_means_with_counts():
    _, found = measured(explained())
    assert found["share_on_eye", RIGHT]["value"] == pytest.approx(0.6)
    assert found["share_gain", WRONG]["value"] == pytest.approx(0.1)
    apart = found["share_on_eye", APART]
    assert apart["value"] == pytest.approx(0.4)
    assert apart["low"] < 0.4 < apart["high"]
    assert (apart["n_images"], apart["n_subjects"]) == (20, 10)
    gain = found["deletion_gain", RIGHT]
    assert gain["low"] < gain["value"] < gain["high"]
    assert all(row["enough"] for row in found.values())


def test_what_is_not_known_or_not_sampled_does_not_count():
    table = explained().with_columns(
        share_on_eye=pl.when(pl.col("image_id") < "010").then("share_on_eye"),
        sampled=pl.col("image_id") > "001",
    )
    _, found = measured(table)
    assert found["share_on_eye", RIGHT]["n_images"] == 4
    assert not found["share_on_eye", RIGHT]["enough"]
    assert found["deletion_gain", RIGHT]["n_images"] == 19


def test_one_subject_has_no_interval_and_decides_nothing():
    table, found = measured(explained(gain=-0.2, subjects=1))
    assert found["deletion_gain", RIGHT]["low"] is None
    assert not found["deletion_gain", RIGHT]["enough"]
    check = faithful_check(table)
    assert check.passed is None
    assert "too few images to tell" in check.description


def test_wrong_predictions_that_do_not_exist_leave_the_right_ones():
    _, found = measured(explained().filter("right"))
    assert {kind for _, kind in found} == {RIGHT}


@pytest.mark.parametrize(("gain", "passed"), [(0.2, True), (-0.2, False), (-0.01, False)])
def test_an_attribution_that_is_no_better_than_chance_is_told(gain, passed):
    table, _ = measured(explained(gain=gain))
    check = faithful_check(table)
    assert check.passed is passed
    assert check.severity == "warning"
    assert "n = 20 of 10 subjects" in check.description


def test_the_caption_says_what_was_said_and_what_is_true():
    row = {"said": "full", "label": "none", "confidence": 0.97, "iou": None}
    eye = {"share_on_eye": 0.25, "chance_share": 0.1}
    assert explained_caption({"model": "filter", **row, **eye}) == (
        "said full (97% sure), labelled none; 25% of what counted lies on the eye, "
        "which is 10% of the image"
    )
    lost = {"model": "segmenter", "said": "iris", "label": None, "iou": 0.125}
    nothing = {"share_on_eye": None, "chance_share": None}
    assert explained_caption({**lost, **nothing}) == "IoU of iris 0.12, labelled nothing"
