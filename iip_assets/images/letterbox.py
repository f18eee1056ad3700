"""Fitting an image of any shape into a network's fixed input without distortion, and back.

An iris is a disc, and its shape tells how open and how turned the eye is: stretching an image to
the input's shape would turn discs into ellipses. So the image keeps its aspect and stands in the
middle of a plain field.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Letterbox:
    """Where an image stands inside a network's input, all in pixels."""

    input_width: int  # width of the network's input
    input_height: int  # its height
    left: int  # column at which the image begins
    top: int  # row at which it begins
    width: int  # the image's width there
    height: int  # its height there

    @classmethod
    def of(
        cls, image_width: int, image_height: int, input_width: int, input_height: int
    ) -> Letterbox:
        """The largest centred place that keeps the aspect, in whole pixels (one at least)."""
        scale = min(input_width / image_width, input_height / image_height)
        width = min(input_width, max(1, round(image_width * scale)))
        height = min(input_height, max(1, round(image_height * scale)))
        left = (input_width - width) // 2
        top = (input_height - height) // 2
        return cls(input_width, input_height, left, top, width, height)

    def place(self, pixels: NDArray[np.uint8], *, fill: int, nearest: bool) -> NDArray[np.uint8]:
        """The image or mask, (H, W) or (H, W, 3), in a field of `fill` of the input's size.

        `nearest` is for values that are indices, which must not be mixed.
        """
        field = np.full((self.input_height, self.input_width, *pixels.shape[2:]), fill, np.uint8)
        rows = slice(self.top, self.top + self.height)
        columns = slice(self.left, self.left + self.width)
        field[rows, columns] = _resize(pixels, self.width, self.height, nearest=nearest)
        return field

    def cut(self, field: NDArray[np.float32]) -> NDArray[np.float32]:
        """The part of a field of the input's size, (..., H, W), that the image covers."""
        rows = slice(self.top, self.top + self.height)
        return field[..., rows, self.left : self.left + self.width]


def letterbox_image(
    image: NDArray[np.uint8], input_width: int, input_height: int
) -> NDArray[np.uint8]:
    """The (H, W, 3) image fitted into (input_height, input_width, 3), mid-grey around it."""
    place = Letterbox.of(image.shape[1], image.shape[0], input_width, input_height)
    return place.place(image, fill=127, nearest=False)


def _resize(
    pixels: NDArray[np.uint8], width: int, height: int, *, nearest: bool
) -> NDArray[np.uint8]:
    if pixels.shape[:2] == (height, width):
        return pixels
    if nearest:
        method = cv2.INTER_NEAREST_EXACT
    else:
        # Averaging over areas when shrinking: anything else turns fine texture into noise.
        method = cv2.INTER_AREA if width < pixels.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=method), dtype=np.uint8)
