"""The segmenter in use, through ONNX Runtime: masks for images, and their pixel counts."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from iip_assets.embeddings.onnx_session import open_session, run
from iip_assets.engine.values import Files
from iip_assets.images.decode import decode_image, decode_mask
from iip_assets.images.store import Reader, Store
from iip_assets.inference.frame import Frame, box_around, cut_image, put_back, put_back_logits
from iip_assets.metrics.functional import boundary_counts, mask_confusion

if TYPE_CHECKING:
    from iip_assets.engine.features import Filled

BACKGROUND = "background"
"""The class that is no part of an eye."""

# Images the network sees at a time.
_BATCH = 8


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

    def __init__(
        self,
        files: Mapping[str, bytes],
        *,
        threads: int,
        promised: tuple[str, float] | None = None,
    ) -> None:
        """Opens the files of a segmentation model: `segmenter.onnx`, `prior.png`, `card.json`.

        With `promised`, a pixel is of that class from that probability on, whatever is likelier.
        """
        card = json.loads(files["card.json"])
        self.classes: tuple[str, ...] = tuple(card["classes"])
        self.frame = Frame.of_card(card)
        self.two_pass = bool(card.get("two_pass"))
        self._eye = eye_classes(self.classes)
        self._prior = np.asarray(Image.open(io.BytesIO(files["prior.png"])), dtype=np.uint8)
        self._session = open_session(files["segmenter.onnx"], threads=threads)
        self._promised = promised

    def segment(self, images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        """Class indices (H, W) for each (H, W, 3) image, at its own size."""
        if not images:
            return []
        if self._promised is not None:
            name, least = self._promised
            pairs = (self.scored(image, name) for image in images)
            place = np.uint8(self.classes.index(name))
            return [np.where(score >= np.float64(least), place, one) for one, score in pairs]
        found = [
            self.frame.classes_of(one, height=image.shape[0], width=image.shape[1])
            for one, image in zip(self._logits(images), images, strict=True)
        ]
        return self._closely(images, found) if self.two_pass else found

    def scored(
        self, image: NDArray[np.uint8], name: str
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Class indices (H, W), and how surely each pixel is of a class: 1 where it is named so."""
        height, width = image.shape[:2]
        planes = self.frame.enlarged(self._logits([image])[0], height=height, width=width)
        eye = np.isin(planes.argmax(0), self._eye)
        if self.two_pass and (box := box_around(eye, self.frame)) is not None:
            close = self.logits_fitted(cut_image(image, box, self.frame)[None])[0]
            planes = put_back_logits(planes, close, box)
        found = planes.argmax(0).astype(np.uint8)
        planes = np.exp(planes - planes.max(0))
        place = self.classes.index(name)
        return found, np.where(found == place, np.float32(1), planes[place] / planes.sum(0))

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


def segment_images(
    model: Files,
    masked: pl.DataFrame,
    store: Store,
    *,
    fill: Callable[..., Filled],
    max_megapixels: float,
    threads: int,
    chunk: int,
) -> pl.DataFrame:
    """`image_id`, `mask_id` and what `segment_chunk` gives of images with a valid mask.

    It is kept by `fill` (`AssetContext.fill`), so many images a chunk.
    """
    store.fetch([*masked["image_id"], *masked["mask_id"]])
    segmenter = Segmenter(model.parts, threads=threads)
    return fill(
        "segmentations",
        masked.select("image_id", "mask_id"),
        segment_chunk,
        given={"max_megapixels": max_megapixels},
        key={"model": model.digest},
        tools={"segmenter": segmenter, "store": store, "threads": threads},
        chunk=chunk,
    ).frame


def segment_chunk(
    records: Sequence[dict[str, Any]],
    *,
    max_megapixels: float,
    segmenter: Segmenter,
    store: Reader,
    threads: int,
) -> list[dict[str, Any]]:
    """`confusion`, `baseline` (K, K) and `boundary` (K, 4) of each image, as lists row by row.

    The first two are pixel counts, the last is that of `boundary_counts`. Records have an
    `image_id` and a `mask_id`, both of which can be decoded.
    """
    classes = len(segmenter.classes)

    def pair_of(record: dict[str, Any]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        return read_pair(store, record, classes=classes, max_megapixels=max_megapixels)

    results: list[dict[str, Any]] = []
    with ThreadPoolExecutor(threads) as pool:
        waiting = pool.map(pair_of, records)
        while pairs := list(islice(waiting, _BATCH)):
            found = segmenter.segment([image for image, _ in pairs])
            for (_, mask), predicted in zip(pairs, found, strict=True):
                blind = segmenter.prior(*mask.shape)
                results.append(
                    {
                        "confusion": mask_confusion(mask, predicted, classes).ravel().tolist(),
                        "baseline": mask_confusion(mask, blind, classes).ravel().tolist(),
                        "boundary": boundary_counts(mask, predicted, classes).ravel().tolist(),
                    }
                )
    return results


def read_pair(
    store: Reader, record: dict[str, Any], *, classes: int, max_megapixels: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image (H, W, 3) and mask (H, W) of a record with `image_id` and `mask_id`.

    Raises:
        Undecodable: One of them cannot be decoded.
    """
    image = decode_image(store.read(record["image_id"]), max_megapixels=max_megapixels)
    height, width = image.shape[:2]
    mask = decode_mask(store.read(record["mask_id"]), height=height, width=width, n_classes=classes)
    return image, mask
