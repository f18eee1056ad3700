import polars as pl
import pytest

from iip_assets.statistics.background import background_table
from iip_assets.statistics.lighting import lighting_table
from iip_assets.statistics.measure import MEASURES
from iip_assets.statistics.tables import measured_share, spread_rows, statistics_table
from iip_assets.statistics.word_counts import word_counts

NO_ROWS = pl.DataFrame(schema={"image_id": pl.String, "mask_id": pl.String})


def test_a_table_has_every_measure_as_a_float_whatever_was_computed():
    filled = pl.DataFrame(
        {"image_id": ["b", "a"], "brightness": [1.0, None], "noise": [None, None]}
    )
    table = statistics_table(filled)
    assert table.columns == ["image_id", *MEASURES]
    assert set(table.dtypes[1:]) == {pl.Float64}
    assert table["brightness"].to_list() == [None, 1.0]
    assert measured_share(table) == 0.5


def test_no_images_give_an_empty_table_with_every_column():
    table = statistics_table(NO_ROWS)
    assert table.columns == ["image_id", *MEASURES]
    assert table.is_empty()
    assert measured_share(table) == 1
    assert spread_rows(table)[0] == {
        "measure": "brightness", "n": 0, "q5%": None, "q50%": None, "q95%": None,
    }  # fmt: skip


def test_the_spread_counts_only_what_was_measured():
    filled = pl.DataFrame({"image_id": list("abcd"), "noise": [1.0, 2.0, 3.0, None]})
    found = {row["measure"]: row for row in spread_rows(statistics_table(filled))}
    assert (found["noise"]["n"], found["noise"]["q50%"]) == (3, 2.0)
    assert found["contrast"]["n"] == 0


@pytest.mark.parametrize(
    ("brightness", "unevenness", "word"),
    [
        (69.9, 0.9, "dark"),
        (70.0, 0.5, "normal"),
        (120.0, 0.6, "normal"),
        (120.0, 0.61, "uneven"),
        (185.0, 0.0, "normal"),
        (185.1, 0.9, "bright"),
        (None, None, None),
    ],
)
def test_lighting_is_a_word_by_documented_limits(brightness, unevenness, word):
    statistics = pl.DataFrame(
        {"image_id": ["a"], "brightness": [brightness], "unevenness": [unevenness]},
        schema_overrides={"brightness": pl.Float64, "unevenness": pl.Float64},
    )
    table = lighting_table(statistics, dark_below=70, bright_above=185, uneven_above=0.6)
    assert table.to_dicts() == [{"image_id": "a", "lighting": word}]


def test_backgrounds_are_words_by_documented_limits():
    statistics = pl.DataFrame(
        {"image_id": list("edcba"), "background_edges": [None, 0.21, 0.2, 0.08, 0.079]}
    )
    table = background_table(statistics, plain_below=0.08, cluttered_above=0.2)
    assert table["image_id"].to_list() == list("abcde")
    assert table["background"].to_list() == ["plain", "textured", "textured", "cluttered", None]


def test_tables_of_no_images_have_their_columns():
    table = statistics_table(NO_ROWS)
    lighting = lighting_table(table, dark_below=70, bright_above=185, uneven_above=0.6)
    background = background_table(table, plain_below=0.08, cluttered_above=0.2)
    assert lighting.schema == {"image_id": pl.String, "lighting": pl.String}
    assert background.schema == {"image_id": pl.String, "background": pl.String}
    assert [row["n"] for row in word_counts(lighting, "lighting", ("dark",))] == [0, 0]


def test_word_counts_add_up_with_the_unknown():
    table = pl.DataFrame({"lighting": ["dark", None, "dark", "normal"]})
    rows = word_counts(table, "lighting", ("dark", "normal", "bright"))
    assert [(row["lighting"], row["n"]) for row in rows] == [
        ("dark", 2), ("normal", 1), ("bright", 0), ("not known", 1),
    ]  # fmt: skip
    assert sum(row["share"] for row in rows) == 1
    assert all(row["low"] <= row["share"] <= row["high"] for row in rows)
