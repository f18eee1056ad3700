"""Planted causes of errors are found in their order, and what plays no part is not."""

import numpy as np
import polars as pl
import pytest

from iip_assets.audit.error_drivers import attributes_table, drivers_table
from iip_assets.settings import EvaluationSettings
from iip_assets.statistics.skin_tone import typology_angle
from iip_assets_tests.audit.judged import difficulty

EVALUATION = EvaluationSettings(resamples=60)


def attributes(count, seed=0):
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "image_id": [f"i{k:03}" for k in range(count)],
            "brightness": rng.uniform(0, 255, count),
            "sharpness": rng.uniform(0, 100, count),
            "openness": rng.uniform(0.1, 0.4, count),
            "device": rng.choice(["phone", "scanner"], count),
            "gender": rng.choice(["female", "male"], count),
            "batch": "b",
        }
    )


def test_planted_causes_come_in_the_order_of_their_strength_and_the_rest_is_chance():
    table = attributes(400)
    dark, phone = table["brightness"] < 80, table["device"] == "phone"
    noise = np.random.default_rng(1).normal(0, 0.05, 400)
    errors = np.clip(0.1 + 0.5 * dark.to_numpy() + 0.25 * phone.to_numpy() + noise, 0, 1)
    found = drivers_table(difficulty(errors), table, intervals=EVALUATION)
    assert found["attribute"].to_list()[:2] == ["lighting", "device"]
    first, second, *others = found.to_dicts()
    assert first["low"] > second["high"]
    assert second["low"] > 0.05
    assert all(one["importance"] < 0.02 for one in others)
    assert (first["worst"], second["worst"]) == ("low brightness", "phone")
    assert (first["n_images"], first["n_subjects"]) == (400, 200)


def test_errors_that_nothing_explains_have_no_driver():
    errors = np.random.default_rng(2).uniform(0, 1, 300)
    found = drivers_table(difficulty(errors), attributes(300), intervals=EVALUATION)
    assert (found["low"] <= 0).all()


@pytest.mark.parametrize("errors", [np.zeros(100), np.full(10, 0.5), np.array([])])
def test_of_equal_errors_or_few_images_nothing_is_told(errors):
    found = drivers_table(difficulty(errors), attributes(100), intervals=EVALUATION)
    assert found.is_empty()


def test_what_is_not_known_of_an_image_is_no_error():
    table = attributes(100).with_columns(
        brightness=pl.when(pl.int_range(pl.len()) % 2 == 0).then("brightness"),
        device=pl.lit(None, pl.String),
    )
    errors = np.random.default_rng(0).uniform(0, 1, 100)
    assert (
        "device" not in drivers_table(difficulty(errors), table, intervals=EVALUATION)["attribute"]
    )


def test_the_typology_angle_is_that_of_the_formula():
    table = pl.DataFrame({"luma": [255.0, 119.0, 20.0], "b": [10.0, 10.0, 10.0]})
    found = table.select(typology_angle(pl.col("luma"), pl.col("b"))).to_series().to_list()
    # L* is 100, 50 and 6.3: arctan((L* - 50) / b*).
    assert found == pytest.approx([78.69, 0.0, -77.1], abs=0.5)


def test_landmarks_take_the_place_of_what_a_mask_tells():
    images = pl.DataFrame(
        {"image_id": ["a"], "age_years": [30.0]}
        | {name: ["x"] for name in ("gender", "ethnicity", "geography", "device", "batch")}
    )
    measures = {"gaze_x": 0.9, "gaze_y": 0.0, "iris_visibility": 1.0, "brightness": 100.0}
    measures |= {"background_brightness": 100.0, "background_yellow_blue": 5.0}
    statistics = pl.DataFrame([{"image_id": "a", **measures}])
    geometry = pl.DataFrame({"image_id": ["a"], "openness": [0.3], "gaze_x": [0.1]})
    (row,) = attributes_table(images, statistics, geometry).to_dicts()
    assert (row["gaze_x"], row["openness"]) == (0.1, 0.3)
    assert attributes_table(images, statistics, None)["gaze_x"].to_list() == [0.9]
