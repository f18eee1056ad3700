"""What both models say of pictures and how good they are, as assets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import AssetContext, asset
from iip_assets.engine.values import Check, CheckSpec, Files, Result, Rows, Setting, Skipped
from iip_assets.settings import (
    EvaluationSettings,
    RareClassSettings,
    ThresholdSettings,
)

if TYPE_CHECKING:
    import polars as pl

# Pictures that a killed run may have to look at again.
_CHUNK = 128
# Rows of a table that people read.
_SHOWN = 50


@asset(room="evaluation", kinds={"onnx", "polars"})
def filter_verdicts(
    image_embeddings: pl.DataFrame,
    iris_filter_model: Files,
    filter_examples: pl.DataFrame,
    *,
    costs: Annotated[ThresholdSettings, Setting("threshold")],
    resamples: Annotated[int, Setting("evaluation.resamples")],
    confidence: Annotated[float, Setting("evaluation.confidence")],
    interval_seed: Annotated[int, Setting("evaluation.seed")],
    max_megapixels: Annotated[float, Setting("dataset.max_megapixels")],
    threads: Annotated[int, Setting("compute.threads")],
    work: AssetContext,
) -> Result[dict[str, pl.DataFrame]]:
    """What the filter says of every picture, and which pass at the threshold of least cost."""
    from iip_assets.embeddings.device import core_count
    from iip_assets.engine.figures import figure_markdown
    from iip_assets.evaluation import verdicts
    from iip_assets.evaluation.figures import threshold_figure
    from iip_assets.evaluation.threshold import Costs
    from iip_assets.models.filter_scores import score_pictures

    scores = score_pictures(
        iris_filter_model,
        image_embeddings,
        root=work.root,
        fill=work.fill,
        max_megapixels=max_megapixels,
        threads=core_count(threads),
        chunk=_CHUNK,
    )
    tables = verdicts.filter_verdicts_tables(
        scores,
        filter_examples,
        usable=costs.usable,
        costs=Costs(costs.lost_iris_cost, costs.failed_segmentation_cost),
        resamples=resamples,
        confidence=confidence,
        seed=interval_seed,
    )
    threshold = tables["threshold"].row(0, named=True)
    return Result(
        tables,
        metadata={
            "rows": tables["verdicts"].height,
            **verdicts.counted(tables["verdicts"]),
            "threshold": Rows([threshold]),
            "cost_plot": figure_markdown(
                threshold_figure(tables["curve"], threshold), "cost of the filter by threshold"
            ),
        },
    )


@asset(room="evaluation", kinds={"polars"})
def held_out_pictures(
    raw_dataset: dict[str, pl.DataFrame], data_splits: pl.DataFrame
) -> Result[pl.DataFrame]:
    """What the models are asked about: label and mask of the validation and test pictures.

    While this table and the models stand, nothing is predicted again.
    """
    from iip_assets.evaluation.predictions import held_out_rows

    table = held_out_rows(raw_dataset["images"], data_splits)
    counts = {"labelled": table["label"].count(), "masks": table["mask_id"].count()}
    return Result(table, metadata={"rows": table.height, **counts})


@asset(room="evaluation", kinds={"onnx", "polars"})
def predictions(
    held_out_pictures: pl.DataFrame,
    filter_verdicts: dict[str, pl.DataFrame] | Skipped,
    segmentation_model: Files | Skipped,
    *,
    classes: Annotated[tuple[str, ...], Setting("dataset.mask_classes")],
    max_megapixels: Annotated[float, Setting("dataset.max_megapixels")],
    threads: Annotated[int, Setting("compute.threads")],
    work: AssetContext,
) -> Result[pl.DataFrame] | Result[Skipped]:
    """What both models say of the validation and test pictures."""
    import polars as pl

    from iip_assets.dataset.store import ImageStore
    from iip_assets.embeddings.device import core_count
    from iip_assets.evaluation import predictions as predict
    from iip_assets.models.segment_rows import segment_chunk
    from iip_assets.models.segmentation import Segmenter
    from iip_assets.models.summaries import model_digest

    if isinstance(filter_verdicts, Skipped) and isinstance(segmentation_model, Skipped):
        reasons = f"{filter_verdicts.reason}; {segmentation_model.reason}"
        return Result(Skipped(f"there is no model: {reasons}"))
    pictures = held_out_pictures
    filtered = None if isinstance(filter_verdicts, Skipped) else filter_verdicts["verdicts"]
    segmented = None
    if not isinstance(segmentation_model, Skipped):
        store = ImageStore.open(work.root)
        masked = pictures.filter(pl.col("mask_id").is_not_null()).select("image_id", "mask_id")
        store.fetch([*masked["image_id"], *masked["mask_id"]])
        cores = core_count(threads)
        segmented = work.fill(
            "segmentations",
            masked,
            segment_chunk,
            given={
                "model": model_digest(segmentation_model),
                "max_megapixels": max_megapixels,
            },
            tools={
                "segmenter": Segmenter(segmentation_model.parts, threads=cores),
                "store": store,
                "threads": cores,
            },
            chunk=_CHUNK,
        ).frame
    table = predict.predictions_table(
        pictures,
        predict.filter_columns(pictures, filtered),
        predict.segmenter_columns(segmented, classes),
    )
    return Result(
        table,
        metadata={
            "rows": table.height,
            "filtered": table["predicted"].count(),
            "segmented": table["confusion"].count(),
        },
    )


@asset(room="evaluation", kinds={"onnx", "polars"})
def labeler_agreement(
    raw_dataset: dict[str, pl.DataFrame],
    data_splits: pl.DataFrame,
    segmentation_model: Files | Skipped,
    *,
    classes: Annotated[tuple[str, ...], Setting("dataset.mask_classes")],
    max_megapixels: Annotated[float, Setting("dataset.max_megapixels")],
    threads: Annotated[int, Setting("compute.threads")],
    work: AssetContext,
) -> Result[dict[str, pl.DataFrame]]:
    """What several labelers say of the same test pictures, and how far their masks agree.

    Beside them the segmenter, held against each labeler's mask. Empty where no test picture was
    labelled by several people.
    """
    from iip_assets.dataset.store import ImageStore
    from iip_assets.embeddings.device import core_count
    from iip_assets.evaluation import labeler_agreement as labelers
    from iip_assets.evaluation.labelers import words_of_labelers

    words = words_of_labelers(raw_dataset["label_rows"], data_splits)
    masks = labelers.Masks(
        ImageStore.open(work.root),
        work,
        len(classes),
        max_megapixels,
        core_count(threads),
        _CHUNK,
    )
    drawn = labelers.drawn_masks(words, masks)
    unusable = drawn.drop_nulls("why")
    return Result(
        {
            "words": words,
            "mask_pairs": labelers.compared_masks(drawn, masks),
            "segmented": labelers.segmented_pictures(drawn, segmentation_model, masks),
        },
        metadata={
            "rows": words.height,
            "pictures": words["image_id"].n_unique(),
            "labelers": words["labeler"].n_unique(),
            "unclear": words.filter(label="unclear").height,
            "masks": drawn.height,
            "unusable_masks": Rows(unusable.head(_SHOWN).to_dicts()),
        },
    )


@asset(
    room="evaluation",
    kinds={"polars"},
    checks=[
        CheckSpec("filter_beats_baseline", "The filter beats always saying the commonest class."),
        CheckSpec(
            "segmenter_beats_baseline",
            "The segmenter beats always saying the commonest class at each place.",
        ),
    ],
)
def model_evaluation(
    predictions: pl.DataFrame,
    labeler_agreement: dict[str, pl.DataFrame],
    raw_dataset: dict[str, pl.DataFrame],
    data_splits: pl.DataFrame,
    lighting_stats: pl.DataFrame,
    background_stats: pl.DataFrame,
    *,
    judgement: Annotated[EvaluationSettings, Setting("evaluation")],
    rarity: Annotated[RareClassSettings, Setting("rare_classes")],
    age_bands: Annotated[tuple[int, ...], Setting("slices.age_bands")],
    axes: Annotated[tuple[str, ...], Setting("slices.axes")],
    classes: Annotated[tuple[str, ...], Setting("dataset.mask_classes")],
    costs: Annotated[ThresholdSettings, Setting("threshold")],
    work: AssetContext,
) -> Result[dict[str, pl.DataFrame]]:
    """How good both models are on the test pictures, overall and by slice, with intervals.

    Beside them a trivial model and, where several people labelled the same pictures, how well they
    do; and how much there is of each class to learn from.
    """
    import polars as pl

    from iip_assets.dataset.slices import slice_table
    from iip_assets.dataset.store import ImageStore
    from iip_assets.engine.figures import figure_markdown
    from iip_assets.evaluation.evaluation import Judgement, beats_baseline, evaluate, gate_of
    from iip_assets.evaluation.figures import confusion_figure, slices_figure
    from iip_assets.evaluation.mask_rows import count_pixels
    from iip_assets.evaluation.rare_classes import (
        Rarity,
        class_table,
        classes_to_judge,
        classes_to_learn,
    )
    from iip_assets.evaluation.summary import class_rows, headline_rows
    from iip_assets.models.examples import masked_rows

    images = raw_dataset["images"]
    training = data_splits.filter(pl.col("split") == "train").join(images, on="image_id")
    groups = data_splits.select("image_id", "group_id")
    tables = evaluate(
        predictions,
        training["label"].drop_nulls().to_list(),
        groups,
        slice_table(
            images, age_bands=age_bands, axes=axes, extra=[lighting_stats, background_stats]
        ),
        mask_classes=classes,
        judgement=Judgement(**judgement.model_dump()),
        gate=gate_of(costs),
        agreement=labeler_agreement,
    )
    metrics = tables["metrics"]
    masked = masked_rows(images, data_splits).filter(pl.col("split") == "train")
    pixels = work.fill(
        "mask_pixels",
        masked.select("mask_id"),
        count_pixels,
        given={"n_classes": len(classes)},
        tools={"store": ImageStore.open(work.root)},
        chunk=_CHUNK,
    )
    tables["classes"] = class_table(
        metrics,
        classes_to_learn(training, masked, pixels.frame, classes),
        classes_to_judge(predictions, groups, classes),
        mask_classes=classes,
        rarity=Rarity(**rarity.model_dump()),
    )
    verdicts = {model: beats_baseline(metrics, model) for model in ("filter", "segmenter")}
    return Result(
        tables,
        metadata={
            "rows": metrics.height,
            "headline": Rows(headline_rows(metrics)),
            "classes": Rows(class_rows(tables["classes"])),
            "confusion_plot": figure_markdown(
                confusion_figure(tables["confusion"], metrics), "confusion matrix of each model"
            ),
            "slices_plot": figure_markdown(
                slices_figure(metrics), "each model's headline metric by slice, with intervals"
            ),
        },
        checks=[
            Check(f"{model}_beats_baseline", passed=verdict.beats, description=verdict.why)
            for model, verdict in verdicts.items()
        ],
    )
