"""A version on other sets, at the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl
from rich.console import Console
from rich.markup import escape

from iip_assets.cli.cross_dataset import Tested, left_out_words
from iip_assets.cli.models_text import slice_name
from iip_assets.metrics.names import spelled
from iip_assets.models.tasks import FILTER
from iip_assets.registry.contenders import threshold_of
from iip_assets.registry.cross_dataset import Split, shown_metrics
from iip_assets.registry.registry_state import Version
from iip_assets.report.blocks import FIGURE, Column, Row, Table, over_interval, short_number
from iip_assets.report.terminal import show


def print_tests(version: Version, tests: Sequence[Tested], *, split: Split) -> None:
    """A version on one set by slice; on several, a column a set."""
    console = Console()
    for one in tests:
        console.print(escape(_tested_on(version, one, split)))
    shown = shown_metrics(version.model, tests[0].mask_classes)
    if len(tests) == 1:
        show(_by_slice(tests[0].metrics, shown))
        return
    metrics = [one.metrics for one in tests]
    overall = [
        {"": spelled(metric), **_by_set(_row(one, metric, "overall", "all") for one in metrics)}
        for metric in shown
    ]
    sizes = [one.unseen.images for one in tests]
    overall.append({"": "images"} | {f"value {i}": f"{one.height}" for i, one in enumerate(sizes)})
    subjects = {f"value {i}": f"{one['group_id'].n_unique()}" for i, one in enumerate(sizes)}
    overall.append({"": "subjects"} | subjects)
    places = pl.concat(one.select("axis", "slice") for one in metrics).unique()
    slices = places.filter(pl.col("axis") != "overall").sort("axis", "slice").iter_rows()
    by_slice = [
        {"": f"{axis} {name}", **_by_set(_row(one, shown[0], axis, name) for one in metrics)}
        for axis, name in slices
    ]
    values = [Column(one.name, f"value {i}", FIGURE) for i, one in enumerate(tests)]
    with_sizes = [c for i, one in enumerate(values) for c in (one, Column("n", f"n {i}"))]
    show(
        Table("", [Column("all images", ""), *values], overall),
        Table(spelled(shown[0]), [Column("slice", ""), *with_sizes], by_slice),
    )


def _by_set(rows: Iterable[Row | None]) -> dict[str, str]:
    """The value of each set and its size, by the set's place: two sets may have one name."""
    cells: dict[str, str] = {}
    for place, row in enumerate(rows):
        cells |= {f"value {place}": _estimate(row), f"n {place}": _size(row)}
    return cells


def _tested_on(version: Version, one: Tested, split: Split) -> str:
    """On what a version was tested, and on what it was not."""
    images = one.unseen.images
    words = [
        f"{version.name} on {one.name}: {images.height} "
        f"{'test images' if split == 'test' else 'images'} (subjects: "
        f"{images['group_id'].n_unique()}), by their {one.seen_as}"
    ]
    if version.model == FILTER.name:
        threshold, usable = threshold_of(version.facts)
        words.append(f"what is {' or '.join(usable)} passes from {threshold:.2f} on")
    if left_out := left_out_words(one.unseen.left_out):
        words.append(f"left out are {left_out}")
    if one.unseen.namesakes:
        words.append(
            f"{one.unseen.namesakes} subjects have the name of one that it learned from; if they "
            "are the same people, the numbers flatter it"
        )
    if one.moved:
        words.append("its data have changed since they were computed; `iip refresh` there")
    return "\n  ".join(words)


def _by_slice(metrics: pl.DataFrame, shown: Sequence[str]) -> Table:
    rows = []
    for axis, name in metrics.select("axis", "slice").unique(maintain_order=True).iter_rows():
        found = {metric: _row(metrics, metric, axis, name) for metric in shown}
        known = next(row for row in found.values() if row is not None)
        rows.append({**known, **{metric: _estimate(row) for metric, row in found.items()}})
    columns = [
        Column("slice", slice_name),
        *(Column(spelled(metric), metric, FIGURE) for metric in shown),
        Column("n", _size),
        Column("subjects", "n_subjects", FIGURE),
    ]
    return Table("", columns, rows, tone=lambda row: "" if row["enough"] else "soft")


def _row(metrics: pl.DataFrame, metric: str, axis: str, name: str) -> dict[str, Any] | None:
    found = metrics.filter(
        (pl.col("metric") == metric) & (pl.col("axis") == axis) & (pl.col("slice") == name)
    )
    return found.row(0, named=True) if found.height else None


def _estimate(row: Row | None) -> str:
    if row is None:
        return ""
    return over_interval(row["value"], row["low"], row["high"], ends=short_number)


def _size(row: Row | None) -> str:
    if row is None:
        return "0"
    return str(row["n_images"]) if row["enough"] else f"{row['n_images']}, too small"
