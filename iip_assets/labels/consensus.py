"""What several labelers say together: a label from all their labels, a mask from all their masks.

Labels: the probabilities of Dawid and Skene (1979), who estimate each labeler's errors along with
what is true; beside them stands the commonest label.

Masks: a vote in which a labeler weighs the log odds of his mean IoU with what the others agree on,
as independent judges should be weighed (Nitzan and Paroush 1982). Weights and agreement are found
in turns, as in STAPLE (Warfield, Zou and Wells 2004), over all images at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.images.decode import NOT_LABELLED
from iip_assets.labels.votes import Votes
from iip_assets.metrics.functional import iou, over_classes
from iip_assets.metrics.names import FILTER_CLASSES

Floats = NDArray[np.float64]
Mask = NDArray[np.uint8]

CLEAR_PROBABILITY, CLEAR_IOU = 0.9, 0.8
"""From here on a label, or a mask, is taken for what the labelers agree on."""

_ROUNDS = 10
# Of labelers who are never wrong, none outweighs all the others.
_BEST = 0.99
# A border cannot be drawn more finely than to a pixel, so a vote beside one is not sure: without
# this, where good labelers tie, a bad one decides.
_BORDER_PX = 1.0

CLASSES = {
    "image_id": pl.String(),
    "consensus": pl.String(),
    "probability": pl.Float64(),
    "majority": pl.String(),
    "n_labelers": pl.Int64(),
    "votes": pl.String(),
    "clear": pl.Boolean(),
}
MASKS = {
    "image_id": pl.String(),
    "labelers": pl.List(pl.String()),
    "mask_ids": pl.List(pl.String()),
    "n_labelers": pl.Int64(),
    "mean_iou": pl.Float64(),
    "iou_with_consensus": pl.Float64(),
    "clear": pl.Boolean(),
}


def class_consensus(words: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, float]]:
    """The label of each image that two or more labelers gave one, and how reliable each labeler is.

    `unclear` is no decision: it counts for the majority and not for the consensus. A consensus is
    of two labelers at least, so two who disagree have none.

    Args:
        words: image_id, labeler, label.

    Returns:
        The table `CLASSES`, by image_id; and by labeler how often he is right, as Dawid and Skene
        estimate it: the diagonal of his errors.
    """
    given = words.drop_nulls("label").sort("image_id", "labeler")
    given = given.filter(pl.len().over("image_id") > 1)
    decided = given.filter(pl.col("label").is_in(FILTER_CLASSES))
    probabilities, reliability = _dawid_skene(decided) if decided.height else ({}, {})
    rows = []
    for (image_id,), part in given.group_by("image_id", maintain_order=True):
        votes = Counter(part["label"]).most_common()
        tied = len(votes) > 1 and votes[0][1] == votes[1][1]
        majority = None if tied else votes[0][0]
        shares = probabilities.get(str(image_id), {})
        consensus = max(shares, key=lambda name: shares[name], default="")
        known = dict(votes).get(consensus, 0) > 1
        probability = shares[consensus] if known else None
        clear = (probability or 0) >= CLEAR_PROBABILITY and majority != "unclear"
        told = ", ".join(f"{name} {count}" for name, count in sorted(votes, key=_by_count))
        found = (consensus if known else None, probability, majority)
        rows.append((image_id, *found, part.height, told, clear))
    return pl.DataFrame(rows, schema=CLASSES, orient="row"), reliability


def _by_count(vote: tuple[str, int]) -> tuple[int, str]:
    return -vote[1], vote[0]


def _dawid_skene(
    decided: pl.DataFrame,
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """By image the probability of each label that anybody gave; by labeler how often he is right.

    In its form of one parameter a labeler: of the dozens of images that several people label, the
    whole matrix of errors is learned badly (benchmarks/several_labelers.py).
    """
    import pandas as pd
    from crowdkit.aggregation import OneCoinDawidSkene

    columns = {"image_id": "task", "labeler": "worker", "label": "label"}
    model = OneCoinDawidSkene(n_iter=100)
    found = model.fit_predict_proba(
        pd.DataFrame({to: decided[of].to_list() for of, to in columns.items()})
    )
    rows = zip(found.index, found.to_dict("records"), strict=True)
    probabilities = {
        str(image_id): {str(name): round(float(one), 6) for name, one in row.items()}
        for image_id, row in rows
    }
    return probabilities, {str(name): float(one) for name, one in model.skills_.items()}


def labeler_weights(votes: Votes) -> tuple[Floats, Floats]:
    """What each labeler's masks weigh, (L,), and his mean IoU with the others' consensus, (L,).

    The largest weight is 1. Whoever agrees less than half weighs nothing; NaN is the IoU of one
    whose masks cannot be held against anything.
    """
    n_labelers, size = len(votes.labelers), len(votes.classes)
    # Of all images together: pixels of the same votes get the same answer.
    given, place = np.unique(votes.given, axis=0, return_inverse=True)
    pixels = np.bincount(place.ravel(), votes.pixels, len(given))
    weights, found = np.ones(n_labelers), np.full(n_labelers, np.nan)
    for _ in range(_ROUNDS):
        everyone = _summed(given, weights, size)
        for labeler in range(n_labelers):
            own = np.where(np.arange(n_labelers) == labeler, weights, 0)
            others = everyone - _summed(given, own, size)
            ranked = np.sort(others, axis=1)
            known = (given[:, labeler] >= 0) & (ranked[:, -1] - ranked[:, -2] > 1e-9)
            cells = others[known].argmax(1) * size + given[known, labeler]
            counts = np.bincount(cells, pixels[known], size * size).reshape(1, size, size)
            found[labeler] = over_classes(iou(counts))[0]
        share = np.clip(np.nan_to_num(found, nan=0.5), 0.5, _BEST)
        odds = np.log(share / (1 - share))
        weights = odds / odds.max() if odds.any() else np.ones(n_labelers)
    return weights, found


def _summed(given: NDArray[np.int8], weights: Floats, size: int) -> Floats:
    """The weight (P, K) behind each class of votes (P, L)."""
    summed = np.zeros((len(given), size))
    for votes, weight in zip(given.T, weights, strict=True):
        rows = np.flatnonzero(votes >= 0)
        summed[rows, votes[rows]] += weight
    return summed


def vote_mask(drawn: Sequence[Mask], weights: Sequence[float], n_classes: int) -> Mask:
    """The consensus (H, W) of masks of one image.

    A vote beside a border of its mask counts in part for what lies beyond. A pixel that fewer than
    two labelers labelled is not labelled, nor is one of which two alone disagree: neither has a
    majority.
    """
    # Where nobody weighs anything, all weigh the same.
    shares = np.asarray(weights) if any(weights) else np.ones(len(drawn))
    given = np.stack(drawn)
    summed = np.zeros((*given.shape[1:], n_classes), np.float32)
    for mask, share in zip(given, shares, strict=True):
        for index in range(n_classes):
            summed[..., index] += share * (mask == index)
    labelled = (given != NOT_LABELLED).sum(0)
    told = np.sort(given, axis=0)  # 255, not labelled, stands last
    open_pixels = (labelled < 2) | ((labelled == 2) & (told[0] != told[1]))
    # A class that has all the votes around keeps the pixel, so that only borders are blurred.
    voted = cv2.GaussianBlur(summed, (0, 0), _BORDER_PX).reshape(summed.shape).argmax(2)
    return np.where(open_pixels, NOT_LABELLED, voted).astype(np.uint8)


def mask_consensus(drawn: pl.DataFrame, votes: Votes, weights: Floats) -> pl.DataFrame:
    """How far the masks of each image agree: with each other, and with what is voted of them.

    Args:
        drawn: image_id, labeler, mask_id, of the images of `votes`.
        votes: On their pixels.
        weights: (L,) of the labelers.

    Returns:
        The table `MASKS`. `iou_with_consensus` is the mean over labelers by their weights; a mask
        is clear where three or more labelers made it, or two who agree, and that is high enough.
    """
    counts, pairs = votes.pairs()
    mean_iou = over_classes(iou(counts))
    size, n = len(votes.classes), len(votes.image_ids)
    agreed = _summed(votes.given, weights, size)
    # Labelers who weigh nothing are heard where there is nobody else.
    agreed = (agreed + 1e-6 * _summed(votes.given, np.ones(len(weights)), size)).argmax(1)
    total, weight = np.zeros(n), np.zeros(n)
    for labeler, own in enumerate(weights):
        rows = np.flatnonzero(votes.given[:, labeler] >= 0)
        cells = (votes.image[rows] * size + agreed[rows]) * size + votes.given[rows, labeler]
        confusion = np.bincount(cells, votes.pixels[rows], n * size * size).reshape(n, size, size)
        with_consensus = over_classes(iou(confusion))
        known = ~np.isnan(with_consensus)
        total[known] += own * with_consensus[known]
        weight[known] += own
    support = np.divide(total, weight, out=np.full(n, np.nan), where=weight > 0)
    support = np.where(pairs > 1, support, mean_iou)
    lists = (
        drawn.sort("image_id", "labeler")
        .group_by("image_id", maintain_order=True)
        .agg(labelers="labeler", mask_ids="mask_id", n_labelers=pl.len())
    )
    told = pl.DataFrame(
        {"image_id": votes.image_ids, "mean_iou": mean_iou, "iou_with_consensus": support},
        schema_overrides={"image_id": pl.String},
    ).fill_nan(None)
    clear = pl.col("iou_with_consensus").fill_null(0) >= CLEAR_IOU
    return (
        told.join(lists, on="image_id", how="left", maintain_order="left")
        .with_columns(clear=clear)
        .select(pl.col(name).cast(dtype) for name, dtype in MASKS.items())
    )
