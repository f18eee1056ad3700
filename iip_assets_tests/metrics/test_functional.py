import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from iip_assets.metrics import functional as m

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
