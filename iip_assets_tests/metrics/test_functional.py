"""Metrics and the counts that they come from."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from sklearn import metrics as sk

from iip_assets.metrics import functional as m
from iip_assets.metrics.functional import boundary_counts, boundary_f1

sizes = st.integers(2, 30)


@st.composite
def labelled(draw, classes=3):
    """Truth, predictions and whole-number weights of some images."""
    count = draw(sizes)
    words = hnp.arrays(np.int64, count, elements=st.integers(0, classes - 1))
    weights = hnp.arrays(np.int64, count, elements=st.integers(0, 3))
    return draw(words), draw(words), draw(weights)


@st.composite
def scored(draw):
    """Truth, scores with ties, and whole-number weights of some images."""
    count = draw(sizes)
    return (
        draw(hnp.arrays(np.bool_, count)),
        draw(hnp.arrays(np.int64, count, elements=st.integers(0, 5))) / 5,
        draw(hnp.arrays(np.int64, count, elements=st.integers(0, 3))),
    )


@given(labelled())
def test_classification_metrics_under_weights_are_sklearns_on_repeated_images(case):
    actual, predicted, weights = case
    counts = m.confusion(actual, predicted, 3, weights[None].astype(float))
    a, p = np.repeat(actual, weights), np.repeat(predicted, weights)
    if not len(a):
        assert np.isnan(m.accuracy(counts)).all()
        return
    assert (counts[0] == sk.confusion_matrix(a, p, labels=range(3))).all()
    assert m.accuracy(counts)[0] == pytest.approx(sk.accuracy_score(a, p))
    macro = m.over_classes(m.f1(counts))[0]
    assert macro == pytest.approx(sk.f1_score(a, p, average="macro", zero_division=0))
    expected = sk.recall_score(a, p, labels=range(3), average=None, zero_division=np.nan)
    np.testing.assert_allclose(m.recall(counts)[0], expected)
    expected = sk.precision_score(a, p, labels=range(3), average=None, zero_division=np.nan)
    np.testing.assert_allclose(m.precision(counts)[0], expected)
    union = [((a == k) | (p == k)).sum() for k in range(3)]
    expected = [((a == k) & (p == k)).sum() / union[k] if union[k] else np.nan for k in range(3)]
    np.testing.assert_allclose(m.iou(counts)[0], expected)


@given(scored())
def test_ranking_metrics_under_weights_are_sklearns_on_repeated_images(case):
    positive, scores, weights = case
    p, s = np.repeat(positive, weights), np.repeat(scores, weights)
    area = m.roc_auc(positive, scores, weights[None].astype(float))[0]
    precise = m.average_precision(positive, scores, weights[None].astype(float))[0]
    if p.any():
        assert precise == pytest.approx(sk.average_precision_score(p, s))
    else:
        assert np.isnan(precise)
    if p.any() and not p.all():
        assert area == pytest.approx(sk.roc_auc_score(p, s))
    else:
        assert np.isnan(area)


def test_many_weightings_at_once_are_each_alone():
    rng = np.random.default_rng(0)
    positive, scores = rng.random(40) < 0.4, rng.random(40).round(1)
    weights = rng.integers(0, 3, (7, 40)).astype(float)
    for metric in (m.roc_auc, m.average_precision):
        together = metric(positive, scores, weights)
        alone = [metric(positive, scores, row[None])[0] for row in weights]
        np.testing.assert_array_equal(together, alone)


def test_a_mean_over_classes_leaves_out_what_is_not_defined():
    by_class = np.array([[0.5, np.nan, 1.0], [np.nan] * 3])
    np.testing.assert_array_equal(m.over_classes(by_class), [0.75, np.nan])


SIDE = 200  # its diagonal is 283 px: borders may lie two pixels apart


def disc(radius, x=100, y=100):
    rows, columns = np.ogrid[:SIDE, :SIDE]
    return ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2).astype(np.uint8)


def f1(mask, predicted):
    return boundary_f1(boundary_counts(mask, predicted, 2)[None].astype(float))[0]


@given(st.integers(5, 80), st.integers(60, 140), st.integers(60, 140))
def test_a_mask_beside_itself_has_all_borders_right(radius, x, y):
    mask = disc(radius, x, y)
    assert f1(mask, mask).tolist() == [1, 1]


@pytest.mark.parametrize(("apart", "score"), [(1, 1.0), (6, 0.0)])
def test_borders_count_as_right_up_to_the_tolerance(apart, score):
    assert f1(disc(50), disc(50 + apart))[1] == pytest.approx(score, abs=0.02)


def test_equal_areas_with_other_borders_are_told_apart():
    """A thin ring that is filled loses little area and half of its border."""
    ring = disc(60) - disc(4)
    counts = boundary_counts(ring, disc(60), 2)[1]
    assert (ring != disc(60)).sum() / ring.sum() < 0.01
    assert counts[2] > counts[3]
    assert f1(ring, disc(60))[1] < 1


def test_a_class_that_is_not_found_scores_nothing_and_one_that_is_nowhere_is_undefined():
    nothing = np.zeros((SIDE, SIDE), np.uint8)
    assert f1(disc(30), nothing)[1] == 0
    assert np.isnan(f1(nothing, nothing)[1])


def test_the_border_of_what_is_not_labelled_does_not_count():
    mask = disc(50)
    half = mask.copy()
    half[:, 100:] = 255
    predicted = disc(50)
    predicted[:, 103:] = 0
    assert f1(half, predicted)[1] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("move", [(3, 0), (0, 3), (-3, 0), (0, -3)])
def test_borders_that_moved_equally_far_score_equally_in_whatever_direction(move):
    """Two pixels of reach: a disc of 30 pixels moved by 3 keeps 0.452 of its border near."""
    rows, columns = np.mgrid[:160, :214]
    masks = [
        ((columns - 107 - x) ** 2 + (rows - 80 - y) ** 2 <= 30**2).astype(np.uint8)
        for x, y in ((0, 0), move)
    ]
    assert f1(*masks)[1] == pytest.approx(38 / 84)


def near_by_brute_force(mask, predicted, index):
    """As `boundary_counts`, from the distances of all pairs of border pixels."""
    cross = ndimage.generate_binary_structure(2, 1)
    # Beyond the image's edge everything is as at the edge: the edge is no border.
    inner = ndimage.binary_erosion(mask != 255, cross, border_value=1)
    true, drawn = (
        np.argwhere(
            (one == index) & ~ndimage.binary_erosion(one == index, cross, border_value=1) & inner
        )
        for one in (mask, predicted)
    )
    reach = Fraction(3, 400) ** 2 * (mask.shape[0] ** 2 + mask.shape[1] ** 2)
    apart = ((drawn[:, None] - true[None]) ** 2).sum(2)
    near = apart <= math.floor(max(reach, 1))
    return [len(drawn), near.any(1).sum(), len(true), near.any(0).sum()]


@pytest.mark.parametrize("shape", [(48, 64), (120, 160), (150, 200), (213, 160)], ids=str)
def test_near_is_what_lies_no_further_than_the_tolerance_by_brute_force(shape):
    rng = np.random.default_rng(sum(shape))
    for _ in range(2):
        masks = []
        for _ in range(2):
            blurred = ndimage.gaussian_filter(rng.random(shape), 8)
            masks.append(np.digitize(blurred, np.quantile(blurred, (0.4, 0.7))).astype(np.uint8))
        masks[0][: shape[0] // 4, : shape[1] // 4] = 255
        found = boundary_counts(*masks, 4)
        assert found.tolist() == [near_by_brute_force(*masks, index) for index in range(4)]
