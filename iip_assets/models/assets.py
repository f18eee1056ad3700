"""The filter and the segmenter, and what they learn from, as assets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import AssetContext, asset
from iip_assets.engine.values import CheckSpec, Files, Result, Setting, Skipped
from iip_assets.settings import (
    ComputeSettings,
    FilterSettings,
    SegmenterSettings,
    TrackingSettings,
    TrainingSettings,
)

if TYPE_CHECKING:
    import polars as pl

# Pictures that a killed run may have to look at again.
_CHUNK = 128
STARTS_SOUND = CheckSpec(
    "training_starts_sound",
    "A network that knows nothing has a loss near ln(classes), and learns one batch.",
)

# Rows of a table that people read.
_SHOWN = 50


@asset(room="models", kinds={"polars"})
def filter_examples(
    raw_dataset: dict[str, pl.DataFrame],
    data_splits: pl.DataFrame,
    image_embeddings: pl.DataFrame,
    rebalanced_training_set: pl.DataFrame | Skipped,
) -> Result[pl.DataFrame]:
    """What the filter learns from: embedding, label, split and weight of the labelled pictures.

    While this table stands, the filter is not trained again.
    """
    from iip_assets.models.examples import labelled_pictures, with_weights
    from iip_assets.models.summaries import counts_by_split

    table = with_weights(
        labelled_pictures(raw_dataset["images"], data_splits, image_embeddings),
        rebalanced_training_set,
    )
    return Result(table, metadata={"rows": table.height, "splits": counts_by_split(table)})


@asset(room="models", kinds={"polars"})
def segmenter_examples(
    raw_dataset: dict[str, pl.DataFrame],
    data_splits: pl.DataFrame,
    rebalanced_training_set: pl.DataFrame | Skipped,
) -> Result[pl.DataFrame]:
    """What the segmenter learns from: mask, split and weight of the pictures with a valid mask.

    While this table stands, the segmenter is not trained again.
    """
    from iip_assets.models.examples import masked_rows, with_weights
    from iip_assets.models.summaries import counts_by_split

    rows = masked_rows(raw_dataset["images"], data_splits)
    table = with_weights(rows, rebalanced_training_set)
    return Result(table, metadata={"rows": table.height, "splits": counts_by_split(table)})


@asset(
    room="models",
    kinds={"pytorch", "onnx"},
    checks=[
        CheckSpec("filter_classes_in_splits", "Every split has pictures of every class."),
        STARTS_SOUND,
    ],
)
def iris_filter_model(
    filter_examples: pl.DataFrame,
    embedding_backbone: Files,
    *,
    recipe: Annotated[FilterSettings, Setting("filter")],
    training: Annotated[TrainingSettings, Setting("training")],
    resamples: Annotated[int, Setting("evaluation.resamples")],
    confidence: Annotated[float, Setting("evaluation.confidence")],
    interval_seed: Annotated[int, Setting("evaluation.seed")],
    max_megapixels: Annotated[float, Setting("dataset.max_megapixels")],
    compute: Annotated[ComputeSettings, Setting("compute")],
    tracking: Annotated[TrackingSettings, Setting("tracking", keyed=False)],
    work: AssetContext,
) -> Result[Files] | Result[Skipped]:
    """The filter: tells full, partial and none apart, from a picture's embedding or its pixels.

    Trained on the rebalanced training pictures, calibrated and stopped on the validation pictures.
    """
    from iip_assets.engine.figures import figure_markdown
    from iip_assets.metrics.intervals import Intervals
    from iip_assets.models.examples import weights_of
    from iip_assets.models.figures import history_figure
    from iip_assets.models.filter import build_filter, recipe_of, why_not
    from iip_assets.models.pictures import picture_reader
    from iip_assets.models.summaries import card_facts, card_summary, filter_checks
    from iip_assets.models.teacher import teacher_files
    from iip_assets.training.around import machine_of, tracked_training

    reason = why_not(filter_examples)
    if reason is not None:
        return Result(Skipped(reason))
    machine = machine_of(compute, training)
    with tracked_training(
        work, machine, tracking, name="filter", config=recipe.model_dump()
    ) as around:
        parts = build_filter(
            filter_examples,
            weights_of(filter_examples),
            embedding_backbone.parts,
            recipe_of(recipe, training, Intervals(resamples, confidence, interval_seed)),
            load=picture_reader(work.root, filter_examples["image_id"], max_megapixels),
            around=around,
            teacher=teacher_files(work, "iris_filter_model", recipe.teacher),
        )
    card = card_facts(parts["card.json"])
    return Result(
        Files(parts, version_of=("filter.safetensors", "card.json")),
        metadata={
            **card_summary(card),
            "history_plot": figure_markdown(history_figure(card), "loss of the filter by epoch"),
        },
        checks=filter_checks(card),
    )


@asset(
    room="models",
    kinds={"pytorch", "onnx"},
    checks=[
        CheckSpec("mask_classes_in_splits", "Every split has pictures of every mask class."),
        STARTS_SOUND,
    ],
)
def segmentation_model(
    segmenter_examples: pl.DataFrame,
    *,
    classes: Annotated[tuple[str, ...], Setting("dataset.mask_classes")],
    max_megapixels: Annotated[float, Setting("dataset.max_megapixels")],
    recipe: Annotated[SegmenterSettings, Setting("segmenter")],
    training: Annotated[TrainingSettings, Setting("training")],
    resamples: Annotated[int, Setting("evaluation.resamples")],
    confidence: Annotated[float, Setting("evaluation.confidence")],
    interval_seed: Annotated[int, Setting("evaluation.seed")],
    compute: Annotated[ComputeSettings, Setting("compute")],
    tracking: Annotated[TrackingSettings, Setting("tracking", keyed=False)],
    work: AssetContext,
) -> Result[Files] | Result[Skipped]:
    """The segmenter: names the class of every pixel; a U-Net trained on the training masks."""
    from iip_assets.dataset.store import ImageStore
    from iip_assets.engine.figures import figure_markdown
    from iip_assets.metrics.intervals import Intervals
    from iip_assets.models.examples import weights_of
    from iip_assets.models.figures import history_figure
    from iip_assets.models.segmentation_model import build_segmenter, recipe_of, why_not
    from iip_assets.models.summaries import card_facts, card_summary, segmenter_checks
    from iip_assets.models.teacher import teacher_files
    from iip_assets.training.around import machine_of, tracked_training

    rows = segmenter_examples
    reason = why_not(rows, classes)
    if reason is not None:
        return Result(Skipped(reason))
    store = ImageStore.open(work.root)
    store.fetch([*rows["image_id"], *rows["mask_id"]])
    machine = machine_of(compute, training)
    with tracked_training(
        work, machine, tracking, name="segmenter", config=recipe.model_dump()
    ) as around:
        parts = build_segmenter(
            rows,
            weights_of(rows),
            store,
            recipe_of(
                recipe,
                training,
                Intervals(resamples, confidence, interval_seed),
                classes=classes,
                max_megapixels=max_megapixels,
            ),
            around=around,
            teacher=teacher_files(work, "segmentation_model", recipe.teacher),
        )
    card = card_facts(parts["card.json"])
    return Result(
        Files(parts, version_of=("segmenter.safetensors", "prior.png", "card.json")),
        metadata={
            **card_summary(card),
            "history_plot": figure_markdown(history_figure(card), "the segmenter by epoch"),
        },
        checks=segmenter_checks(card),
    )
