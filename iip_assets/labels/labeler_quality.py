"""How far labelers agree, by slice and by labeler, and who is clearly worse than the others.

Every two labelers of an image are held against each other: their labels by Krippendorff's alpha,
their masks by mean IoU. Nobody is the truth, so a labeler is judged beside the others on the same
images. With two labelers nobody can tell who is wrong, and nobody is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from iip_assets.labels.human_level import by_image
from iip_assets.metrics.intervals import chance_above, holm, judgeable
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scored_predictions import (
    Floats,
    Indices,
    Scored,
    ScoredPredictions,
    by_slice,
    class_places,
    counts_of,
    replicates_of_both,
    scored_counts,
)
from iip_assets.settings import EvaluationSettings

LABEL, MASK = "label", "mask"
_METRICS = {LABEL: "alpha", MASK: "mean_iou"}
# Intervals are made of values between 0 and 1, so alpha, from -1 on, is taken by half.
_SPAN = {LABEL: 2, MASK: 1}
# Who is surely this much worse than the others is named; less is the wobble of good labelers.
_WORSE = 0.02
# Of labelers who are never wrong, none outweighs all the others.
_BEST = 0.99

_ESTIMATE = {
    **dict.fromkeys(("value", "low", "high"), pl.Float64()),
    **dict.fromkeys(("n_images", "n_subjects"), pl.Int64()),
    "enough": pl.Boolean(),
}
_AGREEMENT = {**dict.fromkeys(("what", "metric", "axis", "slice"), pl.String()), **_ESTIMATE}
_LABELERS = {
    **dict.fromkeys(("what", "metric", "labeler"), pl.String()),
    **_ESTIMATE,
    **dict.fromkeys(("others", "p_holm", "weight"), pl.Float64()),
    "flagged": pl.Boolean(),
}


def label_pairs(words: pl.DataFrame) -> pl.DataFrame:
    """Every two labels of an image, in the form of `agreement.compared_masks`.

    Whoever says `unclear` has not decided, and is in no pair.
    """
    decided = words.filter(pl.col("label").is_in(FILTER_CLASSES))
    both = decided.join(decided, on="image_id", suffix="_other")
    both = both.filter(pl.col("labeler") < pl.col("labeler_other"))
    both = both.sort("image_id", "labeler", "labeler_other")
    size = len(FILTER_CLASSES)
    cells = class_places(both["label"]) * size + class_places(both["label_other"])
    counts = np.eye(size * size, dtype=np.int64)[cells].tolist()
    return both.select(
        "image_id",
        "labeler",
        other="labeler_other",
        confusion=pl.Series(counts, dtype=pl.List(pl.Int64)),
    )


def krippendorff_alpha(counts: Floats, weights: Floats) -> Floats:
    """Krippendorff's alpha of P pairs of labels under weights (R, P), (R,).

    One less observed over expected disagreement: 1 is full agreement, 0 what chance gives
    (Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, C). NaN where only one label
    occurs: then nothing is expected to differ.

    Args:
        counts: (P, K, K), symmetric, that sum to 2 a pair.
        weights: Of each pair 1 / (m - 1), m being the number of its image's labels.
    """
    size = counts.shape[1]
    cells = (weights @ counts.reshape(-1, size * size)).reshape(-1, size, size)
    of_label = cells.sum(2)
    n = of_label.sum(1)
    observed = (n - 1) * (n - np.einsum("rkk->r", cells))
    expected = n**2 - (of_label**2).sum(1)
    empty = np.full(len(n), np.nan)
    return np.asarray(1 - np.divide(observed, expected, out=empty, where=expected > 1e-9))


def labeler_tables(
    what: str,
    pairs: pl.DataFrame,
    slices: pl.DataFrame,
    classes: Sequence[str],
    evaluation: EvaluationSettings,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The agreement on all images and on each slice, and that of each labeler with the others.

    A labeler is flagged whose agreement with the others is below theirs with each other on the same
    images, by more than two points and beyond chance: a one-sided t-test over subjects, after
    Holm's correction for the number of labelers. A labeler's masks weigh the log odds of his
    agreement, as the votes of independent judges should (Nitzan and Paroush 1982).

    Args:
        what: `LABEL` or `MASK`.
        pairs: `image_id`, `group_id`, `labeler`, `other`, `confusion`.
        slices: `image_id`, `axis`, `slice`.
        classes: Names of the K classes.
        evaluation: How intervals are made and what is enough to judge by.
    """
    if pairs.is_empty():
        return pl.DataFrame(schema=_AGREEMENT), pl.DataFrame(schema=_LABELERS)
    everyone = _scored(what, pairs, classes)
    agreement = [
        {"axis": axis, "slice": name, **_row(what, found, evaluation)}
        for axis, name, found in by_slice(everyone, slices, evaluation)
        if found.n_images
    ]
    rows, chances = [], []
    for labeler in sorted({*pairs["labeler"], *pairs["other"]}):
        is_own = (pl.col("labeler") == labeler) | (pl.col("other") == labeler)
        own, rest = pairs.filter(is_own), pairs.filter(~is_own)
        (_, _, found), *_ = by_slice(_scored(what, own, classes), slices.clear(), evaluation)
        row = _row(what, found, evaluation)
        own = own.join(rest, on="image_id", how="semi")
        rest = rest.join(own, on="image_id", how="semi")
        chance = None
        if own.height:
            theirs, his = (_scored(what, one, classes) for one in (rest, own))
            both = replicates_of_both(theirs, his, np.arange(len(his.groups)), evaluation)
            before, after = (one[_METRICS[what]] for one in (both.before, both.after))
            row["others"] = _shown(what, before[0])
            sizes = both.made.sizes
            if judgeable(len(his.groups), len(sizes), evaluation.min_slice_images):
                chance = chance_above(after - before, sizes, bound=-_WORSE / _SPAN[what])
        rows.append({"labeler": labeler, **row})
        chances.append(np.nan if chance is None else chance)
    p_holm = pl.Series(holm(np.array(chances))).fill_nan(None)
    value = pl.col("value").fill_null(0.5).clip(0.5, _BEST)
    odds = (value / (1 - value)).log()
    weight = pl.when(odds.max() > 0).then(odds / odds.max()).otherwise(1.0)
    labelers = pl.DataFrame(rows, schema=_LABELERS).with_columns(
        p_holm=p_holm,
        flagged=(p_holm <= 1 - evaluation.confidence).fill_null(value=False),
        weight=weight if what == MASK else pl.lit(None, pl.Float64),
    )
    return pl.DataFrame(agreement, schema=_AGREEMENT), labelers


def _scored(what: str, pairs: pl.DataFrame, classes: Sequence[str]) -> ScoredPredictions:
    """How far pairs agree, as a metric of images.

    Of masks each image counts once, of labels as many times as it has labels.
    """
    size, number = len(classes), pairs.select(pl.len().over("image_id")).to_series().to_numpy()
    counts = counts_of(pairs["confusion"], size, size)
    counts = counts + counts.transpose(0, 2, 1)
    ids, groups = pairs["image_id"].to_list(), pairs["group_id"].to_list()
    if what == MASK:
        return by_image(scored_counts(ids, groups, counts, classes), 1 / number)

    def alpha(places: Indices, weights: Floats) -> dict[str, Floats]:
        found = krippendorff_alpha(counts[places], weights)
        return {"alpha": 1 - (1 - found) / _SPAN[LABEL]}

    # m labels make m (m - 1) / 2 pairs.
    labels = (1 + np.sqrt(1 + 8 * number)) / 2
    return by_image(ScoredPredictions(ids, groups, alpha), 1 / (labels - 1))


def _row(what: str, found: Scored, evaluation: EvaluationSettings) -> dict[str, Any]:
    ends = {name: _shown(what, one) for name, one in vars(found.estimates[_METRICS[what]]).items()}
    enough = judgeable(found.n_images, found.n_subjects, evaluation.min_slice_images)
    counts = {"n_images": found.n_images, "n_subjects": found.n_subjects, "enough": enough}
    return {"what": what, "metric": _METRICS[what], **ends, **counts}


def _shown(what: str, value: float | None) -> float | None:
    if value is None or np.isnan(value):
        return None
    return 1 - _SPAN[what] * (1 - float(value))
