"""How far labelers agree, by slice and by labeler, and who is clearly worse than the others.

Nobody is the truth, so a labeler is judged beside the others: how far he agrees with them against
how far they agree with each other on the same images. With two labelers nobody can tell who is
wrong, and nobody is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.labels.votes import Votes
from iip_assets.metrics.intervals import (
    Estimate,
    Replicates,
    chance_above,
    estimate_difference,
    holm,
    judgeable,
    replicates,
)
from iip_assets.metrics.names import spelled
from iip_assets.metrics.scored_predictions import (
    ScoredPredictions,
    places_by_slice,
    score,
    scored_counts,
)
from iip_assets.settings import EvaluationSettings

Floats = NDArray[np.float64]

LABEL, MASK = "label", "mask"
METRIC_OF = {LABEL: "agreement", MASK: "mean_iou"}
# As segmenter_scores has it: a label is a mask of one pixel.
_SCORED_AS = {"agreement": "pixel_accuracy", "mean_iou": "mean_iou"}
# Who is surely this much worse than the others is named; less is the wobble of good labelers.
_WORSE = 0.02

AGREEMENT = {
    **dict.fromkeys(("what", "metric", "axis", "slice"), pl.String()),
    **dict.fromkeys(("value", "low", "high"), pl.Float64()),
    **dict.fromkeys(("n_images", "n_subjects"), pl.Int64()),
    "enough": pl.Boolean(),
}
LABELERS = {
    **dict.fromkeys(("labeler", "what", "metric"), pl.String()),
    **dict.fromkeys(("n_images", "n_subjects"), pl.Int64()),
    **dict.fromkeys(("value", "low", "high", "others", "p_holm"), pl.Float64()),
    **dict.fromkeys(("alpha_without", "reliability", "weight"), pl.Float64()),
    "flagged": pl.Boolean(),
    "reason": pl.String(),
}


def krippendorff_alpha(counts: Floats, pairs: Floats, weights: Floats) -> Floats:
    """Krippendorff's alpha of nominal words, (R,): 1 is full agreement, 0 what chance gives.

    One less observed over expected disagreement (Krippendorff 2011, Computing Krippendorff's
    Alpha-Reliability, C). NaN where only one word occurs: then nothing is expected to differ.

    Args:
        counts: (N, K, K) of `Votes.pairs`: each pair of words of an image, both ways.
        pairs: (N,) how many pairs an image has.
        weights: (R, N) of the images.
    """
    # m words of an image make m (m - 1) / 2 pairs; each pair counts 1 / (m - 1).
    words = (1 + np.sqrt(1 + 8 * pairs)) / 2
    per_word = counts / np.maximum(words - 1, 1)[:, None, None]
    size = counts.shape[1]
    coincidences = (weights @ per_word.reshape(-1, size * size)).reshape(-1, size, size)
    of_word = coincidences.sum(2)
    n = of_word.sum(1)
    observed = n - np.einsum("rkk->r", coincidences)
    expected = n**2 - (of_word**2).sum(1)
    empty = np.full(len(n), np.nan)
    return np.asarray(1 - np.divide((n - 1) * observed, expected, out=empty, where=expected > 1e-9))


def agreement_table(
    what: str, votes: Votes, slices: pl.DataFrame, evaluation: EvaluationSettings
) -> pl.DataFrame:
    """How far labelers agree in pairs on all images and on each slice; of labels alpha, too.

    Every image counts once, however many labelers it had.

    Args:
        what: `label` or `mask`.
        votes: On these.
        slices: image_id, axis, slice.
        evaluation: How intervals are made and which slices are large enough to judge.
    """
    counts, pairs = votes.pairs()
    compared = _scored(votes, counts, pairs)
    rows = []
    for axis, name, places in places_by_slice(votes.image_ids, slices):
        if not len(places):
            continue
        found = score(compared, places, evaluation)
        metrics = {METRIC_OF[what]: found.estimates[_SCORED_AS[METRIC_OF[what]]]}
        if what == LABEL:
            made = replicates([votes.groups[place] for place in places], evaluation)
            metrics["alpha"] = _alpha(counts[places], pairs[places], made, evaluation.confidence)
        enough = judgeable(found.n_images, found.n_subjects, evaluation.min_slice_images)
        for metric, one in metrics.items():
            ends = (one.value, one.low, one.high, found.n_images, found.n_subjects, enough)
            rows.append((what, metric, axis, name, *ends))
    return pl.DataFrame(rows, schema=AGREEMENT, orient="row")


def labeler_table(
    what: str,
    votes: Votes,
    evaluation: EvaluationSettings,
    *,
    reliability: Mapping[str, float],
    weights: Mapping[str, float],
) -> pl.DataFrame:
    """Each labeler's agreement with the others, and who is clearly worse than they are.

    Worse is whose agreement with the others lies below theirs with each other on the same images,
    by more than two points and beyond chance: a one-sided t-test over subjects, after Holm's
    correction for the number of labelers.

    Args:
        what: `label` or `mask`.
        votes: On these.
        evaluation: How intervals are made and which labelers saw enough to be judged.
        reliability: By labeler, how far he agrees with the consensus.
        weights: By labeler, what he weighs in it.
    """
    metric = METRIC_OF[what]
    counts, pairs = votes.pairs()
    rows: list[dict[str, Any]] = []
    chances = []
    for place, labeler in enumerate(votes.labelers):
        own = votes.pairs_with(place)
        places = np.flatnonzero(own[1])
        if not len(places):
            continue
        rest = (counts - own[0], pairs - own[1])
        found = score(_scored(votes, *own), places, evaluation)
        value = found.estimates[_SCORED_AS[metric]]
        others, chance = _apart(votes, own, rest, metric, evaluation)
        chances.append(np.nan if chance is None else chance)
        alpha = krippendorff_alpha(*rest, np.ones((1, len(pairs))))[0] if what == LABEL else None
        rows.append(
            {
                **{"labeler": labeler, "what": what, "metric": metric, "others": others},
                **{"n_images": found.n_images, "n_subjects": found.n_subjects},
                **{"value": value.value, "low": value.low, "high": value.high},
                "alpha_without": None if alpha is None or np.isnan(alpha) else float(alpha),
                "reliability": reliability.get(labeler),
                "weight": weights.get(labeler),
            }
        )
    for row, p in zip(rows, holm(np.array(chances, dtype=np.float64)), strict=True):
        row["p_holm"] = None if np.isnan(p) else float(p)
        if flagged := bool(p <= 1 - evaluation.confidence):
            row["reason"] = (
                f"{spelled(metric)} {row['value']:.2f} with the others, who have "
                f"{row['others']:.2f} with each other (p = {p:.1g})"
            )
        row["flagged"] = flagged
    return pl.DataFrame(rows, schema=LABELERS)


def _apart(
    votes: Votes,
    own: tuple[Floats, Floats],
    rest: tuple[Floats, Floats],
    metric: str,
    evaluation: EvaluationSettings,
) -> tuple[float | None, float | None]:
    """The others' metric with each other on a labeler's images; the chance that he is no worse."""
    places = np.flatnonzero((own[1] > 0) & (rest[1] > 0))
    if not len(places):
        return None, None
    groups = [votes.groups[place] for place in places]
    made = replicates(groups, evaluation)
    his, theirs = (
        _scored(votes, *one).score(places, made.weights)[_SCORED_AS[metric]] for one in (own, rest)
    )
    enough = judgeable(len(places), len(set(groups)), evaluation.min_slice_images)
    chance = chance_above(his - theirs, made.sizes, bound=-_WORSE) if enough else None
    return None if np.isnan(theirs[0]) else float(theirs[0]), chance


def _scored(votes: Votes, counts: Floats, pairs: Floats) -> ScoredPredictions:
    """The mean over an image's pairs, so that each image counts once."""
    mean = counts / np.maximum(pairs, 1)[:, None, None]
    return scored_counts(votes.image_ids, votes.groups, mean, votes.classes)


def _alpha(counts: Floats, pairs: Floats, made: Replicates, confidence: float) -> Estimate:
    """Alpha with its interval, which is not Wilson's, as alpha may lie below 0."""
    values = krippendorff_alpha(counts, pairs, made.weights)
    found = estimate_difference(values, made.sizes, confidence=confidence)
    return replace(found, high=None if found.high is None else min(found.high, 1.0))
