"""Versions, moves and comparisons of models at the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from iip_assets.cli.estimate_text import estimate


def print_versions(rows: Sequence[Mapping[str, Any]]) -> None:
    """A row a version, the deployed ones in bold; it fits a terminal of 80 columns."""
    table = _table("version", "deployed", "registered", "headline", "data", "commit")
    for row in rows:
        bold = "bold" if row["aliases"] else ""
        table.add_row(
            f"{row['model']} {row['version']}",
            "\n".join(row["aliases"]),
            row["registered_at"].replace("T", "\n")[:16],
            estimate(row["headline"], row["low"], row["high"]),
            (row["data_revision"] or "")[:8],
            (row["git_commit"] or "")[:8],
            style=bold,
        )
    Console().print(table)


def print_moves(rows: Sequence[Mapping[str, Any]]) -> None:
    """A line a move, the oldest first."""
    table = _table("when", "who", "model", "alias", "from", "to", "reason")
    for row in rows:
        words = [row["reason"]] if row["reason"] else []
        if row["back"]:
            words.insert(0, "rolled back")
        if row["override"]:
            words.append(f"past the gate: {row['override']}")
        table.add_row(
            row["at"].replace("T", "\n")[:16],
            escape(row["who"]),
            row["model"],
            row["alias"],
            *("" if row[end] is None else str(row[end]) for end in ("before", "after")),
            escape("; ".join(words)),
        )
    Console().print(table)


def print_comparison(
    slices: pl.DataFrame, differs: Sequence[Mapping[str, Any]], before: str, after: str
) -> None:
    """What differs underneath, then both versions by slice."""
    console = Console()
    made = _table("made of", before, after)
    for row in differs:
        made.add_row(*(escape(_short(row[name])) for name in ("what", before, after)))
    console.print(made)
    metric = slices["metric"][0]
    table = _table("slice", before, after, "difference", "p (Holm)", "n", "", title=metric)
    for row in slices.iter_rows(named=True):
        colour = "red" if row["verdict"] == "worse" else ""
        table.add_row(
            "all" if row["axis"] == "overall" else escape(f"{row['axis']} {row['slice']}"),
            *(_number(row[name]) for name in ("champion_value", "candidate_value")),
            _interval(row["difference"], row["low"], row["high"], signed=True),
            "" if row["p_holm"] is None else f"{row['p_holm']:.2g}",
            str(row["n_images"]),
            row["verdict"],
            style=colour,
        )
    console.print(table)


def _table(*names: str, title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left")
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _number(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "-"
    return f"{value:+.3f}" if signed else f"{value:.3f}"


def _interval(
    value: float | None, low: float | None, high: float | None, *, signed: bool = False
) -> str:
    if value is None or low is None or high is None:
        return _number(value, signed=signed)
    ends = " to ".join(_number(end, signed=signed) for end in (low, high))
    return f"{_number(value, signed=signed)} ({ends})"


def _short(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"
