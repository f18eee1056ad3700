"""The labels room as Dagster sees it: what several labelers said of the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from iip_assets.engine.asset import AssetContext, asset, describe
from iip_assets.engine.values import (
    Files,
    MetadataValue,
    Noted,
    Rows,
    Setting,
    Skipped,
)
from iip_assets.settings import (
    Compute,
    Evaluation,
    LabelErrorSettings,
    MaskClasses,
    MaskErrorSettings,
    MaxMegapixels,
    SegmenterSettings,
    SliceAxes,
    Threads,
    TrainingSettings,
)

if TYPE_CHECKING:
    import polars as pl

    from iip_assets.labels.agreement import Masks

# Images that a killed run may have to look at again.
_CHUNK = 128
# Rows of a table that people read.
_SHOWN = 50


@asset(room="labels", kinds={"onnx", "polars"})
def labeler_agreement(
    raw_dataset: dict[str, pl.DataFrame],
    data_splits: pl.DataFrame,
    segmentation_model: Files | Skipped,
    *,
    classes: MaskClasses,
    max_megapixels: MaxMegapixels,
    threads: Threads,
    context: AssetContext,
) -> Noted[dict[str, pl.DataFrame]]:
    """What several labelers say of the same test images, and how far their masks agree.

    Beside them the segmenter, held against each labeler's mask. Empty where no test image was
    labelled by several people.
    """
    from iip_assets.labels import agreement

    words = agreement.words_of_labelers(raw_dataset["label_rows"], data_splits)
    masks = _masks(context, classes, max_megapixels, threads)
    drawn = agreement.drawn_masks(words, masks)
    return Noted(
        {
            "words": words,
            "mask_pairs": agreement.compared_masks(drawn, masks),
            "segmented": agreement.segmented_images(drawn, segmentation_model, masks),
        },
        notes=_unusable(drawn),
    )


def _masks(
    context: AssetContext, classes: Sequence[str], max_megapixels: float, threads: int
) -> Masks:
    from iip_assets.embeddings.device import core_count
    from iip_assets.images.store import ImageStore
    from iip_assets.labels.agreement import Masks

    store, cores = ImageStore.open(context.root), core_count(threads)
    return Masks(store, context, len(classes), max_megapixels, cores, _CHUNK)


def _unusable(drawn: pl.DataFrame) -> dict[str, Any]:
    return {"unusable_masks": drawn.drop_nulls("reason").head(_SHOWN).to_dicts()}


@describe(labeler_agreement)
def describe_labeler_agreement(
    labeler_agreement: dict[str, pl.DataFrame], notes: Mapping[str, Any]
) -> dict[str, MetadataValue]:
    """How many labelers, words and masks there are, and which masks are of no use."""
    words = labeler_agreement["words"]
    return {
        "rows": words.height,
        "images": words["image_id"].n_unique(),
        "labelers": words["labeler"].n_unique(),
        "unclear": words.filter(label="unclear").height,
        "masks": words["mask_id"].count(),
        "unusable_masks": Rows(notes["unusable_masks"]),
    }


@asset(room="labels", kinds={"sklearn", "polars"})
def out_of_fold_predictions(
    filter_examples: pl.DataFrame,
    *,
    settings: Annotated[LabelErrorSettings, Setting("label_errors")],
    context: AssetContext,
) -> pl.DataFrame | Skipped:
    """What heads on the embeddings say of each labelled image that they did not see.

    Subjects are held out in folds, so that no label speaks for itself.
    """
    from iip_assets.labels.out_of_fold import out_of_fold_filter

    return out_of_fold_filter(
        filter_examples,
        folds=settings.folds,
        seeds=settings.seeds,
        seed=settings.seed,
        progress=context.progress,
    )


@describe(out_of_fold_predictions)
def describe_out_of_fold_predictions(
    out_of_fold_predictions: pl.DataFrame,
) -> dict[str, MetadataValue]:
    """How many images were asked about, and in how many folds."""
    return {
        "rows": out_of_fold_predictions.height,
        "folds": out_of_fold_predictions["fold"].n_unique(),
    }


@asset(room="labels", kinds={"pytorch", "onnx"})
def fold_segmenters(
    segmenter_examples: pl.DataFrame,
    *,
    classes: MaskClasses,
    encoder: Annotated[str, Setting("segmenter.encoder")],
    decoder_channels: Annotated[tuple[int, ...], Setting("segmenter.decoder_channels")],
    settings: Annotated[MaskErrorSettings, Setting("mask_errors")],
    max_megapixels: MaxMegapixels,
    compute: Compute,
    context: AssetContext,
) -> Files | Skipped:
    """Small segmenters, one a fold, each trained without the subjects of that fold."""
    from iip_assets.images.store import ImageStore
    from iip_assets.labels.fold_segmenters import train_fold_segmenters
    from iip_assets.training.trainer import TrainingRun, machine_of

    store = ImageStore.open(context.root)
    store.fetch([*segmenter_examples["image_id"], *segmenter_examples["mask_id"]])
    machine = machine_of(compute, TrainingSettings(checks="never"))
    return train_fold_segmenters(
        segmenter_examples,
        store,
        SegmenterSettings(encoder=encoder, decoder_channels=decoder_channels),
        settings,
        classes=classes,
        max_megapixels=max_megapixels,
        run=TrainingRun(machine, context.progress, scratch=context.scratch, log=context.log),
    )


@asset(room="labels", kinds={"onnx", "lancedb"})
def mask_scores(
    segmenter_examples: pl.DataFrame,
    fold_segmenters: Files,
    *,
    folds: Annotated[int, Setting("mask_errors.folds")],
    max_megapixels: MaxMegapixels,
    threads: Threads,
    context: AssetContext,
) -> pl.DataFrame:
    """How much likelier each mask would be without each kind of error, by a segmenter of its fold.

    One row of numbers is kept of a mask, so memory does not grow with the masks.
    """
    from iip_assets.embeddings.device import core_count
    from iip_assets.images.store import ImageStore
    from iip_assets.labels.mask_scores import scores_table

    return scores_table(
        segmenter_examples,
        fold_segmenters,
        ImageStore.open(context.root),
        folds=folds,
        fill=context.fill,
        max_megapixels=max_megapixels,
        threads=core_count(threads),
        chunk=_CHUNK,
    )


@describe(mask_scores)
def describe_mask_scores(mask_scores: pl.DataFrame) -> dict[str, MetadataValue]:
    """How many masks were held against a segmenter."""
    return {"rows": mask_scores.height}


@asset(room="labels", kinds={"cleanlab", "polars"})
def label_errors(
    raw_dataset: dict[str, pl.DataFrame],
    image_fingerprints: pl.DataFrame,
    data_splits: pl.DataFrame,
    image_embeddings: pl.DataFrame,
    out_of_fold_predictions: pl.DataFrame | Skipped,
    mask_scores: pl.DataFrame | Skipped,
    *,
    near_duplicate_bits: Annotated[int, Setting("dataset.near_duplicate_bits")],
    classes: MaskClasses,
) -> pl.DataFrame:
    """Labels, masks and images that are likely wrong, ranked, with what is suggested and why."""
    from iip_assets.labels.label_errors import all_errors

    return all_errors(
        raw_dataset["images"],
        image_fingerprints,
        data_splits,
        image_embeddings,
        predictions=_unless_skipped(out_of_fold_predictions),
        scores=_unless_skipped(mask_scores),
        near_duplicate_bits=near_duplicate_bits,
        mask_classes=classes,
    )


def _unless_skipped(table: pl.DataFrame | Skipped) -> pl.DataFrame | None:
    return None if isinstance(table, Skipped) else table


@describe(label_errors)
def describe_label_errors(
    label_errors: pl.DataFrame,
    raw_dataset: dict[str, pl.DataFrame],
    *,
    max_megapixels: MaxMegapixels,
    context: AssetContext,
) -> dict[str, MetadataValue]:
    """How many of each kind are flagged, and the first of them to look at."""
    from iip_assets.images.store import ImageStore
    from iip_assets.labels.error_figures import counted_kinds, errors_sheet

    flagged = label_errors.filter("flagged")
    masks = dict(raw_dataset["images"].select("image_id", "mask_id").iter_rows())
    return {
        "rows": label_errors.height,
        "flagged": flagged.height,
        "kinds": Rows(counted_kinds(label_errors)),
        "first": Rows(flagged.head(_SHOWN).drop("group_id", "region").to_dicts()),
        **errors_sheet(
            flagged, masks, ImageStore.open(context.root), max_megapixels=max_megapixels
        ),
    }


@asset(room="labels", kinds={"polars"})
def label_consistency(
    mask_scores: pl.DataFrame,
    raw_dataset: dict[str, pl.DataFrame],
    *,
    classes: MaskClasses,
    evaluation: Evaluation,
) -> dict[str, pl.DataFrame]:
    """Is what is seen also marked, by device, batch and labeler; the IoU that the labels allow.

    Where the shares differ, the labeling instructions (`data/LABELING.md`) are the place to settle
    what is to be marked.
    """
    from iip_assets.inference.segmenter import eye_classes
    from iip_assets.labels.consistency import ceilings, marked_where_seen

    eye = eye_classes(classes) or range(len(classes))
    return {
        "marked": marked_where_seen(
            mask_scores, raw_dataset["images"], classes, eye, evaluation=evaluation
        ),
        "ceiling": ceilings(mask_scores, classes, eye, evaluation=evaluation),
    }


@describe(label_consistency)
def describe_label_consistency(
    label_consistency: dict[str, pl.DataFrame],
) -> dict[str, MetadataValue]:
    """Both tables, rounded."""
    from polars.selectors import float as floats

    marked, ceiling = (
        label_consistency[one].with_columns(floats().round(3)) for one in ("marked", "ceiling")
    )
    return {
        "rows": marked.height,
        "marked": Rows(marked.to_dicts()),
        "ceiling": Rows(ceiling.to_dicts()),
    }


@asset(room="labels", kinds={"polars"})
def label_consensus(
    raw_dataset: dict[str, pl.DataFrame],
    data_splits: pl.DataFrame,
    image_slices: pl.DataFrame,
    *,
    classes: MaskClasses,
    axes: SliceAxes,
    evaluation: Evaluation,
    max_megapixels: MaxMegapixels,
    threads: Threads,
    context: AssetContext,
) -> Noted[dict[str, pl.DataFrame]]:
    """What several labelers say together, how far they agree, and which images need a decision.

    Of all images that two or more labelers labelled or drew; empty where there is none.
    """
    import polars as pl

    from iip_assets.labels import agreement
    from iip_assets.labels.consensus import consensus_tables

    words = agreement.words_of_labelers(raw_dataset["label_rows"], data_splits, split=None)
    masks = _masks(context, classes, max_megapixels, threads)
    drawn = agreement.drawn_masks(words, masks)
    slices = image_slices.filter(pl.col("axis").is_in(axes))
    tables = consensus_tables(
        words, drawn, masks, slices=slices, classes=classes, evaluation=evaluation
    )
    return Noted(tables, notes=_unusable(drawn))


@describe(label_consensus)
def describe_label_consensus(
    label_consensus: dict[str, pl.DataFrame], notes: Mapping[str, Any]
) -> dict[str, MetadataValue]:
    """How far each labeler agrees with the others, and which images to decide first."""
    return {
        "rows": label_consensus["classes"].height,
        "masks": label_consensus["masks"].height,
        "labelers": Rows(label_consensus["labelers"].to_dicts()),
        "to_decide": label_consensus["queue"].height,
        "queue": Rows(label_consensus["queue"].head(_SHOWN).to_dicts()),
        "unusable_masks": Rows(notes["unusable_masks"]),
    }
