"""What the report says of where the models looked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from iip_assets.audit.explained_sheets import hardest_of
from iip_assets.audit.explained_words import SCORES, explained_caption
from iip_assets.report.metrics import rounded

Record = dict[str, Any]

# Of what a tile is drawn from.
_DRAWN = ("rows", "columns", "attribution", "said_outline", "true_outline")


def explanation_content(tables: Mapping[str, pl.DataFrame], images: pl.DataFrame) -> Record:
    """By model the hardest images with what counted; the measures of the samples.

    Args:
        tables: The value of model_explanations.
        images: The table "images" of raw_dataset.
    """
    facts = images.select("image_id", "path", "batch")
    shown = {}
    for model in SCORES:
        rows = hardest_of(tables["explained"], model)
        rows = rows.join(facts, on="image_id", how="left", maintain_order="left")
        if rows.height:
            shown[model] = [_image(row) for row in rows.iter_rows(named=True)]
    return {"images": shown, "measures": [_measure(row) for row in tables["measures"].to_dicts()]}


def _image(row: Mapping[str, Any]) -> Record:
    attribution = [rounded(value) for value in row["attribution"]]
    drawn = {name: row[name] for name in _DRAWN} | {"attribution": attribution}
    about = {name: row[name] for name in ("image_id", "path", "batch")}
    return {**about, **drawn, "caption": explained_caption(row)}


def _measure(row: Record) -> Record:
    return row | {name: rounded(row[name]) for name in ("value", "low", "high")}
