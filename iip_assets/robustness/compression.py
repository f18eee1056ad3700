"""What smaller models cost, whom, and on which images they say something else than the original.

Images on which most smaller models depart from the original are compression-identified exemplars
(Hooker et al. 2019, arXiv:1911.05248); the groups that have more of them than others bear the cost
(Hooker et al. 2020, arXiv:2010.03058), which the metric of all images hides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from iip_assets.dataset.schema import UNKNOWN
from iip_assets.engine.values import CheckResult, Files
from iip_assets.evaluation.evaluation import METRICS_SCHEMA, metrics_table
from iip_assets.fairness.group_metrics import NOT_SHOWN, TOO_FEW, WORSE
from iip_assets.metrics.functional import iou, over_classes
from iip_assets.metrics.intervals import (
    chance_above,
    estimate,
    estimate_difference,
    holm,
    judgeable,
)
from iip_assets.metrics.names import FILTER_CLASSES, OVERALL, spelled
from iip_assets.metrics.scored_predictions import (
    ScoredPredictions,
    class_places,
    counts_of,
    places_by_slice,
    replicates_of_both,
)
from iip_assets.models.tasks import FILTER, SEGMENTER
from iip_assets.robustness.benchmark import CLEAN, scored_answers
from iip_assets.robustness.variants import ORIGINAL

if TYPE_CHECKING:
    from iip_assets.settings import EvaluationSettings

GROUP_METRIC = {FILTER.name: "accuracy", SEGMENTER.name: SEGMENTER.headline}
"""By model the metric by which it is decided whether a group loses."""

# So much less of an image's mean IoU makes a segmenter depart from the original.
_DEPARTS = 0.05
_NUMBERS = ("value", "low", "high", "original", "difference", "difference_low", "difference_high")
_SCHEMA = {
    **dict.fromkeys(
        ("model", "variant", "corruption", "metric", "axis", "slice", "verdict"), pl.String()
    ),
    **dict.fromkeys((*_NUMBERS, "p_holm"), pl.Float64()),
    **dict.fromkeys(("n_images", "n_subjects"), pl.Int64()),
}
_EXEMPLARS = {
    **dict.fromkeys(("model", "image_id"), pl.String()),
    **dict.fromkeys(("departing", "variants"), pl.Int64()),
    **dict.fromkeys(("score", "smaller_score"), pl.Float64()),
    "slice": pl.String(),
}


def compression_tables(
    models: Mapping[str, Mapping[str, Files]],
    images: pl.DataFrame,
    answers: Mapping[str, Mapping[str, Mapping[str, pl.DataFrame]]],
    slices: pl.DataFrame,
    *,
    group_axis: str,
    mask_classes: Sequence[str],
    evaluation: EvaluationSettings,
) -> dict[str, pl.DataFrame]:
    """The tables of the trade-off.

    `tradeoff` has each smaller model's main metric beside the original's, overall and by group,
    clean and under each corruption; intervals of differences are paired over subjects. `p_holm` of
    a group on clean images is small where it loses, corrected for all groups and smaller models of
    that model. `metrics` has all metrics of clean images by every slice, as `model_evaluation` has
    them of the original; `exemplars` the images on which most smaller models depart from it, with
    their group, and `sizes` the bytes of each network's file.

    Args:
        models: By model and variant, the original among them.
        images: `image_id`, `label`, `group_id`.
        answers: Likewise, by corruption what it said of each image at one severity, as
            `models_answers` gives it.
        slices: `image_id`, `axis`, `slice`.
        group_axis: The axis by which smaller models are judged.
        mask_classes: Names of the masks' classes.
        evaluation: How intervals are made, and the fewest images of a group that is judged.
    """
    own = slices.filter(axis=group_axis)
    tradeoff, exemplars = [pl.DataFrame(schema=_SCHEMA)], [pl.DataFrame(schema=_EXEMPLARS)]
    metrics = [pl.DataFrame(schema={"variant": pl.String(), **METRICS_SCHEMA})]
    for model, variants in answers.items():
        scored = {
            (name, corruption): found[0][1]
            for name, by_corruption in variants.items()
            for corruption, frame in by_corruption.items()
            if (found := scored_answers(model, images, frame, [0], mask_classes))
        }
        if not scored or len(variants) < 2:
            continue
        rows: list[dict[str, Any]] = []
        for (name, corruption), after in scored.items():
            if corruption == CLEAN:
                table = metrics_table(model, after, slices, evaluation)
                metrics.append(table.select(pl.lit(name).alias("variant"), pl.all()))
            if name != ORIGINAL:
                names = {"model": model, "variant": name, "corruption": corruption}
                compared = _compared(model, scored[ORIGINAL, corruption], after, own, evaluation)
                rows += [{**names, **row} for row in compared]
        tradeoff.append(_with_verdicts(rows, evaluation))
        clean = {name: by_corruption[CLEAN] for name, by_corruption in variants.items()}
        exemplars.append(_exemplars(model, images, clean, own, mask_classes))
    sizes = [
        (model, name, len(files.parts[f"{model}.onnx"]))
        for model, variants in models.items()
        for name, files in variants.items()
    ]
    return {
        "tradeoff": pl.concat(tradeoff),
        "sizes": pl.DataFrame(sizes, schema=["model", "variant", "bytes"], orient="row"),
        "metrics": pl.concat(metrics),
        "exemplars": pl.concat(exemplars),
    }


def _compared(
    model: str,
    before: ScoredPredictions,
    after: ScoredPredictions,
    slices: pl.DataFrame,
    evaluation: EvaluationSettings,
) -> Iterator[dict[str, Any]]:
    """Rows of the trade-off of one smaller model and the original; `p` is that it loses nothing."""
    metric = GROUP_METRIC[model]
    for axis, name, places in places_by_slice(before.image_ids, slices):
        both = replicates_of_both(before, after, places, evaluation)
        sizes, subjects = both.made.sizes, len({before.groups[place] for place in places})
        apart, rests = both.after[metric] - both.before[metric], both.subjects[metric]
        how: dict[str, Any] = {"confidence": evaluation.confidence, "subjects": rests}
        change, was = estimate_difference(apart, sizes, **how), both.before[metric][0]
        enough = judgeable(len(places), subjects, evaluation.min_slice_images)
        yield {
            **{"axis": axis, "slice": name, "metric": metric},
            **vars(estimate(both.after[metric], sizes, **how)),
            "original": None if np.isnan(was) else float(was),
            **dict(zip(_NUMBERS[4:], vars(change).values(), strict=True)),
            **{"n_images": len(places), "n_subjects": subjects},
            "p": chance_above(apart, sizes, bound=0, subjects=rests) if enough else None,
        }


def _with_verdicts(
    rows: Sequence[Mapping[str, Any]], evaluation: EvaluationSettings
) -> pl.DataFrame:
    """The rows of a model with `p_holm` and the verdict on each group of clean images."""
    table = pl.DataFrame(rows, schema=_SCHEMA | {"p": pl.Float64()})
    asked = (pl.col("corruption") == CLEAN) & (pl.col("axis") != OVERALL)
    asked &= pl.col("slice") != UNKNOWN
    p = table.select(pl.when(asked).then("p").fill_null(np.nan)).to_series().to_numpy()
    verdict = (
        pl.when(~asked)
        .then(None)
        .when(pl.col("p_holm").is_null())
        .then(pl.lit(TOO_FEW))
        .when(pl.col("p_holm") <= 1 - evaluation.confidence)
        .then(pl.lit(WORSE))
        .otherwise(pl.lit(NOT_SHOWN))
    )
    adjusted = pl.Series("p_holm", holm(p), pl.Float64).fill_nan(None)
    return table.with_columns(adjusted).with_columns(verdict=verdict).drop("p")


def _exemplars(
    model: str,
    images: pl.DataFrame,
    clean: Mapping[str, pl.DataFrame],
    slices: pl.DataFrame,
    mask_classes: Sequence[str],
) -> pl.DataFrame:
    """In `_EXEMPLARS` the images of known truth on which more than half of the models depart.

    A filter departs where it names another class, a segmenter where the image's mean IoU is lower
    by `_DEPARTS`. Scores are the probability of the true class, or that IoU.
    """
    column = "probabilities" if model == FILTER.name else "confusions"
    known = images.join(clean[ORIGINAL], on="image_id").filter(pl.col(column).is_not_null())
    known = FILTER.with_truth(known) if model == FILTER.name else known
    known = known.select("image_id", "label").sort("image_id")
    said, scores = {}, {}
    for name, frame in clean.items():
        found = known.join(frame, on="image_id", how="left", maintain_order="left")[column]
        if model == FILTER.name:
            shares = counts_of(found, len(FILTER_CLASSES))
            said[name] = shares.argmax(1)
            scores[name] = shares[np.arange(len(shares)), class_places(known["label"])]
        else:
            counts = counts_of(found, len(mask_classes), len(mask_classes))
            scores[name] = over_classes(np.where(counts.sum(2) > 0, iou(counts), np.nan))
            said[name] = scores[ORIGINAL] - scores[name] > _DEPARTS
    smaller = [name for name in clean if name != ORIGINAL]
    departing = np.sum([said[name] != said[ORIGINAL] for name in smaller], 0)
    table = known.select(
        pl.lit(model).alias("model"),
        "image_id",
        pl.Series("departing", departing, pl.Int64),
        pl.lit(len(smaller), pl.Int64).alias("variants"),
        pl.Series("score", scores[ORIGINAL]).fill_nan(None),
        pl.Series("smaller_score", np.mean([scores[name] for name in smaller], 0)).fill_nan(None),
    ).filter(pl.col("departing") * 2 > pl.col("variants"))
    return table.join(slices.select("image_id", "slice"), on="image_id", how="left")


def losing_groups(tradeoff: pl.DataFrame) -> pl.DataFrame:
    """The rows of groups that are shown to lose by a smaller model, the largest loss first."""
    return tradeoff.filter(verdict=WORSE).sort("difference", "model", "variant", "slice")


def spared_check(tradeoff: pl.DataFrame, most: float) -> CheckResult:
    """Whether no group is shown to lose, and loses more than this, by any smaller model."""
    asked = tradeoff.filter(pl.col("p_holm").is_not_null()).height
    lost = losing_groups(tradeoff).filter(pl.col("difference") < -most)
    none = f"none of {asked} pairs of a group and a smaller model is shown to lose over {most:g}"
    return CheckResult(
        passed=lost.is_empty() if asked else None,
        severity="warning",
        description="; ".join(map(loss_in_words, lost.to_dicts()))
        or (none if asked else "no group is large enough"),
    )


def loss_in_words(row: Mapping[str, Any]) -> str:
    """A row of `losing_groups`, such as for a check."""
    return (
        f"{row['model']} {row['variant']}, {row['axis']} {row['slice']}: {spelled(row['metric'])} "
        f"{row['value']:.3f} instead of {row['original']:.3f} ({row['difference']:+.3f}, "
        f"{row['difference_low']:+.3f} to {row['difference_high']:+.3f}; n = {row['n_images']} of "
        f"{row['n_subjects']} subjects, p = {row['p_holm']:.2g})"
    )
