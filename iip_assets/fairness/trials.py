"""One trial of a remedy: the filter's head with it, at one strength, from one seed.

It learns on three quarters of the training subjects, the same for all trials. The other quarter
tells when to stop, from what score on an image passes, and which group fares worst. It answers
about the validation images. The test images stay out of it, as a remedy is chosen by its answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.labels.folds import deal_folds, reason_for_no_folds
from iip_assets.metrics.intervals import LEAST_SUBJECTS, judgeable
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scores import Gate
from iip_assets.models.examples import LEAST_LABELLED, reason_for_no_filter
from iip_assets.models.fair_task import GroupLoss
from iip_assets.models.filter import examples_of
from iip_assets.models.filter_network import Examples, head_logits, train_head
from iip_assets.models.mindiff import MinDiff
from iip_assets.models.rate_constraint import RateConstraint
from iip_assets.models.tasks import FILTER
from iip_assets.training.trainer import Machine, Schedule, TrainingRun
from iip_assets.training_set.balance import balance_weights

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

NONE = "none"
LEARNING, TUNING, JUDGED = "learning", "tuning", "judged"
_QUARTERS = 4
# What an image counts at most for its cell; the mean is 1.
_MOST_WEIGHT = 5.0
# Of the logistic regression: how free its coefficients are, of which the tuning images choose.
_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
_ITERATIONS = 500
# Thresholds that are tried, from 0 to 1.
_STEPS = 101


def trial_images(
    examples: pl.DataFrame, slices: pl.DataFrame, usable: Sequence[str], *, least_images: int
) -> pl.DataFrame | str:
    """What trials learn from, are tuned on and are judged on, or why there can be none.

    Args:
        examples: The table of filter_examples.
        slices: image_id and slice of one axis, of images for which it is known.
        usable: The classes that the segmenter can do something with.
        least_images: Of fewer usable images a group is not judged.

    Returns:
        image_id, part, group_id, label, embedding, usable, and `group`, null where it is not known.
    """
    train = examples.filter(split="train")
    subjects = train["group_id"].to_list()
    reason = reason_for_no_folds(subjects, least=LEAST_LABELLED, what="a label")
    if reason is not None:
        return reason
    tuned = pl.Series(deal_folds(subjects, _QUARTERS) == 0)
    parts = {
        LEARNING: train.filter(~tuned),
        TUNING: train.filter(tuned),
        JUDGED: examples.filter(split="validation"),
    }
    if (reason := reason_for_no_filter(parts[LEARNING])) is not None:
        return f"of three quarters of the training subjects {reason}"
    if parts[JUDGED].is_empty():
        return "no labelled image fell to validation"
    every = pl.concat(one.with_columns(part=pl.lit(name)) for name, one in parts.items())
    images = every.join(
        slices.select("image_id", group="slice"), on="image_id", how="left", maintain_order="left"
    ).select(
        *("image_id", "part", "group_id", "label", "embedding", "group"),
        usable=pl.col("label").is_in(list(usable)),
    )
    enough = set(large_groups(images.filter(part=JUDGED), least_images))
    for name in (LEARNING, TUNING):
        enough &= {*images.filter("usable", part=name)["group"]}
    if len(enough) < 2:
        return (
            f"remedies are compared where two groups have usable images to train on and "
            f"{least_images} of {LEAST_SUBJECTS} subjects in validation; {len(enough)} has"
        )
    return images


def large_groups(images: pl.DataFrame, least_images: int) -> list[str]:
    """The groups of which there are enough usable images and subjects to judge by."""
    known = images.filter("usable").drop_nulls("group")
    counts = known.group_by("group").agg(pl.len(), pl.col("group_id").n_unique().alias("subjects"))
    rows = counts.sort("group").iter_rows()
    return [name for name, n, subjects in rows if judgeable(n, subjects, least_images)]


def planned(remedies: Mapping[str, Sequence[float]], *, seeds: int) -> pl.DataFrame:
    """A row a trial: model, remedy, strength and seed, without any remedy first.

    Nothing is drawn for a reduction, so it has one seed.
    """
    rows = [
        (FILTER.name, remedy, f"{strength:g}", seed)
        for remedy, strengths in {NONE: (0.0,), **remedies}.items()
        for strength in strengths
        for seed in range(1 if remedy == "reductions" else seeds)
    ]
    return pl.DataFrame(rows, schema=["model", "remedy", "strength", "seed"], orient="row")


def weakest_group(answers: pl.DataFrame, images: pl.DataFrame) -> str:
    """The group of which most usable tuning images are rejected, by answers without a remedy.

    Groups of too few subjects count only where there are not two others.
    """
    tuning = images.filter(part=TUNING)
    passes = pl.Series(np.array(answers["tuned"].to_list(), dtype=np.float64).mean(0))
    usable = tuning.with_columns(passes=passes).filter("usable").drop_nulls("group")
    recalls = usable.group_by("group").agg(pl.col("passes").mean()).sort("passes", "group")
    large = recalls.filter(pl.col("group").is_in(large_groups(tuning, LEAST_SUBJECTS)))
    return str((large if large.height > 1 else recalls)["group"][0])


def run_trials(
    records: Sequence[Mapping[str, Any]],
    *,
    schedule: Mapping[str, Any],
    gate: Mapping[str, Any],
    images: pl.DataFrame,
    machine: Machine,
) -> list[dict[str, Any]]:
    """The answers of each trial: `passes` of the judged images, `tuned` of the tuning images.

    1 for an image that passes, 0 for one that does not, or the chance of it.

    Args:
        records: remedy, strength, seed, and the `weak` group, which MinDiff is to score as others.
        schedule: Of the head's training; the seed is the trial's.
        gate: The fields of a `Gate`.
        images: Of `trial_images`.
        machine: Where to train.
    """
    parts = [images.filter(part=name) for name in (LEARNING, TUNING, JUDGED)]
    found = []
    for one in records:
        if one["remedy"] == "reductions":
            tuned, passes = _reduced(parts, float(one["strength"]))
        else:
            recipe = Schedule(**{**schedule, "seed": one["seed"]})
            tuned, passes = _head(parts, one, Gate(**gate), recipe, machine)
        found.append({"passes": passes.tolist(), "tuned": tuned.tolist()})
    return found


def _head(
    parts: Sequence[pl.DataFrame],
    record: Mapping[str, Any],
    gate: Gate,
    schedule: Schedule,
    machine: Machine,
) -> tuple[Floats, Floats]:
    """What passes by a head on embeddings, of tuning and judged images."""
    from scipy.special import softmax

    remedy, strength = record["remedy"], float(record["strength"])
    learned, tuned, judged = (_examples(one) for one in parts)
    groups = parts[0].filter("usable")["group"].drop_nulls().unique().sort().to_list()
    usable = tuple(FILTER_CLASSES.index(name) for name in gate.usable)
    fair: GroupLoss | None = None
    if remedy in ("weights", "resampling"):
        learned = _balanced(parts[0], learned, remedy, strength, schedule.seed)
    elif remedy == "mindiff":
        fair = MinDiff(strength, "gaussian", usable)
        sides = [2 * (pl.col("group") == record["weak"]).cast(pl.Int8) - 1]
    elif remedy == "rate_constraint":
        fair = RateConstraint((strength,) * len(groups), usable)
        sides = [(pl.col("group") == name).cast(pl.Int8).alias(name) for name in groups]
    if fair is not None:
        learned, tuned = (
            replace(one, sides=part.select(sides).fill_null(0).to_numpy())
            for one, part in zip((learned, tuned), parts, strict=False)
        )
    run = TrainingRun(machine)
    head, _ = train_head(learned, tuned, schedule, classes=len(FILTER_CLASSES), run=run, fair=fair)
    scores = [
        softmax(head_logits(head, one.embeddings).astype(np.float64), axis=1)[:, usable].sum(1)
        for one in (tuned, judged)
    ]
    # The constraint is about recall at an even chance.
    threshold = 0.5
    if remedy != "rate_constraint":
        threshold = _cheapest(parts[1]["usable"].to_numpy(), scores[0], gate)
    passes = [(one >= threshold).astype(np.float64) for one in scores]
    if remedy == "threshold_optimizer":
        return passes[0], _optimized(parts, scores, passes[1], strength, schedule.seed)
    return passes[0], passes[1]


def _examples(part: pl.DataFrame) -> Examples:
    return examples_of(part.with_columns(weight=pl.lit(1.0)), len(part["embedding"][0]))


def _balanced(
    part: pl.DataFrame, examples: Examples, remedy: str, strength: float, seed: int
) -> Examples:
    """Cells of group and usable come nearer to counting alike; at strength 1 within the cap."""
    cells = part.select(pl.concat_str("group", pl.col("usable").cast(pl.String))).to_series()
    weights = balance_weights(cells.to_list(), max_weight=_MOST_WEIGHT) ** strength
    if remedy == "weights":
        return replace(examples, weights=weights)
    count = len(weights)
    drawn = np.random.default_rng(seed).choice(count, count, p=weights / weights.sum())
    return Examples(examples.embeddings[drawn], examples.classes[drawn], examples.weights[drawn])


def _cheapest(usable: Flags, scores: Floats, gate: Gate) -> float:
    """The threshold of least cost; of several equally cheap ones that nearest to breaking even."""
    steps = np.linspace(0, 1, _STEPS)
    passes = scores >= steps[:, None]
    lost, failed = (~passes & usable).sum(1), (passes & ~usable).sum(1)
    cost = lost * gate.lost_iris + failed * gate.failed_segmentation
    return float(min(zip(cost, np.abs(steps - gate.break_even), steps, strict=True))[2])


def _optimized(
    parts: Sequence[pl.DataFrame],
    scores: Sequence[Floats],
    passes: Floats,
    tolerance: float,
    seed: int,
) -> Floats:
    """What passes by a threshold for each group, whose recalls lie within the tolerance.

    Fairlearn's, after Hardt, Price and Srebro (2016). It asks for an image's group; where that is
    not known, or has not both usable and other tuning images, the decision stays as it was.
    """
    from fairlearn.postprocessing import ThresholdOptimizer
    from sklearn.linear_model import LogisticRegression

    _, tuning, judged = parts
    kinds = tuning.group_by("group").agg(pl.col("usable").n_unique())
    both = kinds.drop_nulls().filter(usable=2)["group"].to_list()
    seen, asked = (one["group"].is_in(both).fill_null(False).to_numpy() for one in (tuning, judged))
    if not seen.any():
        return passes
    # The regression keeps the order of the scores, which is all that the thresholds go by.
    optimizer = ThresholdOptimizer(
        estimator=LogisticRegression(),
        constraints="true_positive_rate_parity",
        predict_method="predict_proba",
        tol=tolerance,
    )
    optimizer.fit(
        scores[0][seen, None],
        tuning["usable"].to_numpy()[seen].astype(int),
        sensitive_features=tuning["group"].to_numpy()[seen],
    )
    passes[asked] = optimizer.predict(
        scores[1][asked, None],
        sensitive_features=judged["group"].to_numpy()[asked],
        random_state=seed,
    )
    return passes


def _reduced(parts: Sequence[pl.DataFrame], bound: float) -> list[Floats]:
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
    inputs, *asked = (scaler.transform(one) for one in embeddings)

    def right(penalty: float) -> float:
        plain = LogisticRegression(C=penalty, max_iter=_ITERATIONS)
        return float(plain.fit(inputs, truth).score(asked[0], tuned))

    mixture = ExponentiatedGradient(
        LogisticRegression(C=max(_PENALTIES, key=right), max_iter=_ITERATIONS),
        TruePositiveRateParity(difference_bound=bound),
    )
    mixture.fit(inputs, truth, sensitive_features=learned["group"].to_numpy())
    shares = [pair for pair in mixture.weights_.items() if pair[1] > 0]
    return [
        np.clip(sum(share * mixture.predictors_[at].predict(one) for at, share in shares), 0, 1)
        for one in asked
    ]
