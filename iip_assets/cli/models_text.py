"""Versions, moves and comparisons of models at the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from iip_assets.report.blocks import (
    FIGURE,
    NUMBER,
    Column,
    Kind,
    Row,
    Table,
    estimate_column,
    short_number,
    signed,
)
from iip_assets.report.terminal import show


def print_versions(rows: Sequence[Row]) -> None:
    """A row a version, the deployed ones in bold; it fits a terminal of 80 columns."""
    columns: list[Column | str] = [
        Column("version", lambda row: f"{row['model']} {row['version']}"),
        Column("deployed", lambda row: "\n".join(row["aliases"])),
        Column("registered", lambda row: row["registered_at"].replace("T", "\n")[:16]),
        estimate_column("headline", "headline", ends=short_number),
        Column("data", lambda row: (row["data_revision"] or "")[:8]),
        Column("commit", lambda row: (row["git_commit"] or "")[:8]),
    ]
    show(Table("", columns, rows, tone=lambda row: "strong" if row["aliases"] else ""))


def print_moves(rows: Sequence[Row]) -> None:
    """A line a move, the oldest first."""
    columns: list[Column | str] = [
        Column("when", lambda row: row["at"].replace("T", "\n")[:16]),
        "who",
        "model",
        "alias",
        Column("from", "before"),
        Column("to", "after"),
        Column("reason", _reason),
    ]
    show(Table("", columns, rows))


def print_comparison(slices: pl.DataFrame, differs: Sequence[Row], before: str, after: str) -> None:
    """What differs underneath, then both versions by slice."""
    made = [Column("made of", lambda row: _short(row["what"]))]
    made += [Column(side, side, Kind(_short)) for side in (before, after)]
    columns: list[Column | str] = [
        Column("slice", slice_name),
        Column(before, "champion_value", NUMBER),
        Column(after, "candidate_value", NUMBER),
        estimate_column("difference", "difference", show=signed),
        Column("p (Holm)", lambda row: "" if row["p_holm"] is None else f"{row['p_holm']:.2g}"),
        Column("n", "n_images", FIGURE),
        Column("", "verdict"),
    ]
    rows = slices.to_dicts()
    by_slice = Table(
        slices["metric"][0],
        columns,
        rows,
        tone=lambda row: "bad" if row["verdict"] == "worse" else "",
    )
    show(Table("", made, differs), by_slice)


def slice_name(row: Row) -> str:
    """The slice of a row of metrics, as a person names it."""
    return "all" if row["axis"] == "overall" else f"{row['axis']} {row['slice']}"


def _reason(row: Row) -> str:
    words = ["rolled back"] if row["back"] else []
    words += [row["reason"]] if row["reason"] else []
    words += [f"past the gate: {row['override']}"] if row["override"] else []
    return "; ".join(words)


def _short(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"
