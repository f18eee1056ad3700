"""Networks of which it is known where they look are seen to look there."""

from __future__ import annotations

import json

import numpy as np
import pytest

from iip_assets.audit.explained_rows import (
    explain_filter_chunk,
    explain_segmenter_chunk,
    outline_of,
)
from iip_assets.audit.figures import draw_outline
from iip_assets.audit.occlusion import Cells, blurred, deletion, evened, occlude
from iip_assets.images.letterbox import Letterbox
from iip_assets.inference.filter import FilterFromPixels
from iip_assets.inference.segmenter import Segmenter
from iip_assets_tests.audit.looking import (
    CLASSES,
    corner_filter,
    disc,
    image,
    mask,
    misled_segmenter,
    seeing_segmenter,
)
from iip_assets_tests.embeddings.stand_ins import MemoryStore

GIVEN = {"cells": 8, "seed": 0, "max_megapixels": 1.0}


@pytest.fixture(scope="module")
def store():
    return MemoryStore()


@pytest.fixture(scope="module")
def records(store):
    """An image with a bright corner and one with a dark one, both with the same mask."""
    rng = np.random.default_rng(0)
    mask_id = store.add_png(mask())
    return [
        {"image_id": store.add_png(image(rng, bright=said == "full")), "mask_id": mask_id}
        | {"said": said}
        for said in ("full", "none")
    ]


def filtered(records, store, kind="network"):
    tools = {"filter_model": FilterFromPixels(corner_filter(kind).parts, threads=1)}
    return explain_filter_chunk(records, **GIVEN, classes=CLASSES, store=store, **tools)


def segmented(records, store, files):
    records = [{**record, "said": "iris"} for record in records]
    segmenter = Segmenter(files.parts, threads=1)
    return explain_segmenter_chunk(records, **GIVEN, segmenter=segmenter, store=store)


def grid_of(record):
    return np.array(record["attribution"]).reshape(record["rows"], record["columns"])


@pytest.mark.parametrize("kind", ["network", "head"])
def test_a_filter_that_looks_at_one_corner_has_its_attribution_there(kind, records, store):
    for found in filtered(records, store, kind):
        cells = grid_of(found)
        assert cells.shape == (8, 8)
        assert found["score"] > 0.9
        # The corner is 2 × 2 cells, and a window reaches one further.
        assert cells[:2, :2].min() > 0.01
        assert cells[:2, :2].sum() > 0.6 * cells.sum()
        cells[:3, :3] = 0
        assert (cells == 0).all()
        assert found["share_on_eye"] == 0
        assert found["deletion_area"] < found["chance_area"]


def test_both_kinds_of_filter_files_are_explained_alike(records, store):
    for network, head in zip(
        filtered(records, store, "network"), filtered(records, store, "head"), strict=True
    ):
        np.testing.assert_allclose(network["attribution"], head["attribution"], atol=1e-5)


def test_the_word_that_was_not_said_counts_the_other_way(records, store):
    (bright,) = filtered([{**records[0], "said": "none"}], store)
    assert grid_of(bright)[:2, :2].max() < 0
    assert bright["share_on_eye"] is None


def test_a_segmenter_whose_iris_hangs_on_a_distant_patch_shows_it(records, store):
    (found, _) = segmented(records, store, misled_segmenter())
    cells = grid_of(found)
    assert cells[:2, :2].min() > 0.005
    cells[:3, :3] = 0
    assert (cells == 0).all()
    assert found["share_on_eye"] == 0
    assert found["chance_share"] == pytest.approx(disc().mean(), abs=1e-6)


def test_a_segmenter_that_sees_the_iris_has_its_attribution_on_it(records, store):
    (found, _) = segmented(records, store, seeing_segmenter())
    cells = grid_of(found)
    rows, columns = np.unravel_index(cells.argmax(), cells.shape)
    assert disc()[4 * rows : 4 * rows + 4, 4 * columns : 4 * columns + 4].any()
    assert cells[:2, :2].max() == pytest.approx(0, abs=1e-6)
    assert found["share_on_eye"] > 3 * found["chance_share"]
    assert found["deletion_area"] < found["chance_area"]


def test_a_patch_that_keeps_the_segmenter_from_seeing_counts_below_0(records, store):
    """With a dark corner it sees no iris, which is there all the same."""
    (_, found) = segmented(records, store, misled_segmenter())
    assert found["said_outline"] is None
    assert found["true_outline"] is not None
    assert grid_of(found)[:2, :2].max() < 0


def test_a_class_that_is_nowhere_is_not_explained(records, store):
    empty = store.add_png(np.zeros(disc().shape, np.uint8))
    found = segmented([{**records[1], "mask_id": empty}], store, misled_segmenter())
    assert found[0]["attribution"] is None
    explained = segmented(records, store, misled_segmenter())
    assert found[0].keys() == explained[0].keys()


def test_what_nobody_labelled_is_neither_right_nor_wrong(records, store):
    unlabelled = store.add_png(np.full(disc().shape, 255, np.uint8))
    (found,) = segmented([{**records[0], "mask_id": unlabelled}], store, misled_segmenter())
    assert found["attribution"] is None


def test_without_a_mask_the_filter_is_explained_and_nothing_is_said_of_the_eye(records, store):
    (bare,) = filtered([{**records[0], "mask_id": None}], store)
    (known, _) = filtered(records, store)
    assert (bare["attribution"] == known["attribution"]).all()
    assert bare["share_on_eye"] is None
    assert bare["chance_share"] is None
    assert bare["true_outline"] is None


def test_the_same_inputs_give_the_same_bytes_whatever_stands_beside_them(records, store):
    def text(found):
        return json.dumps(found, default=lambda array: array.tolist(), sort_keys=True)

    for explain in (filtered, lambda *given: segmented(*given, misled_segmenter())):
        whole = explain(records, store)
        assert text(whole) == text(explain(records, store))
        assert text(whole[1]) == text(explain(records[1:], store)[0])


def test_an_outline_drawn_again_is_the_border_of_its_region():
    region = np.zeros((40, 60), bool)
    region[10:30, 15:45] = True
    region[15:20, 20:30] = False
    image = np.zeros((40, 60, 3), np.uint8)
    draw_outline(image, outline_of(region), (255, 255, 255), thickness=1)
    drawn = image.max(2) > 127
    assert drawn[10, 15:45].all()
    assert drawn[10:30, 44].all()
    assert drawn[14:21, 20:30].any()
    assert not drawn[:9].any()
    assert not drawn[23:28, 20:40].any()
    assert outline_of(np.zeros((4, 4), bool)) is None


PLACE = Letterbox.of(120, 80, 64, 64)
GRID = Cells.of(PLACE, 8)


def reads(row, column, worth):
    """A score that one cell alone decides."""
    return lambda seen: np.where(seen[:, row, column], 0.5 + worth, 0.5)


@pytest.mark.parametrize("at", [(0, 0), (2, 5), (4, 7)], ids=["corner", "inside", "last"])
@pytest.mark.parametrize("worth", [0.4, -0.4], ids=["for", "against"])
def test_the_cell_that_decides_has_all_of_the_attribution_but_what_windows_blur(at, worth):
    found = occlude(reads(*at, worth), (5, 8))
    assert found[at] == pytest.approx(worth)
    rows, columns = np.indices(found.shape)
    apart = np.maximum(abs(rows - at[0]), abs(columns - at[1]))
    assert (abs(found[apart == 1]) < abs(worth)).all()
    assert (found[apart > 1] == 0).all()


def test_what_stands_beside_the_border_counts_no_more_there_than_inside():
    found = occlude(reads(1, 1, 0.4), (5, 8))
    np.testing.assert_allclose(found[:3, :3], found[:3, :3][::-1, ::-1])


def test_a_single_cell_is_the_whole_image():
    assert occlude(reads(0, 0, 0.3), (1, 1)) == pytest.approx(np.array([[0.3]]))


def test_a_true_attribution_beats_chance_and_one_upside_down_loses_to_it():
    worth = np.zeros((5, 8))
    worth[1:3, 2:4] = 0.2

    def score(seen):
        return (seen * worth).sum((1, 2))

    true = [deletion(score, worth, np.random.default_rng(seed)) for seed in range(8)]
    upside_down = [deletion(score, -worth, np.random.default_rng(seed)) for seed in range(8)]
    assert all(one.whole == pytest.approx(0.8) for one in true)
    assert all(one.attributed < one.at_random for one in true)
    assert all(one.attributed > one.at_random for one in upside_down)
    # By chance a share of the cells takes that share of the score.
    assert np.mean([one.at_random for one in true]) == pytest.approx(0.4, abs=0.1)


def test_cells_cover_the_image_and_never_the_field_around_it():
    assert GRID.shape == (5, 8)
    assert GRID.areas().sum() == PLACE.width * PLACE.height
    fitted = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for instead in (blurred(fitted, GRID), evened(fitted, GRID)):
        (nothing,) = GRID.shown(fitted, instead, np.zeros((1, 5, 8), bool))
        assert (nothing[: PLACE.top] == fitted[: PLACE.top]).all()
        assert (nothing[PLACE.top + PLACE.height :] == fitted[PLACE.top + PLACE.height :]).all()
        assert (GRID.inside(nothing) == GRID.inside(instead)).all()


def test_only_hidden_cells_change():
    fitted = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    seen = np.ones((2, 5, 8), bool)
    seen[1, 2, 3] = False
    whole, changed = GRID.shown(fitted, evened(fitted, GRID), seen)
    assert (whole == fitted).all()
    rows = slice(GRID.tops[2], GRID.tops[3])
    columns = slice(GRID.lefts[3], GRID.lefts[4])
    assert len(np.unique(changed[rows, columns].reshape(-1, 3), axis=0)) == 1
    changed[rows, columns] = fitted[rows, columns]
    assert (changed == fitted).all()


def test_the_share_of_each_cell_adds_up_to_the_region():
    region = np.zeros((64, 64), bool)
    region[20:37, 11:50] = True
    shares = GRID.shares(region)
    assert (shares * GRID.areas()).sum() == pytest.approx(GRID.inside(region).sum())
    assert shares.max() == 1
    assert GRID.shares(np.ones((64, 64), bool)).tolist() == np.ones((5, 8)).tolist()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 200), (200, 3), (5, 4)])
def test_images_smaller_than_their_cells_have_cells_of_a_pixel(width, height):
    place = Letterbox.of(width, height, 32, 32)
    grid = Cells.of(place, 64)
    assert (np.diff(grid.tops) >= 1).all()
    assert (np.diff(grid.lefts) >= 1).all()
    assert grid.areas().sum() == place.width * place.height


def test_the_area_is_exact_where_cells_do_not_divide_by_the_steps():
    """Of a score that falls in a straight line the area is a half, whatever the steps."""
    for shape in ((1, 3), (3, 5), (7, 7), (6, 9)):
        found = deletion(lambda seen: seen.mean((1, 2)), np.ones(shape), np.random.default_rng(0))
        assert (found.attributed, found.at_random) == pytest.approx((0.5, 0.5))
        # One cell alone counts: hidden first, the score is gone after its step.
        one = np.zeros(shape)
        one[0, 0] = 1
        curve = deletion(lambda seen: seen[:, 0, 0] * 1.0, one, np.random.default_rng(0))
        size = one.size
        first = np.unique(np.round(np.linspace(0, size, 7)))[1]
        assert curve.attributed == pytest.approx(first / size / 2)
