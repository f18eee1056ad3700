"""The assets of this room, as Dagster sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import Work, asset
from iip_assets.engine.values import Result, Rows, Setting, Skipped
from iip_assets.settings import (
    BatchVerdictSettings,
    ComputeSettings,
    EvaluationSettings,
    FilterSettings,
    TrainingSettings,
)

if TYPE_CHECKING:
    import polars as pl


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
    work: Work,
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
