"""The columns of the report's tables: titles, and how each cell reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from iip_assets.metrics.display_names import spelled
from iip_assets.report.formats import (
    count,
    interval,
    interval_percent,
    number,
    percent,
    text,
)
from iip_assets.report.reference_points import called

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        title: Its heading.
        cell: A row to the cell's text.
        numeric: Numbers stand on the right.
    """

    title: str
    cell: Callable[[Row], str]
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """A table: its caption, and columns of which the first names the row."""

    caption: str
    columns: tuple[Column, ...]


def _of(key: str, title: str, show: Callable[[Any], str] = text) -> Column:
    return Column(title, lambda row: show(row.get(key)), numeric=show in (count, number, percent))


def class_remarks(row: Row) -> str:
    """What is to be known before a class's number is read."""
    few = "" if row["enough"] else "too few test subjects to judge"
    return ", ".join(word for word in ("rare in training" if row["rare"] else "", few) if word)


def _of_subjects(split: str) -> Callable[[Row], str]:
    """Images of a split, and how many subjects they are of."""
    return lambda row: f"{count(row[f'{split}_images'])} ({count(row[f'{split}_subjects'])})"


_INTERVAL = Column("95% interval", interval, numeric=True)
_INTERVAL_PERCENT = Column("95% interval", interval_percent, numeric=True)

TABLES: dict[str, Table] = {
    "batches": Table(
        "Images by batch and label; the newest label of an image counts",
        (
            _of("batch", "batch"),
            *[
                _of(name, name, count)
                for name in ("images", "masks", "full", "partial", "none", "unclear", "no label")
            ],
        ),
    ),
    "quarantine": Table(
        "What could not be used, why, and how to fix it",
        tuple(
            _of(name, name)
            for name in ("what", "path", "batch", "row", "column", "value", "reason", "fix")
        ),
    ),
    "coverage": Table(
        "Coverage beside the target",
        (
            _of("axis", "axis"),
            _of("value", "value"),
            _of("n", "images", count),
            _of("share", "share", percent),
            _INTERVAL_PERCENT,
            _of("target", "target", percent),
            _of("needed", "to add", count),
        ),
    ),
    "lighting": Table(
        "Images by lighting",
        (_of("value", "lighting"), _of("n", "images", count), _of("share", "share", percent)),
    ),
    "background": Table(
        "Images by background",
        (_of("value", "background"), _of("n", "images", count), _of("share", "share", percent)),
    ),
    "metrics": Table(
        "Metrics on held-out subjects",
        (
            _of("model", "model"),
            _of("metric", "metric", spelled),
            _of("value", "value", number),
            _INTERVAL,
            _of("n_images", "images", count),
            _of("n_subjects", "subjects", count),
            _of("baseline", "baseline", number),
        ),
    ),
    "reference_points": Table(
        "On the same images, the present model and what it is held against",
        (
            Column("who", called),
            _of("on", "on"),
            _of("value", "value", number),
            _INTERVAL,
            _of("n_images", "images", count),
            _of("n_subjects", "subjects", count),
            Column("", lambda row: "" if row["enough"] else "few subjects: too narrow an interval"),
        ),
    ),
    "classes": Table(
        "Classes: images (subjects) to learn from and to be judged on",
        (
            Column("class", lambda row: f"{row['model']}: {row['class']}"),
            Column("in training", _of_subjects("train"), numeric=True),
            _of("train_share", "share", percent),
            _of("train_pixel_share", "of pixels", percent),
            Column("in test", _of_subjects("test"), numeric=True),
            Column("F1 or IoU", lambda row: number(row["value"]), numeric=True),
            _INTERVAL,
            Column("", class_remarks),
        ),
    ),
    "slices": Table(
        "Held-out images by slice",
        (
            _of("axis", "axis"),
            _of("slice", "slice"),
            _of("metric", "metric", spelled),
            _of("value", "value", number),
            _INTERVAL,
            _of("n_images", "images", count),
            Column("enough images", lambda row: "yes" if row["enough"] else "too few"),
        ),
    ),
    "explanations": Table(
        "Where the models look, over samples of held-out images",
        (
            _of("model", "model"),
            _of("predictions", "predictions"),
            _of("metric", "mean", spelled),
            _of("value", "value", number),
            _INTERVAL,
            _of("n_images", "images", count),
            _of("n_subjects", "subjects", count),
            Column("enough images", lambda row: "yes" if row["enough"] else "too few"),
        ),
    ),
    "versions": Table(
        "Versions of both models; the change is that of the present model since the version",
        (
            _of("model", "model"),
            _of("version", "version"),
            _of("aliases", "deployed"),
            _of("metric", "metric", spelled),
            _of("value", "value", number),
            _INTERVAL,
            _of("n_images", "images", count),
            _of("since", "change since", number),
            _of("gate", "gate"),
        ),
    ),
    "robustness": Table(
        "From clean images to the highest severity",
        (
            _of("model", "model"),
            _of("corruption", "corruption", spelled),
            _of("metric", "metric", spelled),
            Column("clean", lambda row: number(row["values"][0]), numeric=True),
            Column("worst", lambda row: number(row["values"][-1]), numeric=True),
            _of("loss", "loss", number),
            _of("n_images", "images", count),
        ),
    ),
    "robustness_groups": Table(
        "Clean and at the highest severity, by group",
        (
            _of("model", "model"),
            _of("corruption", "corruption", spelled),
            Column("group", lambda row: f"{row['axis']} {row['slice']}"),
            _of("clean", "clean", number),
            _of("worst", "worst", number),
            _INTERVAL,
            _of("n_images", "images", count),
        ),
    ),
    "drift": Table(
        "Features, the farthest moved first",
        (
            _of("name", "feature"),
            Column("moved", lambda row: "moved" if row["moved"] else "no"),
            _of("score", "distance", number),
            _of("threshold", "limit", number),
            _of("change", "change"),
            _of("n_reference", "training images", count),
            _of("n_current", "batch images", count),
        ),
    ),
}
