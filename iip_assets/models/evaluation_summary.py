"""Short tables of an evaluation, for people."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from iip_assets.models.evaluation import headline


def headline_rows(metrics: pl.DataFrame) -> list[Mapping[str, float | int | str | None]]:
    """The headline metric of each model and of its baseline, with interval and counts."""
    rows: list[Mapping[str, float | int | str | None]] = []
    for model in ("filter", "filter_baseline", "segmenter", "segmenter_baseline"):
        found = headline(metrics, model)
        if found is not None:
            numbers = {end: _rounded(found[end]) for end in ("value", "low", "high")}
            rows.append({**found, **numbers})
    return rows


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
