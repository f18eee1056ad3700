"""How far labelers agree, by slice and by labeler, and who is clearly worse than the others.

Nobody is the truth, so a labeler is judged beside the others: how far he agrees with them against
how far they agree with each other on the same images. With two labelers nobody can tell who is
wrong, and nobody is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from iip_assets.labels.votes import Floats, Pairs, Votes
from iip_assets.metrics.intervals import (
    Replicates,
    chance_above,
    estimate_difference,
    holm,
    judgeable,
    replicates,
)
from iip_assets.metrics.names import spelled
from iip_assets.metrics.scored_predictions import (
    Indices,
    ScoredPredictions,
    places_by_slice,
    score,
    scored_counts,
)
from iip_assets.settings import EvaluationSettings

LABEL, MASK = "label", "mask"
# The metric, and what segmenter_scores calls it: a label is a mask of one pixel.
_METRICS = {LABEL: ("agreement", "pixel_accuracy"), MASK: ("mean_iou", "mean_iou")}
# Who is surely this much worse than the others is named; less is the wobble of good labelers.
_WORSE = 0.02

_ESTIMATE = {
    **dict.fromkeys(("value", "low", "high"), pl.Float64()),
    **dict.fromkeys(("n_images", "n_subjects"), pl.Int64()),
    "enough": pl.Boolean(),
}
_AGREEMENT = {**dict.fromkeys(("what", "metric", "axis", "slice"), pl.String()), **_ESTIMATE}
_LABELERS = {
    **dict.fromkeys(("labeler", "what", "metric"), pl.String()),
    **_ESTIMATE,
    **dict.fromkeys(("others", "p_holm", "alpha", "reliability", "weight"), pl.Float64()),
    "flagged": pl.Boolean(),
    "reason": pl.String(),
}


def krippendorff_alpha(pairs: Pairs, weights: Floats) -> Floats:
    """Krippendorff's alpha of nominal words under weights (R, N) of the images, (R,).

    One less observed over expected disagreement: 1 is full agreement, 0 what chance gives
    (Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, C). NaN where only one word
    occurs: then nothing is expected to differ.
    """
    size = pairs.counts.shape[1]
    # An image counts as many times as it has words.
    coincidences = pairs.mean * (pairs.labelers / 2)[:, None, None]
    cells = (weights @ coincidences.reshape(-1, size * size)).reshape(-1, size, size)
    of_word = cells.sum(2)
    n = of_word.sum(1)
    observed = (n - 1) * (n - np.einsum("rkk->r", cells))
    expected = n**2 - (of_word**2).sum(1)
    empty = np.full(len(n), np.nan)
    return np.asarray(1 - np.divide(observed, expected, out=empty, where=expected > 1e-9))


def agreement_table(
    what: str, votes: Votes, slices: pl.DataFrame, evaluation: EvaluationSettings
) -> pl.DataFrame:
    """How far labelers agree in pairs on all images and on each slice; of labels alpha, too.

    Every image counts once in the agreement, however many labelers it had.
    """
    pairs = votes.pairs()
    rows: list[dict[str, Any]] = []
    for axis, name, places in places_by_slice(votes.image_ids, slices):
        if not len(places):
            continue
        told = _estimated(what, votes, pairs, places, evaluation)
        row = {"what": what, "axis": axis, "slice": name, **told}
        rows.append(row)
        if what == LABEL:
            made = _replicates(votes, places, evaluation)
            values = krippendorff_alpha(pairs.of(places), made.weights)
            found = estimate_difference(values, made.sizes, confidence=evaluation.confidence)
            low, high = (
                None if one is None else min(max(one, -1.0), 1.0) for one in (found.low, found.high)
            )
            ends = {"value": found.value, "low": low, "high": high}
            rows.append({**row, "metric": "alpha", **ends})
    return pl.DataFrame(rows, schema=_AGREEMENT)


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
    correction for the number of labelers. `reliability` and `weights` are told beside it.
    """
    everyone = votes.pairs()
    rows: list[dict[str, Any]] = []
    chances = []
    for labeler in votes.labelers:
        own = votes.pairs(labeler)
        places = np.flatnonzero(own.number)
        if not len(places):
            continue
        others, chance = _beside_others(what, votes, own, everyone.without(own), evaluation)
        alpha = krippendorff_alpha(own, np.ones((1, len(own.number))))[0]
        rows.append(
            {
                **{"labeler": labeler, "what": what, "others": others},
                **_estimated(what, votes, own, places, evaluation),
                "alpha": None if what == MASK else _known(alpha),
                "reliability": _known(reliability.get(labeler)),
                "weight": weights.get(labeler),
            }
        )
        chances.append(np.nan if chance is None else chance)
    for row, p in zip(rows, holm(np.array(chances, dtype=np.float64)), strict=True):
        row |= {"p_holm": _known(p), "flagged": bool(p <= 1 - evaluation.confidence)}
        if row["flagged"]:
            row["reason"] = (
                f"{spelled(row['metric'])} {row['value']:.2f} with the others, who have "
                f"{row['others']:.2f} with each other (p = {p:.1g})"
            )
    return pl.DataFrame(rows, schema=_LABELERS)


def _beside_others(
    what: str, votes: Votes, own: Pairs, rest: Pairs, evaluation: EvaluationSettings
) -> tuple[float | None, float | None]:
    """The others' metric with each other on a labeler's images; the chance that he is no worse."""
    places = np.flatnonzero((own.number > 0) & (rest.number > 0))
    if not len(places):
        return None, None
    made = _replicates(votes, places, evaluation)
    his, theirs = (
        _scored(votes, one).score(places, made.weights)[_METRICS[what][1]] for one in (own, rest)
    )
    enough = judgeable(len(places), len(made.sizes), evaluation.min_slice_images)
    chance = chance_above(his - theirs, made.sizes, bound=-_WORSE) if enough else None
    return _known(theirs[0]), chance


def _estimated(
    what: str, votes: Votes, pairs: Pairs, places: Indices, evaluation: EvaluationSettings
) -> dict[str, Any]:
    """The metric of the images at `places`, as a row of a table has it."""
    metric, scored_as = _METRICS[what]
    found = score(_scored(votes, pairs), places, evaluation)
    least = evaluation.min_slice_images
    return {
        "metric": metric,
        **vars(found.estimates[scored_as]),
        "n_images": found.n_images,
        "n_subjects": found.n_subjects,
        "enough": judgeable(found.n_images, found.n_subjects, least),
    }


def _scored(votes: Votes, pairs: Pairs) -> ScoredPredictions:
    return scored_counts(votes.image_ids, votes.groups, pairs.mean, votes.classes)


def _replicates(votes: Votes, places: Indices, evaluation: EvaluationSettings) -> Replicates:
    return replicates([votes.groups[place] for place in places], evaluation)


def _known(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)
