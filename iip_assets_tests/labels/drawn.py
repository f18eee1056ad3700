"""Masks of an eye with known truth, and what a segmenter that saw it would say."""

import cv2
import numpy as np

CLASSES = ("background", "sclera", "iris", "pupil")
EYE = (1, 2, 3)
SIZE = (128, 96)


def eye_mask(middle=(64, 48), iris=18, pupil=7):
    """Class indices (96, 128) of an open eye."""
    mask = np.zeros(SIZE[::-1], np.uint8)
    cv2.ellipse(mask, middle, (44, 24), 0, 0, 360, 1, cv2.FILLED)
    cv2.circle(mask, middle, iris, 2, cv2.FILLED)
    cv2.circle(mask, middle, pupil, 3, cv2.FILLED)
    return mask


def shares_of(mask, *, sure=0.97, soft=2.0):
    """Probabilities (4, H, W) of one who is sure inside and unsure at the borders."""
    parts = np.stack([(mask == index).astype(np.float32) for index in range(4)])
    blurred = np.stack([cv2.GaussianBlur(part, (0, 0), soft) for part in parts])
    return (blurred * sure + (1 - sure) / 4).astype(np.float32)


def damaged(mask, kind):
    """The mask with an error."""
    spoiled = mask.copy()
    if kind == "swapped":
        spoiled[mask == 2], spoiled[mask == 3] = 3, 2
    elif kind == "shifted":
        spoiled = np.roll(mask, (4, 7), (0, 1))
    elif kind == "resized":
        grown = cv2.dilate((mask >= 2).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        spoiled[grown & (mask < 2)] = 2
    elif kind == "missing":
        spoiled[mask == 3] = 2
    elif kind == "empty":
        spoiled[:] = 0
    return spoiled
