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
    from iip_assets.engine.hashing import digest_table
    from iip_assets.evaluation.threshold import gate_of
    from iip_assets.fairness import trials
    from iip_assets.fairness.tradeoff import tradeoff_tables
    from iip_assets.models.filter import schedule_of
    from iip_assets.training.trainer import TrainingRun, machine_of

    slices, least = image_slices.filter(axis=tried.axis), evaluation.min_slice_images
    images = trials.trial_images(filter_examples, slices, costs.usable, least_images=least)
    if isinstance(images, str):
        return Skipped(images)
    answers = context.fill(
        "fairness_trials",
        trials.planned(tried.remedies, seeds=tried.seeds),
        trials.run_trials,
        given={
            "schedule": asdict(schedule_of(recipe, "head")) | {"seed": None},
            "gate": asdict(gate_of(costs)),
        },
        key={"images": digest_table(images)},
        # A head is done in seconds, in one process.
        tools={"images": images, "run": TrainingRun(machine_of(compute, TrainingSettings()))},
        chunk=1,
    )
    return tradeoff_tables(answers.frame, images.filter(part="judged"), evaluation)


@describe(fairness_tradeoff)
def describe_fairness_tradeoff(
    fairness_tradeoff: dict[str, pl.DataFrame],
) -> dict[str, MetadataValue]:
    """The chart, and its points as a table."""
    from iip_assets.evaluation.summary import rounded_rows
    from iip_assets.fairness.figures import ALT, tradeoff_figure
    from iip_assets.fairness.tradeoff import MEASURES
    from iip_assets.figures import figure_markdown

    points = fairness_tradeoff["tradeoff"]
    shown = points.select("remedy", "strength", "worst_group", "pareto", *MEASURES)
    return {
        "rows": points.height,
        "trials": fairness_tradeoff["trials"].height,
        "tradeoff": Rows(rounded_rows(shown, *MEASURES)),
        "plot": figure_markdown(tradeoff_figure(fairness_tradeoff), ALT),
    }
