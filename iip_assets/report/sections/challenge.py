"""What models do on images and groups that they never met."""

from __future__ import annotations

import polars as pl

from iip_assets.metrics.names import spelled
from iip_assets.models.tasks import TASKS
from iip_assets.report.blocks import (
    COUNT,
    NUMBER,
    Block,
    Column,
    NextStep,
    Paragraph,
    Row,
    Section,
    Table,
    estimate_column,
)
from iip_assets.report.metrics import records


def challenge(challenge_results: pl.DataFrame) -> Section | None:
    """Each frozen set beside the test images."""
    rows = records(challenge_results)
    if not rows:
        return None
    text = (
        "Sets of challenge_sets.toml: no model learned from them, nor from anyone in them, and "
        "nothing was chosen by them. The difference is that to the test images; where its interval "
        "is below 0, the set is harder."
    )
    columns: list[Column | str] = [
        *("set", "model"),
        Column("metric", lambda row: spelled(row["metric"])),
        estimate_column("set, interval"),
        Column("test", "test", NUMBER),
        estimate_column("difference", "difference", "difference_low", "difference_high"),
        *("n_images", "n_subjects"),
        Column("missing", "missing", COUNT),
        Column("", lambda row: "" if row["enough"] else "too small to judge"),
    ]
    steps = [
        NextStep(
            4,
            f"The challenge set {row['set']} is harder for the {row['model']}",
            f"{spelled(row['metric'])} is lower by {-row['difference']:.3f} "
            f"({-row['difference_high']:.3f} to {-row['difference_low']:.3f}) than on test images "
            f"(n = {row['n_images']}).",
        )
        for row in rows
        if row["metric"] == TASKS[row["model"]].headline and row["enough"] and _below(row)
    ]
    blocks: list[Block] = [Paragraph(text), Table("Challenge sets", columns, rows)]
    return Section("challenge", "Challenge sets", blocks, {"challenge": rows}, steps=steps)


def holdout(group_holdout: pl.DataFrame) -> Section | None:
    """What each group loses when nothing is learned from it."""
    rows = records(group_holdout)
    if not rows:
        return None
    text = (
        "Heads of the filter that never met a group, beside heads that never met as many images of "
        "random others, both judged on the group's validation images. The difference is what the "
        "group's own images are worth to it, and what a new group like it would lack."
    )
    columns: list[Column | str] = [
        Column("group", "slice"),
        Column("without others", "with_others", NUMBER),
        Column("without it", "without", NUMBER),
        estimate_column("difference", "difference"),
        Column("training images", "left_out", COUNT),
        *("n_images", "n_subjects"),
    ]
    steps = [
        NextStep(
            5,
            f"The filter does not carry over to {row['slice']}",
            f"Without its {row['left_out']:,} training images accuracy on it falls by "
            f"{-row['difference']:.3f} ({-row['high']:.3f} to {-row['low']:.3f}, "
            f"n = {row['n_images']}): expect such a loss of groups that are not in the data.",
        )
        for row in rows
        if row["high"] is not None and row["high"] < 0
    ]
    blocks: list[Block] = [Paragraph(text), Table("Groups left out, accuracy", columns, rows)]
    return Section("holdout", "Groups never met", blocks, {"holdout": rows}, steps=steps)


def _below(row: Row) -> bool:
    return row["difference_high"] is not None and row["difference_high"] < 0
