"""What the report says of the models: headlines, metrics, confusion, slices, robustness."""

from __future__ import annotations

from typing import Any

import polars as pl

from iip_assets.evaluation.evaluation_rows import (
    MAIN_METRIC,
    MODELS,
    OVERALL,
    baseline_value,
    main_row,
    overall_rows,
    slice_rows,
)
from iip_assets.report.metrics import rounded

Record = dict[str, Any]


def headlines(metrics: pl.DataFrame) -> list[Record]:
    """The main metric of each evaluated model, its interval, and a trivial model's value."""
    found = []
    for model in MODELS:
        row = main_row(metrics, model)
        if row is not None:
            baseline = rounded(baseline_value(metrics, model, MAIN_METRIC[model]))
            found.append({**metric_record(row), "baseline": baseline})
    return found


def metric_table(metrics: pl.DataFrame) -> list[Record]:
    """All overall metrics, with intervals and baselines."""
    return [
        {
            **metric_record(row),
            "baseline": rounded(baseline_value(metrics, row["model"], row["metric"])),
        }
        for row in overall_rows(metrics).iter_rows(named=True)
    ]


def metric_record(row: dict[str, Any]) -> Record:
    """A row of the metrics table, rounded."""
    return {
        "model": row["model"],
        "metric": row["metric"],
        "axis": row["axis"],
        "slice": row["slice"],
        "value": rounded(row["value"]),
        "low": rounded(row["low"]),
        "high": rounded(row["high"]),
        "n_images": row["n_images"],
        "n_subjects": row["n_subjects"],
        "enough": row["enough"],
    }


def class_rows(classes: pl.DataFrame) -> list[Record]:
    """How much there is of each class, and how well it is told; rounded."""
    shares = ("train_share", "train_pixel_share", "value", "low", "high")
    return [
        {**row, **{name: rounded(row[name]) for name in shares}}
        for row in classes.iter_rows(named=True)
    ]


def slice_table(metrics: pl.DataFrame) -> dict[str, list[Record]]:
    """By model: its main metric for each slice."""
    tables = {}
    for model in MODELS:
        rows = slice_rows(metrics, model)
        if rows.height:
            tables[model] = [metric_record(row) for row in rows.iter_rows(named=True)]
    return tables


def confusion_tables(confusion: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """By model: the classes, and counts by actual (row) and predicted (column) class.

    Classes keep the order in which the evaluation lists them.
    """
    tables = {}
    for model in MODELS:
        rows = confusion.filter(pl.col("model") == model)
        if rows.is_empty():
            continue
        listed = [*rows["actual"].to_list(), *rows["predicted"].to_list()]
        classes = list(dict.fromkeys(str(name) for name in listed))
        counts = {
            (str(row["actual"]), str(row["predicted"])): row["n"]
            for row in rows.iter_rows(named=True)
        }
        table = [[counts.get((a, p), 0) for p in classes] for a in classes]
        tables[model] = {"classes": classes, "counts": table}
    return tables


def robustness_table(benchmark: pl.DataFrame) -> list[Record]:
    """For each model and corruption: clean, at every severity, and the loss at the highest.

    The largest loss comes first.
    """
    rows = main_robustness(benchmark).filter(pl.col("axis") == OVERALL)
    table = []
    for (model, corruption), curve in rows.group_by("model", "corruption", maintain_order=True):
        ordered = curve.sort("severity")
        values = [rounded(value) for value in ordered["value"]]
        known = [value for value in values if value is not None]
        table.append(
            {
                "model": model,
                "metric": ordered["metric"][0],
                "corruption": corruption,
                "severities": ordered["severity"].to_list(),
                "values": values,
                "low": [rounded(value) for value in ordered["low"]],
                "high": [rounded(value) for value in ordered["high"]],
                "loss": rounded(known[0] - known[-1]) if len(known) > 1 else None,
                "n_images": int(str(ordered["n_images"].max())),
            }
        )
    table.sort(key=lambda row: (row["model"], -(row["loss"] or 0), row["corruption"]))
    return table


def robustness_groups(benchmark: pl.DataFrame) -> list[Record]:
    """For each model, corruption and group: the value clean and at the highest severity."""
    rows = main_robustness(benchmark).filter(pl.col("axis") != OVERALL)
    table = []
    keys = ["model", "corruption", "axis", "slice"]
    for names, curve in rows.group_by(keys, maintain_order=True):
        known = curve.sort("severity").drop_nulls("value")
        if known.height < 2:
            continue
        clean, worst = float(known["value"][0]), float(known["value"][-1])
        table.append(
            {
                **dict(zip(keys, names, strict=True)),
                "clean": rounded(clean),
                "worst": rounded(worst),
                "low": rounded(known["low"][-1]),
                "high": rounded(known["high"][-1]),
                "loss": rounded(clean - worst),
                "n_images": int(known["n_images"][-1]),
            }
        )
    table.sort(key=lambda row: [str(row[key]) for key in keys])
    return table


def main_robustness(benchmark: pl.DataFrame) -> pl.DataFrame:
    """Rows of each model's main metric; of the first metric by name where that one is missing."""
    parts = []
    for model in MODELS:
        rows = benchmark.filter(pl.col("model") == model)
        names = rows["metric"].unique().sort().to_list()
        if names:
            chosen = MAIN_METRIC[model] if MAIN_METRIC[model] in names else names[0]
            parts.append(rows.filter(pl.col("metric") == chosen))
    kept = pl.concat(parts) if parts else benchmark.clear()
    return kept.sort("model", "corruption", "axis", "slice", "severity")
