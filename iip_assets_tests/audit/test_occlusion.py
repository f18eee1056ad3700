"""What counts is found where it is known to be, and the check tells true from made up."""

from __future__ import annotations

import numpy as np
import pytest

from iip_assets.audit.occlusion import Cells, blurred, deletion, evened, occlude
from iip_assets.images.letterbox import Letterbox

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
