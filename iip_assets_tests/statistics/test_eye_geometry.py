"""Eyes drawn in three colours, and a stand-in that finds these colours where a network finds eyes.

The last test is of the real network, where it is installed.
"""

from __future__ import annotations

import importlib.util

import cv2
import numpy as np
import polars as pl
import pytest

from iip_assets.engine.values import Skipped
from iip_assets.images.store import ImageStore
from iip_assets.settings import TagSettings
from iip_assets.statistics.assets import describe_eye_geometry, eye_geometry
from iip_assets.statistics.eye_geometry import (
    GEOMETRY,
    measure_eye,
    measure_eyes,
)
from iip_assets.statistics.landmark_file import (
    COMMAND,
    MISSING,
    open_landmarks,
    read_landmark_file,
)
from iip_assets.statistics.measure import statistics_table
from iip_assets.synthetic.eyeball import IRIS, PUPIL
from iip_assets.synthetic.parameters import PlantedEffects
from iip_assets.synthetic.plan import Dataset, plan_image
from iip_assets.synthetic.render import render
from iip_assets_tests.dataset.images import MemoryStore
from iip_assets_tests.embeddings.stand_ins import PlainWork
from iip_assets_tests.statistics.eyes import png

OPENNESS = 0.3


def drawn_eye(*, width=320, height=240, middle=(150, 130), half=70, iris=(170, 130), roll=0.0):
    """Red corners and a blue iris of radius 24 on grey."""
    image = np.full((height, width, 3), 90, np.uint8)
    along = np.array([np.cos(roll), np.sin(roll)])
    cv2.circle(image, iris, 24, (0, 0, 255), -1)
    for side in (-1, 1):
        corner = np.round(np.array(middle) + side * half * along).astype(int)
        cv2.circle(image, corner.tolist(), 10, (255, 0, 0), -1)
    return image


def by_colour(crop):
    """Lids and iris of a crop of a drawn eye."""
    red, blue = (
        np.argwhere(crop[:, :, one].astype(int) - crop[:, :, other] > 60)[:, ::-1] + 0.5
        for one, other in ((0, 2), (2, 0))
    )
    middle = red.mean(axis=0)
    left, right = (
        red[side].mean(axis=0) for side in (red[:, 0] < middle[0], red[:, 0] > middle[0])
    )
    share = np.linspace(0, 1, 9)[:, None]
    line = left + share * (right - left)
    across = np.array([left[1] - right[1], right[0] - left[0]]) * OPENNESS / 2
    rim = np.sqrt(len(blue) / np.pi) * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
    centre = blue.mean(axis=0)
    return np.concatenate([line + across * ((share > 0) & (share < 1)), line[1:8] - across]), (
        np.concatenate([centre[None], centre + rim])
    )


def centre_of(found):
    """Of the iris's box."""
    sides = (("left", "right"), ("top", "bottom"))
    return tuple(sum(found[f"iris_{one}_px"] for one in both) / 2 for both in sides)


@pytest.mark.parametrize(
    ("given", "gaze"),
    [
        pytest.param({}, 20 / 70, id="upright"),
        pytest.param({"middle": (160, 120), "iris": (140, 120)}, -20 / 70, id="to the left"),
        pytest.param({"roll": 0.3}, 20 * np.cos(0.3) / 70, id="rolled"),
    ],
)
def test_the_iris_the_gaze_and_the_opening_are_found_where_they_were_drawn(given, gaze):
    found = measure_eye(drawn_eye(**given), by_colour)
    x, y = given.get("iris", (170, 130))
    assert centre_of(found) == (pytest.approx(x, abs=2), pytest.approx(y, abs=4))
    assert found["gaze_x"] == pytest.approx(gaze, abs=0.03)
    assert found["openness"] == pytest.approx(OPENNESS, abs=0.01)
    assert found["iris_left_px"] == pytest.approx(x - 24, abs=3)
    # The lids are 42 px apart, less than the iris is high.
    if not given.get("roll"):
        assert found["iris_bottom_px"] - found["iris_top_px"] == pytest.approx(42, abs=3)


def test_a_large_image_has_its_iris_in_its_own_pixels():
    image = cv2.resize(drawn_eye(), None, fx=5, fy=5)
    found = measure_eye(image, by_colour)
    assert centre_of(found)[0] == pytest.approx(5 * 170, abs=10)
    assert found["iris_left_px"] == pytest.approx(5 * (170 - 24), abs=15)


def test_a_reflection_in_the_inner_iris_is_its_share_there():
    image = drawn_eye()
    assert measure_eye(image, by_colour)["glint"] == 0
    cv2.circle(image, (171, 131), 4, (190, 190, 255), -1)
    share = measure_eye(image, by_colour)["glint"]
    assert share == pytest.approx(4**2 / 12**2, abs=0.04)


def test_where_image_and_mirror_image_disagree_nothing_is_believed():
    def blind(crop):
        lids, iris = by_colour(
            drawn_eye(width=64, height=64, middle=(32, 32), half=20, iris=(32, 32))
        )
        return lids, iris + np.array([8, 0])

    found = measure_eye(drawn_eye(), blind)
    assert found["disagreement"] > 0.3
    assert [name for name, value in found.items() if value is not None] == ["disagreement"]


def test_files_that_are_no_image_have_nulls_and_the_order_stays_whatever_the_threads():
    files = {
        "eye": png(drawn_eye()),
        "cut": png(drawn_eye())[:100],
        "other": png(drawn_eye(roll=0.2)),
    }
    records = [{"image_id": name} for name in ("cut", "eye", "other", "eye")]
    given = {"max_megapixels": 1, "store": MemoryStore(files), "landmarks": by_colour}
    one, four = (measure_eyes(records, threads=threads, **given) for threads in (1, 4))
    assert one == four
    assert one[0] == dict.fromkeys(GEOMETRY)
    assert one[1] == one[3] != one[2]


def test_no_image_and_no_eye_make_a_table_with_all_columns():
    for frame in (
        pl.DataFrame(schema={"image_id": pl.String}),
        pl.DataFrame([{"image_id": "a", **dict.fromkeys(GEOMETRY)}]),
    ):
        table = statistics_table(frame, GEOMETRY)
        assert table.columns == ["image_id", *GEOMETRY]
        assert table.height == frame.height
        assert describe_eye_geometry(table)["eyes_found"] == 0


def run(data, monkeypatch, root):
    images = pl.DataFrame({"image_id": ["b", "a"]})
    files = {"a": png(drawn_eye()), "b": b""}
    monkeypatch.setattr(ImageStore, "open", lambda root: MemoryStore(files))
    return eye_geometry.function(
        data, {"images": images}, max_megapixels=1, threads=1, context=PlainWork(root)
    )


def test_without_the_file_the_asset_says_how_to_get_it(monkeypatch, tmp_path):
    assert run(None, monkeypatch, tmp_path) == Skipped(MISSING)
    assert COMMAND in MISSING


def test_the_asset_with_a_network_that_is_a_stand_in(monkeypatch, tmp_path):
    monkeypatch.setattr(
        "iip_assets.statistics.landmark_file.open_landmarks", lambda data: by_colour
    )
    table = run(b"", monkeypatch, tmp_path)
    assert table["image_id"].to_list() == ["a", "b"]
    told = describe_eye_geometry(table)
    assert (told["rows"], told["eyes_found"]) == (2, 1)


@pytest.mark.skipif(
    read_landmark_file() is None or importlib.util.find_spec("tflite2onnx") is None,
    reason="the landmark file is not installed",
)
def test_the_real_network_finds_rendered_irises():
    landmarks = open_landmarks(read_landmark_file())
    dataset = Dataset(images=40, seed=1, batches=1, effects=PlantedEffects())
    planned = [one for k in range(40) if (one := plan_image(dataset, k).shot).kind == "open"][:9]
    missed, openness = [], []
    for one in planned:
        rendered = render(one.parameters, width=240, height=180)
        rows, columns = np.nonzero((rendered.mask == IRIS) | (rendered.mask == PUPIL))
        found = measure_eye(rendered.image, landmarks)
        aside = np.hypot(*np.subtract(centre_of(found), (columns.mean(), rows.mean())))
        missed.append(aside / np.ptp(columns) * 2)
        openness.append(found["openness"])
    assert np.median(missed) < 0.35
    assert np.median(openness) > TagSettings().narrow_below
