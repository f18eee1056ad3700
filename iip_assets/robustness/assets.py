"""The robustness benchmark, as an asset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import AssetContext, asset
from iip_assets.engine.values import Files, Result, Rows, Setting, Skipped
from iip_assets.settings import EvaluationSettings, RobustnessSettings

if TYPE_CHECKING:
    import polars as pl

# Pictures that a killed run may have to corrupt again.
_CHUNK = 8


@asset(room="robustness", kinds={"opencv", "onnx"})
def robustness_benchmark(
    raw_dataset: dict[str, pl.DataFrame],
    data_splits: pl.DataFrame,
    iris_filter_model: Files | Skipped,
    segmentation_model: Files | Skipped,
    lighting_stats: pl.DataFrame,
    background_stats: pl.DataFrame,
    *,
    options: Annotated[RobustnessSettings, Setting("robustness")],
    judgement: Annotated[EvaluationSettings, Setting("evaluation")],
    age_bands: Annotated[tuple[int, ...], Setting("slices.age_bands")],
    classes: Annotated[tuple[str, ...], Setting("dataset.mask_classes")],
    max_megapixels: Annotated[float, Setting("dataset.max_megapixels")],
    threads: Annotated[int, Setting("compute.threads")],
    work: AssetContext,
) -> Result[pl.DataFrame] | Result[Skipped]:
    """Both models on test pictures that are blurred, turned, tinted, noisy and compressed.

    Five severities each, overall and by group.
    """
    from iip_assets.dataset.slices import slice_table
    from iip_assets.dataset.store import ImageStore
    from iip_assets.embeddings.device import core_count
    from iip_assets.engine.figures import figure_markdown
    from iip_assets.evaluation.evaluation import Judgement
    from iip_assets.models.filter_pixels import FilterFromPixels
    from iip_assets.models.segmentation import Segmenter
    from iip_assets.models.summaries import model_digest
    from iip_assets.robustness.benchmark import benchmark_pictures, benchmark_table
    from iip_assets.robustness.corrupted_rows import Models, corrupted_chunk
    from iip_assets.robustness.corruptions import check_names
    from iip_assets.robustness.figures import robustness_figure
    from iip_assets.robustness.summary import worst_rows

    check_names(options.corruptions)
    if isinstance(iris_filter_model, Skipped) and isinstance(segmentation_model, Skipped):
        reasons = f"{iris_filter_model.reason}; {segmentation_model.reason}"
        return Result(Skipped(f"there is no model: {reasons}"))
    images = raw_dataset["images"]
    pictures = benchmark_pictures(images, data_splits, most=options.max_images, seed=options.seed)
    if pictures.is_empty():
        return Result(Skipped("no test picture has a label or a mask"))
    store = ImageStore.open(work.root)
    store.fetch([*pictures["image_id"], *pictures["mask_id"].drop_nulls()])
    cores = core_count(threads)
    the_filter = segmenter = filter_digest = segmenter_digest = None
    if not isinstance(iris_filter_model, Skipped):
        the_filter = FilterFromPixels(iris_filter_model.parts, threads=cores)
        filter_digest = model_digest(iris_filter_model)
    if not isinstance(segmentation_model, Skipped):
        segmenter = Segmenter(segmentation_model.parts, threads=cores)
        segmenter_digest = model_digest(segmentation_model)
    filled = work.fill(
        "robustness",
        pictures.select("image_id", "mask_id"),
        corrupted_chunk,
        given={
            "filter_model": filter_digest,
            "segmenter_model": segmenter_digest,
            "corruptions": list(options.corruptions),
            "seed": options.seed,
            "max_megapixels": max_megapixels,
        },
        tools={"models": Models(the_filter, segmenter), "store": store},
        chunk=_CHUNK,
    )
    table = benchmark_table(
        pictures.join(filled.frame.drop("mask_id"), on="image_id").sort("image_id"),
        slice_table(
            images,
            age_bands=age_bands,
            axes=[options.group_axis],
            extra=[lighting_stats, background_stats],
        ),
        corruptions=options.corruptions,
        mask_classes=classes,
        judgement=Judgement(**judgement.model_dump()),
    )
    return Result(
        table,
        metadata={
            "rows": table.height,
            "pictures": pictures.height,
            "images_computed": filled.computed,
            "images_reused": filled.reused,
            "worst": Rows(worst_rows(table)),
            "plot": figure_markdown(
                robustness_figure(table), "metrics of both models over the severity of corruptions"
            ),
        },
    )
