import numpy as np
import polars as pl
import pytest

from iip_assets.robustness import matched
from iip_assets.settings import EvaluationSettings
from iip_assets_tests.embeddings.stand_ins import MemoryStore, PlainWork, eye

CORRUPTIONS = ("low_light", "brightness", "contrast", "sensor_noise", "rotation")
GIVEN = {"seed": 0, "max_megapixels": 1.0, "mask_classes": ["background", "iris"]}


@pytest.fixture(scope="module")
def eyes():
    """Store; twenty eyes of as many subjects; and as many of others, with 0.6 of their light."""
    store, rng = MemoryStore(), np.random.default_rng(0)
    frames = []
    for kept in (1, 0.6):
        # No two alike, and none that is clipped.
        lights = kept * rng.uniform(0.85, 1, 20)
        ids = [store.add_png((eye(rng, 64, 48)[0] * light).astype(np.uint8)) for light in lights]
        groups = [f"{kept} {one}" for one in range(20)]
        frame = pl.DataFrame({"image_id": ids, "group_id": groups}).sort("image_id")
        frames.append(frame.with_columns(label=pl.lit("full")))
    return store, *frames


def table(tmp_path, store, images, newest, least_images=10):
    measured = matched.measures_of(
        *(images, newest, CORRUPTIONS), fill=PlainWork(tmp_path).fill, given=GIVEN, store=store
    )
    intervals = EvaluationSettings(resamples=50)
    made = matched.matched_table(images, newest, measured, intervals, least_images)
    return {row["corruption"]: row for row in made.to_dicts()}


def test_a_darker_batch_is_matched_by_the_severity_that_keeps_as_much_light(tmp_path, eyes):
    store, images, newest = eyes
    rows = table(tmp_path, store, images, newest)
    assert rows.keys() == {*CORRUPTIONS} - {"rotation"}  # which nothing measures
    dark = rows["low_light"]
    assert (dark["verdict"], dark["against"]) == (matched.MATCHED, matched.OLDER)
    assert dark["severity"] == pytest.approx(2, abs=0.4)
    assert dark["severity_low"] < dark["severity"] < dark["severity_high"]
    assert dark["difference_low"] < dark["difference"] < dark["difference_high"] < 0
    assert (dark["n_clean"], dark["n_newest"]) == (20, 20)
    assert rows["brightness"]["verdict"] == matched.NO_SIGN
    # Said of each measure alone: less light is less contrast.
    assert rows["contrast"]["verdict"] == matched.MATCHED


def test_of_the_same_images_there_is_no_sign_and_of_black_ones_it_is_beyond_five(tmp_path, eyes):
    store, images, _ = eyes
    same = table(tmp_path, store, images, images)
    assert {row["verdict"] for row in same.values()} == {matched.NO_SIGN}
    assert {row["against"] for row in same.values()} == {matched.ALL}
    black = [store.add_png(np.full((48, 64, 3), one % 3, np.uint8)) for one in range(3)] * 7
    newest = pl.DataFrame({"image_id": black, "group_id": [f"b{one}" for one in range(21)]})
    dark = table(tmp_path, store, images, newest)["low_light"]
    assert (dark["verdict"], dark["severity"]) == (matched.BEYOND, None)


def test_of_grey_images_there_is_no_sign_of_colour():
    sides = [
        pl.DataFrame({"image_id": ids, "group_id": ids})
        for ids in ([f"{side}{one}" for one in range(20)] for side in "ab")
    ]
    ids = pl.concat(sides).select("image_id")
    grey = {
        name: ids.with_columns(colour_cast=pl.lit([0.0] * count))
        for name, count in (("clean", 1), ("colour_cast", 5))
    }
    (row,) = matched.matched_table(*sides, grey, EvaluationSettings(), 10).to_dicts()
    assert (row["verdict"], row["severity"]) == (matched.NO_SIGN, 0)


def test_a_few_images_are_too_few(tmp_path, eyes):
    store, images, newest = eyes
    rows = table(tmp_path, store, images, newest.head(5))
    assert {row["verdict"] for row in rows.values()} == {matched.TOO_FEW}
    assert {row["severity"] for row in rows.values()} == {None}


@pytest.mark.parametrize(
    ("changes", "change", "severity"),
    [
        ([0, -2, -4, -6, -8, -10], -5, 2.5),
        ([0, -2, -4, -6, -8, -10], 1, 0),
        ([0, -2, -4, -6, -8, -10], -11, None),
        # A cast of the other hue takes away some colour first.
        ([0, -1, 1, 3, 5, 7], 0.5, 1.75),
        ([0, 0, 0, 0, 0, 0], 1, 0),
    ],
)
def test_a_severity_is_read_off_between_two(changes, change, severity):
    assert matched.severity_at(np.array(changes, dtype=float), change) == severity


def test_the_newest_batch_is_the_last_by_name_and_alone_it_is_none():
    images = pl.DataFrame({"image_id": ["a", "b", "c"], "batch": [None, "1", "2"]})
    images = images.with_columns(group_id="image_id")
    assert matched.newest_images(images, most=9)["image_id"].to_list() == ["c"]
    assert matched.newest_images(images.filter(batch="2"), most=9).is_empty()
