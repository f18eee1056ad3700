"""Each model's metrics against scikit-learn and torchmetrics, from the pixels and labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torchmetrics.functional.classification import multiclass_calibration_error

from iip_assets.metrics.functional import calibration_error, mask_confusion
from iip_assets.metrics.scores import Gate, filter_scores, gate_scores, segmenter_scores

ONES = np.ones((1, 60))


@pytest.mark.parametrize("sharpness", [0.5, 2.0, 6.0])
def test_the_calibration_error_is_torchmetrics(sharpness):
    rng = np.random.default_rng(0)
    shares = np.exp(sharpness * rng.normal(size=(60, 3)))
    shares /= shares.sum(1, keepdims=True)
    actual = rng.integers(3, size=60)
    found = calibration_error(shares.max(1), shares.argmax(1) == actual, ONES)[0]
    theirs = multiclass_calibration_error(
        torch.tensor(shares, dtype=torch.float64), torch.tensor(actual), 3, n_bins=10, norm="l1"
    )
    assert found == pytest.approx(float(theirs), abs=1e-6)


def test_the_filters_averages_run_over_the_classes_that_occur_as_sklearns_do():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet((1, 1, 1), 60)
    actual = rng.integers(2, size=60)  # the third class occurs nowhere
    found = filter_scores(actual, shares, ONES, ("a", "b", "c"))
    said = shares.argmax(1)
    assert found["f1_macro"][0] == pytest.approx(
        sk.f1_score(actual, said, labels=[0, 1], average="macro")
    )
    areas = [sk.roc_auc_score(actual == place, shares[:, place]) for place in (0, 1)]
    assert found["auc_macro"][0] == pytest.approx(np.mean(areas))
    steps = [sk.average_precision_score(actual == place, shares[:, place]) for place in (0, 1)]
    assert found["map"][0] == pytest.approx(np.mean(steps))
    assert all(np.isnan(found[name][0]) for name in ("recall_c", "auc_c", "ap_c"))
    assert found["f1_c"][0] == found["precision_c"][0] == 0


def test_what_passes_is_judged_as_sklearn_judges_two_classes():
    rng = np.random.default_rng(0)
    usable, scores = rng.random(60) < 0.6, rng.random(60)
    passes = scores >= 0.4
    found = gate_scores(usable, scores, passes, ONES, Gate(("full",), 3.0, 1.0))
    assert found["usable_auc"][0] == pytest.approx(sk.roc_auc_score(usable, scores))
    assert found["usable_recall"][0] == pytest.approx(sk.recall_score(usable, passes))
    assert found["usable_precision"][0] == pytest.approx(sk.precision_score(usable, passes))
    assert found["unusable_rejected"][0] == pytest.approx(sk.recall_score(~usable, ~passes))
    paid = 3.0 * (usable & ~passes) + 1.0 * (~usable & passes)
    assert found["cost"][0] == pytest.approx(paid.mean())


def test_the_segmenters_ious_are_sklearns_of_all_pixels_and_of_single_images():
    rng = np.random.default_rng(0)
    masks = rng.integers(3, size=(6, 12, 16)).astype(np.uint8)
    masks[2:][masks[2:] == 2] = 0  # a class that most masks lack
    masks[:, :2] = 255
    said = np.where(rng.random(masks.shape) < 0.7, masks, rng.integers(3, size=masks.shape))
    said = np.where(masks == 255, 1, said).astype(np.uint8)
    counts = np.stack([mask_confusion(*pair, 4) for pair in zip(masks, said, strict=True)])
    found = segmenter_scores(counts.astype(float), np.ones((1, 6)), ("a", "b", "c", "nowhere"))
    known = masks != 255
    of_all = sk.jaccard_score(masks[known], said[known], labels=range(3), average=None)
    assert [found[f"iou_{name}"][0] for name in "abc"] == pytest.approx(of_all.tolist())
    assert found["mean_iou"][0] == pytest.approx(of_all.mean())
    assert found["pixel_accuracy"][0] == pytest.approx((masks == said)[known].mean())
    assert np.isnan(found["iou_nowhere"][0])
    for place, name in enumerate("abc"):
        single = [
            sk.jaccard_score(mask[one], word[one], labels=[place], average=None)[0]
            for mask, word, one in zip(masks, said, known, strict=True)
            if (mask == place).any()
        ]
        assert found[f"image_iou_{name}"][0] == pytest.approx(np.mean(single))
