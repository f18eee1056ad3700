import numpy as np
import polars as pl
import pytest

from iip_assets.statistics.capture_conditions import background_table, lighting_table, word_counts
from iip_assets.statistics.measure import (
    MEASURES,
    measure,
    measure_images,
    measured_share,
    spread_rows,
    statistics_table,
)
from iip_assets_tests.dataset.images import MemoryStore
from iip_assets_tests.statistics.eyes import CLASSES, drawn_mask, png

MASK = drawn_mask()
IMAGE = np.repeat(np.choose(MASK, [140, 220, 90, 30]).astype(np.uint8)[:, :, None], 3, axis=2)


STORE = {
    "eye": png(IMAGE),
    "mask": png(MASK),
    "cut": png(IMAGE)[:200],
    "empty": b"",
    "small_mask": png(MASK[:100]),
    "strange_mask": png(np.full((240, 320), 9, np.uint8)),
}


def run(*pairs, **options):
    records = [{"image_id": image, "mask_id": mask} for image, mask in pairs]
    store = MemoryStore(STORE)
    return measure_images(
        records, max_megapixels=1, mask_classes=list(CLASSES), store=store, **options
    )


def test_bytes_measure_as_their_pixels():
    with_mask, without = run(("eye", "mask"), ("eye", None))
    assert with_mask == measure(IMAGE, MASK, mask_classes=CLASSES)
    assert without == measure(IMAGE, None, mask_classes=CLASSES)
    assert with_mask["iris_visibility"] == pytest.approx(1, abs=0.03)
    assert without["iris_visibility"] is None


def test_an_image_that_cannot_be_decoded_has_nulls_and_stops_nobody():
    cut, empty, fine = run(("cut", "mask"), ("empty", None), ("eye", None))
    assert cut == empty == dict.fromkeys(MEASURES)
    assert fine["brightness"] is not None


def test_an_image_of_too_many_megapixels_has_nulls():
    store = MemoryStore(STORE)
    record = {"image_id": "eye", "mask_id": None}
    found = measure_images([record], max_megapixels=0.01, mask_classes=CLASSES, store=store)
    assert found == [dict.fromkeys(MEASURES)]


@pytest.mark.parametrize("mask", ["small_mask", "strange_mask", "empty"])
def test_a_bad_mask_counts_as_none(mask):
    assert run(("eye", mask)) == run(("eye", None))


def test_a_file_that_is_missing_is_an_error_and_no_null():
    with pytest.raises(KeyError, match="nowhere"):
        run(("nowhere", None))


def test_results_stand_in_the_order_of_the_rows_whatever_the_threads():
    pairs = [("eye", "mask"), ("empty", None), ("eye", None)] * 7
    assert run(*pairs, threads=1) == run(*pairs, threads=5)


def test_an_image_measures_the_same_whatever_is_measured_beside_it():
    rng = np.random.default_rng(4)
    shapes = [(120, 160), (90, 160), (64, 40), (121, 163)]
    images = [rng.integers(0, 256, (*shapes[k % 4], 3), dtype=np.uint8) for k in range(40)]
    masks = [drawn_mask(height=one.shape[0], width=one.shape[1], x=40, y=50) for one in images]
    files = {f"image{k}": png(one) for k, one in enumerate(images)}
    store = MemoryStore(files | {f"mask{k}": png(one) for k, one in enumerate(masks)})
    records = [
        {"image_id": f"image{k}", "mask_id": f"mask{k}" if k % 3 else None} for k in range(40)
    ]
    together = measure_images(records, max_megapixels=1, mask_classes=CLASSES, store=store)
    alone = [
        measure(one, mask if k % 3 else None, mask_classes=CLASSES)
        for k, (one, mask) in enumerate(zip(images, masks, strict=True))
    ]
    assert together == alone


def test_what_is_read_is_fetched_first_and_once():
    store = MemoryStore(STORE)
    records = [{"image_id": "eye", "mask_id": "mask"}, {"image_id": "eye", "mask_id": None}]
    measure_images(records, max_megapixels=1, mask_classes=CLASSES, store=store)
    assert store.fetched == ["eye", "mask"]


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
