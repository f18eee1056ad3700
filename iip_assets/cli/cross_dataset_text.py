"""A version on other sets, at the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from iip_assets.cli.cross_dataset import Tested, left_out_words
from iip_assets.cli.estimate_text import estimate
from iip_assets.metrics.display_names import spelled
from iip_assets.models.tasks import FILTER
from iip_assets.registry.cross_dataset import Split, shown_metrics
from iip_assets.registry.deployed import Deployed, threshold_of
from iip_assets.registry.registry_state import Version


def print_tests(version: Version, tests: Sequence[Tested], *, split: Split) -> None:
    """A version on one set by slice; on several, a column a set."""
    console = Console()
    for one in tests:
        console.print(escape(_tested_on(version, one, split)))
    shown = shown_metrics(version.model, tests[0].mask_classes)
    if len(tests) == 1:
        console.print(_by_slice(tests[0].metrics, shown))
        return
    names = [one.name for one in tests]
    overall = _table("all images", *map(escape, names))
    for metric in shown:
        rows = [_row(one.metrics, metric, "overall", "all") for one in tests]
        overall.add_row(spelled(metric), *map(_estimate, rows))
    overall.add_row("images", *(str(one.unseen.images.height) for one in tests))
    subjects = (one.unseen.images["group_id"].n_unique() for one in tests)
    overall.add_row("subjects", *map(str, subjects))
    console.print(overall)
    by_slice = _table(
        "slice", *(escape(name) for one in names for name in (one, "n")), title=spelled(shown[0])
    )
    places = pl.concat(one.metrics.select("axis", "slice") for one in tests).unique()
    for axis, name in places.filter(pl.col("axis") != "overall").sort("axis", "slice").iter_rows():
        cells = []
        for one in tests:
            row = _row(one.metrics, shown[0], axis, name)
            cells += [_estimate(row), _size(row)]
        by_slice.add_row(escape(f"{axis} {name}"), *cells)
    console.print(by_slice)


def _tested_on(version: Version, one: Tested, split: Split) -> str:
    """On what a version was tested, and on what it was not."""
    images = one.unseen.images
    words = [
        f"{version.name} on {one.name}: {images.height} "
        f"{'test images' if split == 'test' else 'images'} (subjects: "
        f"{images['group_id'].n_unique()}), by their {one.seen_as}"
    ]
    if version.model == FILTER.name:
        threshold, usable = threshold_of(Deployed(version.name, version.digest, {}, version.facts))
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
    table = _table("slice", *map(spelled, shown), "n", "subjects")
    for axis, name in metrics.select("axis", "slice").unique(maintain_order=True).iter_rows():
        rows = [_row(metrics, metric, axis, name) for metric in shown]
        known = next(row for row in rows if row is not None)
        table.add_row(
            "all" if axis == "overall" else escape(f"{axis} {name}"),
            *map(_estimate, rows),
            _size(known),
            str(known["n_subjects"]),
            style="" if known["enough"] else "dim",
        )
    return table


def _row(metrics: pl.DataFrame, metric: str, axis: str, name: str) -> dict[str, Any] | None:
    found = metrics.filter(
        (pl.col("metric") == metric) & (pl.col("axis") == axis) & (pl.col("slice") == name)
    )
    return found.row(0, named=True) if found.height else None


def _estimate(row: Mapping[str, Any] | None) -> str:
    return "" if row is None else estimate(row["value"], row["low"], row["high"])


def _size(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "0"
    return str(row["n_images"]) if row["enough"] else f"{row['n_images']}, too small"


def _table(*names: str, title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left")
    for place, name in enumerate(names):
        table.add_column(name, overflow="fold", no_wrap=place == 0)
    return table
