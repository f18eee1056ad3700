"""Each kind of error of a mask is told from the others, and its place is named."""

import cv2
import numpy as np
import pytest

from iip_assets.inference.frame import Frame
from iip_assets.labels.mask_scores import KINDS, compared, mask_numbers
from iip_assets_tests.labels.drawn import EYE, damaged, eye_mask, shares_of

TRUE = eye_mask()


def gains(given, shares=None):
    row = mask_numbers(given, shares_of(TRUE) if shares is None else shares, EYE)
    return {kind: row[f"gain_{kind}"] for kind in KINDS}, row


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_gains_the_most_by_its_own_change(kind):
    found, row = gains(damaged(TRUE, kind))
    assert max(found, key=found.__getitem__) == kind
    assert found[kind] > 0.8 * row["gain_all"] > 0


def test_a_mask_that_is_right_gains_next_to_nothing_however_unsure_the_segmenter_is():
    for sure in (0.97, 0.6):
        found, _ = gains(TRUE, shares_of(TRUE, sure=sure))
        assert max(found.values()) < 1


def test_the_change_says_which_classes_how_far_and_how_much():
    assert gains(damaged(TRUE, "swapped"))[1]["change_swapped"] == [2, 3]
    assert gains(damaged(TRUE, "shifted"))[1]["change_shifted"] == [-7, -4]
    index, pixels = gains(damaged(TRUE, "resized"))[1]["change_resized"]
    assert index == 2
    assert -5 <= pixels <= -3
    assert gains(damaged(TRUE, "missing"))[1]["change_missing"] == [3]


@pytest.mark.parametrize("kind", KINDS)
def test_the_region_covers_what_is_wrong(kind):
    spoiled = damaged(TRUE, kind)
    left, top, width, height = gains(spoiled)[1][f"region_{kind}"]
    inside = np.zeros(TRUE.shape, bool)
    inside[top : top + height, left : left + width] = True
    wrong = spoiled != TRUE
    assert (wrong & inside).sum() >= 0.8 * wrong.sum()


def test_pixels_that_are_not_labelled_are_no_error():
    given = TRUE.copy()
    given[:, :70] = 255
    found, row = gains(given)
    assert max(found.values()) < 1
    assert sum(row["given"]) == (given != 255).sum()
    nothing, _ = gains(np.full_like(TRUE, 255))
    assert set(nothing.values()) == {0.0}


def test_a_closed_eye_without_a_mask_is_no_empty_mask():
    closed = np.zeros_like(TRUE)
    assert max(gains(closed, shares_of(closed))[0].values()) < 1


class Painted:
    """A segmenter that tells classes by their grey, 60 apart; its first look may be blind."""

    classes = ("background", "sclera", "iris", "pupil")
    frame = Frame(128, 96)

    def __init__(self, *, blind=False):
        self.looks = -1 if blind else 0

    def logits_fitted(self, fitted):
        self.looks += 1
        seen = np.zeros_like(fitted[..., 0]) if self.looks == 0 else fitted[..., 0]
        nearest = np.round(seen / 60).clip(0, 3)
        return 6 * np.stack([nearest == k for k in range(4)], 1).astype(np.float32)


def photograph(width, height, *, at):
    mask = np.zeros((height, width), np.uint8)
    for index, radii in ((1, (60, 36)), (2, (30, 30)), (3, (12, 12))):
        cv2.ellipse(mask, at, radii, 0, 0, 360, index, cv2.FILLED)
    return np.repeat(mask[..., None] * 60, 3, 2), mask


@pytest.mark.parametrize("at", [(90, 70), (250, 190), (310, 10)], ids=["inside", "low", "cut off"])
def test_both_looks_see_the_eye_where_the_mask_has_it(at):
    image, mask = photograph(320, 260, at=at)
    _, given, shares = compared(image, mask, Painted())
    known = given != 255
    for index in (1, 2, 3):
        one, other = (given == index) & known, (shares.argmax(0) == index) & known
        assert (one & other).sum() >= 0.95 * (one | other).sum()
    # Where both are as sure they are so together: nothing lies aside.
    assert (np.where(known, shares.max(0), 1) > 0.9).mean() > 0.9


def test_an_eye_that_only_the_close_look_sees_may_not_be_there():
    image, mask = photograph(320, 240, at=(160, 120))
    both, close = (compared(image, mask, Painted(blind=blind))[2] for blind in (False, True))
    assert both[1:].sum(0).max() > 0.95
    assert close[1:].sum(0).max() < 0.8
