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
from iip_assets.fairness.group_metrics import GROUPS, NOT_SHOWN, TOO_FEW, WORSE, audit
from iip_assets.metrics.functional import iou, over_classes, weighted_mean
from iip_assets.metrics.intervals import (
    chance_above,
    estimate,
    estimate_difference,
    holm,
    judgeable,
)
from iip_assets.metrics.names import FILTER_CLASSES, OVERALL, spelled
from iip_assets.metrics.scored_predictions import (
    Floats,
    Indices,
    ScoredPredictions,
    class_places,
    counts_of,
    places_by_slice,
    replicates_of_both,
)
from iip_assets.models.tasks import FILTER, SEGMENTER
from iip_assets.robustness.benchmark import CLEAN, METRICS, scored_answers
from iip_assets.robustness.variants import ORIGINAL

if TYPE_CHECKING:
    from iip_assets.settings import EvaluationSettings

GROUP_METRIC = {FILTER.name: "accuracy", SEGMENTER.name: SEGMENTER.headline}
"""By model the metric by which it is decided whether a group loses."""

AGREEMENT = "agreement"
"""The share of images on which no more than half of the smaller models depart."""

# So much less of an image's mean IoU makes a segmenter depart from the original.
_DEPARTS = 0.05
_NAMES = dict.fromkeys(("model", "variant", "corruption", "axis", "slice", "metric"), pl.String())
_NUMBERS = ("value", "low", "high", "original")
_DIFFERENCE = ("difference", "difference_low", "difference_high")
_SCHEMA = {
    **_NAMES,
    **dict.fromkeys((*_NUMBERS, *_DIFFERENCE), pl.Float64()),
    **dict.fromkeys(("n_images", "n_subjects"), pl.Int64()),
    "p": pl.Float64(),
}
_EXEMPLARS = {
    **dict.fromkeys(("model", "image_id"), pl.String()),
    **dict.fromkeys(("departing", "variants"), pl.Int64()),
    **dict.fromkeys(("score", "smaller_score"), pl.Float64()),
}

# By corruption what a model said of each image.
Answers = Mapping[str, pl.DataFrame]


def compression_tables(
    models: Mapping[str, Mapping[str, Files]],
    images: pl.DataFrame,
    answers: Mapping[str, Mapping[str, Answers]],
    slices: pl.DataFrame,
    *,
    group_axis: str,
    mask_classes: Sequence[str],
    evaluation: EvaluationSettings,
) -> dict[str, pl.DataFrame]:
    """The tables of the trade-off.

    `tradeoff` has each smaller model's metrics beside the original's, overall and by group, clean
    and under each corruption; intervals of differences are paired over subjects. `p_holm` of a
    group's main metric on clean images is small where it loses, corrected for all groups and
    smaller models of that model. `metrics` has all metrics of clean images by every slice, as
    `model_evaluation` has them of the original; `exemplars` the images on which most smaller models
    depart from it, `agreement` how many of each group's images are none, against all others',
    and `sizes` the bytes of each network's file.

    Args:
        models: By model and variant, the original among them.
        images: `image_id`, `label`, `group_id`.
        answers: Likewise, as `answers_of` gives them, of one severity.
        slices: `image_id`, `axis`, `slice`.
        group_axis: The axis by which smaller models are judged.
        mask_classes: Names of the masks' classes.
        evaluation: How intervals are made, and the fewest images of a group that is judged.
    """
    own = slices.filter(axis=group_axis)
    rows: list[tuple[object, ...]] = []
    metrics = [pl.DataFrame(schema={"variant": pl.String(), **METRICS_SCHEMA})]
    exemplars, agreement = [pl.DataFrame(schema=_EXEMPLARS)], [pl.DataFrame(schema=GROUPS)]
    for model, variants in answers.items():
        scored = {
            name: {
                corruption: found[0][1]
                for corruption, frame in by_corruption.items()
                if (found := scored_answers(model, images, frame, [0], mask_classes))
            }
            for name, by_corruption in variants.items()
        }
        if not scored[ORIGINAL] or len(scored) < 2:
            continue
        for name, by_corruption in scored.items():
            table = metrics_table(model, by_corruption[CLEAN], slices, evaluation)
            metrics.append(table.select(pl.lit(name).alias("variant"), pl.all()))
            for corruption, after in by_corruption.items() if name != ORIGINAL else ():
                pair = (scored[ORIGINAL][corruption], after)
                compared = _compared(model, corruption, pair, own, evaluation)
                rows += [(model, name, corruption, *row) for row in compared]
        clean = {name: by_corruption[CLEAN] for name, by_corruption in variants.items()}
        judged = _departures(model, images, clean, mask_classes)
        exemplars.append(judged.filter(pl.col("departing") * 2 > pl.col("variants")))
        agreement.append(_agreement(model, images, judged, own, evaluation))
    tradeoff = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    sizes = [
        (model, name, len(files.parts[f"{model}.onnx"]))
        for model, variants in models.items()
        for name, files in variants.items()
    ]
    return {
        "tradeoff": _with_verdicts(tradeoff, evaluation),
        "sizes": pl.DataFrame(sizes, schema=["model", "variant", "bytes"], orient="row"),
        "metrics": pl.concat(metrics),
        "exemplars": pl.concat(exemplars),
        "agreement": pl.concat(agreement),
    }


def _compared(
    model: str,
    corruption: str,
    pair: tuple[ScoredPredictions, ScoredPredictions],
    slices: pl.DataFrame,
    evaluation: EvaluationSettings,
) -> Iterator[tuple[object, ...]]:
    """Rows of the trade-off from `axis` on, of one smaller model and the original."""
    before, after = pair
    for axis, name, places in places_by_slice(before.image_ids, slices):
        both = replicates_of_both(before, after, places, evaluation)
        subjects = len({before.groups[place] for place in places})
        enough = judgeable(len(places), subjects, evaluation.min_slice_images)
        ask = enough and corruption == CLEAN and axis != OVERALL and name != UNKNOWN
        for metric in METRICS[model]:
            apart, rests = both.after[metric] - both.before[metric], both.subjects[metric]
            given: dict[str, Any] = {"confidence": evaluation.confidence, "subjects": rests}
            one = estimate(both.after[metric], both.made.sizes, **given)
            change = estimate_difference(apart, both.made.sizes, **given)
            p = None
            if ask and metric == GROUP_METRIC[model]:
                # That it loses nothing: small where it does.
                p = chance_above(apart, both.made.sizes, bound=0, subjects=rests)
            was = both.before[metric][0]
            values = (*vars(one).values(), None if np.isnan(was) else float(was))
            yield axis, name, metric, *values, *vars(change).values(), len(places), subjects, p


def _with_verdicts(tradeoff: pl.DataFrame, evaluation: EvaluationSettings) -> pl.DataFrame:
    """The trade-off with `enough`, `p_holm` and the verdict on each group, null for others."""
    parts = [tradeoff.clear().with_columns(p_holm=pl.lit(None, pl.Float64))]
    for _, part in tradeoff.group_by("model", maintain_order=True):
        adjusted = pl.Series(holm(part["p"].fill_null(np.nan).to_numpy()), dtype=pl.Float64)
        parts.append(part.with_columns(p_holm=adjusted.fill_nan(None)))
    asked = pl.lit(False)
    for model, metric in GROUP_METRIC.items():
        asked |= (pl.col("model") == model) & (pl.col("metric") == metric)
    asked &= (pl.col("axis") != OVERALL) & (pl.col("corruption") == CLEAN)
    verdict = (
        pl.when(~asked | (pl.col("slice") == UNKNOWN))
        .then(None)
        .when(pl.col("p_holm").is_null())
        .then(pl.lit(TOO_FEW))
        .when(pl.col("p_holm") <= 1 - evaluation.confidence)
        .then(pl.lit(WORSE))
        .otherwise(pl.lit(NOT_SHOWN))
    )
    return pl.concat(parts).drop("p").with_columns(verdict=verdict)


def _departures(
    model: str,
    images: pl.DataFrame,
    clean: Mapping[str, pl.DataFrame],
    mask_classes: Sequence[str],
) -> pl.DataFrame:
    """In `_EXEMPLARS` every image of known truth, with how many smaller models depart on it.

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
    smaller = [name for name in clean if name != ORIGINAL]
    if model == FILTER.name:
        departs = [said[name] != said[ORIGINAL] for name in smaller]
    else:
        departs = [scores[ORIGINAL] - scores[name] > _DEPARTS for name in smaller]
    return known.select(
        pl.lit(model).alias("model"),
        "image_id",
        pl.Series("departing", np.sum(departs, 0), pl.Int64),
        pl.lit(len(smaller), pl.Int64).alias("variants"),
        pl.Series("score", scores[ORIGINAL]).fill_nan(None),
        pl.Series("smaller_score", np.mean([scores[name] for name in smaller], 0)).fill_nan(None),
    )


def _agreement(
    model: str,
    images: pl.DataFrame,
    judged: pl.DataFrame,
    slices: pl.DataFrame,
    evaluation: EvaluationSettings,
) -> pl.DataFrame:
    """How many images of each group are no exemplars, held against all others' (`audit`)."""
    table = judged.join(images.select("image_id", "group_id"), on="image_id").sort("image_id")
    agrees = (table["departing"] * 2 <= table["variants"]).to_numpy().astype(np.float64)

    def scored(places: Indices, weights: Floats) -> dict[str, Floats]:
        return {AGREEMENT: weighted_mean(agrees[places], weights)}

    ids, groups = table["image_id"].to_list(), table["group_id"].to_list()
    known = slices.filter(pl.col("slice") != UNKNOWN)
    return audit(model, ScoredPredictions(ids, groups, scored), known, evaluation)[0]


def losing_groups(tradeoff: pl.DataFrame) -> pl.DataFrame:
    """The rows of groups that are shown to lose by a smaller model, the largest loss first."""
    return tradeoff.filter(verdict=WORSE).sort("difference", "model", "variant", "slice")


def spared_check(tradeoff: pl.DataFrame, most: float) -> CheckResult:
    """Whether no group is shown to lose, and loses more than this, by any smaller model."""
    asked = tradeoff.filter(pl.col("p_holm").is_not_null()).height
    lost = losing_groups(tradeoff).filter(pl.col("difference") < -most)
    return CheckResult(
        passed=lost.is_empty() if asked else None,
        severity="warning",
        description="; ".join(map(loss_in_words, lost.to_dicts()))
        or (
            f"none of {asked} pairs of a group and a smaller model is shown to lose over {most:g}"
            if asked
            else "no group is large enough"
        ),
    )


def loss_in_words(row: Mapping[str, Any]) -> str:
    """A row of `losing_groups`, such as for a check."""
    return (
        f"{row['model']} {row['variant']}, {row['axis']} {row['slice']}: {spelled(row['metric'])} "
        f"{row['value']:.3f} instead of {row['original']:.3f} ({row['difference']:+.3f}, "
        f"{row['difference_low']:+.3f} to {row['difference_high']:+.3f}; n = {row['n_images']} of "
        f"{row['n_subjects']} subjects, p = {row['p_holm']:.2g})"
    )
