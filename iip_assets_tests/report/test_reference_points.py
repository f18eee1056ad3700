"""A model's number stands beside what it is held against, on the same images."""

from __future__ import annotations

import polars as pl
import pytest

from iip_assets.engine.values import Skipped
from iip_assets.figures import figure_png
from iip_assets.report.figures import reference_points_figure
from iip_assets.report.sections.models import class_remarks, reference_points
from iip_assets_tests.report.samples import (
    metrics_table,
    page_of,
    sample_inputs,
    version_tables,
)

ALL, SEVERAL = "all test images", "images of several labelers"


def stand(rows):
    return [(row["who"], row["on"], row["value"], row["n_images"]) for row in rows]


def test_each_stands_beside_the_present_model_on_the_same_images():
    found = reference_points(metrics_table(), version_tables()["history"])
    assert stand(found["filter"]) == [
        ("present model", ALL, 0.9, 90),
        ("trivial baseline", ALL, 0.3, 90),
    ]
    assert stand(found["segmenter"]) == [
        ("present model", ALL, 0.8, 90),
        ("trivial baseline", ALL, 0.3, 90),
        ("champion", ALL, 0.8, 90),
        ("present model", SEVERAL, 0.78, 12),
        ("people", SEVERAL, 0.85, 12),
    ]
    assert [row["enough"] for row in found["segmenter"]] == [True] * 3 + [False] * 2


def test_where_versions_are_judged_on_fewer_images_the_present_model_is_too():
    history = version_tables()["history"].with_columns(n_images=pl.lit(40, pl.Int64))
    found = reference_points(metrics_table(), history)["segmenter"]
    unseen = "images that no version learned from"
    assert stand(found)[2:4] == [
        ("present model", unseen, 0.7, 40),
        ("champion", unseen, 0.8, 40),
    ]


def test_without_a_registry_or_a_champion_there_is_no_champion():
    challenged = version_tables()["history"].with_columns(aliases=pl.lit("challenger"))
    for history in (None, challenged, challenged.clear()):
        found = reference_points(metrics_table(), history)
        assert "champion" not in {row["who"] for rows in found.values() for row in rows}


def test_a_model_that_was_not_judged_is_held_against_nothing():
    people_alone = metrics_table().filter(pl.col("model").str.starts_with("segmenter_"))
    assert reference_points(people_alone, None).keys() == set()


@pytest.mark.parametrize("model", ["filter", "segmenter"])
def test_the_plot_names_everyone_and_says_how_many_images(model):
    rows = reference_points(metrics_table(), version_tables()["history"])[model]
    rows[0] = {**rows[0], "low": None, "high": None}
    rows.append({**rows[0], "value": None})
    figure = reference_points_figure(rows)
    (axes,) = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[:2] == ["present model", "trivial baseline"]
    texts = " ".join(text.get_text() for text in axes.texts)
    assert "0.300 (0.270 to 0.330), n = 90" in texts
    assert ("few subjects" in texts) == (model == "segmenter")
    assert figure_png(figure).startswith(b"\x89PNG")


def page(**changes):
    return page_of(sample_inputs(**changes))


def test_the_page_says_where_there_is_no_human_level():
    html = page().html
    assert html.count("No human level") == 1  # of the filter
    assert html.count("each labeler judged by the other labelers") == 1
    assert "champion (version 1)" in html
    assert "The filter and what it is held against" in page(model_versions=Skipped("none")).html


def test_rare_classes_and_those_that_cannot_be_judged_are_named():
    rows = {(row["model"], row["class"]): row for row in page().data["classes"]}
    assert class_remarks(rows["filter", "full"]) == ""
    assert class_remarks(rows["filter", "none"]) == "rare in training"
    assert class_remarks(rows["segmenter", "pupil"]) == "too few test subjects to judge"
    both = {**rows["filter", "none"], "enough": False}
    assert class_remarks(both) == "rare in training, too few test subjects to judge"
