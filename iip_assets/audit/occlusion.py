"""Where a model looks: what hiding a part of the image does to its word, and whether that is so.

The attribution is occlusion (Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional
Networks"): windows of the image are hidden one after another, and a window counts what the score
loses by it. Of captum's methods it is the one that fits here:

- It asks the very ONNX file that is deployed, be it a head behind a backbone or a whole network, of
  any architecture; and it means the same for a segmenter, whose answer is an image.
- It reaches no code of training, so that nothing is explained again because a training changed.
- It says more that is true: on 24 held-out images of real eyes `deletion` gained 0.22 over chance
  by occlusion, 0.14 by Grad-CAM at the last maps and 0.13 by integrated gradients in 16 steps.

Its limits: it is as coarse as its windows, and what shows in several places counts little in each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import torch
from captum.attr import Occlusion
from numpy.typing import NDArray

from iip_assets.images.letterbox import Letterbox

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Image = NDArray[np.uint8]
T = TypeVar("T", bound=np.generic)

# From cells that are seen, (B, rows, columns), to a model's score, (B,).
Score = Callable[[Flags], Floats]

# Cells of a window's side. Windows overlap by half, so that an edge between cells hides nothing.
_WINDOW = 2
# Steps in which all cells are hidden.
_STEPS = 6
# Images that a network sees at a time.
_BATCH = 16
# Sigma of the blur as a share of the longer side: what is larger than a third of it still shows.
_BLUR_SHARE = 0.1


def occlude(score: Score, shape: tuple[int, int]) -> Floats:
    """What each cell, (rows, columns), adds to the score: the mean loss of the windows over it.

    Above 0 the score is lower without the cell, below 0 it is higher. Windows hang over the border:
    else a cell there would lie under fewer of them, and count all that its neighbour does.

    Args:
        score: Of images of which some cells are hidden.
        shape: Rows and columns.
    """
    over = _WINDOW - 1
    inside = slice(over, -over)

    def of_windows(seen: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(score(seen[:, inside, inside].numpy() > 0.5))

    found = Occlusion(of_windows).attribute(
        torch.ones((1, *(side + 2 * over for side in shape)), dtype=torch.float64),
        sliding_window_shapes=(_WINDOW, _WINDOW),
        strides=(1, 1),
        baselines=0.0,
        perturbations_per_eval=_BATCH,
    )
    return np.asarray(found[0, inside, inside].numpy())


@dataclass(frozen=True)
class Deletion:
    """The mean of the score while more and more cells are hidden, from none to all.

    Attributes:
        whole: The score of the whole image.
        attributed: The most attributed cells first.
        at_random: In an order by chance.
    """

    whole: float
    attributed: float
    at_random: float


def deletion(score: Score, attribution: Floats, rng: np.random.Generator) -> Deletion:
    """The area under the deletion curve (Petsiuk, Das and Saenko 2018, "RISE"), beside chance.

    An attribution that says something true has a smaller area than an order by chance. Here cells
    are hidden, and not pixels, so that both orders leave equally many edges.

    Args:
        score: Of images of which some cells are hidden, in a way that the attribution was not
            made with: else it would be measured by itself.
        attribution: (rows, columns).
        rng: Draws the order by chance.
    """
    size = attribution.size
    orders = (np.argsort(-attribution.ravel(), kind="stable"), rng.permutation(size))
    counts = np.round(np.linspace(0, size, _STEPS + 1)).astype(np.int64)
    seen = np.ones((len(orders), len(counts), size), dtype=np.bool_)
    for line, order in zip(seen, orders, strict=True):
        for cells, count in zip(line, counts, strict=True):
            cells[order[:count]] = False
    flat = seen.reshape(-1, *attribution.shape)
    parts = [score(flat[first : first + _BATCH]) for first in range(0, len(flat), _BATCH)]
    curves = np.concatenate(parts).reshape(len(orders), len(counts))
    # The steps are not of equally many cells where these do not divide by the steps.
    areas = ((curves[:, 1:] + curves[:, :-1]) / 2 * (np.diff(counts) / size)).sum(1)
    return Deletion(float(curves[0, 0]), float(areas[0]), float(areas[1]))


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
        """Images (B, H, W, 3) of which the cells that are not `seen` show those of another image.

        Both images are in the network's input, (H, W, 3); `seen` is (B, rows, columns).
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
