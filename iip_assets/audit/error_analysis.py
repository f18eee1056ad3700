"""Error analysis: how each tag and slice does, what it could gain, and what to do about it.

A row a tag, as in Ng's "Machine Learning Yearning" (2018, chapters 14 to 19): how far the model is
from what it is held against, how much of the data that is, and so how much there is to gain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from iip_assets.audit.augmentation_trials import best_gain
from iip_assets.dataset.schema import UNKNOWN
from iip_assets.edge_cases.team_slices import TeamSlice
from iip_assets.metrics.intervals import holm, judgeable, share_estimate
from iip_assets.metrics.names import HUMAN, OVERALL
from iip_assets.models.tasks import FILTER
from iip_assets.settings import EvaluationSettings

ANALYSIS = {
    "model": pl.String(),
    "axis": pl.String(),
    "slice": pl.String(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "n_images": pl.Int64(),
    "n_subjects": pl.Int64(),
    "enough": pl.Boolean(),
    "reference": pl.Float64(),
    "reference_of": pl.String(),
    "gap": pl.Float64(),
    "p_holm": pl.Float64(),
    "share": pl.Float64(),
    "error_share": pl.Float64(),
    "potential": pl.Float64(),
    "flagged_share": pl.Float64(),
    "importance": pl.Int64(),
    "ease": pl.Int64(),
    "priority": pl.Float64(),
    "action": pl.String(),
    "reason": pl.String(),
}
COLLECT, AUGMENT, FIX, NONE, FEW = (
    "collect",
    "augment",
    "fix labels",
    "none",
    "too few to judge",
)
# Of importance and ease, where the team said nothing.
_MIDDLE = 3
# From this share of a slice's error on images whose label is likely wrong, labels come first.
_LABELS_FIRST = 0.3
_ALPHA = 0.05
# Of a variance: below it all subjects are alike.
_NOTHING = 1e-12


def error_analysis_table(
    difficulty: pl.DataFrame,
    slices: pl.DataFrame,
    *,
    flagged: Sequence[str],
    human: pl.DataFrame,
    trials: pl.DataFrame | None,
    team: Sequence[TeamSlice],
    evaluation: EvaluationSettings,
) -> pl.DataFrame:
    """A row for all images of each model and for each slice, in `ANALYSIS`; the first to do first.

    A model's `value` is one minus its mean error. Its reference is the target that the team set,
    else what people reach on the slice, else the value of all other images. The potential is the
    gap times the share of the data: what the value of all images would gain.

    Args:
        difficulty: The table of image_difficulty.
        slices: image_id, axis, slice, of tags and of what the team accepted.
        flagged: Images whose label or mask is likely wrong.
        human: model, axis, slice, value: what people reach, one minus the error likewise.
        trials: The table of augmentation_trials, if there is one.
        team: What the team said of slices.
        evaluation: How intervals are made, and the fewest images of a slice.
    """
    known = slices.filter(pl.col("slice") != UNKNOWN)
    people = {(model, axis, name): one for model, axis, name, one in human.iter_rows()}
    rows: list[dict[str, Any]] = []
    for (model,), own in difficulty.group_by("model", maintain_order=True):
        everything = own.sort("image_id").with_columns(
            wrong=pl.col("image_id").is_in(list(flagged))
        )
        # In one order, as the last bits of sums hang on it.
        tagged = known.join(everything, on="image_id").sort("axis", "slice", "image_id")
        total = float(everything["error"].sum())
        rows.append(
            _row((str(model), OVERALL, "all"), everything, everything.clear(), evaluation)
            | {"share": 1.0, "error_share": 1.0 if total else None, "action": NONE}
        )
        found, members = [], []
        for (axis, name), inside in tagged.group_by("axis", "slice", maintain_order=True):
            rest = everything.filter(~pl.col("image_id").is_in(inside["image_id"].to_list()))
            if rest.is_empty():
                continue
            row = _row((str(model), str(axis), str(name)), inside, rest, evaluation)
            row["share"] = inside.height / everything.height
            row["error_share"] = float(inside["error"].sum()) / total if total else None
            members.append(inside)
            found.append(row | _held_against(row, rest, people, _said(team, str(axis), str(name))))
        asked = [row for row in found if row["p"] is not None and row["enough"]]
        for row, p in zip(
            asked, holm(np.array([row["p"] for row in asked], dtype=np.float64)), strict=True
        ):
            row["p_holm"] = float(p)
        own_trials = trials if model == FILTER.name else None
        rows += [
            row | _what_to_do(row, inside, own_trials, evaluation)
            for row, inside in zip(found, members, strict=True)
        ]
    table = pl.DataFrame([{key: row.get(key) for key in ANALYSIS} for row in rows], schema=ANALYSIS)
    return table.sort(
        *("model", pl.col("axis") != OVERALL, "priority", "axis", "slice"),
        descending=[False, False, True, False, False],
        nulls_last=True,
    )


def _row(
    named: tuple[str, str, str],
    inside: pl.DataFrame,
    rest: pl.DataFrame,
    evaluation: EvaluationSettings,
) -> dict[str, Any]:
    sums, sizes = _by_subject(inside)
    found = share_estimate(sizes - sums, sizes, confidence=evaluation.confidence)
    error = float(inside["error"].sum())
    return {
        **dict(zip(("model", "axis", "slice"), named, strict=True)),
        **{"value": found.value, "low": found.low, "high": found.high},
        "n_images": inside.height,
        "n_subjects": len(sizes),
        "enough": judgeable(inside.height, len(sizes), evaluation.min_slice_images),
        "flagged_share": float(inside.filter("wrong")["error"].sum()) / error if error else 0.0,
        "p": _chance(inside, rest) if rest.height else None,
    }


def _by_subject(images: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The sum of errors and the number of images of each subject, (G,) each."""
    _, subject = np.unique(images["group_id"].to_numpy().astype(str), return_inverse=True)
    sums = np.bincount(subject, images["error"].to_numpy())
    return sums.astype(np.float64), np.bincount(subject).astype(np.float64)


def _chance(inside: pl.DataFrame, rest: pl.DataFrame) -> float | None:
    """The p-value of its error being no larger than others': Welch's test of subjects' means."""
    from scipy.stats import t

    one, other = (sums / sizes for sums, sizes in map(_by_subject, (inside, rest)))
    n, m = len(one), len(other)
    if min(n, m) < 2:
        return None
    a, b = one.var(ddof=1) / n, other.var(ddof=1) / m
    if a + b < _NOTHING:
        return None
    freedom = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1))
    return float(t.sf((one.mean() - other.mean()) / np.sqrt(a + b), freedom))


def _said(team: Sequence[TeamSlice], axis: str, name: str) -> TeamSlice | None:
    """What the team said of a slice: of its own by name, of a tag by the tag alone."""
    tag = {axis: (name,)}
    for one in team:
        if one.name == name or {key: tuple(words) for key, words in one.rule.where.items()} == tag:
            return one
    return None


def _held_against(
    row: Mapping[str, Any],
    rest: pl.DataFrame,
    people: Mapping[tuple[str, str, str], float],
    said: TeamSlice | None,
) -> dict[str, Any]:
    human = people.get((row["model"], row["axis"], row["slice"]))
    reference, of = 1 - float(rest["error"].to_numpy().mean()), "all others"
    if human is not None:
        reference, of = human, "people"
    if said is not None and said.target is not None:
        reference, of = said.target, "target"
    gap = None if row["value"] is None else reference - row["value"]
    potential = None if gap is None else max(gap, 0.0) * row["share"]
    importance, ease = (getattr(said, name, None) for name in ("importance", "ease"))
    weight = (importance or _MIDDLE) * (ease or _MIDDLE) / _MIDDLE**2
    return {
        "reference": reference,
        "reference_of": of,
        "gap": gap,
        "potential": potential,
        "importance": importance,
        "ease": ease,
        "priority": potential * weight if potential is not None and row["enough"] else None,
    }


def _what_to_do(
    row: Mapping[str, Any],
    inside: pl.DataFrame,
    trials: pl.DataFrame | None,
    evaluation: EvaluationSettings,
) -> dict[str, str]:
    if not row["enough"]:
        reason = f"{row['n_images']} images of {row['n_subjects']} subjects"
        return {"action": FEW, "reason": reason}
    behind = row["p_holm"] if row.get("p_holm") is not None else 1.0
    short = row["reference_of"] != "all others" and row["high"] is not None
    if behind > _ALPHA and not (short and row["high"] < row["reference"]):
        return {"action": NONE, "reason": f"no clear gap to {row['reference_of']}"}
    if row["flagged_share"] >= _LABELS_FIRST:
        share = f"{row['flagged_share']:.0%} of its error is on images that are likely labelled"
        return {"action": FIX, "reason": f"{share} wrong: `iip labels review`"}
    if trials is not None and (gain := best_gain(trials, inside, evaluation)):
        reason = f"{gain[0]} in training gains {gain[1]:.3f} on it"
        return {"action": AUGMENT, "reason": reason}
    return {"action": COLLECT, "reason": f"it is {row['share']:.0%} of the data"}


def people_of(evaluation: Mapping[str, pl.DataFrame] | None) -> pl.DataFrame:
    """model, axis, slice, value: what people reach, where several labelled the same test images.

    Of the filter the accuracy, of the segmenter the mean IoU, which is how errors are counted here.
    """
    schema = {"model": pl.String, "axis": pl.String, "slice": pl.String, "value": pl.Float64}
    if evaluation is None:
        return pl.DataFrame(schema=schema)
    metrics = evaluation["metrics"].filter("enough").drop_nulls("value")
    parts = [
        metrics.filter(model=f"{model}{HUMAN}", metric=metric).with_columns(model=pl.lit(model))
        for model, metric in (("filter", "accuracy"), ("segmenter", "mean_iou"))
    ]
    return pl.concat(parts).select(schema.keys())
