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
    image_batches: pl.DataFrame,
    held_out_images: pl.DataFrame,
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
) -> Noted[dict[str, pl.DataFrame]] | Skipped:
    """Both models on test images that are corrupted, as by blur, low light or a lid.

    Five severities each, overall and by group, and beside a fixed model where one is named; and at
    which of them they look as the newest batch does.
    """
    import polars as pl

    from iip_assets.embeddings.device import core_count
    from iip_assets.images.store import ImageStore
    from iip_assets.models.examples import no_model, reason_for_none_judged
    from iip_assets.robustness.benchmark import (
        baseline_models,
        benchmark_images,
        benchmark_table,
        models_answers,
    )
    from iip_assets.robustness.cells import cells_table
    from iip_assets.robustness.corruptions import SEVERITIES, check_names
    from iip_assets.robustness.matched import matched_table, measures_of, newest_images

    check_names(options.corruptions)
    if isinstance(iris_filter_model, Skipped) and isinstance(segmentation_model, Skipped):
        return no_model(iris_filter_model, segmentation_model)
    test = held_out_images.filter(pl.col("split") == "test").join(
        image_batches.select("image_id", "group_id"), on="image_id"
    )
    chosen = benchmark_images(test, most=options.max_images, seed=options.seed)
    if chosen.is_empty():
        return Skipped(reason_for_none_judged(held_out_images, "test"))
    # As many as one corruption more would have.
    most = options.max_images * len(SEVERITIES)
    newest = newest_images(image_batches, most=most)
    store, fill = ImageStore.open(context.root), context.fill
    store.fetch([*chosen["image_id"], *chosen["mask_id"].drop_nulls(), *newest["image_id"]])
    models = {"filter": iris_filter_model, "segmenter": segmentation_model}
    named = {"filter": options.baseline_filter, "segmenter": options.baseline_segmenter}
    fixed = baseline_models(context, classes, **named)
    given = {
        "seed": options.seed,
        "max_megapixels": max_megapixels,
        "mask_classes": [*classes],
    }
    asked: Any = {"fill": fill, "given": given, "store": store}
    answers, baselines = (
        models_answers(files, chosen, options.corruptions, **asked, threads=core_count(threads))
        for files in (models, fixed)
    )
    measured = measures_of(chosen, newest, options.corruptions, **asked)
    slices = image_slices.filter(pl.col("axis") == options.group_axis)
    how: Any = {"mask_classes": classes, "intervals": evaluation}
    least: Any = {**how, "least_images": evaluation.min_slice_images}
    tables = {
        "curves": benchmark_table(chosen, answers, **how),
        "cells": cells_table(chosen, answers, baselines, slices, **least),
        "matched": matched_table(chosen, newest, measured, evaluation, evaluation.min_slice_images),
    }
    return Noted(tables, notes={"images": chosen.height})


@describe(robustness_benchmark)
def describe_robustness_benchmark(
    robustness_benchmark: dict[str, pl.DataFrame], notes: Mapping[str, Any]
) -> dict[str, MetadataValue]:
    """What the strongest corruptions cost, the worst groups, and the metrics over severity."""
    from iip_assets.evaluation.summary import rounded_rows
    from iip_assets.figures import figure_markdown
    from iip_assets.robustness.cells import worst_cells
    from iip_assets.robustness.figures import robustness_figure, worst_rows

    curves, cells = robustness_benchmark["curves"], robustness_benchmark["cells"]
    numbers = ("value", "low", "high", "clean", "loss")
    return {
        "rows": curves.height,
        "images": notes["images"],
        "worst": Rows(worst_rows(curves)),
        "matched": Rows(
            rounded_rows(robustness_benchmark["matched"], "severity", "clean", "newest")
        ),
        "worst_groups": Rows(rounded_rows(worst_cells(cells, 10), *numbers)),
        "plot": figure_markdown(
            robustness_figure(curves), "metrics of both models over the severity of corruptions"
        ),
    }
