"""What corruptions of the images cost the models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from iip_assets.engine.figures import PALETTE, new_figure
from iip_assets.evaluation.summary import OVERALL
from iip_assets.metrics.names import spelled
from iip_assets.models.tasks import TASKS
from iip_assets.report.blocks import (
    NUMBER,
    Block,
    Column,
    Heading,
    NextStep,
    Section,
    Table,
    estimate_column,
    plot,
)
from iip_assets.report.metrics import rounded
from iip_assets.robustness.figures import robustness_figure as groups_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
# A smaller loss is not named.
NAMED_LOSS = 0.05

Record = dict[str, Any]


def robustness(robustness_benchmark: pl.DataFrame) -> Section:
    """Each model's main metric by corruption and severity, overall and by group."""
    rows, groups = robustness_table(robustness_benchmark), robustness_groups(robustness_benchmark)
    data = {"robustness": rows, "robustness_groups": groups}
    blocks: list[Block] = []
    if rows:
        alt = "Metric of each model against severity, a curve for each corruption"
        figure = plot(lambda: robustness_figure(rows), alt, "Bands are 95% intervals.")
        blocks += [figure, _loss_table(rows)]
    if rows and groups:
        alt = "Metric against severity for each corruption, a curve for each group"
        figure = plot(lambda: groups_figure(robustness_benchmark), alt)
        blocks += [Heading("By group"), figure, _group_table(groups)]
    return Section("robustness", "Robustness", blocks, data, steps=_steps(rows))


def robustness_table(benchmark: pl.DataFrame) -> list[Record]:
    """For each model and corruption: clean, at every severity, and the loss at the highest.

    The largest loss comes first.
    """
    rows = _main_rows(benchmark).filter(pl.col("axis") == OVERALL)
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
    rows = _main_rows(benchmark).filter(pl.col("axis") != OVERALL)
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


def _main_rows(benchmark: pl.DataFrame) -> pl.DataFrame:
    """Rows of each model's main metric; of the first metric by name where that one is missing."""
    parts = []
    for model in TASKS:
        rows = benchmark.filter(pl.col("model") == model)
        names = rows["metric"].unique().sort().to_list()
        if names:
            headline = TASKS[model].headline
            chosen = headline if headline in names else names[0]
            parts.append(rows.filter(pl.col("metric") == chosen))
    kept = pl.concat(parts) if parts else benchmark.clear()
    return kept.sort("model", "corruption", "axis", "slice", "severity")


def robustness_figure(rows: Sequence[dict[str, Any]]) -> Figure:
    """A panel for each model, a curve for each corruption, with intervals as bands.

    Args:
        rows: Records of `robustness_table`.
    """
    models = list(dict.fromkeys(row["model"] for row in rows))
    corruptions = sorted({row["corruption"] for row in rows})
    figure = new_figure(4.2 * max(1, len(models)), 3.4)
    for index, model in enumerate(models):
        axes = figure.add_subplot(1, len(models), index + 1)
        for row in rows:
            if row["model"] != model:
                continue
            style = corruptions.index(row["corruption"])
            colour = PALETTE[style % len(PALETTE)]
            x = np.array(row["severities"], dtype=float)
            # A gap, not a zero, where a severity was not measured.
            y, low, high = (
                np.array([np.nan if v is None else v for v in row[key]])
                for key in ("values", "low", "high")
            )
            axes.plot(
                x,
                y,
                color=colour,
                marker=MARKERS[style % len(MARKERS)],
                markersize=4,
                label=spelled(row["corruption"]),
            )
            axes.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
        metric = next(row["metric"] for row in rows if row["model"] == model)
        axes.set(title=f"{model}: {spelled(metric)}", xlabel="severity (0 = clean)")
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    if models:
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    return figure


def _loss_table(rows: list[Record]) -> Table:
    return Table(
        "From clean images to the highest severity",
        [
            "model",
            "corruption",
            "metric",
            Column("clean", lambda row: row["values"][0], NUMBER),
            Column("worst", lambda row: row["values"][-1], NUMBER),
            "loss",
            "n_images",
        ],
        rows,
        folded="Losses as a table",
    )


def _group_table(rows: list[Record]) -> Table:
    return Table(
        "Clean and at the highest severity, by group",
        [
            "model",
            "corruption",
            Column("group", lambda row: f"{row['axis']} {row['slice']}"),
            "clean",
            estimate_column("worst, 95% interval", "worst"),
            "n_images",
        ],
        rows,
        folded="Groups as a table",
    )


def _steps(table: list[Record]) -> list[NextStep]:
    found = []
    for model in dict.fromkeys(row["model"] for row in table):
        rows = [row for row in table if row["model"] == model and row["loss"]]
        worst = max(rows, key=lambda row: (row["loss"], row["corruption"]), default=None)
        if worst is None or worst["loss"] < NAMED_LOSS:
            continue
        found.append(
            NextStep(
                6,
                f"The {model} suffers most from {spelled(worst['corruption'])}",
                f"{spelled(worst['metric'])} falls by {worst['loss']:.3f} at severity "
                f"{worst['severities'][-1]} (n = {worst['n_images']}). Augmentation or more such "
                "images may help, if they occur in use.",
            )
        )
    return found
