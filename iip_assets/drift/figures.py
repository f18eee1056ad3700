"""Before and after, feature by feature: in words, and as plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from iip_assets.drift.columns import change_in_words
from iip_assets.figures import PALETTE, new_figure, shown_word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 9
MOST_WORDS = 8
BEFORE, AFTER = PALETTE[0], PALETTE[5]


def drift_figure(columns: Sequence[dict[str, Any]], batch: str) -> Figure:
    """Small multiples of the features that moved; where none did, of the four nearest to it."""
    moved = [column for column in columns if column["moved"]][:MOST_PANELS]
    shown = moved or list(columns[:4])
    figure, panels = _panels(len(shown))
    for axes, column in zip(panels, shown, strict=True):
        if column["kind"] == "word":
            _words(axes, column)
        else:
            _numbers(axes, column)
        axes.set_title(f"{column['name']}: {shown_word(change_in_words(column), 34)}", fontsize=8)
    if shown:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8)
    what = f"features that moved ({len(moved)})" if moved else "no feature moved; the nearest to it"
    figure.suptitle(f"Batch {shown_word(batch)}: {what}", fontsize=10)
    return figure


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    across = min(3, max(1, count))
    down = max(1, -(-count // across))
    figure = new_figure(max(5.5, 3.2 * across + 0.3), 2.3 * down + 0.8)
    panels = [figure.add_subplot(down, across, index + 1) for index in range(count)]
    for axes in panels:
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _numbers(axes: Axes, column: dict[str, Any]) -> None:
    edges = np.array(column["edges"])
    axes.stairs(column["shares_reference"], edges, fill=True, color=BEFORE, alpha=0.35)
    axes.stairs(column["shares_reference"], edges, color=BEFORE, label="training data")
    axes.stairs(column["shares_current"], edges, color=AFTER, linewidth=1.8, label="newest batch")
    axes.set_ylabel("share of images", fontsize=7)


def _words(axes: Axes, column: dict[str, Any]) -> None:
    shares = zip(column["words"], column["shares_reference"], column["shares_current"], strict=True)
    triples = sorted(shares, key=lambda triple: (-max(triple[1:]), triple[0]))[:MOST_WORDS]
    places = np.arange(len(triples))
    names, before, after = zip(*triples, strict=True)
    axes.bar(places - 0.2, before, 0.4, color=BEFORE, alpha=0.55, label="training data")
    style: dict[str, Any] = {"color": AFTER, "hatch": "//", "edgecolor": "white"}
    axes.bar(places + 0.2, after, 0.4, label="newest batch", **style)
    axes.set_xticks(places, [shown_word(name, 12) for name in names], rotation=30, ha="right")


def stream_name(row: Mapping[str, Any]) -> str:
    """Such as `brightness`, or `ethnicity: black`."""
    return f"{row['feature']}: {row['part']}" if row["part"] else str(row["feature"])


def alarm_in_words(row: Mapping[str, Any]) -> str:
    """What changed of a row of `alarms`, since when, and by what quantity."""
    subjects = f"n = {row['n_before']} and {row['n_after']} subjects"
    shift = "" if row["shift"] is None else f"{row['shift']:+.2f} sd, "
    return (
        f"{stream_name(row)} since {row['since']}: {row['before']:.3g} → {row['after']:.3g} "
        f"({shift}{subjects})"
    )


def history_figure(tables: Mapping[str, pl.DataFrame]) -> Figure:
    """Small multiples: what raised an alarm, or what came nearest to one, from batch to batch."""
    alarms = tables["alarms"].to_dicts()
    raised = [row for row in alarms if row["since"] is not None]
    shown = raised[:MOST_PANELS] or alarms[:4]
    batches = tables["history"]["batch"].unique().sort().to_list()
    few = range(0, len(batches), max(1, len(batches) // 5))
    figure, panels = _panels(len(shown))
    for axes, row in zip(panels, shown, strict=True):
        rows = tables["history"].filter(feature=row["feature"], part=row["part"]).sort("batch")
        places = [batches.index(batch) for batch in rows["batch"]]
        values = rows["value"].to_numpy()
        low, high = (rows[name].fill_null(rows["value"]).to_numpy() for name in ("low", "high"))
        ends = [values - low, high - values]
        axes.errorbar(places, values, ends, fmt="o-", color=BEFORE, markersize=3)
        axes.set_xticks(few, [shown_word(batches[k], 12) for k in few], rotation=30, ha="right")
        axes.grid(alpha=0.3)
        if row["since"] is not None:
            axes.axvline(batches.index(row["since"]) - 0.5, color=AFTER, linestyle="--")
        moved = "" if row["shift"] is None else f" {row['shift']:+.2f} sd"
        axes.set_title(shown_word(stream_name(row), 26) + moved, fontsize=8)
    what = f"alarms ({len(raised)})" if raised else "no alarm; the nearest to one"
    figure.suptitle(f"{what}; mean or share of subjects, with intervals", fontsize=10)
    return figure
