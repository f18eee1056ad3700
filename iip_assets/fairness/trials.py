"""One trial of a remedy: the filter's head with it, at one strength, from one seed.

It learns on three quarters of the training subjects, the same for all trials; the other quarter
tells when to stop and from what score on an image passes. It is judged on the validation images:
the test images stay out of it, as a remedy is chosen by what it does here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import softmax

from iip_assets.dataset.schema import UNKNOWN
from iip_assets.fairness.tradeoff import NONE
from iip_assets.labels.folds import deal_folds, reason_for_no_folds
from iip_assets.metrics.intervals import LEAST_SUBJECTS, judgeable
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scores import Gate
from iip_assets.models.examples import LEAST_LABELLED, LEAST_MASKED, reason_for_no_filter
from iip_assets.models.fair_task import GroupLoss
from iip_assets.models.filter import examples_of
from iip_assets.models.filter_network import Examples, head_logits, train_head
from iip_assets.models.mindiff import MinDiff
from iip_assets.models.rate_constraint import RateConstraint
from iip_assets.training.trainer import Schedule, TrainingRun
from iip_assets.training_set.balance import balance_weights
from iip_assets.training_set.subsets import EVEN_CHANCE

Floats = NDArray[np.float64]
Parts = Sequence[pl.DataFrame]

PARTS = ("learning", "tuning", "judged")
_QUARTERS = 4
# Of the logistic regression: how free its coefficients are, of which the tuning images choose.
_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
_ITERATIONS = 500
_THRESHOLDS = np.linspace(0, 1, 101)


def trial_images(
    examples: pl.DataFrame, slices: pl.DataFrame, usable: Sequence[str], *, least_images: int
) -> pl.DataFrame | str:
    """The images of all trials of a filter, or, of no usable classes, of a segmenter; or why none.

    From the examples of the model, the slices of one axis, and the usable classes: what examples
    say, part, usable, `group`, null where it is not known, and whether that is `compared`, as it
    has enough usable images and subjects. Of a segmenter every image counts as usable.
    """
    train, judged = (examples.filter(split=one) for one in ("train", "validation"))
    subjects = train["group_id"].to_list()
    least, what = (LEAST_LABELLED, "a label") if usable else (LEAST_MASKED, "a valid mask")
    reason = reason_for_no_folds(subjects, least=least, what=what)
    if reason is not None:
        return reason
    tuned = pl.Series(deal_folds(subjects, _QUARTERS) == 0)
    learned = train.filter(~tuned)
    if usable and (reason := reason_for_no_filter(learned)) is not None:
        return f"of three quarters of the training subjects {reason}"
    if judged.is_empty():
        return f"no image with {what} fell to validation"
    groups = slices.filter(pl.col("slice") != UNKNOWN).select("image_id", group="slice")
    parts = zip(PARTS, (learned, train.filter(tuned), judged), strict=True)
    counts = pl.col("label").is_in(list(usable)) if usable else pl.lit(True)
    images = (
        pl.concat(one.with_columns(part=pl.lit(name)) for name, one in parts)
        .join(groups, on="image_id", how="left", maintain_order="left")
        .with_columns(usable=counts)
        .drop("split", "sides", "remedy", strict=False)
    )
    enough = {*images["group"].drop_nulls()}
    for (part, name), own in images.filter("usable").group_by("part", "group"):
        if part == "judged" and not judgeable(own.height, own["group_id"].n_unique(), least_images):
            enough.discard(str(name))
    for part in PARTS:
        enough &= {*images.filter("usable", part=part)["group"]}
    if len(enough) < 2:
        return (
            f"remedies are compared between groups that have {least_images} usable validation "
            f"images of {LEAST_SUBJECTS} subjects, and others to train on; it takes two, there is "
            f"{len(enough) or 'none'}"
        )
    kinds = images.group_by("part").agg(pl.col("usable").n_unique())["usable"].to_list()
    known = images.filter(part=PARTS[0]).drop_nulls("group")["usable"].n_unique()
    if usable and [known, *kinds] != [2, 2, 2, 2]:
        return "usable images and others are needed to learn from, to tune on and to judge by"
    return images.with_columns(compared=pl.col("group").is_in(enough).fill_null(False))


def planned(model: str, remedies: Mapping[Any, Sequence[float]], *, seeds: int) -> pl.DataFrame:
    """A row a trial, those without a remedy first; for a reduction nothing is drawn by a seed."""
    rows = [
        (model, remedy, f"{strength:g}", seed)
        for remedy, strengths in [(NONE, (0.0,)), *remedies.items()]
        for strength in strengths
        for seed in range(1 if remedy == "reductions" else seeds)
    ]
    return pl.DataFrame(rows, schema=["model", "remedy", "strength", "seed"], orient="row")


def pair_groups(groups: Sequence[str]) -> list[str]:
    """The groups that MinDiff holds against all others; of two groups one says it all."""
    return sorted(groups)[: 1 if len(groups) == 2 else None]


def sides_of_groups(images: pl.DataFrame, groups: Sequence[str], remedy: str) -> NDArray[np.int8]:
    """(N, G) where images stand: 1 in the group, 0 where that is not known or, of MinDiff, -1."""
    own = [(pl.col("group") == name).cast(pl.Int8).alias(name) for name in groups]
    sides = [one * 2 - 1 for one in own] if remedy == "mindiff" else own
    return images.select(sides).fill_null(0).to_numpy()


def run_trials(
    records: Sequence[Mapping[str, Any]],
    *,
    schedule: Mapping[str, Any],
    gate: Mapping[str, Any],
    resampled: bool,
    images: pl.DataFrame,
    run: TrainingRun,
) -> list[dict[str, Any]]:
    """`answer` of each trial: of each judged image whether it passes, or the chance of it.

    Records have remedy, strength and seed, which takes the place of that of the schedule; `gate`
    has the fields of a `Gate`, and the images are those of `trial_images`. Training images weigh
    what they do in training, by resampling or not, unless weights are the remedy.
    """
    parts = [images.filter(part=name) for name in PARTS]
    found = []
    for one in records:
        if one["remedy"] == "reductions":
            passes = _by_reduction(parts, float(one["strength"]))
        else:
            recipe = Schedule(**{**schedule, "seed": one["seed"]})
            passes = _by_head(parts, one, Gate(**gate), recipe, run, resampled=resampled)
        found.append({"answer": passes.tolist()})
    return found


def _by_head(
    parts: Parts,
    record: Mapping[str, Any],
    gate: Gate,
    schedule: Schedule,
    run: TrainingRun,
    *,
    resampled: bool,
) -> Floats:
    """What a head on embeddings lets pass of the judged images."""
    remedy, strength = record["remedy"], float(record["strength"])
    learned, tuned, judged = (_examples(one) for one in parts)
    groups = parts[0].filter("compared")["group"].unique().sort().to_list()
    usable = tuple(FILTER_CLASSES.index(name) for name in gate.usable)
    fair: GroupLoss | None = None
    if remedy in ("weights", "resampling"):
        weights = balance_weights(parts[0]["group"].to_list(), max_weight=strength)
        learned, resampled = replace(learned, weights=weights), remedy == "resampling"
    elif remedy == "mindiff":
        fair, groups = MinDiff(strength, "gaussian", usable), pair_groups(groups)
    elif remedy == "rate_constraint":
        fair = RateConstraint((strength,) * len(groups), usable)
    if fair is not None:
        learned, tuned = (
            replace(one, sides=sides_of_groups(part, groups, remedy))
            for one, part in ((learned, parts[0]), (tuned, parts[1]))
        )
    head, _ = train_head(
        *(learned, tuned, schedule),
        classes=len(FILTER_CLASSES),
        run=run,
        fair=fair,
        resampled=resampled,
    )
    scores = [
        softmax(head_logits(head, one.embeddings).astype(np.float64), axis=1)[:, usable].sum(1)
        for one in (tuned, judged)
    ]
    threshold = _cheapest(parts[1]["usable"].to_numpy(), scores[0], gate)
    if remedy == "rate_constraint":
        threshold = min(threshold, EVEN_CHANCE)
    passes: Floats = (scores[1] >= threshold).astype(np.float64)
    if remedy == "threshold_optimizer":
        _decide_by_group(passes, parts, scores, strength, schedule.seed)
    return passes


def _examples(part: pl.DataFrame) -> Examples:
    return examples_of(part, len(part["embedding"][0]))


def _cheapest(usable: NDArray[np.bool_], scores: Floats, gate: Gate) -> float:
    """The threshold of least cost; of several equally cheap ones that nearest to breaking even."""
    passes = scores >= _THRESHOLDS[:, None]
    lost, failed = (~passes & usable).sum(1), (passes & ~usable).sum(1)
    cost = lost * gate.lost_iris + failed * gate.failed_segmentation
    return float(_THRESHOLDS[np.lexsort([np.abs(_THRESHOLDS - gate.break_even), cost])[0]])


def _decide_by_group(
    passes: Floats, parts: Parts, scores: Sequence[Floats], tolerance: float, seed: int
) -> None:
    """Changes what passes by a threshold for each group, with recalls within the tolerance.

    Fairlearn's, after Hardt, Price and Srebro (2016). It asks for an image's group; where that is
    not known, or has not both usable and other tuning images, the decision stays as it was.
    """
    from fairlearn.postprocessing import ThresholdOptimizer
    from sklearn.linear_model import LogisticRegression

    kinds = parts[1].group_by("group").agg(pl.col("usable").n_unique())
    both = kinds.filter(usable=2)["group"].drop_nulls().to_list()
    (seen, known), (asked, groups) = (
        (one["group"].is_in(both).fill_null(False).to_numpy(), one["group"].to_numpy())
        for one in parts[1:]
    )
    if not seen.any():
        return
    # The regression keeps the order of the scores, which is all that the thresholds go by.
    optimizer = ThresholdOptimizer(
        estimator=LogisticRegression(),
        constraints="true_positive_rate_parity",
        predict_method="predict_proba",
        tol=tolerance,
    )
    truth = parts[1]["usable"].to_numpy()[seen].astype(int)
    optimizer.fit(scores[0][seen, None], truth, sensitive_features=known[seen])
    passes[asked] = optimizer.predict(
        scores[1][asked, None], sensitive_features=groups[asked], random_state=seed
    )


def _by_reduction(parts: Parts, bound: float) -> Floats:
    """The chance of passing under a logistic regression whose recalls differ within a bound.

    Fairlearn's exponentiated gradient (Agarwal et al. 2018), a mixture of classifiers. The bound
    holds on the images that it learns from, and on others only as far as these are alike.
    """
    from fairlearn.reductions import ExponentiatedGradient, TruePositiveRateParity
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    learned = parts[0].drop_nulls("group")
    truth, tuned = (one["usable"].to_numpy().astype(int) for one in (learned, parts[1]))
    embeddings = [_examples(one).embeddings.astype(np.float64) for one in (learned, *parts[1:])]
    scaler = StandardScaler().fit(embeddings[0])
    inputs, tuning, judged = (scaler.transform(one) for one in embeddings)
    plain = [LogisticRegression(C=one, max_iter=_ITERATIONS) for one in _PENALTIES]
    best = max(plain, key=lambda one: one.fit(inputs, truth).score(tuning, tuned))
    mixture = ExponentiatedGradient(best, TruePositiveRateParity(difference_bound=bound))
    mixture.fit(inputs, truth, sensitive_features=learned["group"].to_numpy())
    passes = np.zeros(len(judged))
    for place, share in mixture.weights_.items():
        passes += share * mixture.predictors_[place].predict(judged)
    return passes.clip(0, 1)
