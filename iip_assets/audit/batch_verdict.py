"""Did a batch help: the filter's head trained with it and without it, on the same embeddings.

Both are judged on the validation pictures. The test pictures stay out of it: who keeps or drops
batches by what they do on the test pictures has no number left to believe.

A batch's pictures are those whose counting label came with it; the others keep their weights. A
difference counts only where its interval leaves out 0. The interval holds both kinds of luck: which
subjects stand in the validation set, and which seed the training had, so both are drawn anew
(a bootstrap of two levels; Bouthillier et al. 2021 show how much seeds matter).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.metrics.calibration import softmax
from iip_assets.metrics.intervals import Estimate, bootstrap_weights, estimate
from iip_assets.metrics.paired import LEAST_SUBJECTS
from iip_assets.metrics.scores import FILTER_HEADLINE, filter_scores
from iip_assets.metrics.words import FILTER_CLASSES
from iip_assets.models.filter import examples_of, why_not
from iip_assets.models.filter_head import Examples, head_logits, train_head
from iip_assets.training.trainer import Around, Machine, Schedule

Floats = NDArray[np.float64]
Verdict = Literal["helps", "hurts", "no clear effect", "too small to judge"]

_SCHEMA = {
    "batch": pl.String(),
    "axis": pl.String(),
    "slice": pl.String(),
    "verdict": pl.String(),
    "with_batch": pl.Float64(),
    "without_batch": pl.Float64(),
    "difference": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "n_images": pl.Int64(),
    "n_subjects": pl.Int64(),
    "training_images": pl.Int64(),
}


@dataclass(frozen=True)
class Recipe:
    """How heads are trained and differences judged.

    Attributes:
        schedule: How long and how fast; its seed is the first, others follow it.
        seeds: How many of them.
        resamples: Draws behind each interval.
        confidence: Of the intervals.
        interval_seed: Of the draws.
        min_images: A slice with fewer validation pictures is not judged.
    """

    schedule: Schedule
    seeds: int
    resamples: int
    confidence: float
    interval_seed: int
    min_images: int


class Progress(Protocol):
    """Passes items through and shows how far it is, as `AssetContext.progress` does."""

    def __call__(self, items: Iterable[Any], *, total: int | None, label: str) -> Iterable[Any]:
        """The same items."""
        ...


def why_no_verdict(pictures: pl.DataFrame) -> str | None:
    """Why no batch can be judged by these pictures, or None.

    Args:
        pictures: `labelled_pictures` with the column `batch`.
    """
    reason = why_not(pictures)
    if reason is not None:
        return reason
    train = pictures.filter(pl.col("split") == "train")
    if train["batch"].n_unique() < 2:
        return "no second batch to compare with: all labelled training pictures are of one batch"
    if not (pictures["split"] == "validation").any():
        return "no validation picture has a label of full, partial or none"
    return None


def newest_batches(pictures: pl.DataFrame, count: int) -> list[str]:
    """The last `count` batches that have labelled training pictures, in the order of names."""
    train = pictures.filter(pl.col("split") == "train")
    return sorted(train["batch"].drop_nulls().unique())[-count:]


def judge_batches(
    pictures: pl.DataFrame,
    weights: Mapping[str, float],
    slices: pl.DataFrame,
    batches: Sequence[str],
    recipe: Recipe,
    *,
    machine: Machine,
    progress: Progress,
) -> pl.DataFrame:
    """For each batch and slice: the filter's F1 with it and without it, and a verdict.

    Args:
        pictures: `labelled_pictures` with the column `batch`.
        weights: What a training picture counts, by image id; 1 where it is not named.
        slices: `image_id`, `axis`, `slice`.
        batches: Which batches to judge.
        recipe: How.
        machine: Where to train.
        progress: Shows how far it is, in trainings.

    Returns:
        For each batch the row of all validation pictures (axis `overall`) first, then one a slice.
        `with_batch` and `without_batch` are means over seeds; `difference` is the first minus the
        second: above 0 the batch helps.
    """
    train = pictures.filter(pl.col("split") == "train")
    held_out = pictures.filter(pl.col("split") == "validation")
    dimensions = len(pictures["embedding"][0])
    everything = examples_of(train, weights, dimensions)
    validation = examples_of(held_out, {}, dimensions)
    batch_of = train["batch"].fill_null("").to_numpy()
    kept = {batch: batch_of != batch for batch in batches}
    # Without a batch that brought no training picture nothing changes; without the largest one
    # there may be too little left.
    trainable = {"": np.ones(len(everything), dtype=bool)} | {
        batch: keep
        for batch, keep in kept.items()
        if not keep.all() and why_not(train.filter(pl.Series(keep))) is None
    }
    schedules = [
        replace(recipe.schedule, seed=recipe.schedule.seed + k) for k in range(recipe.seeds)
    ]
    plan = [(name, schedule) for name in trainable for schedule in schedules]
    said: dict[str, list[Floats]] = {}
    for name, schedule in progress(
        plan, total=len(plan), label="training with and without each batch"
    ):
        head, _ = train_head(
            _part(everything, trainable[name]),
            validation,
            schedule,
            classes=len(FILTER_CLASSES),
            around=Around(machine),
        )
        logits = head_logits(head, validation.embeddings).astype(np.float64)
        said.setdefault(name, []).append(softmax(logits))
    rows: list[dict[str, Any]] = []
    for batch in batches:
        size = int((~kept[batch]).sum())
        rows += [
            {"batch": batch, "training_images": size, **row}
            for row in _rows(
                held_out,
                validation.classes,
                slices,
                with_batch=said[""],
                without_batch=said.get(batch),
                recipe=recipe,
            )
        ]
    return pl.DataFrame(rows, schema=_SCHEMA)


def _part(examples: Examples, keep: NDArray[np.bool_]) -> Examples:
    return Examples(examples.embeddings[keep], examples.classes[keep], examples.weights[keep])


def _rows(
    held_out: pl.DataFrame,
    actual: NDArray[np.int64],
    slices: pl.DataFrame,
    *,
    with_batch: Sequence[Floats],
    without_batch: Sequence[Floats] | None,
    recipe: Recipe,
) -> Iterable[dict[str, Any]]:
    place_of = {image_id: place for place, image_id in enumerate(held_out["image_id"])}
    groups = held_out["group_id"].to_numpy()
    members: dict[tuple[str, str], list[int]] = {("overall", "all"): list(range(len(actual)))}
    named = slices.filter(pl.col("image_id").is_in(list(place_of))).sort("axis", "slice")
    for image_id, axis, name in named.select("image_id", "axis", "slice").iter_rows():
        members.setdefault((axis, name), []).append(place_of[image_id])
    for (axis, name), found in members.items():
        places = np.array(sorted(found), dtype=np.int64)
        n_subjects = len(set(groups[places]))
        row = {"axis": axis, "slice": name, "n_images": len(places), "n_subjects": n_subjects}
        if without_batch is None:
            yield {**row, "verdict": "too small to judge"}
            continue
        weights = bootstrap_weights(
            groups[places].tolist(), resamples=recipe.resamples, seed=recipe.interval_seed
        )
        scored = [
            np.stack(
                [
                    filter_scores(actual[places], one[places], weights, FILTER_CLASSES)[
                        FILTER_HEADLINE
                    ]
                    for one in said
                ]
            )
            for said in (with_batch, without_batch)
        ]
        difference = _difference(scored[0], scored[1], recipe)
        enough = n_subjects >= LEAST_SUBJECTS and len(places) >= recipe.min_images
        yield {
            **row,
            "verdict": _verdict(difference) if enough else "too small to judge",
            "with_batch": float(scored[0][:, 0].mean()),
            "without_batch": float(scored[1][:, 0].mean()),
            "difference": difference.value,
            "low": difference.low if n_subjects > 1 else None,
            "high": difference.high if n_subjects > 1 else None,
        }


def _difference(with_batch: Floats, without_batch: Floats, recipe: Recipe) -> Estimate:
    """The mean over seeds of with minus without; seeds are drawn anew as subjects are.

    Args:
        with_batch: (S, 1 + R) a row a seed, the columns as of `bootstrap_weights`.
        without_batch: Likewise. Equal seeds do not pair: on other pictures they draw otherwise.
        recipe: How many draws, and how sure.
    """
    rng = np.random.default_rng(recipe.interval_seed)
    means = []
    for scores in (with_batch, without_batch):
        seeds, draws = len(scores), scores.shape[1] - 1
        drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws)
        shares = np.concatenate([np.ones((1, seeds)), drawn]) / seeds
        means.append((shares.T * scores).sum(0))
    return estimate(means[0] - means[1], confidence=recipe.confidence)


def _verdict(difference: Estimate) -> Verdict:
    if difference.low is None or difference.high is None:
        return "too small to judge"
    if difference.low > 0:
        return "helps"
    return "hurts" if difference.high < 0 else "no clear effect"
