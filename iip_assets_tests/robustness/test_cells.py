import numpy as np
import polars as pl
import pytest

from iip_assets.robustness.cells import MEAN, cells_table, worst_cells
from iip_assets.settings import EvaluationSettings

CORRUPTIONS = ("defocus_blur", "low_light")
RIGHT, WRONG = [0.9, 0.1, 0.0], [0.1, 0.9, 0.0]
IDS = [f"i{place:02d}" for place in range(40)]
IMAGES = pl.DataFrame({"image_id": IDS, "label": ["full"] * 40, "group_id": IDS})
SLICES = pl.DataFrame(
    {"image_id": IDS, "axis": ["ethnicity"] * 40, "slice": ["a"] * 20 + ["b"] * 17 + ["c"] * 3}
)


def answers(wrong):
    """Clean images are all right; `wrong(corruption, severity, place)` says which are not."""
    found = {"clean": [RIGHT for _ in IDS]}
    for name in CORRUPTIONS:
        found[name] = [
            [p for s in range(1, 6) for p in (WRONG if wrong(name, s, place) else RIGHT)]
            for place in range(40)
        ]
    return {
        name: pl.DataFrame({"image_id": IDS, "probabilities": said, "confusions": [None] * 40})
        for name, said in found.items()
    }


def cells(own, fixed=None):
    return cells_table(
        *(IMAGES, {"filter": answers(own)}, {} if fixed is None else {"filter": answers(fixed)}),
        SLICES,
        mask_classes=("background", "iris"),
        intervals=EvaluationSettings(resamples=50),
        least_images=5,
    )


def own(name, severity, place):
    """Blur costs every fourth image at all severities, low light half of group b from 3 on."""
    if name == "defocus_blur":
        return place % 4 == 0
    return place >= 20 and place % 2 == 0 and severity >= 3


def one(table, corruption, name="all"):
    (row,) = table.filter(corruption=corruption, slice=name).to_dicts()
    return row


def test_a_cell_is_the_mean_over_severities_with_its_interval_and_its_loss_is_named():
    table = cells(own)
    assert one(table, "defocus_blur")["value"] == pytest.approx(0.75)
    assert one(table, "low_light", "b")["value"] == pytest.approx(1 - 9 / 17 * 3 / 5)
    assert one(table, MEAN)["value"] == pytest.approx((0.75 + 1 - 10 / 40 * 3 / 5) / 2)
    assert (table["clean"] == 1).all()
    assert table["ce"].null_count() == table.height
    known = table.drop_nulls("low")
    assert (known["low"] <= known["value"]).all()
    assert (known["value"] <= known["high"]).all()
    worst = worst_cells(table, 1).to_dicts()[0]
    assert (worst["corruption"], worst["slice"]) == ("low_light", "b")
    # Three images are too few to be named, whatever they lose.
    assert "c" not in set(worst_cells(table, 99)["slice"])


def test_the_corruption_error_is_that_of_hendrycks_and_dietterich():
    def fixed(name, severity, place):
        return place % 2 == 0 if name == "defocus_blur" else own(name, severity, place)

    table = cells(own, fixed)
    blur, dark, mean = (one(table, name) for name in ("defocus_blur", "low_light", MEAN))
    assert blur["ce"] == pytest.approx(0.5)
    assert dark["ce"] == dark["ce_low"] == dark["ce_high"] == pytest.approx(1)
    assert mean["ce"] == pytest.approx(0.75)  # the mean of both, not that of their logarithms
    assert blur["ce_low"] < 0.5 < blur["ce_high"] < 1
    # Where the fixed model makes no error there is nothing to hold against.
    assert one(table, "low_light", "a")["ce"] is None


def test_a_model_without_error_under_one_corruption_has_a_mean_error_all_the_same():
    table = cells(lambda name, _, place: name == "low_light" and place % 4 == 0, own)
    blur, mean = one(table, "defocus_blur"), one(table, MEAN)
    assert (blur["ce"], blur["ce_low"]) == (0, None)
    assert mean["ce"] == pytest.approx(one(table, "low_light")["ce"] / 2)
    assert mean["ce_low"] < mean["ce"] < mean["ce_high"]


def test_a_model_beside_itself_has_an_error_of_one():
    table = cells(own, own).drop_nulls("ce")
    assert np.allclose(table["ce"], 1)
    assert table.height > 3
