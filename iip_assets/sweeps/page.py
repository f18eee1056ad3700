"""A sweep to look at: quality by trial, quality against latency, and the table of trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from iip_assets.errors import counted
from iip_assets.figures import PALETTE, new_figure
from iip_assets.metrics.names import spelled
from iip_assets.models.tasks import TASKS
from iip_assets.report.blocks import (
    FIGURE,
    GENERAL,
    PERCENT,
    Block,
    Column,
    Heading,
    Paragraph,
    Row,
    Show,
    Table,
    estimate_column,
    plot,
)
from iip_assets.report.html import page
from iip_assets.sweeps.plan import Plan
from iip_assets.sweeps.study import Done

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def sweep_page(plan: Plan, done: Sequence[Done], importances: Mapping[str, float]) -> str:
    """The page as one HTML text; `importances` are from `study.importances`."""
    metric = spelled(TASKS[plan.model].headline)
    failed = [one for one in done if one.reason]
    text = (
        f"{counted(len(done), 'trial')} of the {plan.model} with {plan.sampler}; {len(failed)} "
        f"failed. Quality is {metric} on the validation images: test images were not looked at. "
        "Best are marked."
    )
    shown: list[Block] = [
        Paragraph(text),
        plot(lambda: sweep_figure(plan, done), f"{metric} by trial and by latency"),
        Table("Trials", trial_columns(plan), [vars(one) for one in done]),
    ]
    if importances:
        spread = (
            "The share of the spread in quality that each setting explains by itself and with "
            "others, by a forest on these trials. Of few trials it is a hint, no more."
        )
        shares = [{"setting": path, "share": share} for path, share in importances.items()]
        columns = [Column("setting", "setting"), Column("share", "share", PERCENT)]
        shown += [
            Heading("What mattered"),
            Paragraph(spread),
            Table("What each setting explains", columns, shares),
        ]
    return page(f"Sweep {plan.name}", shown, ())


def trial_columns(
    plan: Plan, title: Callable[[str], str] = str, *, ends: Show | None = None
) -> list[Column]:
    """A trial's settings, its quality and cost, and whether it is the best or failed.

    `title` makes a column's heading of a setting's path, `ends` says how ends of intervals read.
    """

    def setting(path: str) -> Column:
        return Column(title(path), lambda row: row["values"].get(path), GENERAL)

    def known(name: str, digits: int) -> Callable[[Row], str]:
        return lambda row: "" if row[name] is None else f"{row[name]:.{digits}f}"

    def remark(row: Row) -> str:
        return f"failed: {row['reason']}" if row["quality"] is None else "best" * row["best"]

    return [
        Column("trial", "number"),
        *map(setting, plan.space),
        estimate_column(spelled(TASKS[plan.model].headline), "quality", ends=ends),
        Column("ms a\nimage", known("latency_ms", 1), FIGURE),
        Column("s", known("seconds", 0), FIGURE),
        Column("", remark),
    ]


def sweep_figure(plan: Plan, done: Sequence[Done]) -> Figure:
    """Quality by trial with the best so far, and quality against latency."""
    figure = new_figure(9.6, 3.8)
    by_trial, by_latency = figure.subplots(1, 2)
    known = [one for one in done if one.quality is not None]
    metric = spelled(TASKS[plan.model].headline)
    best_so_far: list[float] = []
    for one in known:
        assert one.quality is not None
        best_so_far.append(max([one.quality, *best_so_far[-1:]]))
        colour = PALETTE[1] if one.best else PALETTE[0]
        by_trial.vlines(one.number, one.low, one.high, colors=colour, linewidth=1.2)
        _mark(by_trial, one.number, one)
        if one.latency_ms is not None:
            _mark(by_latency, one.latency_ms, one)
            by_latency.annotate(
                str(one.number),
                (one.latency_ms, one.quality),
                (4, 3),
                textcoords="offset points",
                fontsize=7,
            )
    by_trial.step([one.number for one in known], best_so_far, where="post", color="0.5", lw=1)
    by_trial.set_xlabel("trial")
    by_trial.set_ylabel(metric)
    by_latency.set_xlabel("milliseconds an image")
    by_latency.set_ylabel(metric)
    by_trial.set_title("grey: the best so far; bars: intervals", fontsize=9)
    by_latency.set_title("numbers: trials; stars: best", fontsize=9)
    return figure


def _mark(axes: Axes, place: float, one: Done) -> None:
    assert one.quality is not None  # only what was judged is drawn
    colour, mark, size = (PALETTE[1], "*", 110) if one.best else (PALETTE[0], "o", 36)
    axes.scatter([place], [one.quality], color=colour, marker=mark, s=size, zorder=3)
