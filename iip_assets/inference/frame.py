"""The segmenter's input and output: images into its frame, its numbers back, in one pass or two.

Training, predictions and the robustness benchmark share this, so that they cannot differ.

An eye fills a small part of most images, and the borders of iris and pupil are as sharp as the
network's input shows them. What is learned are whole images and close ones alike, by one network.
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

Image = NDArray[np.uint8]
Mask = NDArray[np.uint8]

# How much wider than the eye a close look is: room for an eye that the first look saw too small.
_MARGIN = 1.4

# In training, so that it matters little how well the first look saw.
_LEAST_MARGIN, _MOST_MARGIN = 1.1, 2.4

# A smaller eye is no more than a few pixels, of which nothing more can be seen.
_LEAST_PX = 24
_Place = tuple[slice, slice]


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

    def enlarged(
        self, logits: NDArray[np.float32], *, height: int, width: int
    ) -> NDArray[np.float32]:
        """Logits (K, height, width) at the image's own size, all at once, from (K, H, W)."""
        return np.stack(_enlarged(self.place(height, width).cut(logits), (width, height)))


@dataclass(frozen=True)
class Box:
    """A part of an image, in whole pixels; it may reach beyond the image.

    Attributes:
        left: Its first column.
        top: Its first row.
        width: Columns.
        height: Rows.
    """

    left: int
    top: int
    width: int
    height: int


def box_around(eye: NDArray[np.bool_], frame: Frame) -> Box | None:
    """Where to look closely, by the first look's (H, W): its largest region; None without one."""
    count, regions, facts, _ = cv2.connectedComponentsWithStats(eye.astype(np.uint8))
    if count < 2:
        return None
    largest = 1 + int(facts[1:, cv2.CC_STAT_AREA].argmax())
    return _box(regions == largest, frame, margin=_MARGIN, shift=(0.0, 0.0))


def drawn_box(eye: NDArray[np.bool_], frame: Frame, rng: np.random.Generator) -> Box | None:
    """A close look at a training image, by its mask (H, W), as a first look might ask for it."""
    if not eye.any():
        return None
    margin = float(np.exp(rng.uniform(np.log(_LEAST_MARGIN), np.log(_MOST_MARGIN))))
    across, down = rng.uniform(-1, 1, 2)
    return _box(eye, frame, margin=margin, shift=(float(across), float(down)))


def cut_image(image: Image, box: Box, frame: Frame) -> Image:
    """The part of an image (H, W, 3) in the frame, mid-grey where there is no image."""
    part = _part(image, box, FILL)
    smaller = frame.width < box.width
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (frame.width, frame.height), interpolation=method), np.uint8)


def cut_mask(mask: Mask, box: Box, frame: Frame) -> Mask:
    """The part of a mask (H, W) in the frame, not labelled where there is no image."""
    part = _part(mask, box, NOT_LABELLED)
    size = (frame.width, frame.height)
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def put_back(classes: Mask, logits: NDArray[np.float32], box: Box) -> Mask:
    """Class indices (H, W) with those of a close look, (K, h, w) logits, in their place."""
    planes = _enlarged(logits, (box.width, box.height))
    there, here = _overlap(box, *classes.shape)
    found = classes.copy()
    found[there] = np.stack([plane[here] for plane in planes]).argmax(0)
    return found


def put_back_logits(
    planes: NDArray[np.float32], logits: NDArray[np.float32], box: Box
) -> NDArray[np.float32]:
    """Logits (K, H, W) with those of a close look in their place."""
    there, here = _overlap(box, *planes.shape[1:])
    found = planes.copy()
    found[:, *there] = [plane[here] for plane in _enlarged(logits, (box.width, box.height))]
    return found


def _enlarged(logits: NDArray[np.float32], size: tuple[int, int]) -> list[NDArray[np.float32]]:
    return [
        np.asarray(cv2.resize(np.ascontiguousarray(plane), size, interpolation=cv2.INTER_LINEAR))
        for plane in logits
    ]


def _box(eye: NDArray[np.bool_], frame: Frame, *, margin: float, shift: tuple[float, float]) -> Box:
    """Around the eye, of the frame's shape; moved by shares of the room that the margin leaves."""
    rows, columns = np.flatnonzero(eye.any(1)), np.flatnonzero(eye.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    tight = max(right - left, (bottom - top) * frame.width / frame.height)
    width = max(_LEAST_PX, round(tight * margin))
    height = max(1, round(width * frame.height / frame.width))
    room = (width - tight) / 2
    across = (left + right) / 2 + shift[0] * room
    down = (top + bottom) / 2 + shift[1] * room * frame.height / frame.width
    return Box(round(across - width / 2), round(down - height / 2), width, height)


def _part(pixels: NDArray[np.uint8], box: Box, fill: int) -> NDArray[np.uint8]:
    part = np.full((box.height, box.width, *pixels.shape[2:]), fill, np.uint8)
    there, here = _overlap(box, *pixels.shape[:2])
    part[here] = pixels[there]
    return part


def _overlap(box: Box, height: int, width: int) -> tuple[_Place, _Place]:
    """Where a box and an image of this size overlap: in the image, and in the box."""
    spans = [
        (max(0, min(first, size)), max(0, min(first + length, size)), first)
        for first, length, size in ((box.top, box.height, height), (box.left, box.width, width))
    ]
    rows, columns = (slice(start, stop) for start, stop, _ in spans)
    if any(start == stop for start, stop, _ in spans):
        return (slice(0, 0), slice(0, 0)), (slice(0, 0), slice(0, 0))
    inner = [slice(start - first, stop - first) for start, stop, first in spans]
    return (rows, columns), (inner[0], inner[1])
