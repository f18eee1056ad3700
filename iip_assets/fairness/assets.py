"""The audit of groups, as Dagster sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import asset, asset_check, describe
from iip_assets.engine.values import CheckResult, MetadataValue, Rows, Setting, Skipped
from iip_assets.settings import Evaluation, MaskClasses, ProtectedAxes, ThresholdSettings

if TYPE_CHECKING:
    import polars as pl


@asset(room="fairness", kinds={"polars"})
def fairness_audit(
    predictions: pl.DataFrame,
    data_splits: pl.DataFrame,
    image_slices: pl.DataFrame,
    *,
    evaluation: Evaluation,
    axes: ProtectedAxes,
    costs: Annotated[ThresholdSettings, Setting("threshold")],
    classes: MaskClasses,
) -> dict[str, pl.DataFrame] | Skipped:
    """How each model does on the test images of each protected group and intersection.

    With intervals over subjects, differences to all others corrected for how many are asked about,
    and the largest gap of each axis.
    """
    import polars as pl

    from iip_assets.evaluation.threshold import gate_of
    from iip_assets.fairness.group_metrics import audit_models

    groups = data_splits.select("image_id", "group_id")
    return audit_models(
        predictions.join(groups, on="image_id"),
        image_slices.filter(pl.col("axis").is_in(axes)),
        gate=gate_of(costs),
        mask_classes=classes,
        evaluation=evaluation,
    )


@describe(fairness_audit)
def describe_fairness_audit(fairness_audit: dict[str, pl.DataFrame]) -> dict[str, MetadataValue]:
    """The gaps of each axis, and the groups that a model fails more than others."""
    from iip_assets.evaluation.figures import slices_figure
    from iip_assets.evaluation.summary import rounded_rows
    from iip_assets.fairness.group_metrics import PRIMARY, failed_groups, primary_rows, single_axes
    from iip_assets.figures import figure_markdown

    groups, gaps = fairness_audit["groups"], primary_rows(fairness_audit["gaps"])
    values = ("value", "low", "high", "others", "difference", "p_holm")
    columns = ("model", "metric", "axis", "slice", *values, "n_images", "n_subjects")
    return {
        "rows": groups.height,
        "gaps": Rows(rounded_rows(gaps, "gap", "low", "high", "ratio")),
        "failed": Rows(rounded_rows(failed_groups(groups).select(columns), *values)),
        "groups_plot": figure_markdown(
            slices_figure(single_axes(groups), PRIMARY), "each model by group, with intervals"
        ),
    }


@asset_check(fairness_audit)
def no_group_is_failed(fairness_audit: dict[str, pl.DataFrame]) -> CheckResult:
    """Neither model does worse on a protected group than on all others."""
    from iip_assets.fairness.group_metrics import failed_groups, failed_in_words, primary_rows

    groups = primary_rows(fairness_audit["groups"])
    asked = groups.filter(groups["p_holm"].is_not_null()).height
    failed = failed_groups(groups)
    return CheckResult(
        passed=failed.is_empty() if asked else None,
        severity="warning",
        description="; ".join(map(failed_in_words, failed.to_dicts()))
        or (f"none of {asked} groups is shown to be" if asked else "no group is large enough"),
    )
