"""Smaller models and what they cost, as assets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import AssetContext, asset, asset_check, describe
from iip_assets.engine.values import CheckResult, Files, MetadataValue, Rows, Setting, Skipped
from iip_assets.settings import (
    BalancedBy,
    CompressionTrainingSettings,
    Compute,
    Evaluation,
    FilterSettings,
    GroupAxis,
    MaskClasses,
    MaxMegapixels,
    SegmenterSettings,
    Threads,
    TrainingSettings,
)

if TYPE_CHECKING:
    import polars as pl

Names = tuple[str, ...]
Training = Annotated[CompressionTrainingSettings, Setting("compression_training")]


@asset(room="robustness", kinds={"pytorch", "onnx"})
def compressed_filters(
    iris_filter_model: Files,
    filter_examples: pl.DataFrame,
    embedding_backbone: Files,
    *,
    variants: Annotated[Names, Setting("compression.filter")],
    training: Training,
    recipe: Annotated[FilterSettings, Setting("filter")],
    balanced_by: BalancedBy,
    max_megapixels: MaxMegapixels,
    compute: Compute,
    context: AssetContext,
) -> Files | Skipped:
    """Smaller filters: in fewer bits, with fewer channels, students; and how fast each is here.

    Each is made once of a filter and what that learned from.
    """
    from iip_assets.images.store import ImageStore
    from iip_assets.robustness.compressed_filters import smaller_filters
    from iip_assets.robustness.compressed_models import Original, compressed
    from iip_assets.training.trainer import TrainingRun, machine_of

    run = TrainingRun(machine_of(compute, TrainingSettings(checks="never")), context.progress)
    original = Original(
        *("filter", iris_filter_model, filter_examples, recipe, training),
        *(balanced_by == "resampling", run, ImageStore.open(context.root), max_megapixels),
        embedding_backbone.parts,
    )
    return compressed(original, variants, smaller_filters, fill=context.fill)


@asset(room="robustness", kinds={"pytorch", "onnx"})
def compressed_segmenters(
    segmentation_model: Files,
    segmenter_examples: pl.DataFrame,
    *,
    variants: Annotated[Names, Setting("compression.segmenter")],
    training: Training,
    recipe: Annotated[SegmenterSettings, Setting("segmenter")],
    balanced_by: BalancedBy,
    max_megapixels: MaxMegapixels,
    compute: Compute,
    context: AssetContext,
) -> Files | Skipped:
    """Smaller segmenters, likewise."""
    from iip_assets.images.store import ImageStore
    from iip_assets.robustness.compressed_models import Original, compressed
    from iip_assets.robustness.compressed_segmenters import smaller_segmenters
    from iip_assets.training.trainer import TrainingRun, machine_of

    run = TrainingRun(machine_of(compute, TrainingSettings(checks="never")), context.progress)
    original = Original(
        *("segmenter", segmentation_model, segmenter_examples, recipe, training),
        *(balanced_by == "resampling", run, ImageStore.open(context.root), max_megapixels),
    )
    return compressed(original, variants, smaller_segmenters, fill=context.fill)


@describe(compressed_filters)
def describe_compressed_filters(compressed_filters: Files) -> dict[str, MetadataValue]:
    """What one image takes each on the machine that made them."""
    return _described(compressed_filters)


@describe(compressed_segmenters)
def describe_compressed_segmenters(compressed_segmenters: Files) -> dict[str, MetadataValue]:
    """What one image takes each on the machine that made them."""
    return _described(compressed_segmenters)


def _described(made: Files) -> dict[str, MetadataValue]:
    from iip_assets.robustness.variants import latency_ms

    found = latency_ms(made)
    return {"latency": Rows([{"model": one, "ms": round(ms, 2)} for one, ms in found.items()])}


@asset(room="robustness", kinds={"onnx", "polars"})
def compression_tradeoff(
    iris_filter_model: Files | Skipped,
    segmentation_model: Files | Skipped,
    compressed_filters: Files | Skipped,
    compressed_segmenters: Files | Skipped,
    held_out_images: pl.DataFrame,
    data_splits: pl.DataFrame,
    image_slices: pl.DataFrame,
    *,
    corruptions: Annotated[Names, Setting("compression.corruptions")],
    severity: Annotated[int, Setting("compression.severity")],
    most: Annotated[int, Setting("compression.max_images")],
    seed: Annotated[int, Setting("robustness.seed")],
    group_axis: GroupAxis,
    evaluation: Evaluation,
    classes: MaskClasses,
    max_megapixels: MaxMegapixels,
    threads: Threads,
    context: AssetContext,
) -> dict[str, pl.DataFrame] | Skipped:
    """What each smaller model costs on test images: overall, by group, under corruption.

    With the images on which most of them say something else than the original.
    """
    from functools import partial

    from iip_assets.embeddings.device import core_count
    from iip_assets.images.store import ImageStore
    from iip_assets.models.examples import reason_for_none_judged
    from iip_assets.robustness.benchmark import benchmark_images, models_answers
    from iip_assets.robustness.compression import compression_tables
    from iip_assets.robustness.corruptions import check_names
    from iip_assets.robustness.variants import with_original

    check_names(corruptions)
    models = with_original(
        filter=(iris_filter_model, compressed_filters),
        segmenter=(segmentation_model, compressed_segmenters),
    )
    if isinstance(models, Skipped):
        return models
    groups = data_splits.select("image_id", "group_id")
    test = held_out_images.filter(split="test").join(groups, on="image_id")
    chosen = benchmark_images(test, most=most, seed=seed)
    store = ImageStore.open(context.root)
    store.fetch([*chosen["image_id"], *chosen["mask_id"].drop_nulls()])
    asked = partial(
        models_answers,
        severities=[severity],
        fill=context.fill,
        given={"seed": seed, "max_megapixels": max_megapixels, "mask_classes": [*classes]},
        store=store,
        threads=core_count(threads),
    )
    answers = {
        model: {
            name: asked({model: files}, chosen, corruptions)[model]
            for name, files in variants.items()
        }
        for model, variants in models.items()
        if chosen.height
    }
    tables = compression_tables(
        *(models, chosen, answers, image_slices),
        group_axis=group_axis,
        mask_classes=classes,
        evaluation=evaluation,
    )
    none = tables["tradeoff"].is_empty()
    return Skipped(reason_for_none_judged(held_out_images, "test")) if none else tables


@describe(compression_tradeoff)
def describe_compression_tradeoff(
    compression_tradeoff: dict[str, pl.DataFrame],
) -> dict[str, MetadataValue]:
    """The chart, the groups that lose, and how many images are exemplars."""
    from iip_assets.evaluation.summary import rounded_rows
    from iip_assets.figures import figure_markdown
    from iip_assets.robustness.compression import losing_groups
    from iip_assets.robustness.compression_figures import ALT, compression_figure

    lost, values = losing_groups(compression_tradeoff["tradeoff"]), ("value", "difference")
    shown = lost.select("model", "variant", "slice", "metric", *values, "n_images", "n_subjects")
    return {
        "rows": compression_tradeoff["tradeoff"].height,
        "losing_groups": Rows(rounded_rows(shown, *values)),
        "exemplars": compression_tradeoff["exemplars"].height,
        "plot": figure_markdown(compression_figure(compression_tradeoff), ALT),
    }


@asset_check(compression_tradeoff)
def compression_spares_groups(
    compression_tradeoff: dict[str, pl.DataFrame],
    *,
    most: Annotated[float, Setting("compression.max_group_loss")],
) -> CheckResult:
    """No group is shown to lose by a smaller model, and loses more than it may."""
    from iip_assets.robustness.compression import spared_check

    return spared_check(compression_tradeoff["tradeoff"], most)
