"""The asset of this room, as Dagster sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import asset
from iip_assets.engine.values import Check, CheckSpec, Report, Result, Rows, Setting, Skipped

if TYPE_CHECKING:
    import polars as pl


@asset(
    room="drift",
    kinds={"evidently"},
    checks=[CheckSpec("drift_share", "no more features moved than drift.max_share allows")],
)
def drift_report(
    raw_dataset: dict[str, pl.DataFrame],
    data_splits: pl.DataFrame,
    image_statistics: pl.DataFrame,
    *,
    columns: Annotated[tuple[str, ...], Setting("drift.columns")],
    threshold: Annotated[float, Setting("drift.threshold")],
    min_images: Annotated[int, Setting("drift.min_images")],
    max_share: Annotated[float, Setting("drift.max_share")],
    seed: Annotated[int, Setting("drift.seed")],
) -> Result[Report | Skipped]:
    """How the newest batch differs from the training data: which features moved, and by how much.

    The report is Evidently's page. A feature counts as moved where its distance reaches the
    threshold and is larger than chance gives for a batch of that size.
    """
    from iip_assets.drift.compare import compare_newest

    outcome = compare_newest(
        raw_dataset["images"],
        data_splits,
        image_statistics,
        numbers=columns,
        threshold=threshold,
        min_images=min_images,
        max_share=max_share,
        seed=seed,
    )
    if isinstance(outcome, Skipped):
        return Result(
            outcome, checks=[Check("drift_share", passed=True, description=outcome.reason)]
        )
    from iip_assets.drift.figures import drift_figure
    from iip_assets.drift.wording import column_rows
    from iip_assets.engine.figures import figure_markdown

    share = outcome.share_moved
    figure = drift_figure(outcome.columns, outcome.batch)
    return Result(
        outcome.report,
        metadata={
            "batch": outcome.batch,
            "batch_images": outcome.n_current,
            "training_images": outcome.n_reference,
            "share_moved": share,
            "features": Rows(column_rows(outcome.columns)),
            "not_compared": Rows(outcome.not_compared),
            "before_and_after": figure_markdown(figure, "Distributions before and after"),
        },
        checks=[
            Check(
                "drift_share",
                passed=share <= max_share,
                severity="warning",
                description=f"{share:.0%} of {len(outcome.columns)} features moved, "
                f"{max_share:.0%} may",
            )
        ],
    )
