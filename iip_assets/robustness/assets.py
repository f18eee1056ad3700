"""The robustness benchmark, as an asset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from iip_assets.engine.asset import AssetContext, asset, describe
from iip_assets.engine.values import Files, MetadataValue, Noted, Rows, Setting, Skipped
from iip_assets.settings import Evaluation, MaskClasses, MaxMegapixels, RobustnessSettings, Threads

if TYPE_CHECKING:
    import polars as pl


@asset(room="robustness", kinds={"opencv", "onnx"})
def robustness_benchmark(
    held_out_images: pl.DataFrame,
    data_splits: pl.DataFrame,
    iris_filter_model: Files | Skipped,
    segmentation_model: Files | Skipped,
    image_slices: pl.DataFrame,
    *,
    options: Annotated[RobustnessSettings, Setting("robustness")],
    evaluation: Evaluation,
    classes: MaskClasses,
    max_megapixels: MaxMegapixels,
    threads: Threads,
    context: AssetContext,
) -> Noted[pl.DataFrame] | Skipped:
    """Both models on test images that are corrupted, as by blur, low light or a lid.

    Five severities each, overall and by group.
    """
    import polars as pl

    from iip_assets.embeddings.device import core_count
    from iip_assets.images.store import ImageStore
    from iip_assets.inference.filter import FilterFromPixels
    from iip_assets.inference.segmenter import Segmenter
    from iip_assets.models.examples import no_model, reason_for_none_judged
    from iip_assets.robustness.benchmark import (
        answers_of,
        benchmark_images,
        benchmark_table,
        judged_under,
    )
    from iip_assets.robustness.corruptions import check_names

    check_names(options.corruptions)
    if isinstance(iris_filter_model, Skipped) and isinstance(segmentation_model, Skipped):
        return no_model(iris_filter_model, segmentation_model)
    test = held_out_images.filter(pl.col("split") == "test").join(
        data_splits.select("image_id", "group_id"), on="image_id"
    )
    chosen = benchmark_images(test, most=options.max_images, seed=options.seed)
    if chosen.is_empty():
        return Skipped(reason_for_none_judged(held_out_images, "test"))
    store, workers = ImageStore.open(context.root), core_count(threads)
    store.fetch([*chosen["image_id"], *chosen["mask_id"].drop_nulls()])
    models: dict[str, tuple[Files, dict[str, Any]]] = {}
    if not isinstance(iris_filter_model, Skipped):
        opened = FilterFromPixels(iris_filter_model.parts, threads=workers)
        models["filter"] = iris_filter_model, {"filter_model": opened, "segmenter": None}
    if not isinstance(segmentation_model, Skipped):
        network = Segmenter(segmentation_model.parts, threads=workers)
        models["segmenter"] = segmentation_model, {"filter_model": None, "segmenter": network}
    given = {"seed": options.seed, "max_megapixels": max_megapixels, "mask_classes": [*classes]}
    fill = context.fill
    answers = {
        name: answers_of(
            *(model, chosen, judged_under(name, options.corruptions)),
            fill=fill,
            given=given,
            tools={"store": store, **tools},
        )
        for name, (model, tools) in models.items()
    }
    slices = image_slices.filter(pl.col("axis") == options.group_axis)
    table = benchmark_table(chosen, answers, slices, mask_classes=classes, intervals=evaluation)
    return Noted(table, notes={"images": chosen.height})


@describe(robustness_benchmark)
def describe_robustness_benchmark(
    robustness_benchmark: pl.DataFrame, notes: Mapping[str, Any]
) -> dict[str, MetadataValue]:
    """What the strongest corruptions cost, and the metrics over severity."""
    from iip_assets.figures import figure_markdown
    from iip_assets.robustness.figures import robustness_figure, worst_rows

    return {
        "rows": robustness_benchmark.height,
        "images": notes["images"],
        "worst": Rows(worst_rows(robustness_benchmark)),
        "plot": figure_markdown(
            robustness_figure(robustness_benchmark),
            "metrics of both models over the severity of corruptions",
        ),
    }
