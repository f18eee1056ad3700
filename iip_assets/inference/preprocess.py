"""The segmenter's input and output: images into its frame, its numbers back onto the image.

Training, predictions and the robustness benchmark share this, so that they cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.images.decode import NOT_LABELLED
from iip_assets.images.letterbox import Letterbox

FILL = 127
"""Mid-grey, which the networks see as 0."""


@dataclass(frozen=True)
class Frame:
    """What the segmenter's input looks like.

    Attributes:
        width: Of the input, in pixels.
        height: Of the input, in pixels.
        mean: Of each channel, on a scale of 0 to 1.
        std: Of each channel, on the same scale.
    """

    width: int
    height: int
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    @classmethod
    def of_card(cls, card: Mapping[str, Any]) -> Frame:
        """The frame that a model's card describes."""
        red, green, blue = card["mean"]
        red_std, green_std, blue_std = card["std"]
        return cls(
            width=int(card["input_width"]),
            height=int(card["input_height"]),
            mean=(red, green, blue),
            std=(red_std, green_std, blue_std),
        )

    def place(self, height: int, width: int) -> Letterbox:
        """Where an image of this size stands in the frame."""
        return Letterbox.of(width, height, self.width, self.height)

    def fit_image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The (H, W, 3) image in the frame, undistorted, mid-grey around it."""
        return self.place(*image.shape[:2]).place(image, fill=FILL, nearest=False)

    def fit_mask(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The (H, W) mask in the frame, not labelled around it."""
        return self.place(*mask.shape[:2]).place(mask, fill=NOT_LABELLED, nearest=True)

    def standardise(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, H, W, 3) uint8 to (B, 3, H, W) float32."""
        mean, std = np.array(self.mean), np.array(self.std)
        floats = images.astype(np.float32)
        floats *= (1 / (255 * std)).astype(np.float32)
        floats -= (mean / std).astype(np.float32)
        return np.ascontiguousarray(floats.transpose(0, 3, 1, 2))

    def classes_of(
        self, logits: NDArray[np.float32], *, height: int, width: int
    ) -> NDArray[np.uint8]:
        """Class indices at the image's own size, (height, width), from (K, H, W) logits.

        The logits are enlarged before the largest is taken, which keeps borders smooth. One class
        is enlarged at a time, so that a large image needs little memory.
        """
        inside = self.place(height, width).cut(logits)
        best = np.full((height, width), -np.inf, np.float32)
        winner = np.zeros((height, width), np.uint8)
        for index, plane in enumerate(inside):
            enlarged = cv2.resize(
                np.ascontiguousarray(plane), (width, height), interpolation=cv2.INTER_LINEAR
            )
            higher = enlarged > best
            best[higher] = enlarged[higher]
            winner[higher] = index
        return winner


def mask_confusion(
    mask: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int
) -> NDArray[np.int64]:
    """Pixel counts (K, K), actual class by predicted class, over the labelled pixels."""
    labelled = mask != NOT_LABELLED
    cells = mask[labelled].astype(np.int64) * classes + predicted[labelled]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)
