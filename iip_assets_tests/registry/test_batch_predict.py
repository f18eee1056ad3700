"""Both models on files of one's own, where each row and each mask must be of the models named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest

from iip_assets.registry import batch_predict
from iip_assets.registry.batch_predict import Deployed, Found, Predictor, find_images, predict_all
from iip_assets_tests.audit.looking import (
    corner_filter,
    mask,
    misled_segmenter,
    seeing_segmenter,
)
from iip_assets_tests.audit.looking import (
    image as eye_image,
)


def predictor(
    *, threshold: float = 0.5, misled: bool = False, max_megapixels: float = 1.0, kind: Any = None
) -> Predictor:
    """A filter that passes what has a bright corner, and a segmenter by colour or by corner."""
    the_filter = Deployed(
        "filter 1", "f" * 64, corner_filter("network").parts, {"threshold": threshold}
    )
    segmenter = misled_segmenter() if misled else seeing_segmenter()
    digest = ("1" if misled else "0") * 64
    return (kind or Predictor)(
        the_filter,
        Deployed("segmenter 1", digest, segmenter.parts, {}),
        max_megapixels=max_megapixels,
        threads=1,
    )


def save(file: Path, *, seed: int = 0, bright: bool = True) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    image = eye_image(np.random.default_rng(seed), bright=bright)
    assert cv2.imwrite(str(file), image[:, :, ::-1])
    return file


def straight(items: Sequence[Any], **_: Any) -> Sequence[Any]:
    return items


def predicted(folder: Path, out: Path, by: Predictor) -> dict[str, dict[str, Any]]:
    table = predict_all(find_images([folder], out), by, out, progress=straight)
    written = pl.read_csv(out / batch_predict.TABLE, schema=batch_predict.SCHEMA)
    assert written["path"].to_list() == table["path"].to_list()
    return {row["path"]: row for row in written.iter_rows(named=True)}


def read_mask(out: Path, row: dict[str, Any]) -> np.ndarray:
    found = cv2.imread(str(out / row["mask"]), cv2.IMREAD_GRAYSCALE)
    assert found is not None
    return found


class Killed(BaseException):
    """As a kill, nothing catches it."""


class KilledAfterMasks(Predictor):
    """Its masks are written and its rows are not."""

    def predict(self, found: Sequence[Found], out: Path) -> list[dict[str, Any]]:
        super().predict(found, out)
        raise Killed


def test_what_has_a_bright_corner_passes_and_its_iris_is_found(tmp_path: Path) -> None:
    save(tmp_path / "in" / "good.png")
    save(tmp_path / "in" / "bad.png", bright=False)
    rows = predicted(tmp_path / "in", tmp_path / "out", predictor())
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "bad.png": "reject",
        "good.png": "pass",
    }
    assert rows["bad.png"]["mask"] is None
    np.testing.assert_array_equal(read_mask(tmp_path / "out", rows["good.png"]), mask())


def test_two_images_of_one_stem_have_a_mask_each(tmp_path: Path) -> None:
    save(tmp_path / "in" / "eye.png")
    image = eye_image(np.random.default_rng(1))
    large = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    assert cv2.imwrite(str(tmp_path / "in" / "eye.bmp"), large[:, :, ::-1])
    rows = predicted(tmp_path / "in", tmp_path / "out", predictor())
    shapes = {name: read_mask(tmp_path / "out", row).shape for name, row in rows.items()}
    assert shapes == {"eye.png": (32, 32), "eye.bmp": (64, 64)}


def test_results_inside_the_folder_of_images_are_no_images_next_time(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "masks" / "b.png", seed=1)
    out = tmp_path / "results"
    first = predicted(tmp_path, out, predictor())
    (out / batch_predict.SHEET).write_bytes((tmp_path / "a.png").read_bytes())
    assert list(first) == ["a.png", "masks/b.png"]
    assert predicted(tmp_path, out, predictor()) == first


def test_a_folder_with_an_images_name_is_a_folder(tmp_path: Path) -> None:
    save(tmp_path / "in" / "tray.png" / "a.png")
    assert [one.name for one in find_images([tmp_path / "in"], tmp_path / "out")] == [
        "tray.png/a.png"
    ]


def test_with_another_threshold_no_row_stays_what_it_was(tmp_path: Path) -> None:
    save(tmp_path / "in" / "good.png")
    save(tmp_path / "in" / "bad.png", bright=False)
    predicted(tmp_path / "in", tmp_path / "out", predictor(threshold=0.5))
    save(tmp_path / "in" / "new.png", seed=2, bright=False)
    rows = predicted(tmp_path / "in", tmp_path / "out", predictor(threshold=0.0))
    assert {(row["verdict"], row["threshold"]) for row in rows.values()} == {("pass", 0.0)}


def test_an_image_that_was_too_large_is_looked_at_when_it_no_longer_is(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.png")
    (before,) = predicted(
        tmp_path / "in", tmp_path / "out", predictor(max_megapixels=0.0001)
    ).values()
    assert before["verdict"] == "unreadable"
    (after,) = predicted(tmp_path / "in", tmp_path / "out", predictor()).values()
    assert (after["verdict"], after["error"]) == ("pass", None)


def test_a_kill_leaves_no_mask_of_one_model_beside_a_row_of_another(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    save(folder / "a.png")
    first = predicted(folder, out, predictor())
    with pytest.raises(Killed):
        predicted(folder, out, predictor(misled=True, kind=KilledAfterMasks))
    again = predicted(folder, out, predictor())
    assert again == first
    np.testing.assert_array_equal(read_mask(out, again["a.png"]), mask())


def test_an_image_that_no_longer_passes_leaves_no_mask(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    save(folder / "a.png")
    (row,) = predicted(folder, out, predictor()).values()
    assert (out / row["mask"]).is_file()
    (rejected,) = predicted(folder, out, predictor(threshold=1.1)).values()
    assert rejected["verdict"] == "reject"
    assert not (out / row["mask"]).exists()
