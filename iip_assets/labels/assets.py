"""The labels room as Dagster sees it: what several labelers said of the same images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from iip_assets.engine.asset import AssetContext, asset, describe
from iip_assets.engine.values import (
    Files,
    MetadataValue,
    Noted,
    Rows,
    Skipped,
)
from iip_assets.settings import (
    Evaluation,
    MaskClasses,
    MaxMegapixels,
    SliceAxes,
    Threads,
)

if TYPE_CHECKING:
    import polars as pl

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
    from iip_assets.embeddings.device import core_count
    from iip_assets.images.store import ImageStore
    from iip_assets.labels import agreement

    words = agreement.words_of_labelers(raw_dataset["label_rows"], data_splits)
    masks = agreement.Masks(
        ImageStore.open(context.root),
        context,
        len(classes),
        max_megapixels,
        core_count(threads),
        _CHUNK,
    )
    drawn = agreement.drawn_masks(words, masks)
    unusable: list[Any] = drawn.drop_nulls("reason").head(_SHOWN).to_dicts()
    return Noted(
        {
            "words": words,
            "mask_pairs": agreement.compared_masks(drawn, masks),
            "segmented": agreement.segmented_images(drawn, segmentation_model, masks),
        },
        notes={"unusable_masks": unusable},
    )


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
    """What several labelers say together, how reliable each is, and which images need a decision.

    Of all images that two or more labelers labelled or drew; empty where there is none.
    """
    import polars as pl

    from iip_assets.embeddings.device import core_count
    from iip_assets.images.store import ImageStore
    from iip_assets.labels import agreement
    from iip_assets.labels.consensus_tables import consensus_tables

    words = agreement.words_of_labelers(raw_dataset["label_rows"], data_splits, split=None)
    masks = agreement.Masks(
        ImageStore.open(context.root),
        context,
        len(classes),
        max_megapixels,
        core_count(threads),
        _CHUNK,
    )
    drawn = agreement.drawn_masks(words, masks)
    unusable: list[Any] = drawn.drop_nulls("reason").head(_SHOWN).to_dicts()
    slices = image_slices.filter(pl.col("axis").is_in(axes))
    tables = consensus_tables(
        words, drawn, masks, slices=slices, classes=classes, evaluation=evaluation
    )
    return Noted(tables, notes={"unusable_masks": unusable})


@describe(label_consensus)
def describe_label_consensus(
    label_consensus: dict[str, pl.DataFrame], notes: Mapping[str, Any]
) -> dict[str, MetadataValue]:
    """How far labelers agree, who is worse than the others, and which images to decide first."""
    from iip_assets.figures import figure_markdown
    from iip_assets.labels.figures import labelers_figure

    labelers = label_consensus["labelers"]
    flagged = labelers.filter("flagged").select("labeler", "what", "reason")
    alt = "agreement of each labeler with the others, with intervals"
    return {
        "rows": label_consensus["classes"].height,
        "masks": label_consensus["masks"].height,
        "labelers": labelers["labeler"].n_unique(),
        "flagged": Rows(flagged.to_dicts()),
        "to_decide": label_consensus["queue"].height,
        "queue": Rows(label_consensus["queue"].head(_SHOWN).to_dicts()),
        "unusable_masks": Rows(notes["unusable_masks"]),
        **({"plot": figure_markdown(labelers_figure(labelers), alt)} if labelers.height else {}),
    }
