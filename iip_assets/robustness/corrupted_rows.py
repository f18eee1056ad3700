"""What both models say of a chunk of images under every corruption."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.engine.values import Files, Skipped
from iip_assets.images.decode import decode_image, decode_mask
from iip_assets.images.reading import Reader
from iip_assets.inference.filter_pixels import FilterFromPixels
from iip_assets.inference.preprocess import mask_confusion
from iip_assets.inference.segmentation import Segmenter
from iip_assets.robustness.corruptions import SEVERITIES, corrupt

# Larger images are shrunk first: corruptions are defined at about this size.
_LONGEST_PX = 320

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8] | None]


@dataclass(frozen=True)
class Models:
    """The models that there are, opened, and what tells them from others."""

    filter: FilterFromPixels | None
    filter_digest: str | None
    segmenter: Segmenter | None
    segmenter_digest: str | None


def open_models(
    filter_model: Files | Skipped, segmenter_model: Files | Skipped, *, threads: int
) -> Models:
    """Opens those that were not skipped."""
    the_filter = filter_digest = segmenter = segmenter_digest = None
    if not isinstance(filter_model, Skipped):
        the_filter = FilterFromPixels(filter_model.parts, threads=threads)
        filter_digest = filter_model.digest
    if not isinstance(segmenter_model, Skipped):
        segmenter = Segmenter(segmenter_model.parts, threads=threads)
        segmenter_digest = segmenter_model.digest
    return Models(the_filter, filter_digest, segmenter, segmenter_digest)


def variants(corruptions: Sequence[str]) -> list[tuple[str, int]]:
    """Corruption and severity in the order of a record's results; clean comes first."""
    return [("clean", 0), *((name, severity) for name in corruptions for severity in SEVERITIES)]


def corrupted_chunk(
    records: Sequence[dict[str, Any]],
    *,
    corruptions: Sequence[str],
    seed: int,
    max_megapixels: float,
    models: Models,
    store: Reader,
) -> list[dict[str, Any]]:
    """`probabilities` (V, K) and `confusions` (V, K, K) per image, for the V `variants`, as lists.

    Pixel counts are those of the image, shrunk; they are null without a mask or a segmenter.

    Args:
        records: Each with an `image_id` and a `mask_id` or None.
        corruptions: Names of the corruptions.
        seed: Of what they draw.
        max_megapixels: The largest image that is decoded.
        models: The models, opened.
        store: Where the images are.
    """
    results = []
    for record in records:
        image, mask = _shrunk(*_read(record, store, models, max_megapixels))
        pairs = list(_corrupted(image, mask, record["image_id"], corruptions, seed))
        results.append(
            {
                "probabilities": _probabilities(models.filter, pairs),
                "confusions": _confusions(models.segmenter, pairs),
            }
        )
    return results


def _read(record: dict[str, Any], store: Reader, models: Models, max_megapixels: float) -> Pair:
    image = decode_image(store.read(record["image_id"]), max_megapixels=max_megapixels)
    if record["mask_id"] is None or models.segmenter is None:
        return image, None
    height, width = image.shape[:2]
    data = store.read(record["mask_id"])
    classes = len(models.segmenter.classes)
    return image, decode_mask(data, height=height, width=width, n_classes=classes)


def _shrunk(image: NDArray[np.uint8], mask: NDArray[np.uint8] | None) -> Pair:
    scale = _LONGEST_PX / max(image.shape[:2])
    if scale >= 1:
        return image, mask
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    if mask is None:
        return small, None
    return small, np.asarray(
        cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8
    )


def _corrupted(
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8] | None,
    image_id: str,
    corruptions: Sequence[str],
    seed: int,
) -> Iterator[Pair]:
    for name, severity in variants(corruptions):
        if severity == 0:
            yield image, mask
        else:
            yield corrupt(name, image, mask, severity=severity, image_id=image_id, seed=seed)


def _probabilities(model: FilterFromPixels | None, pairs: Sequence[Pair]) -> list[float] | None:
    if model is None:
        return None
    found: list[float] = model.probabilities([image for image, _ in pairs]).ravel().tolist()
    return found


def _confusions(model: Segmenter | None, pairs: Sequence[Pair]) -> list[int] | None:
    if model is None or pairs[0][1] is None:
        return None
    found = model.segment([image for image, _ in pairs])
    size = len(model.classes)
    return [
        int(count)
        for (_, mask), predicted in zip(pairs, found, strict=True)
        if mask is not None
        for count in mask_confusion(mask, predicted, size).ravel()
    ]
