"""The forecast, as Dagster sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import asset, asset_check, describe
from iip_assets.engine.values import CheckResult, MetadataValue, Rows, Setting, Skipped
from iip_assets.settings import ForecastSettings, MaskClasses

if TYPE_CHECKING:
    import polars as pl


@asset(room="drift", kinds={"polars"})
def drift_forecast(
    raw_dataset: dict[str, pl.DataFrame],
    data_splits: pl.DataFrame,
    image_embeddings: pl.DataFrame,
    image_slices: pl.DataFrame,
    filter_verdicts: dict[str, pl.DataFrame] | Skipped,
    predictions: pl.DataFrame,
    *,
    axis: Annotated[str, Setting("forecast.axis")],
    confidence: Annotated[float, Setting("forecast.confidence")],
    min_effective_images: Annotated[float, Setting("forecast.min_effective_images")],
    max_far: Annotated[float, Setting("forecast.max_far")],
    past_batches: Annotated[int, Setting("forecast.past_batches")],
    seed: Annotated[int, Setting("forecast.seed")],
    least_images: Annotated[int, Setting("evaluation.min_slice_images")],
    classes: MaskClasses,
) -> dict[str, pl.DataFrame] | Skipped:
    """What the newest batch will do to each headline metric, as if nobody had labelled it.

    From held-out images of older batches that are weighted to be like it. Earlier batches are
    forecast likewise and held against what was measured on them.
    """
    from iip_assets.drift.forecast_tables import Known, forecast_tables, known_images

    verdicts = None if isinstance(filter_verdicts, Skipped) else filter_verdicts["verdicts"]
    settings = ForecastSettings(
        confidence=confidence,
        min_effective_images=min_effective_images,
        max_far=max_far,
        past_batches=past_batches,
        seed=seed,
    )
    images = known_images(
        raw_dataset["images"], data_splits, image_embeddings, verdicts, predictions
    )
    slices = image_slices.filter(axis=axis)
    return forecast_tables(Known(images, slices, classes, settings, least_images))


@describe(drift_forecast)
def describe_drift_forecast(drift_forecast: dict[str, pl.DataFrame]) -> dict[str, MetadataValue]:
    """The forecast of all images, the chart, and how well earlier batches were forecast."""
    from iip_assets.drift.forecast_summary import (
        ALT,
        best_rows,
        forecast_figure,
        past_errors,
    )
    from iip_assets.evaluation.summary import rounded_rows
    from iip_assets.figures import figure_markdown
    from iip_assets.metrics.names import OVERALL

    rows = drift_forecast["forecast"].filter(axis=OVERALL)
    ends = ("now", "value", "low", "high", "change", "measured")
    columns = ("model", "metric", "method", *ends, "n_images", "verdict")
    return {
        "rows": drift_forecast["forecast"].height,
        "forecast": Rows(rounded_rows(rows.select(columns), *ends)),
        "abstains": Rows(drift_forecast["sides"].drop_nulls("reason").to_dicts()),
        "past_errors": Rows(past_errors(drift_forecast["past"])),
        "plot": figure_markdown(forecast_figure(best_rows(drift_forecast["forecast"])), ALT),
    }


@asset_check(drift_forecast)
def expected_loss(
    drift_forecast: dict[str, pl.DataFrame],
    *,
    max_loss: Annotated[float, Setting("forecast.max_loss")],
) -> CheckResult:
    """No headline metric is expected to lose more than forecast.max_loss, by its whole interval."""
    from iip_assets.drift.forecast_summary import loss_in_words, losses

    judged, lost = losses(drift_forecast["forecast"], max_loss)
    reasons = drift_forecast["sides"]["reason"].drop_nulls().unique().sort().to_list()
    none = "; ".join(reasons) or "too few images to judge"
    return CheckResult(
        passed=not lost if judged else None,
        severity="warning",
        description="; ".join(map(loss_in_words, lost))
        or (f"none of {judged} headline metrics is shown to" if judged else none),
    )
