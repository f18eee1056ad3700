"""The asset of this room, as Dagster sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from iip_assets.engine.asset import asset, asset_check, describe
from iip_assets.engine.values import CheckResult, MetadataValue, Report, Rows, Setting, Skipped

if TYPE_CHECKING:
    import polars as pl


@asset(room="drift", kinds={"evidently"})
def drift_report(
    raw_dataset: dict[str, pl.DataFrame],
    data_splits: pl.DataFrame,
    image_statistics: pl.DataFrame,
    *,
    columns: Annotated[tuple[str, ...], Setting("drift.columns")],
    threshold: Annotated[float, Setting("drift.threshold")],
    min_images: Annotated[int, Setting("drift.min_images")],
    seed: Annotated[int, Setting("drift.seed")],
) -> Report | Skipped:
    """How the newest batch differs from the training data: which features moved, and by how much.

    The report is Evidently's page. A feature counts as moved where its distance reaches the
    threshold and is larger than chance gives for a batch of that size.
    """
    from iip_assets.drift.compare import compare_newest

    return compare_newest(
        raw_dataset["images"],
        data_splits,
        image_statistics,
        numbers=columns,
        threshold=threshold,
        min_images=min_images,
        seed=seed,
    )


@describe(drift_report)
def describe_drift_report(drift_report: Report) -> dict[str, MetadataValue]:
    """Which features of the newest batch moved, and their distributions before and after."""
    from iip_assets.drift.figures import column_rows, drift_figure
    from iip_assets.figures import figure_markdown

    data: Mapping[str, Any] = drift_report.data
    figure = drift_figure(data["columns"], data["batch"])
    return {
        "batch": data["batch"],
        "batch_images": data["n_current"],
        "training_images": data["n_reference"],
        "share_moved": data["share_moved"],
        "features": Rows(column_rows(data["columns"])),
        "not_compared": Rows(data["not_compared"]),
        "before_and_after": figure_markdown(figure, "Distributions before and after"),
    }


@asset_check(drift_report)
def drift_share(
    drift_report: Report, *, max_share: Annotated[float, Setting("drift.max_share")]
) -> CheckResult:
    """No more features moved than drift.max_share allows."""
    data: Mapping[str, Any] = drift_report.data
    share = data["share_moved"]
    return CheckResult(
        passed=share <= max_share,
        severity="warning",
        description=f"{share:.0%} of {len(data['columns'])} features moved, {max_share:.0%} may",
    )
