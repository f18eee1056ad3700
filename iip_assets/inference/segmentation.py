"""The segmenter in use: masks for images, through ONNX Runtime."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iip_assets.embeddings.onnx_session import open_session, run
from iip_assets.inference.preprocess import Frame
from iip_assets.inference.two_pass import box_around, cut_image, put_back

BACKGROUND = "background"
"""The class that is no part of an eye."""


def eye_classes(classes: Sequence[str]) -> tuple[int, ...]:
    """The indices of the classes that are parts of an eye; none where no class is the background.

    Without a background it cannot be told where the eye is.
    """
    if BACKGROUND not in classes:
        return ()
    return tuple(place for place, name in enumerate(classes) if name != BACKGROUND)


class Segmenter:
    """A trained segmenter, opened.

    Attributes:
        classes: The names of its classes.
        frame: Its input.
        two_pass: Whether it looks at the eye once more, closely.
    """

    def __init__(self, files: Mapping[str, bytes], *, threads: int) -> None:
        """Opens the files of a segmentation model: `segmenter.onnx`, `prior.png`, `card.json`."""
        card = json.loads(files["card.json"])
        self.classes: tuple[str, ...] = tuple(card["classes"])
        self.frame = Frame.of_card(card)
        self.two_pass = bool(card.get("two_pass"))
        self._eye = eye_classes(self.classes)
        self._prior = np.asarray(Image.open(io.BytesIO(files["prior.png"])), dtype=np.uint8)
        self._session = open_session(files["segmenter.onnx"], threads=threads)

    def segment(self, images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        """Class indices (H, W) for each (H, W, 3) image, at its own size."""
        if not images:
            return []
        found = [
            self.frame.classes_of(one, height=image.shape[0], width=image.shape[1])
            for one, image in zip(self._logits(images), images, strict=True)
        ]
        return self._closely(images, found) if self.two_pass else found

    def _logits(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(B, K, h, w) of whole images."""
        return self.logits_fitted(np.stack([self.frame.fit_image(image) for image in images]))

    def _closely(
        self, images: Sequence[NDArray[np.uint8]], found: list[NDArray[np.uint8]]
    ) -> list[NDArray[np.uint8]]:
        """What was found, with each eye looked at once more."""
        boxes = [box_around(np.isin(one, self._eye), self.frame) for one in found]
        seen = [(place, box) for place, box in enumerate(boxes) if box is not None]
        if not seen:
            return found
        close = np.stack([cut_image(images[place], box, self.frame) for place, box in seen])
        logits = self.logits_fitted(close)
        for (place, box), one in zip(seen, logits, strict=True):
            found[place] = put_back(found[place], one, box)
        return found

    def logits_fitted(self, fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (B, K, H, W) for images (B, H, W, 3) that are in the frame already."""
        return run(self._session, self.frame.standardise(fitted))

    def prior(self, height: int, width: int) -> NDArray[np.uint8]:
        """What a segmenter says that never looks: the training masks' commonest class by place."""
        place = self.frame.place(height, width)
        inside = place.cut(self._prior.astype(np.float32)).astype(np.uint8)
        rows = np.minimum(np.arange(height) * inside.shape[0] // height, inside.shape[0] - 1)
        columns = np.minimum(np.arange(width) * inside.shape[1] // width, inside.shape[1] - 1)
        return np.asarray(inside[rows][:, columns])


def prior_png(masks: Iterable[NDArray[np.uint8]], classes: int) -> bytes:
    """The commonest class at each place of masks (H, W) that are in the frame, as a PNG.

    Where no mask was ever labelled it is the class that is commonest of all.
    """
    names = np.arange(classes)[:, None, None]
    counts = np.asarray(sum((mask == names).astype(np.int64) for mask in masks))
    commonest = counts.argmax(0)
    commonest[counts.sum(0) == 0] = counts.sum((1, 2)).argmax()
    buffer = io.BytesIO()
    Image.fromarray(commonest.astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()
