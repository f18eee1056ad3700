"""Hard images come first, by models that did not see them."""

import polars as pl
import pytest

from iip_assets.audit.difficulty import difficulty_table


def predictions(*rows):
    names = ("image_id", "label", "prob_full", "prob_partial", "prob_none")
    table = pl.DataFrame(rows, schema=names, orient="row")
    return table.with_columns(group_id=pl.col("image_id"), disagreement=pl.lit(0.1))


def masks(*rows):
    names = ("image_id", "given", "seen", "both", "gain_all")
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(group_id=pl.col("image_id"))


def test_the_filters_error_margin_and_loss_are_those_of_the_label():
    found = difficulty_table(
        predictions(("easy", "full", 0.9, 0.1, 0.0), ("hard", "none", 0.6, 0.2, 0.2)), None
    )
    hard, easy = found.to_dicts()
    assert (hard["image_id"], hard["rank"], easy["rank"]) == ("hard", 1, 2)
    assert hard["error"] == pytest.approx(0.8)
    assert hard["margin"] == pytest.approx(-0.4)
    assert easy["margin"] == pytest.approx(0.8)
    assert hard["loss"] == pytest.approx(1.609, abs=1e-3)


def test_the_segmenters_error_is_that_of_the_classes_that_are_there():
    found = difficulty_table(
        None,
        masks(
            ("right", [50, 50, 0], [50, 50, 0], [50, 50, 0], 0.0),
            ("half", [50, 50, 0], [75, 25, 0], [50, 25, 0], 20.0),
            ("no eye", [100, 0, 0], [100, 0, 0], [100, 0, 0], 0.0),
        ),
    )
    assert found["image_id"].to_list() == ["half", "right"]
    assert found["error"].to_list() == pytest.approx([1 - (50 / 75 + 25 / 50) / 2, 0])
    assert found["loss"][0] == pytest.approx(0.2)


def test_each_model_is_ranked_for_itself_and_nothing_makes_an_empty_table():
    both = difficulty_table(
        predictions(("a", "full", 0.5, 0.5, 0.0)), masks(("a", [1, 9], [9, 1], [1, 1], 3.0))
    )
    assert both.select("model", "rank").rows() == [("filter", 1), ("segmenter", 1)]
    assert difficulty_table(None, None).is_empty()
