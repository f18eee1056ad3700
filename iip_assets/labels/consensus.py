"""What several labelers say together: a label from all their labels, a mask from all their masks.

Labels: the probabilities of Dawid and Skene (1979), who estimate how often each labeler is right
along with what is true; beside them stands the commonest label.

Masks: a vote in which a labeler weighs the log odds of his mean IoU with what the others agree on,
as independent judges should be weighed (Nitzan and Paroush 1982). Weights and agreement are found
in turns, as in STAPLE (Warfield, Zou and Wells 2004), over all images at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.images.decode import NOT_LABELLED
from iip_assets.labels.votes import Floats, Votes
from iip_assets.metrics.functional import iou, over_classes
from iip_assets.metrics.names import FILTER_CLASSES

Mask = NDArray[np.uint8]

CLEAR_LABEL, CLEAR_MASK = 0.9, 0.85
"""From this probability of a label, and this share of a mask's votes, on they count as clear."""

_ROUNDS = 10
# Of labelers who are never wrong, none outweighs all the others.
_BEST = 0.99
# A border cannot be drawn more finely than to a pixel, so a vote beside one is not sure: without
# this, where good labelers tie, a bad one decides.
_BORDER_PX = 1.0

_CLASSES = {
    **dict.fromkeys(("image_id", "consensus"), pl.String()),
    "probability": pl.Float64(),
    "majority": pl.String(),
    "n_labelers": pl.Int64(),
    "share": pl.Float64(),
    "votes": pl.String(),
    "clear": pl.Boolean(),
}


def class_consensus(words: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, float]]:
    """The label of each image that two or more labelers gave one, and how often each is right.

    `unclear` is no decision: it counts for the majority and not for the consensus. A consensus is
    of two labelers at least, so two who disagree have none.

    Args:
        words: image_id, labeler, label.

    Returns:
        The table `classes`, by image_id; and by labeler the share of his labels that are right.
    """
    given = words.drop_nulls("label").sort("image_id", "labeler")
    given = given.filter(pl.len().over("image_id") > 1)
    probabilities, right = _dawid_skene(given.filter(pl.col("label").is_in(FILTER_CLASSES)))
    rows = []
    for (image_id,), part in given.group_by("image_id", maintain_order=True):
        votes = Counter(part["label"].sort()).most_common()
        tied = len(votes) > 1 and votes[0][1] == votes[1][1]
        majority = None if tied else votes[0][0]
        likely = probabilities.get(str(image_id), {})
        consensus = max(likely, key=lambda name: likely[name], default=None)
        if consensus is not None and dict(votes)[consensus] < 2:
            consensus = None
        probability = None if consensus is None else likely[consensus]
        clear = (probability or 0) >= CLEAR_LABEL and majority != "unclear"
        told = ", ".join(f"{name} {count}" for name, count in votes)
        share = votes[0][1] / part.height
        rows.append((image_id, consensus, probability, majority, part.height, share, told, clear))
    return pl.DataFrame(rows, schema=_CLASSES, orient="row"), right


def _dawid_skene(given: pl.DataFrame) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """By image the probability of each label that anybody gave; by labeler how often he is right.

    In its form of one parameter a labeler: of the dozens of images that several people label, the
    whole matrix of his errors is learned badly (benchmarks/several_labelers.py).
    """
    if given.is_empty():
        return {}, {}
    import pandas as pd
    from crowdkit.aggregation import OneCoinDawidSkene

    columns = {"image_id": "task", "labeler": "worker", "label": "label"}
    model = OneCoinDawidSkene(n_iter=100)
    frame = pd.DataFrame({to: given[of].to_list() for of, to in columns.items()})
    found: Mapping[str, Mapping[str, float]] = model.fit_predict_proba(frame).round(6).T.to_dict()
    # Labels that nobody gave the image are none of its own.
    said = {image_id: set(part) for image_id, part in frame.groupby("task")["label"]}
    likely = {
        image_id: {name: float(one) for name, one in row.items() if name in said[image_id]}
        for image_id, row in found.items()
    }
    return likely, {str(name): float(one) for name, one in model.skills_.items()}


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
            counts = np.zeros((1, size, size))
            np.add.at(counts[0].ravel(), cells, pixels[known])
            found[labeler] = over_classes(iou(counts))[0]
        share = np.clip(np.nan_to_num(found, nan=0.5), 0.5, _BEST)
        odds = np.log(share / (1 - share))
        weights = odds / odds.max() if odds.any() else np.ones(n_labelers)
    return weights, found


def _summed(given: NDArray[np.int16], weights: Floats, size: int) -> Floats:
    """The weight (P, K) behind each class of votes (P, L)."""
    summed = np.zeros((len(given), size))
    for votes, weight in zip(given.T, weights, strict=True):
        rows = np.flatnonzero(votes >= 0)
        summed[rows, votes[rows]] += weight
    return summed


def mask_consensus(votes: Votes, weights: Floats) -> pl.DataFrame:
    """How far the masks of each image agree: image_id, share, clear.

    `share` is that of the weight which is behind the vote, over the pixels that anybody marked as
    more than background; 1 where nobody did.
    """
    # Labelers who weigh nothing are heard where there is nobody else.
    summed = _summed(votes.given, weights + 1e-9, len(votes.classes))
    marked = votes.given.max(1, initial=-1) > 0
    behind = votes.pixels * summed.max(1) / np.maximum(summed.sum(1), 1e-9)
    image, n = votes.image[marked], len(votes.image_ids)
    area = np.bincount(image, votes.pixels[marked], n)
    share = np.divide(np.bincount(image, behind[marked], n), area, out=np.ones(n), where=area > 0)
    return pl.DataFrame(
        {"image_id": votes.image_ids, "share": share, "clear": share >= CLEAR_MASK},
        schema_overrides={"image_id": pl.String},
    )


def vote_mask(drawn: Sequence[Mask], weights: Sequence[float], n_classes: int) -> Mask:
    """The consensus (H, W) of masks of one image.

    A vote beside a border of its mask counts in part for what lies beyond. A pixel that fewer than
    two labelers labelled is not labelled, nor is one of which two alone disagree: neither has a
    majority.
    """
    given = np.stack(drawn)
    # Where nobody weighs anything, all weigh the same.
    shares = np.asarray(weights if any(weights) else np.ones(len(drawn)), np.float32)
    # cv2 blurs few planes at a time.
    planes = [
        np.tensordot(shares, (given == index).astype(np.float32), 1) for index in range(n_classes)
    ]
    voted = np.stack([cv2.GaussianBlur(one, (0, 0), _BORDER_PX) for one in planes]).argmax(0)
    labelled = (given != NOT_LABELLED).sum(0)
    told = np.sort(given, axis=0)  # 255, not labelled, stands last
    is_open = (labelled < 2) | ((labelled == 2) & (told[0] != told[1]))
    return np.where(is_open, NOT_LABELLED, voted).astype(np.uint8)
