"""Images as training examples: with masks, or with labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from iip_assets.images.letterbox import letterbox_image
from iip_assets.inference.frame import Frame, box_around, cut_image, cut_mask, drawn_box
from iip_assets.models.augment import augment

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Example = tuple[Tensor, ...]
Sides = NDArray[np.int8] | None

# Beyond this, images are decoded again in every epoch.
_MEMORY_BYTES = 1024 * 1024 * 1024

# Of the training images that are looked at closely, where the network looks twice.
_CLOSE_SHARE = 0.7


class _TrainingImages(Dataset[Example]):
    """What augmentation draws depends on the seed, the epoch and the place alone.

    Not on the order of access, on the process, nor on what was drawn before.
    """

    def __init__(
        self, frame: Frame, weights: Tensor, seed: int, augmented: bool, sides: Sides
    ) -> None:
        self._frame = frame
        self._weights = weights
        self._sides = None if sides is None else torch.from_numpy(sides)
        self._seed = seed
        self._augmented = augmented

    def __len__(self) -> int:
        return len(self._weights)

    def _rng(self, item: tuple[int, int]) -> np.random.Generator | None:
        return np.random.default_rng([self._seed, *item]) if self._augmented else None

    def _counts(self, place: int) -> Example:
        """What the image counts and, for a remedy, where it stands."""
        weight = self._weights[place]
        return (weight,) if self._sides is None else (weight, self._sides[place])

    def _pixels(self, image: NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(self._frame.standardise(image[None])[0])


class MaskedImages(_TrainingImages):
    """Examples: image (3, H, W), mask (H, W) and what the image counts; in memory if they fit."""

    def __init__(
        self,
        load: Callable[[int], Pair],
        *,
        frame: Frame,
        weights: Sequence[float],
        seed: int,
        threads: int,
        augmented: bool = True,
        eye: Sequence[int] = (),
        sides: Sides = None,
    ) -> None:
        """Examples from `load`, which gives image (H, W, 3) and mask (H, W) by place.

        Args:
            load: Reads one; called from several threads.
            frame: The network's input.
            weights: What each counts, which says how many there are.
            seed: Of the augmentation.
            threads: How many to decode at a time.
            augmented: Whether to change them; without it they are the same in every epoch.
            eye: The classes that tell where an eye is. With it, most of the changed ones are close
                looks and all of the others; without it, all are whole.
            sides: (N, G) where each stands in a remedy, which makes them a fourth part.
        """
        counts = torch.tensor(list(weights), dtype=torch.float32)
        super().__init__(frame, counts, seed, augmented, sides)
        self._load = load
        self._eye = tuple(eye)
        self._kept: list[Pair] | None = None
        self._whole: list[Pair] | None = None
        with ThreadPoolExecutor(threads) as pool:
            if self._eye and len(weights) and _fits_memory(load(0)[0], len(weights)):
                self._whole = list(pool.map(load, range(len(weights))))
            if len(weights) * frame.width * frame.height * 4 <= _MEMORY_BYTES:
                self._kept = list(pool.map(self._fitted, range(len(weights))))

    def __getitem__(self, item: tuple[int, int]) -> Example:
        rng, place = self._rng(item), item[1]
        close = self._eye and (rng is None or rng.random() < _CLOSE_SHARE)
        image, mask = (self._close(place, rng) if close else None) or self.fitted(place)
        if rng is not None:
            image, mask = augment(image, mask, rng)
        classes = torch.from_numpy(mask.astype(np.int64))
        return self._pixels(image), classes, *self._counts(place)

    def fitted(self, place: int) -> Pair:
        """Image and mask in the frame, not augmented."""
        return self._kept[place] if self._kept is not None else self._fitted(place)

    def fitted_masks(self) -> Iterator[NDArray[np.uint8]]:
        """Every mask in the frame, (H, W), not augmented."""
        for place in range(len(self)):
            yield self.fitted(place)[1]

    def _close(self, place: int, rng: np.random.Generator | None) -> Pair | None:
        """A close look at the eye, if there is one; always the same without a generator."""
        image, mask = self._one(place)
        eye = np.isin(mask, self._eye)
        box = drawn_box(eye, self._frame, rng) if rng else box_around(eye, self._frame)
        if box is None:
            return None
        return cut_image(image, box, self._frame), cut_mask(mask, box, self._frame)

    def _one(self, place: int) -> Pair:
        return self._whole[place] if self._whole is not None else self._load(place)

    def _fitted(self, place: int) -> Pair:
        image, mask = self._one(place)
        return self._frame.fit_image(image), self._frame.fit_mask(mask)


def _fits_memory(image: NDArray[np.uint8], count: int) -> bool:
    """Whether that many images with masks, of about this one's size, are kept."""
    height, width = image.shape[:2]
    return int(height * width * 4 * count) <= _MEMORY_BYTES


class LabelledImages(_TrainingImages):
    """Examples: image (3, H, W), class index or shares of classes (K,), what it counts."""

    def __init__(
        self,
        load: Callable[[int], NDArray[np.uint8]],
        truth: NDArray[np.int64] | NDArray[np.float32],
        weights: NDArray[np.float64],
        *,
        frame: Frame,
        seed: int,
        threads: int,
        augmented: bool,
        sides: Sides = None,
    ) -> None:
        """Examples from `load`, which gives an image (H, W, 3) by place, as of `MaskedImages`.

        The truth is class indices (N,), or shares of classes (N, K).
        """
        counts = torch.from_numpy(weights.astype(np.float32))
        super().__init__(frame, counts, seed, augmented, sides)
        self._truth = torch.from_numpy(truth)

        def fitted(place: int) -> NDArray[np.uint8]:
            return letterbox_image(load(place), frame.width, frame.height)

        with ThreadPoolExecutor(threads) as pool:
            self._kept = list(pool.map(fitted, range(len(truth))))

    def __getitem__(self, item: tuple[int, int]) -> Example:
        rng, place = self._rng(item), item[1]
        image = self._kept[place]
        if rng is not None:
            image, _ = augment(image, np.zeros(image.shape[:2], np.uint8), rng)
        return self._pixels(image), self._truth[place], *self._counts(place)
