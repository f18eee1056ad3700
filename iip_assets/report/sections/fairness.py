"""Fairness: how each model does for each protected group, and how far groups lie apart."""

from __future__ import annotations

import polars as pl

from iip_assets.fairness.group_metrics import (
    PRIMARY,
    TOO_FEW,
    WORSE,
    failed_groups,
    primary_rows,
    single_axes,
)
from iip_assets.metrics.names import OVERALL, spelled
from iip_assets.report.blocks import (
    COUNT,
    NUMBER,
    Block,
    Column,
    Heading,
    NextStep,
    Paragraph,
    Row,
    Section,
    Table,
    Tone,
    estimate,
    estimate_column,
    plot,
)
from iip_assets.report.figures import forest_figure
from iip_assets.report.metrics import records
from iip_assets.statistics.demographics import TIMES

_MOST_STEPS, _MOST_CELLS = 2, 8
_ABOUT = {
    "filter": "How often the filter rejects a usable image comes first, as nobody further down "
    "sees what it rejected.",
    "segmenter": "How well the segmenter draws the eyes of each group.",
}
_GAPS = (
    "A gap is the difference of the two groups that lie furthest apart. They were chosen for it: "
    "of groups that are all alike, too, two lie apart. Whether a group is worse than all others "
    "is asked one group at a time, corrected for how many are asked about."
)


def fairness(fairness_audit: dict[str, pl.DataFrame]) -> Section:
    """By model the groups of single axes, the gaps of each axis, and intersections."""
    groups, gaps = (fairness_audit[name] for name in ("groups", "gaps"))
    blocks: list[Block] = []
    for model, metric in PRIMARY.items():
        own = groups.filter(pl.col("model") == model)
        if own.height:
            mine = gaps.filter(pl.col("model") == model)
            blocks += [Heading(f"{model.capitalize()}: {spelled(metric)}")]
            blocks += _model_blocks(model, own, mine)
    failed = failed_groups(primary_rows(groups))
    steps = [
        NextStep(
            1,
            f"The {row['model']} does worse on {row['axis']} {row['slice']}",
            f"{spelled(row['metric'])} {estimate(row['value'], row['low'], row['high'])}, n = "
            f"{row['n_images']} of {row['n_subjects']} subjects, against {row['others']:.3f} of "
            f"all others; p = {row['p_holm']:.2g}, corrected. What remedies would cost stands in "
            "the fairness trade-off.",
        )
        for row in failed.head(_MOST_STEPS).to_dicts()
    ]
    data = {"failed_groups": records(failed), "fairness_gaps": records(primary_rows(gaps))}
    return Section("fairness", "Fairness", blocks, data, steps=steps)


def _model_blocks(model: str, groups: pl.DataFrame, gaps: pl.DataFrame) -> list[Block]:
    metric = PRIMARY[model]
    main = groups.filter(pl.col("metric") == metric)
    overall = main.filter(pl.col("axis") == OVERALL).to_dicts()[0]
    single = records(single_axes(main).filter(pl.col("axis") != OVERALL))
    crossed = main.filter(pl.col("axis").str.contains(TIMES, literal=True))
    few = crossed.filter(pl.col("verdict") == TOO_FEW).height
    cells = crossed.filter(pl.col("verdict") != TOO_FEW).sort("p", nulls_last=True)
    table = Table("Intersections", _GROUP_COLUMNS, records(cells.head(_MOST_CELLS)))
    return [
        Paragraph(_ABOUT[model]),
        plot(lambda: forest_figure(single, overall), f"{spelled(metric)} of each group"),
        Table("Gaps", _GAP_COLUMNS, records(single_axes(gaps).filter(pl.col("n_judged") > 1))),
        Paragraph(_GAPS, soft=True),
        Table("Groups", _GROUP_COLUMNS, single, folded=f"The {model} by group as a table"),
        Paragraph(
            f"Of {cells.height + few} intersections of two axes {few} are too few to judge."
            + (" Of the others those that are least likely as good:" if cells.height else "")
        ),
        *([table] if table.rows else []),
    ]


def _tone(row: Row) -> Tone:
    return "bad" if row["verdict"] == WORSE else ""


_GAP_COLUMNS: list[Column | str] = [
    "axis",
    Column("metric", lambda row: spelled(row["metric"])),
    *("highest", "lowest"),
    estimate_column("gap, interval", "gap"),
    Column("ratio", "ratio", NUMBER),
    Column("groups judged", "n_judged", COUNT),
    Column("too few", "n_too_few", COUNT),
]
_GROUP_COLUMNS: list[Column | str] = [
    Column("group", lambda row: f"{row['axis']}: {row['slice']}", tone=_tone),
    estimate_column("value, interval"),
    Column("all others", "others", NUMBER),
    Column("p, corrected", "p_holm", NUMBER),
    *("n_images", "n_subjects"),
    Column("", lambda row: "too few" if row["verdict"] == TOO_FEW else ""),
]
