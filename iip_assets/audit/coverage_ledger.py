"""How well each intersection of age, gender, ethnicity and geography can be judged, and what lacks.

An intersection that nobody of the data belongs to is the first that a model can fail on unseen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.dataset.schema import UNKNOWN
from iip_assets.metrics.intervals import replicates
from iip_assets.metrics.scored_predictions import (
    ScoredPredictions,
    score,
    scored_filter,
    scored_segmenter,
)
from iip_assets.models.tasks import FILTER, SEGMENTER, ModelTask
from iip_assets.settings import EvaluationSettings
from iip_assets.statistics.demographics import TIMES, axes_by_image, natural_key

POWER = 0.8
"""The chance that a difference of the asked size is seen."""
MOST_EMPTY = 100
"""So many empty cells have a row: those that would hold most images by their single values."""
LEAST_OWN_SUBJECTS = 20
"""Of fewer subjects, a standard deviation is known to no better than a sixth; see `_Judged`."""
SCHEMA = {
    "axis": pl.String(),
    "cell": pl.String(),
    "model": pl.String(),
    "metric": pl.String(),
    "n_images": pl.Int64(),
    "n_subjects": pl.Int64(),
    "expected_images": pl.Float64(),
    "test_images": pl.Int64(),
    "test_subjects": pl.Int64(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "width": pl.Float64(),
    "deviation_of": pl.String(),
    "subjects_needed": pl.Int64(),
    "more_subjects": pl.Int64(),
    "subjects_to_collect": pl.Int64(),
}
_AXES = ("age_band", "gender", "ethnicity")
_NOT_JUDGED = {
    **dict.fromkeys(("model", "metric", "value", "low", "high", "width", "deviation_of")),
    **dict.fromkeys(("subjects_needed", "more_subjects", "subjects_to_collect")),
}


def coverage_table(
    splits: pl.DataFrame,
    slices: pl.DataFrame,
    predictions: pl.DataFrame | None,
    *,
    evaluation: EvaluationSettings,
    difference: float,
    test_share: float,
    mask_classes: Sequence[str],
) -> pl.DataFrame:
    """A row for each intersection and model, in `SCHEMA`; without a model, a row with counts alone.

    An axis of which nothing is known is left out, and geography makes an axis of its own beside the
    others. Images with an unknown value are in no cell.

    Args:
        splits: `image_id`, `group_id`, `split`; a group counts as a subject.
        slices: `image_id`, `axis`, `slice`.
        predictions: Of the held-out images; None where there is no model.
        evaluation: How intervals are made.
        difference: Between a cell and all others, which is to be seen.
        test_share: The share of subjects that falls to test.
        mask_classes: What masks tell apart.
    """
    wide = axes_by_image(splits.select("image_id", subject_id="group_id"), slices)
    wide = wide.join(splits.select("image_id", "split", "group_id"), on="image_id")
    judged = [] if predictions is None else _judged(predictions, splits, mask_classes)
    tasks = [_Judged.of(task, one, evaluation, difference) for task, one in judged]
    rows: list[dict[str, Any]] = []
    axes = tuple(axis for axis in _AXES if (wide[axis] != UNKNOWN).any())
    beside = [(*axes, "geography")] if (wide["geography"] != UNKNOWN).any() else []
    for parts in [axes, *beside] if axes else beside:
        known = wide.filter(pl.col(part) != UNKNOWN for part in parts)
        for cell, expected in _cells(wide, known, parts):
            inside = known.filter(
                pl.col(part) == word for part, word in zip(parts, cell, strict=True)
            )
            test = inside.filter(pl.col("split") == "test")
            row: dict[str, Any] = {
                "axis": TIMES.join(parts),
                "cell": f" {TIMES} ".join(cell),
                "n_images": inside.height,
                "n_subjects": inside["group_id"].n_unique(),
                "expected_images": expected,
                "test_images": test.height,
                "test_subjects": test["group_id"].n_unique(),
                **_NOT_JUDGED,
            }
            members = set(test["image_id"])
            rows += [row | task.of_cell(members, test_share) for task in tasks] or [row]
    return pl.DataFrame(rows, schema=SCHEMA)


def empty_cells(ledger: pl.DataFrame) -> int:
    """How many of the cells that have a row hold no image."""
    return ledger.filter(n_images=0).select("axis", "cell").n_unique()


def most_lacking(ledger: pl.DataFrame) -> pl.DataFrame:
    """A row a cell, that of the model that needs most: the first lacks most, of the first axes.

    Empty cells that would hold most images by their single values come first among equals.
    """
    order = ["more_subjects", "expected_images"]
    first = ledger.filter(pl.col("axis").is_in(ledger["axis"].head(1).to_list()))
    return (
        first.sort(*order, descending=True, nulls_last=True, maintain_order=True)
        .unique("cell", keep="first", maintain_order=True)
        .filter((pl.col("n_images") == 0) | (pl.col("more_subjects").fill_null(0) > 0))
    )


def _cells(
    wide: pl.DataFrame, known: pl.DataFrame, parts: Sequence[str]
) -> Iterable[tuple[tuple[str, ...], float]]:
    """The cells in order, each with the images it would hold were its axes independent."""
    shares = []
    for part in parts:
        counts = wide.filter(pl.col(part) != UNKNOWN)[part].value_counts(normalize=True)
        shares.append(dict(counts.rows()))
    there = set(known.select(parts).unique().rows())
    expected = {
        cell: known.height
        * math.prod(share[word] for share, word in zip(shares, cell, strict=True))
        for cell in product(*shares)
    }
    empty = sorted(expected.keys() - there, key=lambda cell: (-expected[cell], cell))
    kept = there | set(empty[:MOST_EMPTY])
    return [(one, expected[one]) for one in sorted(kept, key=lambda c: [*map(natural_key, c)])]


def _judged(
    predictions: pl.DataFrame, splits: pl.DataFrame, mask_classes: Sequence[str]
) -> list[tuple[ModelTask, ScoredPredictions]]:
    """What each model said of the test images whose truth is known."""
    test = predictions.filter(pl.col("split") == "test").join(
        splits.select("image_id", "group_id"), on="image_id"
    )
    named = FILTER.with_truth(test).filter(pl.col(FILTER.answer).is_not_null())
    masked = test.filter(pl.col(SEGMENTER.answer).is_not_null())
    found = []
    if named.height:
        found.append((FILTER, scored_filter(named)))
    if masked.height:
        found.append((SEGMENTER, scored_segmenter(masked, mask_classes)))
    return found


@dataclass(frozen=True)
class _Judged:
    """A model on all test images, beside which its cells are held.

    Attributes:
        task: Whose job it is.
        scored: What it said.
        evaluation: How intervals are made.
        difference: Which is to be seen.
        deviation: Between all subjects; None where it is not known.
    """

    task: ModelTask
    scored: ScoredPredictions
    evaluation: EvaluationSettings
    difference: float
    deviation: float | None

    @staticmethod
    def of(
        task: ModelTask, scored: ScoredPredictions, evaluation: EvaluationSettings, d: float
    ) -> _Judged:
        everyone = np.arange(len(scored.image_ids))
        deviation = between_subjects(scored, everyone, task.headline, evaluation)
        return _Judged(task, scored, evaluation, d, deviation)

    def of_cell(self, members: set[str], test_share: float) -> dict[str, Any]:
        """The columns of a cell that depend on the model."""
        places = np.flatnonzero([one in members for one in self.scored.image_ids])
        metric = self.task.headline
        row: dict[str, Any] = {"model": self.task.name, "metric": metric}
        present = len({self.scored.groups[place] for place in places.tolist()})
        row |= {"test_images": len(places), "test_subjects": present}
        own = None
        if len(places):
            found = score(self.scored, places, self.evaluation).estimates[metric]
            row |= {"value": found.value, "low": found.low, "high": found.high}
            if found.low is not None and found.high is not None:
                row["width"] = found.high - found.low
        if present >= LEAST_OWN_SUBJECTS:
            own = between_subjects(self.scored, places, metric, self.evaluation)
        deviation = own or self.deviation
        if deviation is None or self.deviation is None:
            return row
        needed = subjects_needed(
            deviation,
            self.deviation,
            len(set(self.scored.groups)) - present,
            difference=self.difference,
            confidence=self.evaluation.confidence,
        )
        more = max(0, needed - present)
        collect = math.ceil(more / test_share) if test_share else None
        row |= {"deviation_of": "cell" if own else "all", "subjects_needed": needed}
        return row | {"more_subjects": more, "subjects_to_collect": collect}


def between_subjects(
    scored: ScoredPredictions,
    places: NDArray[np.int64],
    metric: str,
    evaluation: EvaluationSettings,
) -> float | None:
    """The standard deviation of a metric between subjects; None where none is seen.

    It is that of the jackknife's pseudo-values (Tukey 1958), √n × the standard error, since a
    metric such as F1 is not defined for single subjects.
    """
    groups = [scored.groups[place] for place in places.tolist()]
    made = replicates(groups, evaluation)
    parts = len(made.sizes)
    values = scored.score(places, made.weights[: 1 + parts])[metric]
    apart = values[1:] - values[0]
    if parts < 2 or np.isnan(apart).any():
        return None
    error = math.sqrt((parts - 1) / parts * float((apart**2).sum()))
    return math.sqrt(len(set(groups))) * error or None


def subjects_needed(
    deviation: float, other_deviation: float, others: int, *, difference: float, confidence: float
) -> int:
    """How many subjects show a difference to others, with 80% power and a two-sided test.

    The least n₁ of (z_α/2 + z_β)² (σ₁² / n₁ + σ₂² / n₂) <= d², the sample size for two means (Chow,
    Shao and Wang 2008, "Sample size calculations in clinical research", section 3.2). Where the
    others are fewer than these, they are taken to grow with them: n₂ = n₁.

    Args:
        deviation: σ₁, between the subjects asked for.
        other_deviation: σ₂, between the others.
        others: n₂, how many these are now.
        difference: d, of the metric.
        confidence: 1 - α.
    """
    from scipy.special import ndtri

    error = difference / float(ndtri((1 + confidence) / 2) + ndtri(POWER))
    alike = (deviation**2 + other_deviation**2) / error**2
    left = error**2 - (other_deviation**2 / others if others else math.inf)
    beside = deviation**2 / left if left > 0 else math.inf
    return max(2, math.ceil(min(alike, beside)))
