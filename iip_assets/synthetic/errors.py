"""Mistakes that a labeler makes: a wrong filter label, a spoiled mask."""

from __future__ import annotations

import cv2
import numpy as np

from iip_assets.synthetic.effects import LabelFate, MaskError
from iip_assets.synthetic.masks import BACKGROUND, IRIS, PUPIL, SCLERA, Label, Mask
from iip_assets.synthetic.population import pick

# People mistake a label for the one next to it more often than for the far one.
_CONFUSIONS: dict[Label, dict[Label, float]] = {
    "full": {"partial": 0.85, "none": 0.15},
    "partial": {"full": 0.6, "none": 0.4},
    "none": {"partial": 0.8, "full": 0.2},
}


def written_label(truth: Label, fate: LabelFate, seed: int) -> str:
    """What stands in the label file for an image of this true label; "" when unlabelled."""
    if fate == "unlabelled":
        return ""
    if fate == "unclear":
        return "unclear"
    if fate == "wrong":
        return pick(np.random.default_rng([seed, 0]), _CONFUSIONS[truth])
    return truth


def spoiled_mask(mask: Mask, error: MaskError, seed: int) -> tuple[Mask, MaskError | None]:
    """The mask with an error in it, and the error that came of it.

    A mask that lacks the class in question is shifted instead; an empty one stays as it is.
    """
    rng = np.random.default_rng([seed, 1])
    if not mask.any():
        return mask, None
    spoiled = _apply(mask, error, rng)
    if not np.array_equal(spoiled, mask):
        return spoiled, error
    shifted = _shifted(mask, rng)
    return (mask, None) if np.array_equal(shifted, mask) else (shifted, "shifted")


def _apply(mask: Mask, error: MaskError, rng: np.random.Generator) -> Mask:
    if error == "shifted":
        return _shifted(mask, rng)
    if error == "no_pupil":
        return np.where(mask == PUPIL, np.uint8(IRIS), mask)
    if error == "no_sclera":
        return np.where(mask == SCLERA, np.uint8(BACKGROUND), mask)
    side = 2 * max(2, round(mask.shape[1] * rng.uniform(0.02, 0.035))) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    if error == "dilated":
        grown = cv2.dilate((mask >= IRIS).astype(np.uint8), kernel) > 0
        return np.where(grown & (mask < IRIS), np.uint8(IRIS), mask)
    kept = cv2.erode((mask > 0).astype(np.uint8), kernel) > 0
    return np.where(kept, mask, np.uint8(BACKGROUND))


def _shifted(mask: Mask, rng: np.random.Generator) -> Mask:
    """Moved by 4% to 9% of the width."""
    turn, far = rng.uniform(0, 2 * np.pi), mask.shape[1] * rng.uniform(0.04, 0.09)
    move = np.array([(1, 0, far * np.cos(turn)), (0, 1, far * np.sin(turn))], np.float32)
    size = (mask.shape[1], mask.shape[0])
    return np.asarray(cv2.warpAffine(mask, move, size, flags=cv2.INTER_NEAREST), dtype=np.uint8)
