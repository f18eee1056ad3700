"""The promotion gate: a candidate must not be worse than the champion on any protected slice.

On each slice both say their word on the same test images, subjects are drawn again for both at
once, and the question is whether the candidate is worse by more than the margin. Asked of many
slices, some answer yes by chance, so the answers are held to Holm's step-down rule (1979): the
chance that any slice is wrongly called worse is at most alpha.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.dataset.schema import UNKNOWN
from iip_assets.errors import counted
from iip_assets.metrics.intervals import LEAST_SUBJECTS
from iip_assets.metrics.scored_predictions import (
    ScoredPredictions,
    draws_of_both,
    places_by_slice,
)
from iip_assets.settings import EvaluationSettings, ReleaseSettings

# Draws beyond those without which the strictest p-value could not be reached.
_RESERVE = 2

Word = Literal["worse", "not worse", "too small to judge"]

GATE_SCHEMA = {
    "model": pl.String(),
    "candidate": pl.String(),
    "champion": pl.String(),
    "metric": pl.String(),
    "axis": pl.String(),
    "slice": pl.String(),
    "verdict": pl.String(),
    "champion_value": pl.Float64(),
    "candidate_value": pl.Float64(),
    "difference": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "p": pl.Float64(),
    "p_holm": pl.Float64(),
    "n_images": pl.Int64(),
    "n_subjects": pl.Int64(),
}


@dataclass(frozen=True)
class Rules:
    """What the gate asks.

    Attributes:
        margin: How much worse is still not worse, in the metric's own unit.
        alpha: The chance of calling any slice worse that is not.
        min_images: A slice with fewer test images is not judged.
        resamples: How many times subjects are drawn again, at least.
        confidence: Of the intervals that are shown.
        seed: Of the draws.
    """

    margin: float
    alpha: float
    min_images: int
    resamples: int
    confidence: float
    seed: int


def rules_of(release: ReleaseSettings, judgement: EvaluationSettings) -> Rules:
    """What the gate asks, by the settings."""
    return Rules(
        margin=release.margin,
        alpha=release.alpha,
        min_images=judgement.min_slice_images,
        resamples=release.resamples,
        confidence=judgement.confidence,
        seed=release.seed,
    )


def judge_candidate(
    champion: ScoredPredictions,
    candidate: ScoredPredictions,
    slices: pl.DataFrame,
    rules: Rules,
    *,
    metric: str,
    names: tuple[str, str, str],
) -> pl.DataFrame:
    """A row for all test images (axis `overall`) and one for each protected slice.

    Args:
        champion: Its word on the images.
        candidate: Another's, on the same images in the same order.
        slices: `image_id`, `axis`, `slice`, of the protected axes.
        rules: What is asked.
        metric: By which they are judged; more is better.
        names: The model, the candidate and the champion, in words.
    """
    known = slices.filter(pl.col("slice") != UNKNOWN)
    asked = list(places_by_slice(champion.image_ids, known))
    # The least p that so many draws can give, times the number of slices, must lie below alpha:
    # else no slice, however bad, could be called worse.
    resamples = max(rules.resamples, math.ceil(_RESERVE * len(asked) / rules.alpha))
    rows = []
    for axis, name, places in asked:
        groups = {champion.groups[place] for place in places}
        row = {
            **dict(zip(("model", "candidate", "champion"), names, strict=True)),
            "metric": metric,
            "axis": axis,
            "slice": name,
            "n_images": len(places),
            "n_subjects": len(groups),
        }
        was, is_now = draws_of_both(
            champion, candidate, places, metric=metric, resamples=resamples, seed=rules.seed
        )
        row |= {"champion_value": _known(was[0]), "candidate_value": _known(is_now[0])}
        change = is_now - was
        row["difference"] = _known(change[0])
        enough = len(groups) >= LEAST_SUBJECTS and len(places) >= rules.min_images
        drawn = change[1:][~np.isnan(change[1:])]
        if enough and len(drawn) and not np.isnan(change[0]):
            tail = (1 - rules.confidence) / 2
            low, high = np.quantile(drawn, [tail, 1 - tail])
            # One more than counted, so that no finite number of draws is ever sure.
            p = (1 + (drawn >= -rules.margin).sum()) / (1 + len(drawn))
            row |= {"low": float(low), "high": float(high), "p": float(p)}
        rows.append(row)
    return _decided(pl.DataFrame(rows, schema=GATE_SCHEMA, orient="row"), rules.alpha)


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjusted p-values (N,), each to be held against alpha (Holm 1979)."""
    from statsmodels.stats.multitest import multipletests

    return np.asarray(multipletests(p_values, method="holm")[1])


def refusal(gate: pl.DataFrame, model: str, candidate: str, champion: str) -> str | None:
    """Why the gate refuses a candidate, naming the slices, or None if it lets it pass.

    A candidate that could not be held against the champion at all was not shown to be as good.
    """
    asked = gate.filter(
        (pl.col("model") == model)
        & (pl.col("candidate") == candidate)
        & (pl.col("champion") == champion)
    )
    both = f"{model} {candidate} cannot be held against the champion, version {champion}"
    overall = asked.filter(pl.col("axis") == "overall")
    if overall.is_empty():
        return (
            f"{both}: they tell other classes apart, or no test image is left that no version "
            "learned from"
        )
    if overall["verdict"][0] == "too small to judge":
        images, subjects = overall.select("n_images", "n_subjects").row(0)
        few = f"{counted(images, 'test image')} of {counted(subjects, 'subject')}"
        return f"{both}: {few} are too few to judge by"
    worse = asked.filter(pl.col("verdict") == "worse").sort("p_holm", "difference")
    if worse.is_empty():
        return None
    named = [
        f"{'all test images' if axis == 'overall' else f'{axis} {name}'}: {metric} "
        f"{was:.3f} → {now:.3f} (n={count}, p={p:.2g})"
        for axis, name, metric, was, now, count, p in worse.select(
            *("axis", "slice", "metric", "champion_value", "candidate_value"),
            *("n_images", "p_holm"),
        ).iter_rows()
    ]
    return f"{model} {candidate} is worse than the champion, version {champion}, on " + "; ".join(
        named
    )


def _decided(rows: pl.DataFrame, alpha: float) -> pl.DataFrame:
    known = rows["p"].is_not_null().to_numpy()
    adjusted = np.full(rows.height, np.nan)
    adjusted[known] = holm(rows["p"].drop_nulls().to_numpy())
    words: list[Word] = [
        "too small to judge" if np.isnan(p) else "worse" if p <= alpha else "not worse"
        for p in adjusted
    ]
    return rows.with_columns(
        pl.Series("p_holm", adjusted, pl.Float64).fill_nan(None),
        pl.Series("verdict", words, pl.String),
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
