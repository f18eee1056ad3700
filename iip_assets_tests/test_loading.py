"""What notebooks use: images by whatever names them, values with short words, nothing internal."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest

import iip_assets
from iip_assets import loading
from iip_assets.engine.values import Files, Report, Skipped
from iip_assets.images.store import ImageStore, content_md5

NOTEBOOKS = sorted((Path(iip_assets.__file__).parents[1] / "notebooks").glob("*.ipynb"))


def png(value: int) -> bytes:
    return cv2.imencode(".png", np.full((30, 40), value, np.uint8))[1].tobytes()


IMAGES = {f"batches/b/images/{name}.png": png(shade) for name, shade in (("a", 90), ("b", 200))}
IMAGES["batches/b/images/<cut>.png"] = png(5)[:40]
MASK = png(1)
IDS = {path: content_md5(data) for path, data in IMAGES.items()}
A, B, CUT = IDS.values()


@pytest.fixture(autouse=True)
def workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace of two images, one of them with a mask, and of one that is cut short."""
    rows = [
        (IDS[path], path, content_md5(MASK) if path.endswith("a.png") else None) for path in IDS
    ]
    images = pl.DataFrame(rows, schema=["image_id", "path", "mask_id"], orient="row")
    splits = pl.DataFrame({"image_id": [A], "split": ["train"]})
    values = {"raw_dataset": {"images": images}, "data_splits": splits}
    stored = {content_md5(data): data for data in (*IMAGES.values(), MASK)}
    store = SimpleNamespace(fetch=lambda ids: None, read=stored.__getitem__)
    settings = SimpleNamespace(dataset=SimpleNamespace(max_megapixels=1.0))
    project = SimpleNamespace(
        load=lambda name, _: values[name],
        graph=SimpleNamespace(sources={}, assets=values),
        workspace=SimpleNamespace(root=Path(), read_settings=lambda _: settings),
    )
    monkeypatch.setattr(loading, "_project", lambda _: project)
    monkeypatch.setattr(loading, "present_events", lambda _: None)
    monkeypatch.setattr(ImageStore, "open", lambda _: store)


@pytest.mark.parametrize("name", ["image_table", "images"])
def test_the_table_of_images_has_their_splits(name: str) -> None:
    table = getattr(iip_assets, name)()
    assert table.select("image_id", "split").rows() == [(A, "train"), (B, None), (CUT, None)]


@pytest.mark.parametrize(
    "asked",
    [
        A,
        A[:8],
        A.upper(),
        "batches/b/images/a.png",
        [A],
        pl.Series([A]),
        pl.DataFrame({"image_id": [A]}),
    ],
    ids=["an id", "its first digits", "capitals", "a file", "a list", "a column", "a table"],
)
def test_an_image_is_shown_by_whatever_names_it(asked: Any) -> None:
    shown = iip_assets.show(asked)
    assert len(shown) == 1
    assert shown.captions[0][-1] == f"batches/b/images/a.png · {A[:8]}"
    assert "data:image/jpeg" in shown._repr_html_()
    assert repr(shown) == "CaptionedImages(1)"


def test_further_columns_of_a_table_stand_below_each_image() -> None:
    shown = iip_assets.show(pl.DataFrame({"image_id": [B], "said": ["full"], "sure": [0.98765]}))
    assert shown.captions[0][0] == "said full, sure 0.988"


def test_masks_lie_over_the_images_that_have_one() -> None:
    plain, masked = (iip_assets.show([A, B], masks=masks) for masks in (False, True))
    assert not np.array_equal(plain.tiles[0], masked.tiles[0])
    assert np.array_equal(plain.tiles[1], masked.tiles[1])
    assert [one[1] for one in masked.captions] == ["", "no mask"]


def test_an_image_that_cannot_be_decoded_is_shown_as_such_and_no_markup() -> None:
    shown = iip_assets.show([CUT])
    assert shown.captions[0][1]
    assert "<cut>" not in shown._repr_html_()


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ("0" * 32, "there is no image '0{32}'"),
        ("", "there is no image ''"),
        (["nowhere.png"], "there is no image 'nowhere.png'"),
        (pl.DataFrame({"id": ["x"]}), "no column image_id; it has id"),
    ],
    ids=["an id", "nothing", "a file", "a table without ids"],
)
def test_what_names_no_image_is_told(asked: Any, error: str) -> None:
    with pytest.raises(LookupError, match=error):
        iip_assets.show(asked)


@pytest.mark.parametrize("asked", [[1], 1, [None], Path("a.png")], ids=str)
def test_what_is_no_text_is_told(asked: Any) -> None:
    with pytest.raises(TypeError, match="named by its id, short id or path, as text"):
        iip_assets.show(asked)


def test_a_name_that_is_nearly_an_assets_is_asked_about() -> None:
    with pytest.raises(KeyError, match=r"no asset 'raw_datasets'; did you mean raw_dataset\?"):
        iip_assets.load("raw_datasets")
    with pytest.raises(KeyError, match="there are raw_dataset, data_splits"):
        iip_assets.load("x")


@pytest.mark.parametrize(
    "value",
    [
        Files({"model.onnx": b"x" * 10**7}),
        Report("<title>Page</title>" + "x" * 10**7, {}),
        Skipped("x"),
    ],
    ids=["files", "report", "skipped"],
)
def test_a_value_has_a_short_repr(value: object) -> None:
    assert len(repr(value)) < 200


def test_a_report_shows_itself_in_a_frame_of_its_own() -> None:
    shown = Report('<style>p {color: red}</style><p class="x">&amp;</p>', {})._repr_html_()
    assert shown.startswith('<iframe srcdoc="&lt;style&gt;p {color: red}')
    assert "&quot;x&quot;&gt;&amp;amp;&lt;/p&gt;" in shown


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_import_what_is_public(notebook: Path) -> None:
    cells = json.loads(notebook.read_text())["cells"]
    code = "\n".join("".join(one["source"]) for one in cells if one["cell_type"] == "code")
    imports = [
        one for one in ast.walk(ast.parse(code)) if isinstance(one, ast.Import | ast.ImportFrom)
    ]
    from_us = [one for one in imports if "iip_assets" in ast.unparse(one)]
    assert from_us
    for one in from_us:
        assert isinstance(one, ast.ImportFrom)
        assert one.module == "iip_assets"
        assert {name.name for name in one.names} <= set(iip_assets.__all__)
