"""Short tables for people, and what the assets need to know of one another's values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from iip_assets.engine.values import Files, MetadataValue, Rows
from iip_assets.models.evaluation import headline


def model_digest(files: Files) -> str:
    """SHA-256 over the parts that are the model: all that its data version covers."""
    hasher = hashlib.sha256()
    for name in sorted(files.version_of or files.parts):
        hasher.update(f"{name} {len(files.parts[name])} ".encode())
        hasher.update(files.parts[name])
    return hasher.hexdigest()


def counts_by_split(examples: pl.DataFrame) -> Rows:
    """Pictures and groups of each split."""
    counted = examples.group_by("split").agg(
        images=pl.len().cast(pl.Int64), groups=pl.col("group_id").n_unique().cast(pl.Int64)
    )
    return Rows(counted.sort("split").to_dicts())


def card_summary(card: bytes) -> dict[str, MetadataValue]:
    """A model's card for Dagster: its facts, and its validation metrics as a table."""
    facts: dict[str, Any] = json.loads(card)
    validation = facts.pop("validation")
    rows = [
        {
            "metric": name,
            **{end: _rounded(one[end]) for end in ("value", "low", "high")},
            "n_images": validation["n_images"],
            "n_subjects": validation["n_subjects"],
        }
        for name, one in validation.get("metrics", {}).items()
    ]
    return {**facts, "validation": Rows(rows)}


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
