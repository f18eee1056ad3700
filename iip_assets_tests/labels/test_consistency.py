"""A class that some mark and others do not is told by device, and lowers what a model can reach."""

import numpy as np
import polars as pl

from iip_assets.labels.consistency import ceilings, marked_where_seen
from iip_assets.settings import EvaluationSettings

CLASSES = ("background", "iris", "pupil")
HOW = {"evaluation": EvaluationSettings(resamples=60, min_slice_images=5)}


def scores(count=40, unmarked=10):
    """Every eye's pupil is seen; of the phone's images the first ones lack it in the mask."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "image_id": f"i{k:02}",
            "group_id": f"g{k:02}",
            "given": [900, 100, 0 if k < unmarked else 50],
            "seen": [900, 100, 50],
            "both": [900, 100, 0 if k < unmarked else 50],
            "visible": [900.0, 100.0, 50.0 if k < unmarked else float(rng.uniform(45, 55))],
        }
        for k in range(count)
    ]
    images = pl.DataFrame(
        {
            "image_id": [row["image_id"] for row in rows],
            "device": ["phone" if k < 20 else "scanner" for k in range(count)],
            "batch": "b1",
            "labeler": None,
        },
        schema_overrides={"labeler": pl.String},
    )
    return pl.DataFrame(rows), images


def test_the_share_that_is_marked_is_told_by_device_with_interval_and_subjects():
    found = marked_where_seen(*scores(), CLASSES, (1, 2), **HOW)
    pupil = found.filter(pl.col("class") == "pupil", axis="device")
    by_device = {row["slice"]: row for row in pupil.to_dicts()}
    assert by_device["scanner"]["value"] == 1.0
    assert 0.4 < by_device["phone"]["value"] < 0.6
    assert by_device["phone"]["low"] < by_device["phone"]["value"] < by_device["phone"]["high"]
    assert by_device["phone"]["n_subjects"] == by_device["phone"]["n_images"]
    assert (found.filter(pl.col("class") == "iris")["value"] == 1.0).all()
    assert set(found["slice"]) == {"all", "phone", "scanner", "b1", "unknown"}


def test_the_ceiling_is_what_a_model_reaches_that_marks_the_class_wherever_it_is_seen():
    table, _ = scores()
    found = {row["class"]: row for row in ceilings(table, CLASSES, (1, 2), **HOW).to_dicts()}
    assert found["iris"]["value"] == 1.0
    marked, unmarked = 30 * 50, table["visible"].list.get(2)[:10].sum()
    assert abs(found["pupil"]["value"] - marked / (marked + unmarked)) < 0.03


def test_a_class_that_is_nowhere_marked_has_no_row():
    table, images = scores(unmarked=40)
    assert set(marked_where_seen(table, images, CLASSES, (1, 2), **HOW)["class"]) == {"iris"}
