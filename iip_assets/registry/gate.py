"""The promotion gate: a candidate must not be worse than the champion on any protected slice.

On each slice both say their word on the same test images, and a t-test over subjects asks whether
the candidate is worse by more than the margin. Asked of many slices, some answer yes by chance, so
the answers are held to Holm's step-down rule (1979): the chance that any slice is wrongly called
worse is at most alpha.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from iip_assets.dataset.schema import UNKNOWN
from iip_assets.errors import counted
from iip_assets.fairness.promises import why_broken
from iip_assets.metrics.intervals import (
    LEAST_SUBJECTS,
    chance_above,
    estimate_difference,
    holm,
    judgeable,
)
from iip_assets.metrics.scored_predictions import (
    ScoredPredictions,
    places_by_slice,
    replicates_of_both,
)
from iip_assets.models.tasks import FILTER
from iip_assets.settings import EvaluationSettings, GuaranteeSettings, ReleaseSettings
from iip_assets.training_set.subsets import floors_by_subset

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
        resamples: In how many parts subjects are left out at most.
        confidence: Of the intervals that are shown.
        seed: Which of very many subjects are left out together.
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


def judged_slices(
    slices: pl.DataFrame, regression: pl.DataFrame, protected_axes: Sequence[str]
) -> pl.DataFrame:
    """The slices that the gate looks at: of the protected axes, and those of the team."""
    return pl.concat([slices.filter(pl.col("axis").is_in(protected_axes)), regression])


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
    rows = []
    for axis, name, places in places_by_slice(champion.image_ids, known):
        groups = {champion.groups[place] for place in places}
        row = {
            **dict(zip(("model", "candidate", "champion"), names, strict=True)),
            "metric": metric,
            "axis": axis,
            "slice": name,
            "n_images": len(places),
            "n_subjects": len(groups),
        }
        both = replicates_of_both(champion, candidate, places, rules)
        was, is_now, behind = both.before[metric], both.after[metric], both.subjects[metric]
        row |= {"champion_value": _known(was[0]), "candidate_value": _known(is_now[0])}
        change = is_now - was
        row["difference"] = _known(change[0])
        if judgeable(len(places), len(groups), rules.min_images):
            sizes = both.made.sizes
            p = chance_above(change, sizes, bound=-rules.margin, subjects=behind)
            found = estimate_difference(change, sizes, confidence=rules.confidence, subjects=behind)
            row |= {"low": found.low, "high": found.high, "p": p}
        rows.append(row)
    return _decided(pl.DataFrame(rows, schema=GATE_SCHEMA, orient="row"), rules.alpha)


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
        return (
            f"{both}: {few} are too few to judge by: at least {LEAST_SUBJECTS} subjects are needed"
        )
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


def unkept_promises(
    model: str,
    version: str,
    facts: Mapping[str, Any],
    guarantee: GuaranteeSettings,
    usable: Sequence[str],
) -> str | None:
    """Why what iip.toml promises refuses a version, by its facts; None if it holds all of it."""
    is_filter = model == FILTER.name
    floors = guarantee.recall if is_filter else guarantee.pixel_recall
    same = facts.get("pixel_class") == guarantee.pixel_class
    if is_filter:
        same = set(facts.get("usable", ())) == set(usable)
    rows = facts.get("promises", ()) if same else ()
    lacking = []
    for (axis, name), floor in floors_by_subset(floors).items():
        own = [row for row in rows if (row["axis"], row["slice"]) == (axis, name)]
        strict = [one for one in own if one["floor"] >= floor and one["delta"] <= guarantee.delta]
        if all(map(why_broken, strict)):
            why = "; ".join(map(why_broken, strict)) or "not shown when it was registered"
            lacking.append(f"recall of {axis} {name} at least {floor:g} ({why})")
    words = "; ".join(lacking)
    return (
        f"{model} {version} does not keep what [guarantee] promises: {words}" if lacking else None
    )


def _decided(rows: pl.DataFrame, alpha: float) -> pl.DataFrame:
    adjusted = holm(rows["p"].cast(pl.Float64).fill_null(np.nan).to_numpy())
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
