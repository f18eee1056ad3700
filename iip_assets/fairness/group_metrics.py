"""How each model does for each protected group and intersection, and how far groups lie apart.

The filter's rejection of usable images comes first: nobody downstream sees what it rejected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.dataset.schema import UNKNOWN
from iip_assets.engine.values import Skipped
from iip_assets.metrics.functional import (
    calibration_error,
    confusion,
    precision,
    recall,
)
from iip_assets.metrics.intervals import (
    Estimate,
    Intervals,
    chance_above,
    estimate,
    estimate_difference,
    holm,
    judgeable,
    replicates,
)
from iip_assets.metrics.names import OVERALL, spelled
from iip_assets.metrics.scored_predictions import (
    JUDGED,
    ScoredPredictions,
    class_places,
    counts_of,
    places_by_slice,
    score,
    scored_segmenter,
)
from iip_assets.metrics.scores import Gate
from iip_assets.models.examples import reason_for_none_judged
from iip_assets.models.tasks import FILTER, SEGMENTER
from iip_assets.settings import EvaluationSettings
from iip_assets.statistics.demographics import TIMES

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

PRIMARY: Mapping[str, str] = {FILTER.name: "false_rejection_rate", SEGMENTER.name: "mean_iou"}
"""By model the metric that decides whether a group is failed."""

LESS_IS_BETTER = ("false_rejection_rate", "false_positive_rate", "calibration_error")
NEITHER_IS_BETTER = ("selection_rate",)

WORSE, NOT_SHOWN, TOO_FEW = "worse", "no difference shown", "too few to judge"

_NAMES = dict.fromkeys(("model", "metric", "axis"), pl.String())
GROUPS = {
    **_NAMES,
    "slice": pl.String(),
    **JUDGED,
    **dict.fromkeys(("others", "difference", "difference_low", "difference_high"), pl.Float64()),
    **dict.fromkeys(("ratio", "p", "p_holm"), pl.Float64()),
    "verdict": pl.String(),
}
GAPS = {
    **_NAMES,
    **dict.fromkeys(("highest", "lowest"), pl.String()),
    **dict.fromkeys(("gap", "low", "high", "ratio"), pl.Float64()),
    **dict.fromkeys(("n_judged", "n_too_few"), pl.Int64()),
}


def filter_by_group(test: pl.DataFrame, gate: Gate) -> ScoredPredictions:
    """What the filter does to people, of images with a label, `passes` and `group_id`.

    `false_rejection_rate` is the share of usable images that it rejects, `false_positive_rate` that
    of unusable ones that pass, `selection_rate` that of all that pass, `precision` the share of
    usable ones among these, `calibration_error` how far probability and share of right answers lie
    apart.
    """
    usable = test["label"].is_in(list(gate.usable)).to_numpy().astype(np.int64)
    passes = test["passes"].to_numpy().astype(np.int64)
    probabilities = test.select("^prob_.*$").to_numpy().astype(np.float64)
    right = probabilities.argmax(1) == class_places(test["label"])

    def scored(places: Indices, weights: Floats) -> dict[str, Floats]:
        counts = confusion(usable[places], passes[places], 2, weights)
        found, all_of = recall(counts), counts.sum((1, 2))
        passed = counts[:, :, 1].sum(1)
        confidence = probabilities[places].max(1)
        return {
            "false_rejection_rate": 1 - found[:, 1],
            "selection_rate": np.divide(
                passed, all_of, out=np.full(len(passed), np.nan), where=all_of > 0
            ),
            "recall": found[:, 1],
            "precision": precision(counts)[:, 1],
            "false_positive_rate": 1 - found[:, 0],
            "calibration_error": calibration_error(confidence, right[places], weights),
        }

    return ScoredPredictions(test["image_id"].to_list(), test["group_id"].to_list(), scored)


def segmenter_by_group(test: pl.DataFrame, classes: Sequence[str]) -> ScoredPredictions:
    """As `scored_segmenter`, with recall and precision of each class's pixels."""
    size, own = len(classes), scored_segmenter(test, classes)
    flat = counts_of(test[SEGMENTER.answer], size * size)

    def scored(places: Indices, weights: Floats) -> dict[str, Floats]:
        known = own.score(places, weights)
        counts = (weights @ flat[places]).reshape(-1, size, size)
        parts = {"recall": recall(counts), "precision": precision(counts)}
        return known | {
            f"{metric}_{name}": values[:, place]
            for metric, values in parts.items()
            for place, name in enumerate(classes)
        }

    return ScoredPredictions(own.image_ids, own.groups, scored)


def with_intersections(slices: pl.DataFrame) -> pl.DataFrame:
    """The slices of known value, and those of every two axes, such as `black × female`.

    An axis that says the same of all images makes no intersection.
    """
    known = slices.filter(pl.col("slice") != UNKNOWN).select("image_id", "axis", "slice")
    axes = [name for (name,), part in known.group_by("axis") if part["slice"].n_unique() > 1]
    parts = [known]
    for first, second in combinations(sorted(axes), 2):
        one, other = (
            known.filter(pl.col("axis") == axis).select("image_id", pl.col("slice").alias(axis))
            for axis in (first, second)
        )
        both = one.join(other, on="image_id")
        name = pl.concat_str(first, second, separator=f" {TIMES} ")
        parts.append(both.select("image_id", axis=pl.lit(f"{first}{TIMES}{second}"), slice=name))
    return pl.concat(parts).sort("axis", "slice", "image_id")


def audit(
    model: str, predictions: ScoredPredictions, slices: pl.DataFrame, settings: EvaluationSettings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tables `GROUPS` and `GAPS` of one model.

    Every group is held against all others of known value on its axis; `p_holm` is small where it is
    worse, corrected for all groups that are asked about by the same metric, of single axes and of
    intersections apart. A gap is the largest difference of two groups with enough subjects, as
    Fairlearn's `MetricFrame.difference` has it; the groups were chosen for it, so it is larger than
    chance would have it even where all groups are alike.

    Args:
        model: Its name.
        predictions: What `filter_by_group` or `segmenter_by_group` gives.
        slices: `image_id`, `axis`, `slice`, from `with_intersections`.
        settings: How intervals are made, and the fewest images of a group that is judged.
    """
    by_axis: dict[str, dict[str, Indices]] = {}
    for axis, name, places in places_by_slice(predictions.image_ids, slices):
        by_axis.setdefault(axis, {})[name] = places
    groups, gaps = [], []
    for axis, members in by_axis.items():
        sizes, found = _compared(predictions, members, settings)
        both = {"model": model, "axis": axis}
        groups += [{**both, **row} for one in found for row in _rows(one, sizes, settings)]
        if axis != OVERALL:
            gaps += [{**both, **row} for row in _gaps(found, sizes, settings)]
    table = _with_verdicts(pl.DataFrame(groups, schema=GROUPS), settings)
    return table, pl.DataFrame(gaps, schema=GAPS)


@dataclass(frozen=True)
class _Group:
    """A group's metrics by name as subjects of its axis are left out, (1 + 2 G,) each.

    Of a group that is too small to judge there is the first number alone, that of all its images.

    Attributes:
        name: The slice.
        n_images: How many images.
        n_subjects: How many subjects.
        enough: Whether there are enough of both to judge.
        estimates: Its metrics with intervals.
        own: Its metrics.
        others: Those of all others on the axis; none where there are no others.
    """

    name: str
    n_images: int
    n_subjects: int
    enough: bool
    estimates: Mapping[str, Estimate]
    own: Mapping[str, Floats]
    others: Mapping[str, Floats]

    def can_be_judged(self, metric: str) -> bool:
        """Whether the metric has an interval."""
        return self.enough and self.estimates[metric].low is not None


def _compared(
    predictions: ScoredPredictions, members: Mapping[str, Indices], settings: EvaluationSettings
) -> tuple[Floats, list[_Group]]:
    """How many images each subject of an axis has, and its groups under the same weightings."""
    everyone = np.unique(np.concatenate(list(members.values())))
    made = replicates([predictions.groups[place] for place in everyone], settings)
    groups = []
    for name, places in members.items():
        subjects = len({predictions.groups[place] for place in places})
        enough = judgeable(len(places), subjects, settings.min_slice_images)
        weights = made.weights if enough else made.weights[:1]
        inside = np.isin(everyone, places)
        own, others = (
            predictions.score(everyone[which], weights[:, which]) if which.any() else {}
            for which in (inside, ~inside)
        )
        estimates = {one: Estimate(_known(values[0]), None, None) for one, values in own.items()}
        if enough:
            estimates = score(predictions, places, settings).estimates
        groups.append(_Group(name, len(places), subjects, enough, estimates, own, others))
    return made.sizes, groups


def _rows(group: _Group, sizes: Floats, settings: Intervals) -> Iterator[dict[str, Any]]:
    """A row of `GROUPS` for each metric of a group."""
    for metric, one in group.estimates.items():
        row: dict[str, Any] = {"metric": metric, "slice": group.name, **vars(one)}
        row |= {"n_images": group.n_images, "n_subjects": group.n_subjects}
        row["enough"] = group.can_be_judged(metric)
        if group.others:
            mine, theirs = group.own[metric], group.others[metric]
            row |= {"others": _known(theirs[0]), "ratio": _ratio(mine[0], theirs[0])}
            row["difference"] = _known(mine[0] - theirs[0])
            if row["enough"]:
                _, *ends = _difference(mine - theirs, sizes, settings, group)
                row |= dict(zip(("difference_low", "difference_high"), ends, strict=True))
                if metric not in NEITHER_IS_BETTER:
                    row["p"] = _chance_as_good(metric, group, sizes, settings)
        yield row


def _chance_as_good(metric: str, group: _Group, sizes: Floats, settings: Intervals) -> float | None:
    """The p-value of a group being no worse than the others; None where they are too few.

    A few others who are all right vary by nothing, and a t-test would call any group worse: so 1
    is told of a value that lies within the interval of the others.
    """
    mine, theirs = group.own[metric], group.others[metric]
    others = estimate(theirs, sizes, confidence=settings.confidence)
    if others.low is None or others.high is None:
        return None
    if metric in LESS_IS_BETTER:
        outside, better = mine[0] > others.high, theirs - mine
    else:
        outside, better = mine[0] < others.low, mine - theirs
    if not outside:
        return 1.0
    return chance_above(better, sizes, bound=0, subjects=group.n_subjects)


def _gaps(groups: Sequence[_Group], sizes: Floats, settings: Intervals) -> Iterator[dict[str, Any]]:
    """A row of `GAPS` for each metric: the largest difference of two groups."""
    for metric in groups[0].own:
        judged = [one for one in groups if one.can_be_judged(metric)]
        few = len(groups) - len(judged)
        row: dict[str, Any] = {"metric": metric, "n_judged": len(judged), "n_too_few": few}
        if len(judged) > 1:
            high, low = (pick(judged, key=lambda one: one.own[metric][0]) for pick in (max, min))
            smaller = min((high, low), key=lambda one: one.n_subjects)
            apart = high.own[metric] - low.own[metric]
            ends = _difference(apart, sizes, settings, smaller)
            row |= {"highest": high.name, "lowest": low.name}
            row |= dict(zip(("gap", "low", "high"), ends, strict=True))
            row["ratio"] = _ratio(low.own[metric][0], high.own[metric][0])
        yield row


def _difference(
    apart: Floats, sizes: Floats, settings: Intervals, smaller: _Group
) -> tuple[float | None, ...]:
    """A difference and its interval, which is as sure as the smaller group lets it be."""
    found = estimate_difference(
        apart, sizes, confidence=settings.confidence, subjects=smaller.n_subjects
    )
    return found.value, found.low, found.high


def _with_verdicts(groups: pl.DataFrame, settings: Intervals) -> pl.DataFrame:
    """The groups with `p_holm` and the verdict."""
    crossed = pl.col("axis").str.contains(TIMES, literal=True)
    parts = [pl.DataFrame(schema=GROUPS)]
    for _, part in groups.group_by("metric", crossed, maintain_order=True):
        adjusted = holm(part["p"].fill_null(np.nan).to_numpy())
        parts.append(part.with_columns(p_holm=pl.Series(adjusted, dtype=pl.Float64).fill_nan(None)))
    verdict = (
        pl.when(pl.col("axis") == OVERALL)
        .then(None)
        .when(~pl.col("enough"))
        .then(pl.lit(TOO_FEW))
        .when(pl.col("p_holm") <= 1 - settings.confidence)
        .then(pl.lit(WORSE))
        .when(pl.col("p_holm").is_not_null())
        .then(pl.lit(NOT_SHOWN))
    )
    return pl.concat(parts).with_columns(verdict=verdict)


def _ratio(part: float, whole: float) -> float | None:
    return None if np.isnan(part) or np.isnan(whole) or not whole else float(part / whole)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def audit_models(
    predictions: pl.DataFrame,
    slices: pl.DataFrame,
    *,
    gate: Gate,
    mask_classes: Sequence[str],
    evaluation: EvaluationSettings,
) -> dict[str, pl.DataFrame] | Skipped:
    """The tables `groups` and `gaps` of both models on the test images; why there are none.

    Args:
        predictions: The table of predictions with `group_id`.
        slices: `image_id`, `axis`, `slice` of the protected axes.
        gate: What the filter should let pass.
        mask_classes: Names of the masks' classes.
        evaluation: How intervals are made.
    """
    test = predictions.filter(split="test").sort("image_id")
    named = FILTER.with_truth(test).drop_nulls(FILTER.answer)
    masked = test.drop_nulls(SEGMENTER.answer)
    if named.is_empty() and masked.is_empty():
        return Skipped(reason_for_none_judged(predictions, "test"))
    crossed = with_intersections(slices.join(test.select("image_id"), on="image_id", how="semi"))
    if crossed.is_empty():
        return Skipped("nothing is known of the test images by which groups could be told apart")
    scored = {}
    if named.height:
        scored[FILTER.name] = filter_by_group(named, gate)
    if masked.height:
        scored[SEGMENTER.name] = segmenter_by_group(masked, mask_classes)
    found = [audit(model, one, crossed, evaluation) for model, one in scored.items()]
    groups, gaps = zip(*found, strict=True)
    return {"groups": pl.concat(groups), "gaps": pl.concat(gaps)}


def primary_rows(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of the metrics that decide whether a group is failed."""
    primary = pl.DataFrame({"model": list(PRIMARY), "metric": list(PRIMARY.values())})
    return table.join(primary, on=["model", "metric"], how="semi", maintain_order="left")


def single_axes(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of single axes, without intersections."""
    return table.filter(~pl.col("axis").str.contains(TIMES, literal=True))


def failed_groups(groups: pl.DataFrame) -> pl.DataFrame:
    """The rows of groups that a model is shown to do worse on, the surest first."""
    return groups.filter(pl.col("verdict") == WORSE).sort("p_holm", "model", "axis", "slice")


def failed_in_words(row: Mapping[str, Any]) -> str:
    """A row of `failed_groups`, such as for a check."""
    return (
        f"{row['model']}, {row['axis']} {row['slice']}: {spelled(row['metric'])} "
        f"{row['value']:.3f} against {row['others']:.3f} of all others (n = {row['n_images']} of "
        f"{row['n_subjects']} subjects, p = {row['p_holm']:.2g})"
    )
