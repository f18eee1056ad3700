"""How well each intersection of age, gender, ethnicity and geography can be judged, and what lacks.

An intersection that nobody of the data belongs to is the first that a model can fail on unseen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import polars as pl
from scipy.special import ndtri

from iip_assets.dataset.schema import CHALLENGE, UNKNOWN
from iip_assets.metrics.scored_predictions import (
    Scored,
    ScoredPredictions,
    by_slice,
    scored_filter,
    scored_segmenter,
)
from iip_assets.models.tasks import FILTER, SEGMENTER, ModelTask
from iip_assets.settings import EvaluationSettings
from iip_assets.statistics.demographics import TIMES, axes_by_image, natural_key

POWER = 0.8
"""The chance that a difference of the asked size is seen."""
COMMONEST = 8
"""Empty cells are crossings of this many values an axis at most, the commonest."""
_COUNTS = ("n_images", "n_subjects", "test_subjects")
SCHEMA = {
    **dict.fromkeys(("axis", "cell", "model", "metric"), pl.String()),
    **dict.fromkeys(_COUNTS, pl.Int64()),
    **dict.fromkeys(("value", "low", "high", "width"), pl.Float64()),
    **dict.fromkeys(("subjects_needed", "more_subjects"), pl.Int64()),
}
Row = dict[str, Any]

_SEPARATOR = f" {TIMES} "
_AXES = ("age_band", "gender", "ethnicity")


def coverage_table(
    splits: pl.DataFrame,
    slices: pl.DataFrame,
    predictions: pl.DataFrame | None,
    *,
    evaluation: EvaluationSettings,
    difference: float,
    mask_classes: Sequence[str],
) -> pl.DataFrame:
    """A row for each intersection and model, in `SCHEMA`; without a model, a row with counts alone.

    An axis of which nothing is known is left out, and geography makes an axis of its own beside the
    others. Images with an unknown value are in no cell, nor are those of challenge sets, as none of
    their subjects can come to test.

    Args:
        splits: `image_id`, `group_id`, `split`; a group counts as a subject.
        slices: `image_id`, `axis`, `slice`.
        predictions: Of the held-out images; None where there is no model.
        evaluation: How intervals are made.
        difference: Between a cell and all others, which is to be seen.
        mask_classes: What masks tell apart.
    """
    splits = splits.filter(pl.col("split") != CHALLENGE)
    wide = axes_by_image(splits.select("image_id", subject_id="group_id"), slices)
    wide = wide.join(splits.select("image_id", "split", "group_id"), on="image_id")
    models = [] if predictions is None else _models(predictions, splits, mask_classes)
    axes = tuple(axis for axis in _AXES if (wide[axis] != UNKNOWN).any())
    beside = [(*axes, "geography")] if (wide["geography"] != UNKNOWN).any() else []
    rows: list[Row] = []
    for parts in [axes, *beside] if axes else beside:
        known = wide.filter(pl.col(part) != UNKNOWN for part in parts)
        cell = pl.concat_str(parts, separator=_SEPARATOR)
        cells = known.with_columns(axis=pl.lit(TIMES.join(parts)), slice=cell)
        scores = [(task, by_slice(scored, cells, evaluation)) for task, scored in models]
        for row in _rows(wide, cells, parts):
            rows += [
                row | _judged(task, found, row["cell"], difference, evaluation.confidence)
                for task, found in scores
            ] or [row]
    return pl.DataFrame(rows, schema=SCHEMA)


def most_lacking(ledger: pl.DataFrame) -> pl.DataFrame:
    """The cells of the first axes that lack subjects, worst first, by the model that needs most."""
    first = ledger.filter(pl.col("axis").is_in(ledger["axis"].head(1).to_list()))
    order = ["more_subjects", "n_subjects", "cell"]
    return (
        first.sort(*order, descending=[True, False, False], nulls_last=True)
        .unique("cell", keep="first", maintain_order=True)
        .filter((pl.col("n_images") == 0) | (pl.col("more_subjects").fill_null(0) > 0))
    )


def _models(
    predictions: pl.DataFrame, splits: pl.DataFrame, mask_classes: Sequence[str]
) -> list[tuple[ModelTask, ScoredPredictions]]:
    """What each model said of the test images whose truth is known."""
    groups = splits.select("image_id", "group_id")
    test = predictions.filter(split="test").join(groups, on="image_id")
    named = FILTER.with_truth(test).drop_nulls(FILTER.answer)
    masked = test.drop_nulls(SEGMENTER.answer)
    of_filter = [(FILTER, scored_filter(named))] if named.height else []
    return of_filter + (
        [(SEGMENTER, scored_segmenter(masked, mask_classes))] if masked.height else []
    )


def _rows(wide: pl.DataFrame, cells: pl.DataFrame, parts: Sequence[str]) -> Iterator[Row]:
    """A row, without a model, of each cell that holds an image or crosses common values."""
    in_test = pl.col("group_id").filter(pl.col("split") == "test").n_unique()
    counts = cells.group_by("slice").agg(pl.len(), pl.col("group_id").n_unique(), test=in_test)
    count_of = {cell: numbers for cell, *numbers in counts.iter_rows()}
    counted = (wide.filter(pl.col(part) != UNKNOWN)[part].value_counts() for part in parts)
    common = (one.sort("count", one.columns[0]).tail(COMMONEST).to_series() for one in counted)
    crossed = map(_SEPARATOR.join, product(*common))
    for cell in sorted({*crossed, *count_of}, key=natural_key):
        numbers = zip(_COUNTS, count_of.get(cell, (0, 0, 0)), strict=True)
        yield dict.fromkeys(SCHEMA) | {"axis": TIMES.join(parts), "cell": cell, **dict(numbers)}


def _judged(
    task: ModelTask,
    scores: Sequence[tuple[str, str, Scored]],
    cell: str,
    difference: float,
    confidence: float,
) -> Row:
    """The columns of a cell that depend on the model; the first of its scores is that of all."""
    metric, overall = task.headline, scores[0][2]
    everyone = overall.estimates[metric]
    row: Row = {"model": task.name, "metric": metric, "test_subjects": 0}
    for found in (one for _, name, one in scores[1:] if name == cell):
        row |= {"test_subjects": found.n_subjects, **vars(found.estimates[metric])}
        row["width"] = None if row["low"] is None else row["high"] - row["low"]
    low, high, present = everyone.low, everyone.high, row["test_subjects"]
    if low is None or high is None:
        return row
    # Subjects of a cell are taken to vary as all do: of few, their own deviation is not known.
    error = (high - low) / (2 * float(ndtri((1 + confidence) / 2)))
    needed = subjects_needed(
        error * math.sqrt(overall.n_subjects),
        overall.n_subjects - present,
        difference=difference,
        confidence=confidence,
    )
    return {**row, "subjects_needed": needed, "more_subjects": max(0, needed - present)}


def subjects_needed(deviation: float, others: int, *, difference: float, confidence: float) -> int:
    """How many subjects show a difference to others, with 80% power and a two-sided test.

    The least n₁ of (z_α/2 + z_β)² σ² (1 / n₁ + 1 / n₂) <= d², the sample size for two means (Chow,
    Shao and Wang 2008, "Sample size calculations in clinical research", section 3.2). Where the
    others are fewer than these, they are taken to grow with them: n₂ = n₁.

    Args:
        deviation: σ, between subjects.
        others: n₂, how many these are now.
        difference: d, of the metric.
        confidence: 1 - α.
    """
    z = float(ndtri((1 + confidence) / 2) + ndtri(POWER))
    # n₁ if the others were very many.
    least = (z * deviation / difference) ** 2
    beside = least / (1 - least / others) if least < others else math.inf
    return max(2, math.ceil(min(2 * least, beside)))
