"""Explains a chunk of images: where a model looked, and whether that is so.

The model is asked about an image of which some cells are hidden. For the attribution these are
blurred: light and colour of the place remain, and no edge appears that no image has. For the
deletion check they are in the image's mean colour, so that the attribution is not measured by
what made it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.audit.occlusion import Cells, blurred, deletion, evened, occlude
from iip_assets.images.decode import NOT_LABELLED, decode_image, decode_mask
from iip_assets.images.store import Reader
from iip_assets.inference.filter import FilterFromPixels
from iip_assets.inference.frame import Frame
from iip_assets.inference.segmenter import BACKGROUND, Segmenter
from iip_assets.metrics.names import FILTER_CLASSES

# Of numbers that are kept: the last bits of a sum differ with the number of threads.
_DIGITS = 6
# How far an outline may leave its pixels, in pixels of the region.
_SLACK_PX = 0.7
_OUTLINE_DIGITS = 3

Image = NDArray[np.uint8]
Record = dict[str, Any]
# Images (B, H, W, 3) in a network's input to scores (B,).
ScoreImages = Callable[[Image], NDArray[np.float64]]

# Of an image that has nothing to explain.
_NOTHING: Record = dict.fromkeys(
    (
        *("rows", "columns", "attribution", "score"),
        *("deletion_area", "chance_area", "share_on_eye", "chance_share"),
    )
)


def explain_filter_chunk(
    records: Sequence[Record],
    *,
    cells: int,
    seed: int,
    classes: Sequence[str],
    max_megapixels: float,
    filter_model: FilterFromPixels,
    store: Reader,
) -> list[Record]:
    """Why the filter says its word: the score is the probability of that word.

    Records have an `image_id`, a `mask_id` or None, and what is `said`. So many `cells` lie on an
    image's longer side; the seed is of the order by chance in the deletion check.

    Returns:
        Of each what `_explained` gives, `true_outline`, that of the eye, and no `said_outline`.
    """
    results = []
    for record in records:
        fitted, truth, grid = _fitted(
            record, store, filter_model.frame, classes, cells=cells, max_megapixels=max_megapixels
        )
        word = FILTER_CLASSES.index(record["said"])

        def score(images: Image, word: int = word) -> NDArray[np.float64]:
            return filter_model.probabilities(list(images))[:, word].astype(np.float64)

        eye = eye_of(truth, classes)
        found = _explained(score, fitted, grid, eye, _rng(seed, record["image_id"]))
        outlines = {"said_outline": None, "true_outline": outline_of(grid.inside(eye))}
        results.append({**found, **outlines})
    return results


def explain_segmenter_chunk(
    records: Sequence[Record],
    *,
    cells: int,
    seed: int,
    max_megapixels: float,
    segmenter: Segmenter,
    store: Reader,
) -> list[Record]:
    """Why the segmenter sees a class where it does: the score is the mean probability of the class.

    The mean runs over the pixels that are called so and those that are so. A cell above 0 made the
    segmenter see the class, rightly or not; a cell below 0 kept it from seeing it. What counts and
    lies beside the class is context. Of a segmenter that looks twice it is the first look, which
    sees the whole image. Records are those of `explain_filter_chunk`; what is `said` is the class.

    Returns:
        Of each what `_explained` gives, and the class's `said_outline` and `true_outline`. Where
        the class is lost in the input, which is coarser than the image, there is no attribution.
    """
    from scipy.special import softmax

    results = []
    for record in records:
        fitted, truth, grid = _fitted(
            record,
            store,
            segmenter.frame,
            segmenter.classes,
            cells=cells,
            max_megapixels=max_megapixels,
        )
        place = segmenter.classes.index(record["said"])
        predicted = segmenter.logits_fitted(fitted[None])[0].argmax(0) == place
        # Nobody knows whether it is right where nobody labelled.
        region = (predicted & (truth != NOT_LABELLED)) | (truth == place)

        def score(
            images: Image, place: int = place, region: NDArray[np.bool_] = region
        ) -> NDArray[np.float64]:
            logits = segmenter.logits_fitted(images).astype(np.float64)
            return np.asarray(softmax(logits, axis=1)[:, place, region].mean(1))

        eye = eye_of(truth, segmenter.classes)
        explained = (
            _explained(score, fitted, grid, eye, _rng(seed, record["image_id"]))
            if region.any()
            else _NOTHING
        )
        results.append(
            {
                **explained,
                "said_outline": outline_of(grid.inside(predicted)),
                "true_outline": outline_of(grid.inside(truth == place)),
            }
        )
    return results


def eye_of(truth: Image, classes: Sequence[str]) -> NDArray[np.bool_]:
    """Where a mask (H, W) shows any part of the eye: whatever is labelled and not background."""
    eye = [place for place, name in enumerate(classes) if name != BACKGROUND]
    return np.isin(truth, eye)


def _explained(
    score: ScoreImages, fitted: Image, grid: Cells, eye: NDArray[np.bool_], rng: np.random.Generator
) -> Record:
    """The attribution of a fitted image (H, W, 3) whose eye is known or empty, and how good it is.

    Returns:
        `rows`, `columns` and `attribution` of the cells, line by line; the `score` of the whole
        image; `deletion_area` beside `chance_area`; `share_on_eye`, which is the eye's share of
        what is above 0, beside `chance_share`, its share of the image.
    """
    rows, columns = grid.shape
    blur, even = blurred(fitted, grid), evened(fitted, grid)
    found = occlude(lambda seen: score(grid.shown(fitted, blur, seen)), grid.shape)
    # No -0, which equals 0 and is other bytes.
    attribution = np.round(found, _DIGITS) + 0.0
    check = deletion(lambda seen: score(grid.shown(fitted, even, seen)), attribution, rng)
    on_eye = by_chance = None
    above = np.clip(attribution, 0, None)
    if eye.any() and above.any():
        shares, areas = grid.shares(eye), grid.areas()
        on_eye = _rounded(float((above * areas * shares).sum() / (above * areas).sum()))
        by_chance = _rounded(float((areas * shares).sum() / areas.sum()))
    return {
        "rows": rows,
        "columns": columns,
        "attribution": attribution.astype(np.float32).ravel(),
        "score": _rounded(check.whole),
        "deletion_area": _rounded(check.attributed),
        "chance_area": _rounded(check.at_random),
        "share_on_eye": on_eye,
        "chance_share": by_chance,
    }


def _fitted(
    record: Record,
    store: Reader,
    frame: Frame,
    classes: Sequence[str],
    *,
    cells: int,
    max_megapixels: float,
) -> tuple[Image, Image, Cells]:
    """Image and mask in the network's input, and the image's cells; no mask, no label."""
    image = decode_image(store.read(record["image_id"]), max_megapixels=max_megapixels)
    height, width = image.shape[:2]
    grid = Cells.of(frame.place(height, width), cells)
    if record["mask_id"] is None:
        truth = np.full((frame.height, frame.width), NOT_LABELLED, np.uint8)
    else:
        data = store.read(record["mask_id"])
        mask = decode_mask(data, height=height, width=width, n_classes=len(classes))
        truth = frame.fit_mask(mask)
    return frame.fit_image(image), truth, grid


def _rng(seed: int, image_id: str) -> np.random.Generator:
    """Draws that depend on the image and not on those beside it."""
    return np.random.default_rng(list(hashlib.sha256(f"{seed}:{image_id}".encode()).digest()))


def _rounded(value: float) -> float:
    return round(value, _DIGITS)


def outline_of(region: NDArray[np.bool_]) -> str | None:
    """The region's borders (H, W) as JSON polygons of x and y, from 0 to 1; None where it is empty.

    Holes have a border of their own.
    """
    height, width = region.shape
    borders, _ = cv2.findContours(
        np.ascontiguousarray(region).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    polygons = [
        # The middle of a pixel.
        ((cv2.approxPolyDP(border, _SLACK_PX, closed=True)[:, 0] + 0.5) / (width, height))
        .round(_OUTLINE_DIGITS)
        .tolist()
        for border in borders
    ]
    return json.dumps(polygons) if polygons else None
