"""How far a mask lies from what a segmenter sees that did not learn from it, in a few numbers.

Image by image: what is kept of a mask is one row of numbers, so memory does not grow with the
number of masks. Both are compared in the segmenter's frame laid around the eye, so that a pixel is
the same share of an eye whatever the size of the photograph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.engine.values import Files
from iip_assets.images.decode import NOT_LABELLED
from iip_assets.images.store import Reader, Store
from iip_assets.inference.frame import Box, Frame, box_around, cut_image, cut_mask
from iip_assets.inference.segmenter import Segmenter, eye_classes, read_pair
from iip_assets.labels.folds import deal_folds, fold_files

if TYPE_CHECKING:
    from iip_assets.engine.features import Filled

Floats = NDArray[np.float32]
Mask = NDArray[np.uint8]
Change = tuple[int, ...]

KINDS = ("swapped", "shifted", "resized", "missing", "empty")
"""What can be wrong with a mask: two classes exchanged, all of it off its place, a class drawn too
large or too small, a class not marked, no eye marked."""

# A mask is moved and resized by no more than this part of the frame's width.
_REACH = 12
# Of a probability, so that its logarithm is finite: one pixel cannot outweigh a mask.
_LEAST = 0.01


def scores_table(
    rows: pl.DataFrame,
    segmenters: Files,
    store: Store,
    *,
    folds: int,
    fill: Callable[..., Filled],
    max_megapixels: float,
    threads: int,
    chunk: int,
) -> pl.DataFrame:
    """image_id, group_id and what `score_masks` gives of each row of segmenter_examples.

    It is kept by `fill` (`AssetContext.fill`), so many masks a chunk.
    """
    store.fetch([*rows["image_id"], *rows["mask_id"]])
    fold = pl.Series("fold", deal_folds(rows["group_id"].to_list(), folds))
    filled = fill(
        "mask_scores",
        rows.select("image_id", "mask_id", fold),
        score_masks,
        given={"max_megapixels": max_megapixels},
        key={"model": segmenters.digest},
        tools={
            "segmenters": {
                k: Segmenter(one, threads=1) for k, one in fold_files(segmenters).items()
            },
            "store": store,
            "threads": threads,
        },
        chunk=chunk,
    )
    numbers = filled.frame.drop("image_id", "mask_id", "fold")
    # Where all lists of a column are empty, their type is not known.
    return rows.select("image_id", "group_id").hstack(
        numbers.with_columns(
            pl.col("^change_.*$").cast(pl.List(pl.Int64)),
            pl.col("^region_.*$").cast(pl.List(pl.Float64)),
        )
    )


def score_masks(
    records: Sequence[dict[str, Any]],
    *,
    max_megapixels: float,
    segmenters: Mapping[int, Segmenter],
    store: Reader,
    threads: int,
) -> list[dict[str, Any]]:
    """What `mask_numbers` gives of each record's mask, with regions in pixels of the image.

    Beside it `scale`, the pixels of the image to one of the frame. Records have an `image_id`, a
    `mask_id`, both of which can be decoded, and the `fold` whose segmenter did not see them.
    """

    def one(record: dict[str, Any]) -> dict[str, Any]:
        segmenter = segmenters[record["fold"]]
        classes = segmenter.classes
        image, mask = read_pair(store, record, classes=len(classes), max_megapixels=max_megapixels)
        box, given, seen = compared(image, mask, segmenter)
        row = mask_numbers(given, seen, eye_classes(classes) or range(len(classes)))
        scale = box.width / segmenter.frame.width
        for kind in KINDS:
            left, top, width, height = (scale * one for one in row[f"region_{kind}"])
            row[f"region_{kind}"] = [box.left + left, box.top + top, width, height]
        return {**row, "scale": scale}

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, records))


def compared(
    image: NDArray[np.uint8], mask: Mask, segmenter: Segmenter
) -> tuple[Box, Mask, Floats]:
    """The part of the image that is compared, its mask (h, w) and probabilities (K, h, w).

    The part is around the eye that the mask and the segmenter's first look have; the whole image
    where neither has one.
    """
    frame, eye = segmenter.frame, eye_classes(segmenter.classes)
    height, width = mask.shape
    first = _shares(frame.fit_image(image), segmenter)
    seen = frame.classes_of(first, height=height, width=width)
    boxes = [box_around(np.isin(one, eye), frame) for one in (mask, seen)]
    box = _around([one for one in boxes if one] or [Box(0, 0, width, height)], frame)
    close = _shares(cut_image(image, box, frame), segmenter)
    # What only one of the looks sees may not be there. The smaller the eye, the less the first saw.
    part = frame.place(height, width).cut(first)
    weight = min(1.0, (box.width / width) * (part.shape[2] / frame.width))
    shares = (close + weight * _of_box(part, box, width / part.shape[2], frame)) / (1 + weight)
    return box, cut_mask(mask, box, frame), np.asarray(shares, np.float32)


def _shares(fitted: NDArray[np.uint8], segmenter: Segmenter) -> Floats:
    """Probabilities (K, h, w) of an image in the frame: the mean with those of its mirror image."""
    logits = segmenter.logits_fitted(np.stack([fitted, fitted[:, ::-1]]))
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    return np.asarray((shares[0] + shares[1][:, :, ::-1]) / 2)


def _of_box(part: Floats, box: Box, scale: float, frame: Frame) -> Floats:
    """The planes of an image, (K, h, w), as the frame laid over the box has them.

    One of their pixels is `scale` pixels of the image; beyond the image its border goes on.
    """
    zoom = box.width / frame.width / scale
    left, top = (
        (first + 0.5 * box.width / frame.width) / scale - 0.5 for first in (box.left, box.top)
    )
    matrix = np.array([[zoom, 0, left], [0, zoom, top]])
    planes = [
        cv2.warpAffine(
            plane,
            matrix,
            (frame.width, frame.height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        for plane in part
    ]
    return np.stack(planes)


def _around(boxes: Sequence[Box], frame: Frame) -> Box:
    """The smallest box of the frame's shape around others."""
    left, top = min(one.left for one in boxes), min(one.top for one in boxes)
    right = max(one.left + one.width for one in boxes)
    bottom = max(one.top + one.height for one in boxes)
    width = max(right - left, -(-(bottom - top) * frame.width // frame.height))
    height = max(1, round(width * frame.height / frame.width))
    return Box((left + right - width) // 2, (top + bottom - height) // 2, width, height)


def mask_numbers(given: Mask, shares: Floats, eye: Sequence[int]) -> dict[str, Any]:
    """A mask (h, w) beside probabilities (K, h, w), over the pixels that the mask labels.

    For each kind of error: how much likelier the mask would be without it, by the probabilities, in
    nats. A mask that is right gains little by any single change, however unsure the segmenter is.

    Args:
        given: The mask.
        shares: What the segmenter says.
        eye: The indices of the classes that are parts of an eye.

    Returns:
        `given`, `seen`, `both`: pixels of each class in the mask, as the likeliest, and as both.
        `visible`: the sum of each class's probabilities, in pixels. `gain_<kind>` for each of
        `KINDS`, and `change_<kind>`: of `swapped` the two classes; of `shifted` columns and rows to
        move the mask by; of `resized` the class, and the pixels to grow it by; of `missing` the
        class.
        `gain_all`: of taking the likeliest class everywhere. `region_<kind>`: left, top, width and
        height of what would change.
    """
    known = given != NOT_LABELLED
    place = np.where(known, given, 0)
    logs = np.where(known, np.log(np.maximum(shares, _LEAST)), 0).astype(np.float32)
    now = np.take_along_axis(logs, place[None].astype(np.int64), 0)[0]
    likeliest = shares.argmax(0).astype(np.uint8)

    def trial(change: Change, changed: Mask) -> _Trial:
        then = np.take_along_axis(logs, changed[None].astype(np.int64), 0)[0]
        return _Trial(float((then - now).sum()), change, changed)

    present = [index for index in range(len(shares)) if (place == index)[known].any()]
    marked = [index for index in present if index in eye]
    tried = {
        "swapped": [
            trial((one, other), np.where(place == one, other, np.where(place == other, one, place)))
            for one, other in combinations(present, 2)
        ],
        "shifted": [_shifted(place, known, logs, float(now.sum()))],
        "resized": [
            trial((index, pixels), changed)
            for index in marked
            for pixels, changed in _resized(place, index, shares)
        ],
        "missing": [
            trial((index,), np.where(likeliest == index, index, place))
            for index in eye
            if marked and index not in marked
        ],
        "empty": [] if marked else [trial((0,), likeliest)],
    }
    size = len(shares)
    row: dict[str, Any] = {
        "given": np.bincount(place[known], minlength=size).tolist(),
        "seen": np.bincount(likeliest[known], minlength=size).tolist(),
        "both": np.bincount(place[known & (place == likeliest)], minlength=size).tolist(),
        "visible": shares[:, known].sum(1).tolist(),
        "gain_all": trial((), likeliest).gain,
    }
    for kind, trials in tried.items():
        best = max(trials, key=lambda one: one.gain, default=_Trial(0.0, (), place))
        row[f"gain_{kind}"] = max(best.gain, 0.0)
        row[f"change_{kind}"] = list(best.change)
        row[f"region_{kind}"] = list(
            cv2.boundingRect(((best.mask != place) & known).astype(np.uint8))
        )
    return row


@dataclass(frozen=True)
class _Trial:
    """A mask without an error, and the log-likelihood that it gains."""

    gain: float
    change: Change
    mask: Mask


def _shifted(place: Mask, known: NDArray[np.bool_], logs: Floats, now: float) -> _Trial:
    """The mask moved to where it is likeliest, per pixel that still lies on labelled ones."""
    reach = place.shape[1] // _REACH
    labelled = known.astype(np.float32)

    def over_moves(field: Floats, pattern: Floats) -> Floats:
        padded = cv2.copyMakeBorder(field, reach, reach, reach, reach, cv2.BORDER_CONSTANT)
        return np.asarray(cv2.matchTemplate(padded, pattern, cv2.TM_CCORR))

    overlap = np.maximum(over_moves(labelled, labelled), 1)
    parts = [over_moves(one, (place == k) * labelled) for k, one in enumerate(logs)]
    mean = np.asarray(sum(parts)) / overlap
    down, across = np.unravel_index(mean.argmax(), mean.shape)
    change = (int(across) - reach, int(down) - reach)
    matrix = np.array([[1, 0, change[0]], [0, 1, change[1]]], np.float32)
    moved = cv2.warpAffine(
        place, matrix, place.shape[::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
    )
    return _Trial(float(mean.max() * known.sum() - now), change, np.asarray(moved, np.uint8))


def _resized(place: Mask, index: int, shares: Floats) -> Iterator[tuple[int, Mask]]:
    """The mask with a class smaller (to what is likeliest there) or larger, by each of some pixels.

    What the class surrounds counts as its own: it is its outer border that moves.
    """
    region = (place == index).astype(np.uint8)
    outlines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros_like(region), outlines, -1, 1, cv2.FILLED)
    others = shares.copy()
    others[index] = -1
    instead = others.argmax(0).astype(np.uint8)
    for pixels in range(1, place.shape[1] // _REACH):
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
        lost = (region > 0) & (cv2.erode(filled, disc) == 0)
        yield -pixels, np.where(lost, instead, place)
        won = (cv2.dilate(filled, disc) > 0) & (filled == 0)
        yield pixels, np.where(won, np.uint8(index), place)
