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
from iip_assets.inference.frame import Frame, box_around, cut_image, put_back, put_back_share
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

        Args:
            files: By name.
            threads: On the processor.
            promised: A class, and from what probability on a pixel is of it whatever is likelier.
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
        if self._promised is None:
            return self._looked(images)[0]
        name, least = self._promised
        place = self.classes.index(name)
        found, shares = self._looked(images, place)
        for one, share in zip(found, shares, strict=True):
            one[share >= np.float64(least)] = place
        return found

    def scored(self, images: Sequence[NDArray[np.uint8]], name: str) -> list[NDArray[np.float32]]:
        """How surely each pixel is of a class, (H, W) for each image; 1 where it is named so.

        A pixel of a lower threshold than any other class leaves is added to the class: what is of
        it already stays.
        """
        place = self.classes.index(name)
        found, shares = self._looked(images, place)
        return [
            np.where(one == place, np.float32(1), share)
            for one, share in zip(found, shares, strict=True)
        ]

    def _looked(
        self, images: Sequence[NDArray[np.uint8]], place: int | None = None
    ) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.float32]]]:
        """Class indices of each image, and the probabilities of one class if asked for."""
        found: list[NDArray[np.uint8]] = []
        shares: list[NDArray[np.float32]] = []
        if images:
            for one, image in zip(self._logits(images), images, strict=True):
                height, width = image.shape[:2]
                found.append(self.frame.classes_of(one, height=height, width=width))
                if place is not None:
                    shares.append(self.frame.share_of(one, place, height=height, width=width))
        if self.two_pass:
            self._closely(images, found, shares, place)
        return found, shares

    def _logits(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(B, K, h, w) of whole images."""
        return self.logits_fitted(np.stack([self.frame.fit_image(image) for image in images]))

    def _closely(
        self,
        images: Sequence[NDArray[np.uint8]],
        found: list[NDArray[np.uint8]],
        shares: list[NDArray[np.float32]],
        place: int | None,
    ) -> None:
        """Looks at each eye once more, and puts what it sees into what was found."""
        boxes = [box_around(np.isin(one, self._eye), self.frame) for one in found]
        seen = [(at, box) for at, box in enumerate(boxes) if box is not None]
        if not seen:
            return
        close = np.stack([cut_image(images[at], box, self.frame) for at, box in seen])
        for (at, box), one in zip(seen, self.logits_fitted(close), strict=True):
            found[at] = put_back(found[at], one, box)
            if place is not None:
                shares[at] = put_back_share(shares[at], one, box, place)

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
