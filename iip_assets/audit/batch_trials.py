"""The filter's head trained with each batch and without it, on the same embeddings.

What it says of the validation images is kept, so that judging it again trains nothing. The test
images stay out of it: who keeps or drops batches by what they do on the test images has no
number left to believe.

A batch's images are those that came with it, whoever labelled them since; the others keep their
weights. A batch of corrections has none, and is not tried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.models.examples import reason_for_no_filter
from iip_assets.models.filter import examples_of
from iip_assets.models.filter_network import Examples, head_logits, train_head
from iip_assets.training.progress import Progress
from iip_assets.training.trainer import Machine, Schedule, TrainingRun

_BATCHES = {"batch": pl.String(), "training_images": pl.Int64()}
_PROMISED = {
    **{"batch": pl.String(), "seed": pl.Int64(), "image_id": pl.String()},
    **{f"prob_{name}": pl.Float64() for name in FILTER_CLASSES},
    "tried": pl.String(),
}


def reason_for_no_trials(images: pl.DataFrame) -> str | None:
    """Why no batch can be judged by these examples, which have a `batch`, or None if one can."""
    reason = reason_for_no_filter(images)
    if reason is not None:
        return reason
    train = images.filter(pl.col("split") == "train")
    if train["batch"].n_unique() < 2:
        return "no second batch to compare with: all labelled training images are of one batch"
    if not (images["split"] == "validation").any():
        return "no labelled image fell to validation"
    return None


def newest_batches(images: pl.DataFrame, count: int) -> list[str]:
    """The last `count` batches that have labelled training images, in the order of names."""
    train = images.filter(pl.col("split") == "train")
    return sorted(train["batch"].drop_nulls().unique())[-count:]


def try_promised(
    images: pl.DataFrame, try_batches: Callable[[pl.DataFrame, list[str]], dict[str, pl.DataFrame]]
) -> pl.DataFrame:
    """As `probabilities` of `try_batches`, of each batch that has a `promised_gain`, as `tried`.

    All that came after it is left out. A batch with too little before it has no rows.
    """
    found, came = [pl.DataFrame(schema=_PROMISED)], pl.col("batch").fill_null("")
    for batch in images.drop_nulls(["promised_gain", "batch"])["batch"].unique().sort():
        then = images.filter((came <= batch) | (pl.col("split") != "train"))
        if reason_for_no_trials(then) is None:
            tried = try_batches(then, [batch])["probabilities"]
            found.append(tried.with_columns(tried=pl.lit(batch, pl.String)))
    return pl.concat(found)


def try_batches(
    images: pl.DataFrame,
    batches: Sequence[str],
    schedule: Schedule,
    *,
    seeds: int,
    machine: Machine,
    progress: Progress,
) -> dict[str, pl.DataFrame]:
    """The tables `batches` and `probabilities`.

    `batches` has a row a batch, with the number of its training images. `probabilities` has a
    row for each validation image and seed, by the head that was trained without the batch and,
    where `batch` is null, by the one that was trained on all of them. Without a batch that brought
    no training image nothing changes, and without the largest one there may be too little left:
    such batches have no rows there.

    Args:
        images: The table of filter_examples with the column `batch`.
        batches: Which batches to try.
        schedule: How long and how fast; its seed is the first, others follow it.
        seeds: How many of them.
        machine: Where to train.
        progress: Shows how far it is, in trainings.
    """
    from scipy.special import softmax

    train = images.filter(pl.col("split") == "train")
    held_out = images.filter(pl.col("split") == "validation")
    dimensions = len(images["embedding"][0])
    everything, validation = (examples_of(part, dimensions) for part in (train, held_out))
    batch_of = train["batch"].fill_null("").to_numpy()
    kept = {batch: batch_of != batch for batch in batches}
    trainable: dict[str | None, NDArray[np.bool_]] = {None: np.ones(len(everything), dtype=bool)}
    trainable |= {
        batch: keep
        for batch, keep in kept.items()
        if not keep.all() and reason_for_no_filter(train.filter(pl.Series(keep))) is None
    }
    plan = [(batch, schedule.seed + place) for batch in trainable for place in range(seeds)]
    probabilities = []
    for batch, seed in progress(
        plan, total=len(plan), label="training with and without each batch"
    ):
        head, _ = train_head(
            _part(everything, trainable[batch]),
            validation,
            replace(schedule, seed=seed),
            classes=len(FILTER_CLASSES),
            run=TrainingRun(machine),
        )
        logits = head_logits(head, validation.embeddings).astype(np.float64)
        shares = softmax(logits, axis=1)
        probabilities.append(
            held_out.select(
                pl.lit(batch, pl.String).alias("batch"),
                pl.lit(seed, pl.Int64).alias("seed"),
                "image_id",
                *(pl.Series(f"prob_{name}", shares[:, k]) for k, name in enumerate(FILTER_CLASSES)),
            )
        )
    sizes = [(batch, int((~kept[batch]).sum())) for batch in batches]
    return {
        "batches": pl.DataFrame(sizes, schema=_BATCHES, orient="row"),
        "probabilities": pl.concat(probabilities),
    }


def _part(examples: Examples, keep: NDArray[np.bool_]) -> Examples:
    return Examples(examples.embeddings[keep], examples.classes[keep], examples.weights[keep])
