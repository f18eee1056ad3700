"""The price of each remedy, as assets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import AssetContext, asset, describe
from iip_assets.engine.values import MetadataValue, Rows, Setting, Skipped
from iip_assets.settings import (
    BalancedBy,
    Compute,
    Evaluation,
    FilterSettings,
    MaskClasses,
    MaskErrorSettings,
    MaxMegapixels,
    ModelRemedy,
    RemedyName,
    SegmenterSettings,
    ThresholdSettings,
    TrainingSettings,
)

if TYPE_CHECKING:
    import polars as pl

Axis = Annotated[str, Setting("fairness.axis")]
Seeds = Annotated[int, Setting("fairness.seeds")]


@asset(room="fairness", kinds={"pytorch", "polars"})
def fairness_tradeoff(
    filter_examples: pl.DataFrame,
    image_slices: pl.DataFrame,
    *,
    axis: Axis,
    seeds: Seeds,
    remedies: Annotated[Mapping[RemedyName, tuple[float, ...]], Setting("fairness.remedies")],
    recipe: Annotated[FilterSettings, Setting("filter")],
    balanced_by: BalancedBy,
    costs: Annotated[ThresholdSettings, Setting("threshold")],
    evaluation: Evaluation,
    compute: Compute,
    context: AssetContext,
) -> dict[str, pl.DataFrame] | Skipped:
    """What each remedy brings to the group that fares worst, and what it costs all images.

    The filter's head is trained with each remedy from several seeds and judged on the validation
    images. A trial that was made is not made again.
    """
    from iip_assets.engine.hashing import digest_table
    from iip_assets.evaluation.threshold import gate_of
    from iip_assets.fairness import trials
    from iip_assets.fairness.tradeoff import passing_metric, tradeoff_tables
    from iip_assets.models.filter import schedule_of
    from iip_assets.training.trainer import TrainingRun, machine_of

    slices, least = image_slices.filter(axis=axis), evaluation.min_slice_images
    images = trials.trial_images(filter_examples, slices, costs.usable, least_images=least)
    if isinstance(images, str):
        return Skipped(images)
    answers = context.fill(
        "fairness_trials",
        trials.planned("filter", remedies, seeds=seeds),
        trials.run_trials,
        given={
            "schedule": asdict(schedule_of(recipe, "head")) | {"seed": None},
            "gate": asdict(gate_of(costs)),
            "resampled": balanced_by == "resampling",
        },
        key={"images": digest_table(images)},
        # A head is done in seconds, in one process.
        tools={"images": images, "run": TrainingRun(machine_of(compute, TrainingSettings()))},
        chunk=1,
    )
    judged = images.filter(part="judged")
    metric = passing_metric(judged["usable"].to_numpy())
    return tradeoff_tables(answers.frame, judged, metric, evaluation)


@asset(room="fairness", kinds={"pytorch", "polars"})
def segmenter_tradeoff(
    segmenter_examples: pl.DataFrame,
    image_slices: pl.DataFrame,
    *,
    axis: Axis,
    seeds: Seeds,
    remedies: Annotated[
        Mapping[ModelRemedy, tuple[float, ...]], Setting("fairness.segmenter_remedies")
    ],
    encoder: Annotated[str, Setting("segmenter.encoder")],
    decoder_channels: Annotated[tuple[int, ...], Setting("segmenter.decoder_channels")],
    balanced_by: BalancedBy,
    small: Annotated[MaskErrorSettings, Setting("mask_errors")],
    classes: MaskClasses,
    max_megapixels: MaxMegapixels,
    evaluation: Evaluation,
    compute: Compute,
    context: AssetContext,
) -> dict[str, pl.DataFrame] | Skipped:
    """The same of small segmenters: the IoU of the group that fares worst, and of all images."""
    from iip_assets.engine.hashing import digest_table
    from iip_assets.fairness import trials
    from iip_assets.fairness.segmenter_trials import run_segmenter_trials
    from iip_assets.fairness.tradeoff import pixel_metric, tradeoff_tables
    from iip_assets.images.store import ImageStore
    from iip_assets.training.trainer import TrainingRun, machine_of

    if not remedies:
        return Skipped("fairness.segmenter_remedies names no remedy to train segmenters with")
    slices, least = image_slices.filter(axis=axis), evaluation.min_slice_images
    images = trials.trial_images(segmenter_examples, slices, (), least_images=least)
    if isinstance(images, str):
        return Skipped(images)
    store = ImageStore.open(context.root)
    store.fetch([*images["image_id"], *images["mask_id"]])
    frame = small.model_dump(include={"width", "height", "epochs"})
    recipe = SegmenterSettings(encoder=encoder, decoder_channels=decoder_channels, **frame)
    machine = machine_of(compute, TrainingSettings(checks="never"))
    answers = context.fill(
        "segmenter_trials",
        trials.planned("segmenter", remedies, seeds=seeds),
        run_segmenter_trials,
        given={
            "recipe": recipe.model_dump(mode="json", exclude={"seed"}),
            "classes": list(classes),
            "max_megapixels": max_megapixels,
            "resampled": balanced_by == "resampling",
        },
        key={"images": digest_table(images)},
        tools={"images": images, "store": store, "run": TrainingRun(machine)},
        chunk=1,
    )
    judged = images.filter(part="judged")
    return tradeoff_tables(answers.frame, judged, pixel_metric(classes), evaluation)


@describe(fairness_tradeoff)
def describe_fairness_tradeoff(
    fairness_tradeoff: dict[str, pl.DataFrame],
) -> dict[str, MetadataValue]:
    """The chart, and its points as a table."""
    return _described(fairness_tradeoff)


@describe(segmenter_tradeoff)
def describe_segmenter_tradeoff(
    segmenter_tradeoff: dict[str, pl.DataFrame],
) -> dict[str, MetadataValue]:
    """The chart, and its points as a table."""
    return _described(segmenter_tradeoff)


def _described(tables: dict[str, pl.DataFrame]) -> dict[str, MetadataValue]:
    from iip_assets.evaluation.summary import rounded_rows
    from iip_assets.fairness.figures import ALT, tradeoff_figure
    from iip_assets.fairness.tradeoff import MEASURES
    from iip_assets.figures import figure_markdown

    points = tables["tradeoff"]
    shown = points.select("remedy", "strength", "worst_group", "pareto", *MEASURES)
    return {
        "rows": points.height,
        "trials": tables["trials"].height,
        "tradeoff": Rows(rounded_rows(shown, *MEASURES)),
        "plot": figure_markdown(tradeoff_figure(tables), ALT),
    }
