"""Short tables of an evaluation, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from iip_assets.evaluation.evaluation import headline
from iip_assets.evaluation.evaluation_rows import overall_rows
from iip_assets.metrics.constants import BESIDE_HUMAN, HUMAN
from iip_assets.models.tasks import TASKS


def headline_rows(metrics: pl.DataFrame) -> list[Mapping[str, float | int | str | None]]:
    """The headline metric of each model and of who is beside it, with interval and counts."""
    rows: list[Mapping[str, float | int | str | None]] = []
    beside = ("", "_baseline", HUMAN, BESIDE_HUMAN)
    for name in (f"{model}{suffix}" for model in TASKS for suffix in beside):
        found = headline(metrics, name)
        if found is not None:
            numbers = {end: _rounded(found[end]) for end in ("value", "low", "high")}
            rows.append({**found, **numbers})
    return rows


def overall_metrics(metrics: pl.DataFrame) -> Sequence[Mapping[str, float | int | str | None]]:
    """The metrics that say most of each model, over all held-out images."""
    shown = (*(task.headline for task in TASKS.values()), "auc_macro", "map", "iou_")
    columns = ("model", "metric", "value", "low", "high", "n_images")
    rows = overall_rows(metrics).filter(pl.col("value").is_not_null()).select(columns)
    return [row for row in rows.to_dicts() if row["metric"].startswith(shown)]


def validation_rows(table: pl.DataFrame) -> Sequence[Mapping[str, float | int | str | None]]:
    """The table of the validation card, rounded."""
    return table.with_columns(pl.col("value", "low", "high").round(4)).to_dicts()


def class_rows(classes: pl.DataFrame) -> Sequence[Mapping[str, float | int | str | None]]:
    """The table of classes, rounded."""
    shares = pl.col("train_share", "train_pixel_share", "value", "low", "high")
    return classes.with_columns(shares.round(4)).to_dicts()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
