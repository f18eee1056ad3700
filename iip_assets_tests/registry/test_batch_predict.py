"""Both models on files of one's own, where each row and each mask must be of the models named."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest

from iip_assets.drift.prediction_log import RunLog
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
from iip_assets_tests.dataset.images import encoded, scene


def predictor(
    *,
    threshold: float = 0.5,
    misled: bool = False,
    max_megapixels: float = 1.0,
    kind: Any = None,
    measured: bool = False,
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
        measured=measured,
    )


def save(file: Path, *, seed: int = 0, bright: bool = True) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    image = eye_image(np.random.default_rng(seed), bright=bright)
    assert cv2.imwrite(str(file), image[:, :, ::-1])
    return file


def straight(items: Sequence[Any], **_: Any) -> Sequence[Any]:
    return items


def predicted(
    folder: Path, out: Path, by: Predictor, log: RunLog | None = None
) -> dict[str, dict[str, Any]]:
    table = predict_all(find_images([folder], out), by, out, progress=straight, log=log)
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


def _named(folder: Path, kind: str) -> Path:
    """Something that is no image, under a name that somebody gives."""
    path = folder / {"text": "README.md", "pdf": "scan"}.get(kind, "x.jpg")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "link to a pipe":
        os.mkfifo(folder / "fifo")
        path.symlink_to(folder / "fifo")
    else:
        path.write_bytes(b"%PDF-1.7" if kind == "pdf" else b"# Read me\n")
    return path


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("text", "README.md: a text file"),
        ("pdf", "scan: a PDF"),
        ("pipe", "x.jpg: a pipe"),
        ("link to a pipe", "x.jpg: a pipe"),
        ("device", "/dev/zero: a device"),
    ],
)
def test_what_is_named_and_can_be_no_image_is_refused(tmp_path: Path, kind, reason) -> None:
    with pytest.raises(ValueError, match=reason):
        find_images([save(tmp_path / "in" / "a.png"), _named(tmp_path, kind)], tmp_path / "out")


def test_pipes_loops_and_dead_links_in_a_folder_are_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    save(folder / "below" / "a.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "loop").symlink_to(folder)
    (folder / "below" / "self.png").symlink_to(folder / "below" / "self.png")
    (folder / "dead.png").symlink_to(folder / "nowhere")
    assert [one.name for one in find_images([folder], tmp_path / "out")] == ["below/a.png"]


def test_a_file_that_becomes_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    file = save(tmp_path / "in" / "a.png")
    found = find_images([tmp_path / "in"], tmp_path / "out")
    file.unlink()
    os.mkfifo(file)
    (row,) = predict_all(found, predictor(), tmp_path / "out", progress=straight).to_dicts()
    assert (row["verdict"], row["error"]) == (
        "unreadable",
        "a pipe, not a file; give an image file",
    )


def test_a_jpeg_with_a_hole_is_unreadable(tmp_path: Path) -> None:
    file = tmp_path / "in" / "a.jpg"
    file.parent.mkdir()
    data = encoded(scene(120, 160), "JPEG")
    file.write_bytes(data[: len(data) // 2] + b"\xff\xd9")
    row = predicted(tmp_path / "in", tmp_path / "out", predictor())["a.jpg"]
    assert row["verdict"] == "unreadable"
    assert "cut short" in row["error"]


def test_a_name_that_a_spreadsheet_would_run_is_found_again(tmp_path: Path) -> None:
    save(tmp_path / "in" / "=1+1.png")
    for _ in range(2):
        table = predict_all(
            find_images([tmp_path / "in"], tmp_path / "out"),
            predictor(),
            tmp_path / "out",
            progress=straight,
        )
        assert table["path"].to_list() == ["=1+1.png"]
        assert "\n'=1+1.png," in (tmp_path / "out" / batch_predict.TABLE).read_text()


def test_a_name_of_no_known_encoding_is_predicted_and_found_again(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    save(images / "a.png").rename(os.fsdecode(bytes(images) + b"/\xe9.png"))
    found = find_images([images], out)
    for _ in range(2):
        table = predict_all(found, predictor(), out, progress=straight)
        assert table["path"].to_list() == ["\\xe9.png"]
    assert (out / "masks/\\xe9.png.png").is_file()


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
