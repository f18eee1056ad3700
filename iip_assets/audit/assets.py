"""The assets of this room that say where and why models err, as Dagster sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import AssetContext, asset, asset_check, describe
from iip_assets.engine.values import CheckResult, Files, MetadataValue, Rows, Setting, Skipped
from iip_assets.settings import (
    Evaluation,
    ExplanationSettings,
    MaskClasses,
    MaxMegapixels,
    SliceDiscoverySettings,
    Threads,
)

if TYPE_CHECKING:
    import polars as pl

    from iip_assets.edge_cases.team_slices import TeamSlice

# Images that a killed run may have to explain again, and augmented copies to embed again.
_CHUNK, _COPIES = 4, 256
# Images of each task, and rows, that Dagster's page shows.
_HARDEST, _SHOWN = 30, 50


@asset(room="audit", kinds={"polars"})
def image_difficulty(
    out_of_fold_predictions: pl.DataFrame | Skipped, mask_scores: pl.DataFrame | Skipped
) -> pl.DataFrame | Skipped:
    """How hard each image is for each task, by models that did not see its subject; ranked."""
    from iip_assets.audit.difficulty import difficulty_table
    from iip_assets.models.examples import no_model

    both = (out_of_fold_predictions, mask_scores)
    if all(isinstance(one, Skipped) for one in both):
        return no_model(*(one for one in both if isinstance(one, Skipped)))
    return difficulty_table(*(None if isinstance(one, Skipped) else one for one in both))


@describe(image_difficulty)
def describe_image_difficulty(
    image_difficulty: pl.DataFrame, *, max_megapixels: MaxMegapixels, context: AssetContext
) -> dict[str, MetadataValue]:
    """The hardest images of each task."""
    from iip_assets.audit.figures import hardest_sheets
    from iip_assets.images.store import ImageStore

    first = image_difficulty.filter(image_difficulty["rank"] <= _HARDEST)
    store = ImageStore.open(context.root)
    store.fetch(first["image_id"].to_list())
    return {
        "rows": image_difficulty.height,
        "hardest": Rows(first.drop("group_id").to_dicts()),
        **hardest_sheets(first, read=store.read, max_megapixels=max_megapixels),
    }


@asset(room="audit", kinds={"onnx", "sklearn"})
def augmentation_trials(
    filter_examples: pl.DataFrame,
    embedding_backbone: Files,
    *,
    images: Annotated[int, Setting("augmentation_trials.images")],
    max_megapixels: MaxMegapixels,
    threads: Threads,
    context: AssetContext,
) -> pl.DataFrame | Skipped:
    """What each image's label gains by each augmentation, by heads that learned from copies."""
    from iip_assets.audit import augmentation_trials as trials
    from iip_assets.embeddings.device import core_count
    from iip_assets.embeddings.embedder import backbone_digest, open_embedder
    from iip_assets.images.store import ImageStore
    from iip_assets.labels.folds import reason_for_no_folds
    from iip_assets.models.examples import LEAST_LABELLED

    groups = filter_examples["group_id"].to_list()
    reason = reason_for_no_folds(groups, least=LEAST_LABELLED, what="a label")
    if reason is not None:
        return Skipped(reason)
    store = ImageStore.open(context.root)
    copied = trials.copies_of(filter_examples, images)
    store.fetch(copied["image_id"].unique().to_list())
    augmented = context.fill(
        "augmented_embeddings",
        copied,
        trials.embed_augmented,
        given={"max_megapixels": max_megapixels},
        key={"backbone": backbone_digest(embedding_backbone)},
        tools={
            "embedder": open_embedder(embedding_backbone.parts, device="cpu", batch_size=1),
            "store": store,
            "threads": core_count(threads),
        },
        chunk=_COPIES,
    )
    return trials.try_augmentations(filter_examples, augmented.frame, progress=context.progress)


@describe(augmentation_trials)
def describe_augmentation_trials(augmentation_trials: pl.DataFrame) -> dict[str, MetadataValue]:
    """The mean gain of each augmentation over all images; by slice it stands in error_analysis."""
    import polars as pl

    gains = augmentation_trials.group_by("augmentation").agg(pl.col("gain").mean().round(4))
    rows = gains.sort("gain", "augmentation", descending=[True, False])
    return {"rows": augmentation_trials.height, "gains": Rows(rows.to_dicts())}


@asset(room="audit", kinds={"sklearn", "polars"})
def error_drivers(
    image_difficulty: pl.DataFrame,
    raw_dataset: dict[str, pl.DataFrame],
    image_statistics: pl.DataFrame,
    eye_geometry: pl.DataFrame | Skipped,
    *,
    evaluation: Evaluation,
) -> pl.DataFrame:
    """Which attributes go with the error: light, blur, gaze, skin tone, group, device."""
    from iip_assets.audit.error_drivers import attributes_table, drivers_table

    geometry = None if isinstance(eye_geometry, Skipped) else eye_geometry
    attributes = attributes_table(raw_dataset["images"], image_statistics, geometry)
    return drivers_table(image_difficulty, attributes, intervals=evaluation)


@describe(error_drivers)
def describe_error_drivers(error_drivers: pl.DataFrame) -> dict[str, MetadataValue]:
    """The table, rounded."""
    from iip_assets.evaluation.summary import rounded_rows

    rows = rounded_rows(error_drivers, "importance", "low", "high")
    return {"rows": error_drivers.height, "drivers": Rows(rows)}


@asset(room="audit", kinds={"polars"})
def error_analysis(
    image_difficulty: pl.DataFrame,
    image_tags: pl.DataFrame,
    team_slices: pl.DataFrame,
    slices_file: Sequence[TeamSlice],
    label_errors: pl.DataFrame,
    model_evaluation: dict[str, pl.DataFrame] | Skipped,
    augmentation_trials: pl.DataFrame | Skipped,
    *,
    evaluation: Evaluation,
) -> pl.DataFrame:
    """How each tag and slice does, what it could gain, and what to do about it; first to do first.

    The gap to the target, to people or to all other images, times the share of the data.
    """
    import polars as pl

    from iip_assets.audit.error_analysis import error_analysis_table, people_of

    return error_analysis_table(
        image_difficulty,
        pl.concat([image_tags, team_slices]),
        flagged=label_errors.filter("flagged")["image_id"].to_list(),
        human=people_of(None if isinstance(model_evaluation, Skipped) else model_evaluation),
        trials=None if isinstance(augmentation_trials, Skipped) else augmentation_trials,
        team=slices_file,
        evaluation=evaluation,
    )


@describe(error_analysis)
def describe_error_analysis(error_analysis: pl.DataFrame) -> dict[str, MetadataValue]:
    """The first rows of each model."""
    from iip_assets.audit.figures import potential_figure
    from iip_assets.evaluation.summary import rounded_rows
    from iip_assets.figures import figure_markdown

    rounded = ("value", "low", "high", "reference", "gap", "share", "error_share", "potential")
    return {
        "rows": error_analysis.height,
        "first": Rows(rounded_rows(error_analysis.head(_SHOWN), *rounded)),
        "plot": figure_markdown(
            potential_figure(error_analysis), "what each slice could gain over all images"
        ),
    }


@asset(room="audit", kinds={"captum", "onnx"})
def model_explanations(
    predictions: pl.DataFrame,
    held_out_images: pl.DataFrame,
    data_splits: pl.DataFrame,
    iris_filter_model: Files | Skipped,
    segmentation_model: Files | Skipped,
    *,
    options: Annotated[ExplanationSettings, Setting("explanation")],
    evaluation: Evaluation,
    classes: MaskClasses,
    max_megapixels: MaxMegapixels,
    threads: Threads,
    context: AssetContext,
) -> dict[str, pl.DataFrame] | Skipped:
    """Where both models looked: on the images that they got most wrong, and on a sample.

    Parts of an image are hidden one after another, and what the model's word loses by each is what
    that part counted. For the sample it is told how much of it lies on the eye, for right and for
    wrong predictions, and whether hiding what counted matters more than hiding any part.
    """
    import polars as pl

    from iip_assets.audit.explained_images import explained_table
    from iip_assets.audit.explained_measures import measures
    from iip_assets.embeddings.device import core_count
    from iip_assets.images.store import ImageStore
    from iip_assets.models.examples import reason_for_none_judged
    from iip_assets.models.tasks import FILTER, SEGMENTER

    about = held_out_images.select("image_id", "mask_id").join(
        data_splits.select("image_id", "group_id"), on="image_id"
    )
    store, fill = ImageStore.open(context.root), context.fill
    explained = pl.concat(
        explained_table(
            task,
            model,
            predictions,
            about,
            options=options,
            classes=classes,
            store=store,
            fill=fill,
            max_megapixels=max_megapixels,
            threads=core_count(threads),
            chunk=_CHUNK,
        )
        for task, model in ((FILTER, iris_filter_model), (SEGMENTER, segmentation_model))
        if not isinstance(model, Skipped)
    )
    if explained.is_empty():
        return Skipped(reason_for_none_judged(held_out_images, "validation", "test"))
    return {"explained": explained, "measures": measures(explained, evaluation)}


@describe(model_explanations)
def describe_model_explanations(
    model_explanations: dict[str, pl.DataFrame],
    *,
    max_megapixels: MaxMegapixels,
    context: AssetContext,
) -> dict[str, MetadataValue]:
    """What the sample says, and each model's hardest images with what counted."""
    from iip_assets.audit.figures import explained_sheets
    from iip_assets.evaluation.summary import rounded_rows
    from iip_assets.images.store import ImageStore

    explained = model_explanations["explained"]
    store = ImageStore.open(context.root)
    store.fetch(explained.drop_nulls("rank")["image_id"].to_list())
    return {
        "rows": explained.height,
        "measures": Rows(rounded_rows(model_explanations["measures"], "value", "low", "high")),
        **explained_sheets(explained, read=store.read, max_megapixels=max_megapixels),
    }


@asset_check(model_explanations)
def explanations_are_faithful(model_explanations: dict[str, pl.DataFrame]) -> CheckResult:
    """Hiding what counted the most lowers a model's score sooner than hiding any part."""
    from iip_assets.audit.explained_measures import faithful_check

    return faithful_check(model_explanations["measures"])


@asset(room="audit", kinds={"polars"})
def discovered_slices(
    image_difficulty: pl.DataFrame,
    image_tags: pl.DataFrame,
    image_embeddings: pl.DataFrame,
    *,
    options: Annotated[SliceDiscoverySettings, Setting("slice_discovery")],
    least: Annotated[int, Setting("evaluation.min_slice_images")],
    confidence: Annotated[float, Setting("evaluation.confidence")],
) -> pl.DataFrame:
    """Where each model fails more than elsewhere: by tags, and among images that look alike.

    Slices are told from chance, ranked by what they surely cost, and named in words;
    `iip slices accept NAME` makes one a regression slice, on which later models are judged.
    """
    from iip_assets.audit.discovered_slices import discover_slices
    from iip_assets.edge_cases.slice_members import Space

    return discover_slices(
        image_difficulty,
        image_tags,
        Space.from_embeddings(image_embeddings),
        options=options,
        least=least,
        confidence=confidence,
    )


@describe(discovered_slices)
def describe_discovered_slices(discovered_slices: pl.DataFrame) -> dict[str, MetadataValue]:
    """Each slice with its error beside that of all other images; the report shows its images."""
    from iip_assets.evaluation.summary import rounded_rows

    shown = discovered_slices.drop("rule", "exemplars")
    rows = rounded_rows(shown, "error", "low", "high", "rest_error", "share")
    return {"rows": discovered_slices.height, "slices": Rows(rows)}


@asset(room="audit", kinds={"polars"})
def coverage_ledger(
    data_splits: pl.DataFrame,
    image_slices: pl.DataFrame,
    predictions: pl.DataFrame | Skipped,
    *,
    evaluation: Evaluation,
    difference: Annotated[float, Setting("coverage.difference")],
    classes: MaskClasses,
) -> pl.DataFrame:
    """How well each intersection of demographic axes can be judged, and how many subjects lack.

    Without a model, how many images and subjects there are.
    """
    from iip_assets.audit.coverage_ledger import coverage_table

    return coverage_table(
        data_splits,
        image_slices,
        None if isinstance(predictions, Skipped) else predictions,
        evaluation=evaluation,
        difference=difference,
        mask_classes=classes,
    )


@describe(coverage_ledger)
def describe_coverage_ledger(coverage_ledger: pl.DataFrame) -> dict[str, MetadataValue]:
    """The cells that lack most."""
    from iip_assets.audit.coverage_ledger import most_lacking

    lacking = most_lacking(coverage_ledger)
    return {
        "rows": coverage_ledger.height,
        "lacking": lacking.height,
        "most_lacking": Rows(lacking.head(20).to_dicts()),
    }
