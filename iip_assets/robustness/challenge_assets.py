"""What the models do on images that they never meet in training, as assets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import AssetContext, asset, describe
from iip_assets.engine.values import Files, MetadataValue, Rows, Setting, Skipped
from iip_assets.settings import (
    Compute,
    Evaluation,
    FilterSettings,
    GroupAxis,
    MaskClasses,
    MaxMegapixels,
    Threads,
    TrainingSettings,
)

if TYPE_CHECKING:
    import polars as pl

    from iip_assets.dataset.challenge_sets import ChallengeSet


@asset(room="robustness", kinds={"onnx", "polars"})
def challenge_results(
    challenge_file: Sequence[ChallengeSet],
    raw_dataset: dict[str, pl.DataFrame],
    data_splits: pl.DataFrame,
    iris_filter_model: Files | Skipped,
    segmentation_model: Files | Skipped,
    *,
    evaluation: Evaluation,
    classes: MaskClasses,
    max_megapixels: MaxMegapixels,
    threads: Threads,
    context: AssetContext,
) -> pl.DataFrame | Skipped:
    """Both models on each frozen challenge set, beside the test images."""
    import polars as pl

    from iip_assets.embeddings.device import core_count
    from iip_assets.images.store import ImageStore
    from iip_assets.metrics.names import FILTER_CLASSES
    from iip_assets.models.examples import no_model
    from iip_assets.robustness.benchmark import models_answers
    from iip_assets.robustness.challenge import asked_images, challenge_table

    if not challenge_file:
        return Skipped("challenge_sets.toml names no set: `iip slices freeze` makes one")
    models = {"filter": iris_filter_model, "segmenter": segmentation_model}
    if all(isinstance(one, Skipped) for one in models.values()):
        return no_model(*models.values())
    images = asked_images(challenge_file, raw_dataset["images"], data_splits)
    images = images.with_columns(label=pl.when(pl.col("label").is_in(FILTER_CLASSES)).then("label"))
    if not (images["split"] != "test").any():
        return Skipped("no image of a challenge set is in the data any more")
    store, fill = ImageStore.open(context.root), context.fill
    store.fetch([*images["image_id"], *images["mask_id"].drop_nulls()])
    given = {"seed": 0, "max_megapixels": max_megapixels, "mask_classes": [*classes]}
    answers = models_answers(
        *(models, images, ()), fill=fill, given=given, store=store, threads=core_count(threads)
    )
    return challenge_table(
        *(challenge_file, images, answers),
        mask_classes=classes,
        intervals=evaluation,
        least_images=evaluation.min_slice_images,
    )


@describe(challenge_results)
def describe_challenge_results(challenge_results: pl.DataFrame) -> dict[str, MetadataValue]:
    """Each set beside the test images."""
    from iip_assets.evaluation.summary import rounded_rows

    numbers = ("value", "low", "high", "test", "difference", "difference_low", "difference_high")
    return {
        "rows": challenge_results.height,
        "results": Rows(rounded_rows(challenge_results, *numbers)),
    }


@asset(room="robustness", kinds={"pytorch", "polars"})
def group_holdout(
    filter_examples: pl.DataFrame,
    image_slices: pl.DataFrame,
    *,
    axis: GroupAxis,
    seeds: Annotated[int, Setting("group_holdout.seeds")],
    recipe: Annotated[FilterSettings, Setting("filter")],
    evaluation: Evaluation,
    compute: Compute,
    context: AssetContext,
) -> pl.DataFrame | Skipped:
    """How the filter's head does on a group that it never met.

    Beside heads without as many images of others; each trained once.
    """
    from dataclasses import asdict

    from iip_assets.engine.hashing import digest_table
    from iip_assets.models.filter import schedule_of
    from iip_assets.robustness import holdout
    from iip_assets.training.trainer import TrainingRun, machine_of

    slices, least = image_slices.filter(axis=axis), evaluation.min_slice_images
    images = holdout.holdout_images(filter_examples, slices, least_images=least)
    if isinstance(images, str):
        return Skipped(images)
    answers = context.fill(
        "group_holdouts",
        holdout.planned(images, seeds),
        holdout.run_holdouts,
        given={"schedule": asdict(schedule_of(recipe, "head")) | {"seed": None}},
        key={"images": digest_table(images)},
        # A head is done in seconds, in one process.
        tools={"images": images, "run": TrainingRun(machine_of(compute, TrainingSettings()))},
        chunk=1,
    )
    return holdout.holdout_table(answers.frame, images, evaluation)


@describe(group_holdout)
def describe_group_holdout(group_holdout: pl.DataFrame) -> dict[str, MetadataValue]:
    """What each group loses when nothing is learned from it."""
    from iip_assets.evaluation.summary import rounded_rows

    numbers = ("with_others", "without", "difference", "low", "high")
    return {
        "rows": group_holdout.height,
        "groups": Rows(rounded_rows(group_holdout, *numbers)),
    }
