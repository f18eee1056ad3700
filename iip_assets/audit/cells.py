"""An image cut into cells that can be hidden: what occlusion and deletion are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.images.letterbox import Letterbox

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Image = NDArray[np.uint8]
T = TypeVar("T", bound=np.generic)

# Sigma of the blur as a share of the longer side: what is larger than a third of it still shows.
_BLUR_SHARE = 0.1


@dataclass(frozen=True)
class Cells:
    """The borders of cells inside the part of a network's input that the image covers.

    Attributes:
        tops: Row at which each line of cells begins, and the last one ends; (rows + 1,).
        lefts: Likewise of columns, (columns + 1,).
    """

    tops: NDArray[np.int64]
    lefts: NDArray[np.int64]

    @classmethod
    def of(cls, place: Letterbox, along: int) -> Cells:
        """About square cells, `along` of them on the image's longer side, one pixel at least."""
        side_px = max(place.width, place.height) / along
        rows = min(place.height, max(1, round(place.height / side_px)))
        columns = min(place.width, max(1, round(place.width / side_px)))
        return cls(
            place.top + np.round(np.linspace(0, place.height, rows + 1)).astype(np.int64),
            place.left + np.round(np.linspace(0, place.width, columns + 1)).astype(np.int64),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.tops) - 1, len(self.lefts) - 1

    def inside(self, field: NDArray[T]) -> NDArray[T]:
        """The part of a field (H, W, …) of the input's size that the cells cover."""
        return field[self.tops[0] : self.tops[-1], self.lefts[0] : self.lefts[-1]]

    def spread(self, values: Flags) -> Flags:
        """Cells (rows, columns) as pixels of the part that they cover."""
        lines = np.repeat(values, np.diff(self.tops), axis=0)
        return np.asarray(np.repeat(lines, np.diff(self.lefts), axis=1))

    def shares(self, region: Flags) -> Floats:
        """The share of each cell that a region (H, W) of the input's size fills."""
        found = self.inside(region).astype(np.float64)
        by_line = np.add.reduceat(found, self.tops[:-1] - self.tops[0], axis=0)
        counts = np.add.reduceat(by_line, self.lefts[:-1] - self.lefts[0], axis=1)
        return np.asarray(counts / self.areas())

    def areas(self) -> Floats:
        """Pixels of each cell, (rows, columns)."""
        return np.outer(np.diff(self.tops), np.diff(self.lefts)).astype(np.float64)

    def shown(self, fitted: Image, instead: Image, seen: Flags) -> Image:
        """Images in which the cells that are not `seen` show something else.

        Args:
            fitted: The image in the network's input, (H, W, 3).
            instead: What a hidden cell shows, (H, W, 3).
            seen: (B, rows, columns).

        Returns:
            (B, H, W, 3).
        """
        images = np.repeat(fitted[None], len(seen), axis=0)
        there, other = (self.inside(one) for one in (fitted, instead))
        for image, cells in zip(images, seen, strict=True):
            self.inside(image)[:] = np.where(self.spread(cells)[:, :, None], there, other)
        return images


def blurred(fitted: Image, cells: Cells) -> Image:
    """The image with all detail gone, mirrored at its borders: light and skin colour remain."""
    part = np.ascontiguousarray(cells.inside(fitted))
    sigma = _BLUR_SHARE * max(part.shape[:2])
    return _with_part(fitted, cells, cv2.GaussianBlur(part, (0, 0), sigma))


def evened(fitted: Image, cells: Cells) -> Image:
    """The image with everything in its mean colour."""
    part = cells.inside(fitted)
    return _with_part(fitted, cells, np.round(part.mean((0, 1))))


def _with_part(fitted: Image, cells: Cells, part: NDArray[np.generic]) -> Image:
    changed = fitted.copy()
    cells.inside(changed)[:] = part
    return changed
