import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iip_assets.evaluation.figures import threshold_figure
from iip_assets.evaluation.threshold import (
    choose_threshold,
    cost_curve,
    counted,
    filter_verdicts_tables,
    to_label_next,
)
from iip_assets.figures import figure_png
from iip_assets.inference.filter import scores_table
from iip_assets.metrics.scores import Gate
from iip_assets.settings import EvaluationSettings

SETTINGS = EvaluationSettings(resamples=50)


def costs(lost_iris=1.0, failed_segmentation=1.0):
    return Gate(("full",), lost_iris, failed_segmentation)


EQUAL = costs()


def curve_of(usable, scores, gate=EQUAL, groups=None):
    groups = [str(place) for place in range(len(usable))] if groups is None else groups
    return cost_curve(np.array(usable), np.array(scores), groups, gate, SETTINGS)


def chosen(usable, scores, gate=EQUAL):
    usable = np.array(usable)
    curve = curve_of(usable, scores, gate)
    return choose_threshold(curve, gate, usable=int(usable.sum()), unusable=int((~usable).sum()))


def test_where_scores_part_the_images_nothing_is_lost_and_nothing_fails():
    usable = [True] * 6 + [False] * 6
    threshold = chosen(usable, [0.8] * 6 + [0.3] * 6)
    assert 0.3 < threshold <= 0.8
    assert threshold == 0.5


def test_what_costs_more_is_done_less():
    rng = np.random.default_rng(0)
    usable = rng.random(400) < 0.5
    scores = np.clip(usable * 0.3 + rng.normal(0.35, 0.2, 400), 0, 1)
    careful = chosen(usable, scores, costs(failed_segmentation=10))
    eager = chosen(usable, scores, costs(lost_iris=10))
    assert eager < chosen(usable, scores) < careful


def test_with_few_images_of_a_kind_the_threshold_is_where_costs_break_even():
    gate = costs(lost_iris=3)
    assert chosen([True] * 30, [0.9] * 30, gate) == 0.25
    assert chosen([True] * 30 + [False] * 4, [0.9] * 34, gate) == 0.25


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=40),
    st.floats(0.1, 10),
    st.floats(0.1, 10),
)
def test_the_curve_counts_errors_and_the_choice_is_its_cheapest_point(rows, lost, failed):
    usable, scores = (np.array(part) for part in zip(*rows, strict=True))
    gate = costs(lost, failed)
    curve = curve_of(usable, scores, gate)
    for row in curve.iter_rows(named=True):
        passes = scores >= row["threshold"]
        paid = (usable & ~passes).sum() * lost + (~usable & passes).sum() * failed
        assert row["cost"] == pytest.approx(paid / len(rows))
    counts = {"usable": int(usable.sum()), "unusable": int((~usable).sum())}
    threshold = choose_threshold(curve, gate, **counts)
    if min(counts.values()) >= 5:
        at = curve.sort((pl.col("threshold") - threshold).abs())["cost"][0]
        assert at == pytest.approx(curve["cost"].min())


def test_images_of_one_subject_leave_the_cost_without_an_interval():
    curve = curve_of([True, False], [0.9, 0.1], groups=["one", "one"])
    assert curve["low"].null_count() == curve.height
    assert curve["cost"].null_count() == 0


def tables(examples=None):
    ids = [f"{place:02d}" for place in range(40)]
    usable = [place % 2 == 0 for place in range(40)]
    shares = np.array([[0.7, 0.2, 0.1] if one else [0.2, 0.3, 0.5] for one in usable])
    known = ids[:30] if examples is None else examples
    labelled = pl.DataFrame(
        {
            "image_id": known,
            "label": ["full" if usable[int(one)] else "none" for one in known],
            "split": ["validation" if int(one) < 20 else "train" for one in known],
            "group_id": known,
        },
        schema=dict.fromkeys(("image_id", "label", "split", "group_id"), pl.String()),
    )
    scores = scores_table(ids, shares.astype(np.float32))
    return filter_verdicts_tables(scores, labelled, EQUAL, SETTINGS)


def test_every_image_gets_a_verdict_and_what_is_rejected_unlabelled_is_listed():
    found = tables()
    verdicts = found["verdicts"]
    assert verdicts["passes"].sum() == 20
    assert counted(verdicts) == {"passed": 20, "rejected": 20}
    summary = found["threshold"].row(0, named=True)
    assert (summary["usable"], summary["unusable"], summary["cost"]) == (10, 10, 0)
    # Nothing was learned from 31, which somebody called unclear: that is a label all the same.
    labels = {f"{place:02d}": "full" for place in range(30)} | {"31": "unclear"}
    images = verdicts.select("image_id").with_columns(
        label=pl.col("image_id").replace_strict(labels, default=None, return_dtype=pl.String)
    )
    listed = to_label_next(verdicts, images, threshold=summary["threshold"])
    assert listed["image_id"].to_list() == ["33", "35", "37", "39"]


def test_without_validation_images_there_is_a_verdict_all_the_same():
    found = tables(examples=[])
    assert found["threshold"]["threshold"].to_list() == [0.5]
    assert found["verdicts"]["passes"].sum() == 20
    figure = threshold_figure(found["curve"], found["threshold"].row(0, named=True))
    assert figure_png(figure).startswith(b"\x89PNG")
