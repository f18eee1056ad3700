"""What a model's number is held against: a trivial model, people, and the version in use.

Numbers compare only where they are of the same images, so they stand in groups, each with the
present model in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from iip_assets.engine.figures import PALETTE, new_figure
from iip_assets.evaluation.summary import OVERALL, headline
from iip_assets.metrics.intervals import ENOUGH_SUBJECTS
from iip_assets.metrics.names import BASELINE, BESIDE_HUMAN, HUMAN, spelled
from iip_assets.models.tasks import TASKS
from iip_assets.report.blocks import count, estimate
from iip_assets.report.metrics import rounded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Record = dict[str, Any]

PRESENT, TRIVIAL, PEOPLE, CHAMPION = "present model", "trivial baseline", "people", "champion"

ALL = "all test images"
OF_SEVERAL = "images of several labelers"
OF_NO_VERSION = "images that no version learned from"


# Colour and mark of each; a filled mark is the present model.
_LOOKS = {
    PRESENT: (PALETTE[0], "o"),
    TRIVIAL: ("#777777", "X"),
    PEOPLE: (PALETTE[5], "s"),
    CHAMPION: (PALETTE[2], "*"),
}
_ROW_IN = 0.3


def reference_points(
    metrics: pl.DataFrame, history: pl.DataFrame | None
) -> dict[str, list[Record]]:
    """By model that was judged: its main metric and that of whatever it is held against.

    Args:
        metrics: The table `metrics` of the evaluation.
        history: The table `history` of model_versions, if there is one.

    Returns:
        Records of who, version (of a champion), on (which images), metric, value, low, high,
        n_images, n_subjects, enough (subjects for the interval to be trusted), in groups by `on`.
    """
    tables = {}
    for model in TASKS:
        if headline(metrics, model) is None:
            continue
        rows = [
            *_evaluated(metrics, model, ALL, {PRESENT: "", TRIVIAL: BASELINE}),
            *_evaluated(metrics, model, OF_SEVERAL, {PRESENT: BESIDE_HUMAN, PEOPLE: HUMAN}),
        ]
        if history is not None:
            rows += _with_champion(history.filter(pl.col("model") == model), rows[0])
        order = [ALL, OF_NO_VERSION, OF_SEVERAL]
        tables[model] = sorted(rows, key=lambda row: order.index(row["on"]))
    return tables


def called(row: Mapping[str, Any]) -> str:
    """Who it is, a champion with its version."""
    name = str(row["who"])
    return name if row["version"] is None else f"{name} (version {row['version']})"


def reference_points_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """A line each with its interval and its number; groups of the same images stand together.

    Args:
        rows: Records of `reference_points`, of one model.
    """
    groups = list(dict.fromkeys(row["on"] for row in rows))
    figure = new_figure(8.0, 0.7 + _ROW_IN * (len(rows) + len(groups)))
    axes = figure.add_subplot()
    place, ticks = 0, {}
    for group in groups:
        axes.text(0.0, place, f"{group}:", fontsize=8, color="#444444", va="center")
        for row in (row for row in rows if row["on"] == group):
            place += 1
            ticks[place] = called(row)
            _draw(axes, place, row)
        place += 1
    axes.set_yticks(list(ticks), list(ticks.values()), fontsize=9)
    axes.set_ylim(place - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xlabel(spelled(rows[0]["metric"]), fontsize=9)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


def _evaluated(
    metrics: pl.DataFrame, model: str, on: str, suffixes: Mapping[str, str]
) -> list[Record]:
    """Who was judged on these images, by the ends of their names in the table of metrics."""
    rows = metrics.filter(
        (pl.col("axis") == OVERALL) & (pl.col("metric") == TASKS[model].headline)
    ).iter_rows(named=True)
    by_name = {row["model"]: row for row in rows}
    return [
        _record(by_name[model + suffix], who, on)
        for who, suffix in suffixes.items()
        if model + suffix in by_name
    ]


def _with_champion(history: pl.DataFrame, present: Record) -> list[Record]:
    """The champion; and the present model beside it, where both are judged on fewer images."""
    champion = next(
        (row for row in history.iter_rows(named=True) if "champion" in row["aliases"]), None
    )
    if champion is None:
        return []
    # Versions are judged on test images alone: as many are all of them.
    on = ALL if champion["n_images"] == present["n_images"] else OF_NO_VERSION
    beside = history.filter("present") if on == OF_NO_VERSION else history.clear()
    return [
        *(_record(row, PRESENT, on) for row in beside.iter_rows(named=True)),
        {**_record(champion, CHAMPION, on), "version": champion["version"]},
    ]


def _record(row: Mapping[str, Any], who: str, on: str) -> Record:
    return {
        "who": who,
        "version": None,
        "on": on,
        "metric": row["metric"],
        **{end: rounded(row[end]) for end in ("value", "low", "high")},
        "n_images": row["n_images"],
        "n_subjects": row["n_subjects"],
        "enough": row["n_subjects"] >= ENOUGH_SUBJECTS,
    }


def _draw(axes: Axes, place: int, row: Mapping[str, Any]) -> None:
    colour, mark = _LOOKS[row["who"]]
    numbers = f"{estimate(row['value'], row['low'], row['high'])}, n = {count(row['n_images'])}"
    few = "" if row["enough"] else ", few subjects"
    axes.annotate(
        numbers + few,
        (1.0, place),
        xytext=(8, 0),
        textcoords="offset points",
        fontsize=8,
        va="center",
        annotation_clip=False,
    )
    if row["value"] is None:
        return
    if row["low"] is not None and row["high"] is not None:
        axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=2)
    axes.plot(
        row["value"],
        place,
        marker=mark,
        color=colour,
        markerfacecolor=colour if row["enough"] else "white",
        markersize=10 if mark == "*" else 7,
        linestyle="none",
    )
