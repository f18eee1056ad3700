"""The filter and the segmenter, and what they learn from, as assets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from iip_assets.engine.asset import AssetContext, asset, asset_check, describe
from iip_assets.engine.values import CheckResult, Files, MetadataValue, Noted, Setting, Skipped
from iip_assets.settings import (
    BalancedBy,
    Compute,
    FilterRemedy,
    FilterSettings,
    MaskClasses,
    MaxMegapixels,
    SegmenterRemedy,
    SegmenterSettings,
    Tracking,
    TrainingSettings,
)

if TYPE_CHECKING:
    import polars as pl

STARTS_SOUND = "training_starts_sound"
"""The check that both models have."""


@asset(room="models", kinds={"polars"})
def filter_examples(
    raw_dataset: dict[str, pl.DataFrame],
    data_splits: pl.DataFrame,
    image_embeddings: pl.DataFrame,
    rebalanced_training_set: pl.DataFrame | Skipped,
    protected_subsets: pl.DataFrame | Skipped,
    *,
    remedy: FilterRemedy,
    usable: Annotated[tuple[str, ...], Setting("threshold.usable")],
) -> pl.DataFrame | Skipped:
    """What the filter learns from: embedding, label, split and weight of the labelled images.

    While this table stands, the filter is not trained again.
    """
    import polars as pl

    from iip_assets.models.examples import labelled_images, reason_for_no_filter, with_weights
    from iip_assets.training_set.rebalanced import reason_for_no_training
    from iip_assets.training_set.subsets import with_sides

    images = raw_dataset["images"]
    rows = with_weights(
        labelled_images(images, data_splits, image_embeddings), rebalanced_training_set
    )
    reason = reason_for_no_training(
        images, data_splits, has=pl.col("label").is_not_null(), what="a label"
    ) or reason_for_no_filter(rows)
    if reason:
        return Skipped(reason)
    return with_sides(rows, protected_subsets, remedy, "filter", usable=usable)


@describe(filter_examples)
def describe_filter_examples(filter_examples: pl.DataFrame) -> dict[str, MetadataValue]:
    """How many images the filter learns from, by split."""
    from iip_assets.models.figures import counts_by_split

    return {"rows": filter_examples.height, "splits": counts_by_split(filter_examples)}


@asset(room="models", kinds={"polars"})
def segmenter_examples(
    raw_dataset: dict[str, pl.DataFrame],
    data_splits: pl.DataFrame,
    rebalanced_training_set: pl.DataFrame | Skipped,
    protected_subsets: pl.DataFrame | Skipped,
    *,
    classes: MaskClasses,
    remedy: SegmenterRemedy,
) -> pl.DataFrame | Skipped:
    """What the segmenter learns from: mask, split and weight of the images with a valid mask.

    While this table stands, the segmenter is not trained again.
    """
    import polars as pl

    from iip_assets.models.examples import masked_rows, reason_for_no_segmenter, with_weights
    from iip_assets.training_set.rebalanced import reason_for_no_training
    from iip_assets.training_set.subsets import with_sides

    images = raw_dataset["images"]
    rows = with_weights(masked_rows(images, data_splits), rebalanced_training_set)
    reason = reason_for_no_training(
        images, data_splits, has=pl.col("has_mask"), what="a valid mask"
    ) or reason_for_no_segmenter(rows, classes)
    if reason:
        return Skipped(reason)
    return with_sides(rows, protected_subsets, remedy, "segmenter")


@describe(segmenter_examples)
def describe_segmenter_examples(segmenter_examples: pl.DataFrame) -> dict[str, MetadataValue]:
    """How many images the segmenter learns from, by split."""
    from iip_assets.models.figures import counts_by_split

    return {"rows": segmenter_examples.height, "splits": counts_by_split(segmenter_examples)}


@asset(room="models", kinds={"pytorch", "onnx"})
def iris_filter_model(
    filter_examples: pl.DataFrame,
    embedding_backbone: Files,
    *,
    recipe: Annotated[FilterSettings, Setting("filter")],
    training: Annotated[TrainingSettings, Setting("training")],
    balanced_by: BalancedBy,
    max_megapixels: MaxMegapixels,
    compute: Compute,
    tracking: Tracking,
    context: AssetContext,
) -> Noted[Files]:
    """The filter: tells full, partial and none apart, from an image's embedding or its pixels.

    Trained on the rebalanced training images, calibrated and stopped on the validation images.
    """
    from iip_assets.images.decode import image_reader
    from iip_assets.models.distillation import teacher_files
    from iip_assets.models.filter import build_filter
    from iip_assets.models.tracking import log_filter, tracked_training
    from iip_assets.training.trainer import machine_of

    load = image_reader(context.root, filter_examples["image_id"], max_megapixels)
    machine = machine_of(compute, training)
    with tracked_training(
        context, machine, tracking, name="filter", config=recipe.model_dump()
    ) as run:
        built = build_filter(
            filter_examples,
            embedding_backbone.parts,
            recipe,
            load=load,
            run=run,
            resampled=balanced_by == "resampling",
            teacher=teacher_files(context, "iris_filter_model", recipe.teacher),
        )
        log_filter(run, built.value.parts, filter_examples, load=load)
    return built


@describe(iris_filter_model)
def describe_iris_filter_model(
    iris_filter_model: Files, notes: Mapping[str, Any]
) -> dict[str, MetadataValue]:
    """What the filter is and how its training went."""
    from iip_assets.models.figures import model_summary

    return model_summary(iris_filter_model, notes, plot="loss of the filter by epoch")


@asset_check(iris_filter_model)
def filter_classes_in_splits(iris_filter_model: Files, notes: Mapping[str, Any]) -> CheckResult:
    """Every split has images of every class."""
    from iip_assets.training.start_checks import classes_check

    return classes_check(notes["images"], iris_filter_model)


@asset_check(iris_filter_model, name=STARTS_SOUND)
def filter_training_starts_sound(iris_filter_model: Files, notes: Mapping[str, Any]) -> CheckResult:
    """A network that knows nothing has a loss near ln(classes), and learns one batch."""
    from iip_assets.training.start_checks import start_check

    del iris_filter_model
    return start_check(notes["start"])


@asset(room="models", kinds={"pytorch", "onnx"})
def segmentation_model(
    segmenter_examples: pl.DataFrame,
    *,
    classes: MaskClasses,
    max_megapixels: MaxMegapixels,
    recipe: Annotated[SegmenterSettings, Setting("segmenter")],
    training: Annotated[TrainingSettings, Setting("training")],
    balanced_by: BalancedBy,
    compute: Compute,
    tracking: Tracking,
    context: AssetContext,
) -> Noted[Files] | Skipped:
    """The segmenter: names the class of every pixel; a U-Net trained on the training masks."""
    from iip_assets.images.store import ImageStore
    from iip_assets.models.distillation import teacher_files
    from iip_assets.models.segmentation_model import build_segmenter
    from iip_assets.models.tracking import log_segmenter, tracked_training
    from iip_assets.training.trainer import machine_of

    rows = segmenter_examples
    store = ImageStore.open(context.root)
    store.fetch([*rows["image_id"], *rows["mask_id"]])
    machine = machine_of(compute, training)
    with tracked_training(
        context, machine, tracking, name="segmenter", config=recipe.model_dump()
    ) as run:
        built = build_segmenter(
            rows,
            store,
            recipe,
            classes=classes,
            max_megapixels=max_megapixels,
            run=run,
            resampled=balanced_by == "resampling",
            teacher=teacher_files(context, "segmentation_model", recipe.teacher),
        )
        if isinstance(built, Noted):
            log_segmenter(run, built.value.parts, rows, store, max_megapixels=max_megapixels)
    return built


@describe(segmentation_model)
def describe_segmentation_model(
    segmentation_model: Files, notes: Mapping[str, Any]
) -> dict[str, MetadataValue]:
    """What the segmenter is and how its training went."""
    from iip_assets.models.figures import model_summary

    return model_summary(segmentation_model, notes, plot="the segmenter by epoch")


@asset_check(segmentation_model)
def mask_classes_in_splits(segmentation_model: Files, notes: Mapping[str, Any]) -> CheckResult:
    """Every split has images of every mask class."""
    from iip_assets.training.start_checks import classes_check

    return classes_check(notes["images_by_class"], segmentation_model)


@asset_check(segmentation_model, name=STARTS_SOUND)
def segmenter_training_starts_sound(
    segmentation_model: Files, notes: Mapping[str, Any]
) -> CheckResult:
    """A network that knows nothing has a loss near ln(classes), and learns one batch."""
    from iip_assets.training.start_checks import start_check

    del segmentation_model
    return start_check(notes["start"])
