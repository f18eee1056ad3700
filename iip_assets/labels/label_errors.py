"""Labels and masks that are likely wrong, ranked: what is given, what it should be, how sure, why.

Four kinds of evidence: a label that models which did not see it contradict (confident learning,
Northcutt, Jiang and Chuang 2021, arXiv:1911.00068, by cleanlab); a mask that such a segmenter would
find far likelier after one simple change; near duplicates whose labels differ; images unlike all
others, which may be no eye at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.dataset.fingerprints import near_pairs
from iip_assets.errors import counted
from iip_assets.labels.mask_scores import KINDS
from iip_assets.metrics.names import FILTER_CLASSES

CLASS, MASK, OUTLIER = "label", "mask", "image"
ERRORS = {
    "image_id": pl.String(),
    "group_id": pl.String(),
    "what": pl.String(),
    "kind": pl.String(),
    "given": pl.String(),
    "suggested": pl.String(),
    "confidence": pl.Float64(),
    "flagged": pl.Boolean(),
    "reason": pl.String(),
    "mask_class": pl.String(),
    "region": pl.List(pl.Float64()),
    "other_id": pl.String(),
}

# What a nat of each kind counts, from 1,600 rendered eyes of which 5% had planted errors. In a mask
# that is right an exchange or a missing class gains next to nothing; the segmenter's own mistake is
# most often an eye that is not there.
_WEIGHTS = {"swapped": 4.0, "shifted": 1.0, "resized": 1.25, "missing": 4.0, "empty": 0.75}
# Nats. A mask on which model and labeler differ in a few pixels has no error worth a look.
_LITTLE = 20.0
# Of the score. There 1% of the masks that are right lie above, and 98% of those that are not.
FLAGGED_MASK = 30.0
ABLE = 0.5
"""Segmenters whose mean IoU with the masks is lower see too little to call a mask wrong."""

# Of the distance to the nearest images, in standard deviations above the mean of its logarithm.
_FAR = 4.0
_NEIGHBOURS = 10


def class_errors(predictions: pl.DataFrame) -> pl.DataFrame:
    """Every label beside what was said of its image out of fold, in `ERRORS`; the worst first.

    Flagged are the surest, so many as cleanlab estimates to be wrong. The confidence is one minus
    the probability of the given label.
    """
    from cleanlab.filter import find_label_issues

    given = predictions["label"].to_list()
    names = [name for name in FILTER_CLASSES if name in given]
    shares = predictions.select(f"prob_{name}" for name in names).to_numpy()
    shares = shares / np.maximum(shares.sum(1, keepdims=True), 1e-12)
    labels = np.array([names.index(one) for one in given])
    own, best = shares[np.arange(len(labels)), labels], shares.argmax(1)
    # Of its ways the one that keeps the order: it is right more often than the default, which takes
    # so many of each pair of classes, and misses no more.
    flagged = find_label_issues(
        labels, shares, filter_by="low_self_confidence", n_jobs=1, min_examples_per_class=0
    )
    reasons = [
        f"heads that did not see it say {names[k]} ({share:.0%}), {label} {kept:.0%}"
        for k, share, label, kept in zip(best, shares.max(1), given, own, strict=True)
    ]
    return _ranked(
        predictions.select(
            "image_id",
            "group_id",
            what=pl.lit(CLASS),
            kind=pl.lit("contradicted"),
            given="label",
            suggested=pl.Series([names[k] for k in best]),
            confidence=pl.Series(1 - own),
            flagged=pl.Series(flagged & (best != labels)),
            reason=pl.Series(reasons, dtype=pl.String),
        )
    )


def mask_errors(scores: pl.DataFrame, classes: Sequence[str]) -> pl.DataFrame:
    """Every mask with the error that explains it best, in `ERRORS`; the worst first.

    The score is the log-likelihood that a mask without the error gains, weighed by the kind, over
    the root of what taking the segmenter's word everywhere would gain: where the segmenter is at
    odds with the whole mask, a single change explains little of it. The confidence is 0.5 where it
    is flagged from. `region` is left, top, width and height of what would change, in pixels.
    """
    rows = []
    able = bool(agreement(scores)[1:].mean() >= ABLE) if scores.height else False
    for row in scores.iter_rows(named=True):
        noise = float(np.sqrt(row["gain_all"] + _LITTLE))
        weighed = {kind: _WEIGHTS[kind] * row[f"gain_{kind}"] / noise for kind in KINDS}
        kind = max(KINDS, key=weighed.__getitem__)
        score = weighed[kind]
        rows.append(
            {
                "image_id": row["image_id"],
                "group_id": row["group_id"],
                "what": MASK,
                "kind": kind,
                "given": "mask",
                **_mask_words(kind, row[f"change_{kind}"], row["scale"], classes),
                "confidence": score / (score + FLAGGED_MASK),
                "flagged": able and score >= FLAGGED_MASK,
                "region": row[f"region_{kind}"],
            }
        )
    return _ranked(pl.DataFrame(rows, schema_overrides=ERRORS))


def agreement(scores: pl.DataFrame) -> NDArray[np.float64]:
    """The IoU of each class, (K,), of what the segmenters see with the masks, over all images.

    0 of a class that is nowhere.
    """
    given, seen, both = (
        np.array(scores[name].to_list(), dtype=np.float64).sum(0)
        for name in ("given", "seen", "both")
    )
    return np.asarray(both / np.maximum(given + seen - both, 1))


def _mask_words(
    kind: str, change: Sequence[int], scale: float, classes: Sequence[str]
) -> dict[str, str | None]:
    """`suggested`, `reason` and `mask_class` of an error; where no change gains, a word of that."""
    if not change:
        return {"suggested": "mask", "reason": "no single change explains it", "mask_class": None}
    name = None if kind in ("shifted", "empty") else classes[change[0]]
    if kind == "swapped":
        other = classes[change[1]]
        suggested = f"exchange {name} and {other}"
        reason = f"{other} is seen where {name} is marked, and {name} where {other} is"
    elif kind == "shifted":
        across, down = (round(scale * one) for one in change)
        suggested = "move the mask"
        reason = (
            f"it fits what is seen when it is moved by {abs(across)} pixels to the "
            f"{'right' if across > 0 else 'left'} and {abs(down)} {'down' if down > 0 else 'up'}"
        )
    elif kind == "resized":
        larger, pixels = change[1] > 0, max(1, round(scale * abs(change[1])))
        suggested = f"{'larger' if larger else 'smaller'} {name}"
        reason = (
            f"{name} is drawn about {counted(pixels, 'pixel')} {'inside' if larger else 'outside'} "
            "of the border that is seen"
        )
    elif kind == "missing":
        suggested, reason = f"mark {name}", f"{name} is seen, and none is marked"
    else:
        suggested, reason = "mark the eye", "an eye is seen, and none is marked"
    return {"suggested": suggested, "reason": reason, "mask_class": name}


def contradictions(
    pairs: Sequence[tuple[str, str]], labels: Mapping[str, str], groups: Mapping[str, str]
) -> pl.DataFrame:
    """Near duplicates whose labels differ, each of the two in `ERRORS`; one of them is wrong."""
    rows = [
        (one, groups.get(one), labels[one], labels[other], other)
        for pair in pairs
        for one, other in (pair, pair[::-1])
        if one in labels and other in labels and labels[one] != labels[other]
    ]
    names = ("image_id", "group_id", "given", "suggested", "other_id")
    return _ranked(
        pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row").with_columns(
            what=pl.lit(CLASS),
            kind=pl.lit("near duplicate"),
            confidence=pl.lit(0.5),
            flagged=pl.lit(True),
            reason=pl.format("a near duplicate is labelled {}", "suggested"),
        )
    )


def outliers(embeddings: pl.DataFrame, groups: Mapping[str, str]) -> pl.DataFrame:
    """Images much farther from their nearest images than others are, in `ERRORS`.

    By the mean cosine distance to the ten nearest, as cleanlab judges images out of distribution
    (Kuan and Mueller 2022, arXiv:2207.03061); its logarithm is near normal.
    """
    from scipy.stats import median_abs_deviation, norm
    from sklearn.neighbors import NearestNeighbors

    if embeddings.height <= _NEIGHBOURS:
        return _ranked(pl.DataFrame())
    vectors = np.array(embeddings["embedding"].to_list(), dtype=np.float32)
    found = NearestNeighbors(n_neighbors=_NEIGHBOURS + 1, metric="cosine").fit(vectors)
    distances = found.kneighbors(vectors)[0][:, 1:].mean(1)
    logs = np.log(np.maximum(distances, 1e-9))
    far = (logs - np.median(logs)) / max(float(median_abs_deviation(logs, scale="normal")), 1e-9)
    times = [f"{one:.1f}" for one in np.exp(logs - np.median(logs))]
    ids = embeddings["image_id"]
    return _ranked(
        pl.DataFrame({"image_id": ids})
        .select(
            "image_id",
            group_id=pl.col("image_id").replace_strict(groups, default=None),
            what=pl.lit(OUTLIER),
            kind=pl.lit("outlier"),
            given=pl.lit("eye"),
            suggested=pl.lit("look at it"),
            confidence=pl.Series(norm.cdf(far - _FAR)),
            flagged=pl.lit(True),
            reason=pl.format(
                "its nearest images are {} times as far as usual", pl.Series(times, dtype=pl.String)
            ),
        )
        .filter(pl.Series(far > _FAR))
    )


def _ranked(found: pl.DataFrame) -> pl.DataFrame:
    """The rows in `ERRORS`, the surest first."""
    table = pl.concat([pl.DataFrame(schema=ERRORS), found], how="diagonal_relaxed")
    table = table.select(pl.col(name).cast(kind) for name, kind in ERRORS.items())
    return table.sort("confidence", "image_id", descending=[True, False])


def all_errors(
    images: pl.DataFrame,
    fingerprints: pl.DataFrame,
    splits: pl.DataFrame,
    embeddings: pl.DataFrame,
    *,
    predictions: pl.DataFrame | None,
    scores: pl.DataFrame | None,
    near_duplicate_bits: int,
    mask_classes: Sequence[str],
) -> pl.DataFrame:
    """All four kinds in one table, with `rank`: what is flagged first, the surest first.

    Args:
        images: image_id and label.
        fingerprints: image_id and phash.
        splits: image_id and group_id.
        embeddings: image_id and embedding.
        predictions: The table of out_of_fold_predictions; None where no label could be judged.
        scores: The table of mask_scores; None where no mask could be.
        near_duplicate_bits: Greatest distance of two near duplicates' hashes.
        mask_classes: Of the masks.
    """
    groups = dict(splits.select("image_id", "group_id").iter_rows())
    known = images.filter(pl.col("label").is_in(FILTER_CLASSES))
    labels = dict(known.select("image_id", "label").iter_rows())
    hashed = fingerprints.drop_nulls("phash").sort("image_id")
    ids = hashed["image_id"].to_list()
    near = near_pairs(hashed["phash"].to_list(), within_bits=near_duplicate_bits).tolist()
    parts = [
        contradictions([(ids[one], ids[other]) for one, other in near], labels, groups),
        outliers(embeddings, groups),
    ]
    if predictions is not None:
        parts.append(class_errors(predictions))
    if scores is not None:
        parts.append(mask_errors(scores, mask_classes))
    table = pl.concat(parts).sort(
        "flagged", "confidence", "image_id", "what", descending=[True, True, False, False]
    )
    return table.with_row_index("rank", offset=1).with_columns(pl.col("rank").cast(pl.Int64))
