"""A sweep to look at: quality by trial, quality against latency, and the table of trials."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from iip_assets.engine.figures import PALETTE, figure_png, new_figure
from iip_assets.metrics.display_names import spelled
from iip_assets.models.tasks import TASKS
from iip_assets.report.style import CSS
from iip_assets.sweeps.plan import Plan
from iip_assets.sweeps.study import Done

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def sweep_page(plan: Plan, done: Sequence[Done], importances: Mapping[str, float]) -> str:
    """The page as one HTML text.

    Args:
        plan: The sweep.
        done: Its trials so far.
        importances: From `study.importances`.
    """
    metric = spelled(TASKS[plan.model].headline)
    image = base64.b64encode(figure_png(sweep_figure(plan, done))).decode()
    failed = [one for one in done if one.reason]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sweep {escape(plan.name)}</title>
<style>{CSS}</style></head>
<body><main style="max-width:72rem;margin:auto">
<h1>Sweep {escape(plan.name)}</h1>
<p>{len(done)} trials of the {plan.model} with {plan.sampler}; {len(failed)} failed. Quality is
{metric} on the validation images: test images were not looked at. Best are marked.</p>
<img alt="{metric} by trial and by latency" src="data:image/png;base64,{image}"
style="max-width:100%">
{_trials(plan, done)}
{_what_mattered(importances)}
</main></body></html>
"""


def _what_mattered(importances: Mapping[str, float]) -> str:
    if not importances:
        return ""
    shares = [(path, f"{share:.0%}") for path, share in importances.items()]
    return f"""<h2>What mattered</h2>
<p>The share of the spread in quality that each setting explains by itself and with others, by a
forest on these trials. Of few trials it is a hint, no more.</p>
{_table(("setting", "share"), shares)}"""


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


def _trials(plan: Plan, done: Sequence[Done]) -> str:
    metric = spelled(TASKS[plan.model].headline)
    heads = ("trial", *plan.space, metric, "interval", "ms an image", "s", "")
    rows = []
    for one in done:
        settings = [_short(one.values.get(path)) for path in plan.space]
        if one.quality is None:
            facts = ["–", "", "", "", f"failed: {one.reason}"]
        else:
            facts = [
                f"{one.quality:.3f}",
                f"{one.low:.3f} to {one.high:.3f}",
                f"{one.latency_ms:.1f}",
                f"{one.seconds:.0f}",
                "best" if one.best else "",
            ]
        rows.append((str(one.number), *settings, *facts))
    return _table(heads, rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
