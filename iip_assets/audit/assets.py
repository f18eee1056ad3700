"""The assets of this room, as Dagster sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import AssetContext, asset
from iip_assets.engine.values import CheckSpec, Files, Result, Rows, Setting, Skipped
from iip_assets.settings import (
    BatchVerdictSettings,
    ComputeSettings,
    EvaluationSettings,
    ExplanationSettings,
    FilterSettings,
    TrainingSettings,
)

if TYPE_CHECKING:
    import polars as pl

# Pictures that a killed run may have to explain again.
_CHUNK = 4


@asset(room="audit", kinds={"pytorch", "polars"})
def batch_verdict(
    raw_dataset: dict[str, pl.DataFrame],
    filter_examples: pl.DataFrame,
    lighting_stats: pl.DataFrame,
    background_stats: pl.DataFrame,
    *,
    judged: Annotated[BatchVerdictSettings, Setting("batch_verdict")],
    recipe: Annotated[FilterSettings, Setting("filter")],
    judgement: Annotated[EvaluationSettings, Setting("evaluation")],
    age_bands: Annotated[tuple[int, ...], Setting("slices.age_bands")],
    axes: Annotated[tuple[str, ...], Setting("slices.axes")],
    compute: Annotated[ComputeSettings, Setting("compute")],
    work: AssetContext,
) -> Result[pl.DataFrame] | Result[Skipped]:
    """Did each of the newest batches help or hurt the filter, and on which slice.

    The filter's head is trained with and without the batch on the cached embeddings, and both are
    judged on the validation pictures.
    """
    from iip_assets.audit.batch_verdict import (
        Recipe,
        judge_batches,
        newest_batches,
        why_no_verdict,
    )
    from iip_assets.audit.figures import batches_figure
    from iip_assets.audit.summaries import verdict_rows
    from iip_assets.dataset.slices import slice_table
    from iip_assets.engine.figures import figure_markdown
    from iip_assets.models.examples import weights_of
    from iip_assets.models.filter import head_schedule
    from iip_assets.training.around import machine_of

    images = raw_dataset["images"]
    pictures = filter_examples.join(
        images.select("image_id", "batch"), on="image_id", maintain_order="left"
    )
    reason = why_no_verdict(pictures)
    if reason is not None:
        return Result(Skipped(reason))
    verdicts = judge_batches(
        pictures,
        weights_of(filter_examples),
        slice_table(
            images, age_bands=age_bands, axes=axes, extra=[lighting_stats, background_stats]
        ),
        newest_batches(pictures, judged.batches),
        Recipe(
            schedule=head_schedule(recipe),
            seeds=judged.seeds,
            resamples=judgement.resamples,
            confidence=judgement.confidence,
            interval_seed=judgement.seed,
            min_images=judgement.min_slice_images,
        ),
        # A head is done in seconds, in one process.
        machine=machine_of(compute, TrainingSettings()),
        progress=work.progress,
    )
    return Result(
        verdicts,
        metadata={
            "rows": verdicts.height,
            "batches": Rows(verdict_rows(verdicts)),
            "plot": figure_markdown(
                batches_figure(verdicts), "change of the filter's F1 by batch, with intervals"
            ),
        },
    )


@asset(
    room="audit",
    kinds={"captum", "onnx"},
    checks=[
        CheckSpec(
            "explanations_are_faithful",
            "Hiding what counted the most lowers a model's score sooner than hiding any part.",
        ),
    ],
)
def model_explanations(
    predictions: pl.DataFrame,
    held_out_pictures: pl.DataFrame,
    data_splits: pl.DataFrame,
    iris_filter_model: Files | Skipped,
    segmentation_model: Files | Skipped,
    *,
    options: Annotated[ExplanationSettings, Setting("explanation")],
    judgement: Annotated[EvaluationSettings, Setting("evaluation")],
    classes: Annotated[tuple[str, ...], Setting("dataset.mask_classes")],
    max_megapixels: Annotated[float, Setting("dataset.max_megapixels")],
    threads: Annotated[int, Setting("compute.threads")],
    work: AssetContext,
) -> Result[dict[str, pl.DataFrame]] | Result[Skipped]:
    """Where both models looked: on the pictures that they got most wrong, and on a sample.

    Parts of a picture are hidden one after another, and what the model's word loses by each is what
    that part counted. For the sample it is told how much of it lies on the eye, for right and for
    wrong predictions, and whether hiding what counted matters more than hiding any part.
    """
    import polars as pl

    from iip_assets.audit.explained_measures import faithful_check, measure_rows, measures
    from iip_assets.audit.explained_sheets import explained_sheets
    from iip_assets.audit.explaining import Explainer
    from iip_assets.dataset.store import ImageStore
    from iip_assets.embeddings.device import core_count
    from iip_assets.metrics.intervals import Intervals

    about = held_out_pictures.select("image_id", "mask_id").join(
        data_splits.select("image_id", "group_id"), on="image_id"
    )
    store = ImageStore.open(work.root)
    explainer = Explainer(
        options,
        store,
        work.fill,
        max_megapixels=max_megapixels,
        threads=core_count(threads),
        chunk=_CHUNK,
    )
    parts = []
    if not isinstance(iris_filter_model, Skipped):
        parts.append(explainer.of_filter(iris_filter_model, predictions, about, classes))
    if not isinstance(segmentation_model, Skipped):
        parts.append(explainer.of_segmenter(segmentation_model, predictions, about))
    explained = pl.concat(parts)
    if explained.is_empty():
        return Result(Skipped("no held-out picture has a label or a mask to be wrong about"))
    intervals = Intervals(judgement.resamples, judgement.confidence, judgement.seed)
    found = measures(explained, intervals, min_images=judgement.min_slice_images)
    return Result(
        {"explained": explained, "measures": found},
        metadata={
            "rows": explained.height,
            "measures": Rows(measure_rows(found)),
            **explained_sheets(explained, read=store.read, max_megapixels=max_megapixels),
        },
        checks=[faithful_check(found)],
    )
