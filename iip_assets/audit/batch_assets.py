"""The assets of this room that tell of batches: what they brought, and what to label next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import AssetContext, asset, describe
from iip_assets.engine.values import MetadataValue, Rows, Setting, Skipped
from iip_assets.settings import (
    BatchVerdictSettings,
    Compute,
    Evaluation,
    FilterSettings,
    SliceAxes,
    TrainingSettings,
)

if TYPE_CHECKING:
    import polars as pl

# Rows that Dagster's page shows.
_SHOWN = 50


@asset(room="audit", kinds={"polars"})
def training_batches(
    raw_dataset: dict[str, pl.DataFrame], filter_examples: pl.DataFrame
) -> pl.DataFrame:
    """With which batch each of the filter's training images came, and what its label promised.

    While this table and the examples stand, no head is trained again to judge a batch.
    """
    import polars as pl

    from iip_assets.audit.kept_promises import batches_of

    train = filter_examples.filter(pl.col("split") == "train").select("image_id")
    batches = batches_of(raw_dataset["images"], raw_dataset["label_rows"])
    return train.join(batches, on="image_id", maintain_order="left")


@describe(training_batches)
def describe_training_batches(training_batches: pl.DataFrame) -> dict[str, MetadataValue]:
    """How many images and batches there are to train on."""
    return {"rows": training_batches.height, "batches": training_batches["batch"].n_unique()}


@asset(room="audit", kinds={"pytorch", "polars"})
def batch_trials(
    filter_examples: pl.DataFrame,
    training_batches: pl.DataFrame,
    *,
    tried: Annotated[BatchVerdictSettings, Setting("batch_verdict")],
    recipe: Annotated[FilterSettings, Setting("filter")],
    compute: Compute,
    context: AssetContext,
) -> dict[str, pl.DataFrame] | Skipped:
    """What the filter's head says when it is trained with and without each of the newest batches.

    It is trained on the cached embeddings, from several seeds, and asked about the validation
    images. Batches that `iip label next` chose are tried beside what was labelled before them.
    """
    from functools import partial

    from iip_assets.audit import batch_trials as trials
    from iip_assets.models.filter import schedule_of
    from iip_assets.training.trainer import machine_of

    images = filter_examples.join(
        training_batches, on="image_id", how="left", maintain_order="left"
    )
    reason = trials.reason_for_no_trials(images)
    if reason is not None:
        return Skipped(reason)
    try_batches = partial(
        trials.try_batches,
        schedule=schedule_of(recipe, "head"),
        seeds=tried.seeds,
        # A head is done in seconds, in one process.
        machine=machine_of(compute, TrainingSettings()),
        progress=context.progress,
    )
    tables = try_batches(images, trials.newest_batches(images, tried.batches))
    return {**tables, "promised": trials.try_promised(images, try_batches)}


@describe(batch_trials)
def describe_batch_trials(batch_trials: dict[str, pl.DataFrame]) -> dict[str, MetadataValue]:
    """Which batches were left out, and how often the head was trained."""
    probabilities = batch_trials["probabilities"]
    return {
        "rows": probabilities.height,
        "batches": Rows(batch_trials["batches"].to_dicts()),
        "trainings": probabilities.select("batch", "seed").n_unique(),
    }


@asset(room="audit", kinds={"polars"})
def batch_verdict(
    batch_trials: dict[str, pl.DataFrame],
    filter_examples: pl.DataFrame,
    image_slices: pl.DataFrame,
    *,
    evaluation: Evaluation,
    axes: SliceAxes,
) -> pl.DataFrame:
    """Did each of the newest batches help or hurt the filter, and on which slice.

    The filter's head was trained with and without the batch on the cached embeddings, and both are
    judged on the validation images.
    """
    import polars as pl

    from iip_assets.audit.batch_verdict import judge_batches

    return judge_batches(
        batch_trials, filter_examples, image_slices.filter(pl.col("axis").is_in(axes)), evaluation
    )


@describe(batch_verdict)
def describe_batch_verdict(batch_verdict: pl.DataFrame) -> dict[str, MetadataValue]:
    """A line a batch, the newest first, and the change that each made."""
    from iip_assets.audit.figures import batches_figure, verdict_rows
    from iip_assets.figures import figure_markdown

    return {
        "rows": batch_verdict.height,
        "batches": Rows(verdict_rows(batch_verdict)),
        "plot": figure_markdown(
            batches_figure(batch_verdict), "change of the filter's F1 by batch, with intervals"
        ),
    }


@asset(room="audit", kinds={"polars"})
def kept_promises(
    batch_trials: dict[str, pl.DataFrame],
    training_batches: pl.DataFrame,
    filter_examples: pl.DataFrame,
    *,
    evaluation: Evaluation,
) -> pl.DataFrame:
    """What each batch that `iip label next` chose promised, and what it brought, for ever.

    No row where no such batch came back yet.
    """
    from iip_assets.audit.kept_promises import keep_promises

    return keep_promises(batch_trials, training_batches, filter_examples, evaluation)


@describe(kept_promises)
def describe_kept_promises(kept_promises: pl.DataFrame) -> dict[str, MetadataValue]:
    """A line a batch, the newest first."""
    from iip_assets.evaluation.summary import rounded_rows

    rows = rounded_rows(kept_promises, "promised", "realised", "low", "high")
    return {"rows": kept_promises.height, "batches": Rows(rows)}


@asset(room="audit", kinds={"polars"})
def labeling_priorities(
    raw_dataset: dict[str, pl.DataFrame],
    data_splits: pl.DataFrame,
    image_slices: pl.DataFrame,
    image_embeddings: pl.DataFrame,
    filter_verdicts: dict[str, pl.DataFrame] | Skipped,
    *,
    count: Annotated[int, Setting("labeling.images")],
    axes: Annotated[tuple[str, ...], Setting("training_set.axes")],
    target: Annotated[dict[str, dict[str, float]], Setting("coverage.target")],
) -> pl.DataFrame | Skipped:
    """Which images to label next, by what their labels are expected to bring, with the reasons.

    Where the filter fails or labels are few, of classes and demographic values that few labelled
    images have, and far from one another.
    """
    from iip_assets.audit.labeling_priorities import priorities, reason_for_no_choice

    images = raw_dataset["images"]
    reason = reason_for_no_choice(images, data_splits)
    if reason is not None:
        return Skipped(reason)
    return priorities(
        images,
        data_splits,
        image_embeddings,
        image_slices,
        verdicts=None if isinstance(filter_verdicts, Skipped) else filter_verdicts["verdicts"],
        count=count,
        axes=axes,
        target=target,
    )


@describe(labeling_priorities)
def describe_labeling_priorities(labeling_priorities: pl.DataFrame) -> dict[str, MetadataValue]:
    """What their labels promise, and the first with the reasons; the report shows their images."""
    from iip_assets.evaluation.summary import rounded_rows

    first = labeling_priorities.select("rank", "image_id", "gain", "promised_gain", "reason")
    return {
        "rows": labeling_priorities.height,
        "promised_gain": round(float(labeling_priorities["promised_gain"].sum()), 4),
        "first": Rows(rounded_rows(first.head(_SHOWN), "gain", "promised_gain")),
    }
