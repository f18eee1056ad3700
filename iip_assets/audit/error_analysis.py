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
from iip_assets.metrics.intervals import holm, judgeable, mean_estimate
from iip_assets.metrics.names import HUMAN, OVERALL
from iip_assets.metrics.scored_predictions import JUDGED
from iip_assets.models.tasks import FILTER
from iip_assets.settings import EvaluationSettings

ANALYSIS = {
    **dict.fromkeys(("model", "axis", "slice"), pl.String()),
    **JUDGED,
    "reference": pl.Float64(),
    "reference_of": pl.String(),
    **dict.fromkeys(("gap", "p_holm", "share", "error_share", "potential"), pl.Float64()),
    "flagged_share": pl.Float64(),
    **dict.fromkeys(("importance", "ease"), pl.Int64()),
    "priority": pl.Float64(),
    **dict.fromkeys(("action", "reason"), pl.String()),
}
COLLECT, AUGMENT, FIX, NONE = "collect", "augment", "fix labels", "none"
FEW = "too few to judge"
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
        overall = _row((model, OVERALL, "all"), everything, everything, evaluation)
        # In one order, as the last bits of sums hang on it.
        tagged = known.join(everything, on="image_id").sort("axis", "slice", "image_id")
        members = {
            (str(axis), str(name)): inside
            for (axis, name), inside in tagged.group_by("axis", "slice", maintain_order=True)
            if inside.height < everything.height
        }
        found = [
            _row((model, *slice_), inside, everything, evaluation)
            for slice_, inside in members.items()
        ]
        asked = [row["p"] if row["enough"] else None for row in found]
        p_values = holm(np.array(asked, dtype=np.float64))
        own_trials = trials if model == FILTER.name else None
        rows.append(overall | {"action": NONE})
        for row, inside, p in zip(found, members.values(), p_values, strict=True):
            row["p_holm"] = None if np.isnan(p) else float(p)
            row.update(_held_against(row, people, _said(team, row["axis"], row["slice"])))
            row["action"], row["reason"] = _what_to_do(row, inside, own_trials, evaluation)
            rows.append(row)
    return pl.DataFrame(rows, schema=ANALYSIS).sort(
        *("model", pl.col("axis") != OVERALL, "priority", "axis", "slice"),
        descending=[False, False, True, False, False],
        nulls_last=True,
    )


def _row(
    named: tuple[object, str, str],
    inside: pl.DataFrame,
    everything: pl.DataFrame,
    evaluation: EvaluationSettings,
) -> dict[str, Any]:
    """What the images inside tell by themselves, and beside the others (`p`, `others`)."""
    errors, subjects = inside["error"].to_numpy(), inside["group_id"].to_numpy()
    n_subjects = len(set(subjects))
    rest = everything.filter(~pl.col("image_id").is_in(inside["image_id"].to_list()))
    error, total = float(inside["error"].sum()), float(everything["error"].sum())
    return {
        **dict(zip(("model", "axis", "slice"), named, strict=True)),
        **vars(mean_estimate(1 - errors, subjects, confidence=evaluation.confidence)),
        "n_images": inside.height,
        "n_subjects": n_subjects,
        "enough": judgeable(inside.height, n_subjects, evaluation.min_slice_images),
        "share": inside.height / everything.height,
        "error_share": error / total if total else None,
        "flagged_share": float(inside.filter("wrong")["error"].sum()) / error if error else 0.0,
        "p": _chance(inside, rest),
        "others": None if rest.is_empty() else 1 - float(rest["error"].to_numpy().mean()),
    }


def _chance(inside: pl.DataFrame, rest: pl.DataFrame) -> float | None:
    """The p-value of its error being no larger than others': Welch's test of subjects' means."""
    from scipy.stats import ttest_ind_from_stats

    means = [
        part.group_by("group_id", maintain_order=True).agg(pl.mean("error"))["error"].to_numpy()
        for part in (inside, rest)
    ]
    if min(map(len, means)) < 2:
        return None
    if sum(one.var(ddof=1) / len(one) for one in means) < _NOTHING:
        return None
    one, other = ((part.mean(), part.std(ddof=1), len(part)) for part in means)
    found = ttest_ind_from_stats(*one, *other, equal_var=False, alternative="greater")
    return float(found.pvalue)


def _said(team: Sequence[TeamSlice], axis: str, name: str) -> TeamSlice | None:
    """What the team said of a slice: of its own by name, of a tag by the tag alone."""
    tag = {axis: (name,)}
    for one in team:
        if one.name == name or {key: tuple(words) for key, words in one.rule.where.items()} == tag:
            return one
    return None


def _held_against(
    row: Mapping[str, Any], people: Mapping[tuple[str, str, str], float], said: TeamSlice | None
) -> dict[str, Any]:
    references = {
        "target": getattr(said, "target", None),
        "people": people.get((row["model"], row["axis"], row["slice"])),
        "all others": row["others"],
    }
    of, reference = next((of, one) for of, one in references.items() if one is not None)
    gap = reference - row["value"]
    potential = max(gap, 0.0) * row["share"]
    importance, ease = (getattr(said, name, None) for name in ("importance", "ease"))
    weight = (importance or _MIDDLE) * (ease or _MIDDLE) / _MIDDLE**2
    return {
        "reference": reference,
        "reference_of": of,
        "gap": gap,
        "potential": potential,
        "importance": importance,
        "ease": ease,
        "priority": potential * weight if row["enough"] else None,
    }


def _what_to_do(
    row: Mapping[str, Any],
    inside: pl.DataFrame,
    trials: pl.DataFrame | None,
    evaluation: EvaluationSettings,
) -> tuple[str, str]:
    """What to do, and why that."""
    if not row["enough"]:
        return FEW, f"{row['n_images']} images of {row['n_subjects']} subjects"
    behind = row["p_holm"] is not None and row["p_holm"] <= _ALPHA
    short = row["reference_of"] != "all others" and row["high"] is not None
    if not behind and not (short and row["high"] < row["reference"]):
        return NONE, f"no clear gap to {row['reference_of']}"
    if row["flagged_share"] >= _LABELS_FIRST:
        share = f"{row['flagged_share']:.0%} of its error is on images that are likely labelled"
        return FIX, f"{share} wrong: `iip labels review`"
    if trials is not None and (gain := best_gain(trials, inside, evaluation)):
        return AUGMENT, f"{gain[0]} in training gains {gain[1]:.3f} on it"
    return COLLECT, f"it is {row['share']:.0%} of the data"


def people_of(evaluation: Mapping[str, pl.DataFrame] | None) -> pl.DataFrame:
    """model, axis, slice, value: what people reach, where several labelled the same test images.

    Of the filter the accuracy, of the segmenter the mean IoU, which is how errors are counted here.
    """
    columns = ("model", "axis", "slice", "value")
    if evaluation is None:
        return pl.DataFrame(schema={name: ANALYSIS[name] for name in columns})
    metrics = evaluation["metrics"].filter("enough").drop_nulls("value")
    parts = [
        metrics.filter(model=f"{model}{HUMAN}", metric=metric).with_columns(model=pl.lit(model))
        for model, metric in (("filter", "accuracy"), ("segmenter", "mean_iou"))
    ]
    return pl.concat(parts).select(columns)
