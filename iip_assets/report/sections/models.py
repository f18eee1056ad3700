"""How good the models are: beside what they are held against, by class, in every metric."""

from __future__ import annotations

from typing import Any

import polars as pl

from iip_assets.evaluation.summary import (
    baseline_value,
    headline,
    overall_rows,
)
from iip_assets.metrics.names import spelled
from iip_assets.models.tasks import TASKS
from iip_assets.report.blocks import (
    FIGURE,
    PERCENT,
    Block,
    Column,
    Heading,
    NextStep,
    Number,
    Paragraph,
    Row,
    Section,
    Table,
    count,
    estimate_column,
    interval,
    number,
    percent,
    plot,
)
from iip_assets.report.metrics import metric_record, rounded
from iip_assets.report.reference_points import (
    PEOPLE,
    called,
    reference_points,
    reference_points_figure,
)

MOST_STEPS = 2

Record = dict[str, Any]


def models(
    model_evaluation: dict[str, pl.DataFrame], model_versions: dict[str, pl.DataFrame] | None = None
) -> Section:
    """The numbers of both models on held-out images."""
    metrics = model_evaluation["metrics"]
    history = None if model_versions is None else model_versions["history"]
    data: Record = {
        "headlines": headlines(metrics),
        "metrics": metric_table(metrics),
        "reference_points": reference_points(metrics, history),
        "classes": class_rows(model_evaluation["classes"]),
        "confusion": confusion_tables(model_evaluation["confusion"]),
    }
    blocks: list[Block] = []
    if data["metrics"]:
        for model, rows in data["reference_points"].items():
            blocks += _held_against(model, rows)
        if data["classes"]:
            blocks += [Heading("Classes"), _class_table(data["classes"])]
        blocks += [Heading("All metrics"), _metric_table(data["metrics"])]
        for model, cells in data["confusion"].items():
            blocks += [Heading(f"Confusion of the {model}"), _confusion(model, cells)]
    numbers = [_headline(row) for row in data["headlines"]]
    return Section("metrics", "Models", blocks, data, numbers, _rare_classes(data["classes"]))


def headlines(metrics: pl.DataFrame) -> list[Record]:
    """The main metric of each evaluated model, its interval, and a trivial model's value."""
    found = []
    for model in TASKS:
        row = headline(metrics, model)
        if row is not None:
            baseline = rounded(baseline_value(metrics, model, TASKS[model].headline))
            found.append({**metric_record(row), "baseline": baseline})
    return found


def metric_table(metrics: pl.DataFrame) -> list[Record]:
    """All overall metrics, with intervals and baselines."""
    return [
        {
            **metric_record(row),
            "baseline": rounded(baseline_value(metrics, row["model"], row["metric"])),
        }
        for row in overall_rows(metrics).iter_rows(named=True)
    ]


def class_rows(classes: pl.DataFrame) -> list[Record]:
    """How much there is of each class, and how well it is told; rounded."""
    shares = ("train_share", "train_pixel_share", "value", "low", "high")
    return [
        {**row, **{name: rounded(row[name]) for name in shares}}
        for row in classes.iter_rows(named=True)
    ]


def class_remarks(row: Row) -> str:
    """What is to be known before a class's number is read."""
    few = "" if row["enough"] else "too few test subjects to judge"
    return ", ".join(word for word in ("rare in training" if row["rare"] else "", few) if word)


def confusion_tables(confusion: pl.DataFrame) -> dict[str, Record]:
    """By model: the classes, and counts by actual (row) and predicted (column) class.

    Classes keep the order in which the evaluation lists them.
    """
    tables = {}
    for model in TASKS:
        rows = confusion.filter(pl.col("model") == model)
        if rows.is_empty():
            continue
        listed = [*rows["actual"].to_list(), *rows["predicted"].to_list()]
        classes = list(dict.fromkeys(str(name) for name in listed))
        counts = {
            (str(row["actual"]), str(row["predicted"])): row["n"]
            for row in rows.iter_rows(named=True)
        }
        table = [[counts.get((a, p), 0) for p in classes] for a in classes]
        tables[model] = {"classes": classes, "counts": table}
    return tables


def _headline(row: Record) -> Number:
    of_subjects = f" of {count(row['n_subjects'])} subjects" if row["n_subjects"] else ""
    notes = [
        f"95% interval {interval(row['low'], row['high'])}",
        f"n = {count(row['n_images'])} images{of_subjects}",
    ]
    if row["baseline"] is not None:
        notes.append(f"trivial baseline {number(row['baseline'])}")
    name = f"{row['model']}: {spelled(row['metric'])}"
    return Number(name, number(row["value"]), tuple(notes))


def _held_against(model: str, rows: list[Record]) -> list[Block]:
    alt = f"{spelled(rows[0]['metric'])} of the {model} beside what it is held against"
    table = Table(
        f"On the same images, the present {model} and what it is held against",
        [
            Column("who", called),
            "on",
            "value",
            "n_images",
            "n_subjects",
            Column("", lambda row: "" if row["enough"] else "few subjects: too narrow an interval"),
        ],
        rows,
    )
    people = (
        "People: each labeler judged by the other labelers' words on the same image; beside them "
        "the present model, judged by those very words."
        if PEOPLE in {row["who"] for row in rows}
        else "No human level: no test image was labelled by several people. A batch with "
        "annotations.csv takes the words of each."
    )
    return [
        Heading(f"The {model} and what it is held against"),
        plot(lambda: reference_points_figure(rows), alt),
        table,
        Paragraph(people, soft=True),
    ]


def _class_table(rows: list[Record]) -> Table:
    def of_subjects(split: str) -> Column:
        """Images of a split, and how many subjects they are of."""
        return Column(
            f"in {'training' if split == 'train' else split}",
            lambda row: f"{count(row[f'{split}_images'])} ({count(row[f'{split}_subjects'])})",
            FIGURE,
        )

    columns: list[Column | str] = [
        Column("class", lambda row: f"{row['model']}: {row['class']}"),
        of_subjects("train"),
        Column("share", "train_share", PERCENT),
        Column("of pixels", "train_pixel_share", PERCENT),
        of_subjects("test"),
        estimate_column("F1 or IoU, 95% interval"),
        Column("", class_remarks),
    ]
    return Table("Classes: images (subjects) to learn from and to be judged on", columns, rows)


def _metric_table(rows: list[Record]) -> Table:
    columns: list[Column | str] = ["model", "metric", "value", "n_images", "n_subjects", "baseline"]
    return Table("Metrics on held-out subjects", columns, rows)


def _confusion(model: str, cells: Record) -> Table:
    names, pixels = cells["classes"], ", counts are pixels" if model == "segmenter" else ""
    rows = [
        {"class": place, "total": sum(counts), "counts": counts}
        for place, counts in enumerate(cells["counts"])
    ]

    def share(row: Row, column: int) -> float:
        return float(row["counts"][column] / row["total"]) if row["total"] else 0.0

    def cell(row: Row, column: int) -> str:
        shown = percent(share(row, column)) if row["total"] else ""
        return f"{shown}\n{count(row['counts'][column])}"

    columns: list[Column | str] = [
        Column(
            name,
            lambda row, i=i: cell(row, i),  # type: ignore[misc]
            FIGURE,
            tone=lambda row, i=i: "strong" if row["class"] == i else "",  # type: ignore[misc]
            shade=lambda row, i=i: share(row, i),  # type: ignore[misc]
        )
        for i, name in enumerate(names)
    ]
    caption = f"Rows: what it is. Columns: what the {model} said. Shares are of the row{pixels}."
    return Table(caption, [Column("", lambda row: names[row["class"]]), *columns], rows)


def _rare_classes(rows: list[Record]) -> list[NextStep]:
    rare = [row for row in rows if row["rare"]]
    rare.sort(key=lambda row: (row["train_subjects"], row["model"], row["class"]))
    return [
        NextStep(
            2,
            f"The {row['model']}'s class {row['class']} is rare",
            f"{row['train_images']} training images of {row['train_subjects']} subjects "
            f"({row['train_share']:.1%}); {_how_well(row)}",
        )
        for row in rare[:MOST_STEPS]
    ]


def _how_well(row: Record) -> str:
    if row["value"] is None:
        return "no test image has it."
    few = "" if row["enough"] else ", too few subjects to judge"
    ends = interval(row["low"], row["high"])
    n = f"n = {row['test_images']}"
    return f"{spelled(row['metric'])} {number(row['value'])} ({ends}, {n}{few})."
