"""The price of each remedy, as an asset."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import AssetContext, asset, describe
from iip_assets.engine.values import MetadataValue, Rows, Setting, Skipped
from iip_assets.settings import (
    Compute,
    Evaluation,
    FairnessSettings,
    FilterSettings,
    ThresholdSettings,
    TrainingSettings,
)

if TYPE_CHECKING:
    import polars as pl


@asset(room="fairness", kinds={"pytorch", "polars"})
def fairness_tradeoff(
    filter_examples: pl.DataFrame,
    image_slices: pl.DataFrame,
    *,
    tried: Annotated[FairnessSettings, Setting("fairness")],
    recipe: Annotated[FilterSettings, Setting("filter")],
    costs: Annotated[ThresholdSettings, Setting("threshold")],
    evaluation: Evaluation,
    compute: Compute,
    context: AssetContext,
) -> dict[str, pl.DataFrame] | Skipped:
    """What each remedy brings to the group that fares worst, and what it costs all images.

    The filter's head is trained with each remedy from several seeds and judged on the validation
    images. A trial that was made is not made again.
    """
    import polars as pl

    from iip_assets.engine.hashing import digest_table
    from iip_assets.evaluation.threshold import gate_of
    from iip_assets.fairness import trials
    from iip_assets.fairness.tradeoff import tradeoff_tables
    from iip_assets.models.filter import schedule_of
    from iip_assets.training.trainer import machine_of

    slices = image_slices.filter(pl.col("slice") != "unknown", axis=tried.axis)
    least = evaluation.min_slice_images
    images = trials.trial_images(filter_examples, slices, costs.usable, least_images=least)
    if isinstance(images, str):
        return Skipped(images)

    def answers(rows: pl.DataFrame, weak: str) -> pl.DataFrame:
        weak_of = pl.when(remedy="mindiff").then(pl.lit(weak)).otherwise(pl.lit(""))
        return context.fill(
            "fairness_trials",
            rows.with_columns(weak=weak_of),
            trials.run_trials,
            given={"schedule": asdict(schedule_of(recipe, "head")), "gate": asdict(gate_of(costs))},
            key={"images": digest_table(images)},
            tools={"images": images, "machine": machine_of(compute, TrainingSettings())},
            chunk=1,
        ).frame

    plan = trials.planned(tried.remedies, seeds=tried.seeds)
    untreated = answers(plan.filter(remedy=trials.NONE), "")
    weak = trials.weakest_group(untreated, images)
    treated = answers(plan.filter(pl.col("remedy") != trials.NONE), weak)
    return tradeoff_tables(
        pl.concat([untreated, treated], how="diagonal"),
        images.filter(part=trials.JUDGED),
        evaluation,
    )


@describe(fairness_tradeoff)
def describe_fairness_tradeoff(
    fairness_tradeoff: dict[str, pl.DataFrame],
) -> dict[str, MetadataValue]:
    """The chart, and its points as a table."""
    from iip_assets.evaluation.summary import rounded_rows
    from iip_assets.fairness.figures import tradeoff_figure
    from iip_assets.fairness.tradeoff import MEASURES
    from iip_assets.figures import figure_markdown

    tradeoff = fairness_tradeoff["tradeoff"]
    shown = tradeoff.select("remedy", "strength", "worst_group", "pareto", *MEASURES)
    return {
        "rows": tradeoff.height,
        "trials": fairness_tradeoff["trials"].height,
        "tradeoff": Rows(rounded_rows(shown, *MEASURES)),
        "plot": figure_markdown(
            tradeoff_figure(fairness_tradeoff), "worst group's recall against accuracy by remedy"
        ),
    }
