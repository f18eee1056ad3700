"""How good the models are: beside what they are held against, by class, in every metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from iip_assets.errors import counted
from iip_assets.evaluation.summary import baseline_value, beats_baseline, overall_rows
from iip_assets.metrics.intervals import LEAST_SUBJECTS, TOO_FEW
from iip_assets.metrics.names import BASELINE, BESIDE_HUMAN, HUMAN, OVERALL, spelled
from iip_assets.models.tasks import TASKS
from iip_assets.registry.figures import history_figure
from iip_assets.registry.gate import refusal
from iip_assets.report.blocks import (
    FIGURE,
    NUMBER,
    PERCENT,
    Block,
    Column,
    Heading,
    Item,
    Listing,
    NextStep,
    Number,
    Paragraph,
    Row,
    Section,
    Table,
    Tone,
    count,
    estimate_column,
    interval,
    interval_words,
    number,
    percent,
    plot,
)
from iip_assets.report.figures import display_name, reference_points_figure
from iip_assets.report.metrics import records, rounded

MOST_STEPS = 2

PRESENT, PEOPLE = "present model", "people"
ALL = "all test images"
OF_SEVERAL = "images of several labelers"
OF_NO_VERSION = "images that no version learned from"

Record = dict[str, Any]


def models(
    model_evaluation: dict[str, pl.DataFrame],
    confidence: float,
    model_versions: dict[str, pl.DataFrame] | None = None,
) -> Section:
    """The numbers of both models on held-out images."""
    metrics = model_evaluation["metrics"]
    overall = [
        {**row, "baseline": rounded(baseline_value(metrics, row["model"], row["metric"]))}
        for row in records(overall_rows(metrics))
    ]
    headlines = [row for row in overall if row["metric"] == TASKS[row["model"]].headline]
    history = None if model_versions is None else model_versions["history"]
    data: Record = {
        "headlines": headlines,
        "metrics": overall,
        "reference_points": reference_points(metrics, history),
        "classes": records(model_evaluation["classes"]),
        "confusion": confusion_tables(model_evaluation["confusion"]),
    }
    blocks: list[Block] = []
    if overall:
        for model, rows in data["reference_points"].items():
            blocks += _held_against(model, rows)
        if data["classes"]:
            blocks += [Heading("Classes"), _class_table(data["classes"])]
        columns = ["model", "metric", "value", "n_images", "n_subjects", "baseline"]
        table = Table("Metrics on held-out subjects", columns, overall)
        blocks += [Heading("All metrics"), table]
        for model, cells in data["confusion"].items():
            blocks += [Heading(f"Confusion of the {model}"), _confusion(model, **cells)]
    numbers = [_headline(row, confidence) for row in headlines]
    steps = [*_no_better(metrics), *_rare_classes(data["classes"])]
    return Section("metrics", "Models", blocks, data, numbers, steps)


def _no_better(metrics: pl.DataFrame) -> list[NextStep]:
    """Models that were not shown to beat one that never looks, before all other advice."""
    found = []
    for name, task in TASKS.items():
        verdict = beats_baseline(metrics, task)
        if verdict.beats is False:
            title = f"The {name} is not shown to be better than not looking at the image"
            reason = verdict.reason.replace(task.headline, spelled(task.headline))
            found.append(NextStep(0, title, f"{reason}."))
    return found


def reference_points(
    metrics: pl.DataFrame, history: pl.DataFrame | None
) -> dict[str, list[Record]]:
    """By evaluated model: its main metric and that of whatever it is held against.

    Args:
        metrics: The table `metrics` of the evaluation.
        history: The table `history` of model_versions, if there is one.

    Returns:
        Records of who, version (of a champion), on (which images), metric, value, low, high,
        n_images, n_subjects, enough (subjects for the interval to be trusted), in groups by `on`.
    """
    tables = {}
    for model in TASKS:
        main = metrics.filter(axis=OVERALL, metric=TASKS[model].headline)
        rows = {row["model"].removeprefix(model): row for row in main.iter_rows(named=True)}
        if "" not in rows:
            continue
        listed = [
            (suffix, who, on)
            for suffix, who, on in (
                ("", PRESENT, ALL),
                (BASELINE, "trivial baseline", ALL),
                (BESIDE_HUMAN, PRESENT, OF_SEVERAL),
                (HUMAN, PEOPLE, OF_SEVERAL),
            )
            if suffix in rows
        ]
        points = [_point(rows[suffix], who, on) for suffix, who, on in listed]
        if history is not None:
            points += _with_champion(history.filter(model=model), points[0])
        order = [ALL, OF_NO_VERSION, OF_SEVERAL]
        tables[model] = sorted(points, key=lambda row: order.index(row["on"]))
    return tables


def _with_champion(history: pl.DataFrame, present: Record) -> list[Record]:
    """The champion; and the present model beside it, where both were tested on fewer images."""
    champions = history.filter(pl.col("aliases").str.contains("champion"))
    if champions.is_empty():
        return []
    champion = champions.row(0, named=True)
    # Versions are evaluated on test images alone: as many are all of them.
    on = ALL if champion["n_images"] == present["n_images"] else OF_NO_VERSION
    beside = history.filter("present") if on == OF_NO_VERSION else history.clear()
    return [
        *(_point(row, PRESENT, on) for row in beside.iter_rows(named=True)),
        {**_point(champion, "champion", on), "version": champion["version"]},
    ]


def _point(row: Row, who: str, on: str) -> Record:
    names = ("metric", "value", "low", "high", "n_images", "n_subjects")
    enough = row["n_subjects"] >= LEAST_SUBJECTS
    found = {name: rounded(row[name]) for name in names}
    return {"who": who, "version": None, "on": on, **found, "enough": enough}


def confusion_tables(confusion: pl.DataFrame) -> dict[str, Record]:
    """By model: the classes, and counts by actual (row) and predicted (column) class.

    Classes keep the order in which the evaluation lists them.
    """
    tables = {}
    for model in TASKS:
        rows = confusion.filter(model=model).select("actual", "predicted", "n").rows()
        classes = list(dict.fromkeys([row[0] for row in rows] + [row[1] for row in rows]))
        cells = {(actual, predicted): n for actual, predicted, n in rows}
        counts = [[cells.get((a, p), 0) for p in classes] for a in classes]
        if rows:
            tables[model] = {"classes": classes, "counts": counts}
    return tables


def class_remarks(row: Row) -> str:
    """What is to be known before a class's number is read."""
    few = "" if row["enough"] else "too few test subjects to judge"
    return ", ".join(word for word in ("rare in training" if row["rare"] else "", few) if word)


def _headline(row: Record, confidence: float) -> Number:
    of_subjects = f" of {counted(row['n_subjects'], 'subject')}" if row["n_subjects"] else ""
    notes = [
        TOO_FEW
        if row["low"] is None
        else f"{interval_words(confidence)} {interval(row['low'], row['high'])}",
        f"n = {counted(row['n_images'], 'image')}{of_subjects}",
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
            Column("who", display_name),
            "on",
            "value",
            "n_images",
            "n_subjects",
            Column("", lambda row: "" if row["enough"] else "too few subjects to judge"),
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
    def of_subjects(title: str, split: str) -> Column:
        """Images of a split, and how many subjects they are of."""

        def cell(row: Row) -> str:
            return f"{count(row[f'{split}_images'])} ({count(row[f'{split}_subjects'])})"

        return Column(title, cell, FIGURE)

    columns: list[Column | str] = [
        Column("class", lambda row: f"{row['model']}: {row['class']}"),
        of_subjects("in training", "train"),
        Column("share", "train_share", PERCENT),
        Column("of pixels", "train_pixel_share", PERCENT),
        of_subjects("in test", "test"),
        estimate_column("F1 or IoU, interval"),
        Column("", class_remarks),
    ]
    return Table("Classes: images (subjects) to learn from and to be judged on", columns, rows)


def _confusion(model: str, classes: list[str], counts: list[list[int]]) -> Table:
    pixels = ", counts are pixels" if model == "segmenter" else ""
    rows = [
        {"class": name, "total": sum(row), "counts": dict(zip(classes, row, strict=True))}
        for name, row in zip(classes, counts, strict=True)
    ]

    def column(name: str) -> Column:
        def share(row: Row) -> float:
            return float(row["counts"][name] / row["total"]) if row["total"] else 0.0

        def cell(row: Row) -> str:
            return f"{percent(share(row)) if row['total'] else ''}\n{count(row['counts'][name])}"

        def tone(row: Row) -> Tone:
            return "strong" if row["class"] == name else ""

        return Column(name, cell, FIGURE, tone, share)

    caption = f"Rows: what it is. Columns: what the {model} said. Shares are of the row{pixels}."
    return Table(caption, [Column("", "class"), *map(column, classes)], rows)


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


def versions(model_versions: dict[str, pl.DataFrame]) -> Section | None:
    """Every registered version on the same test images, and which the gate refuses."""
    history = model_versions["history"]
    if history.is_empty():
        return None
    found = versions_content(model_versions)
    text = (
        "Every registered version and the present models, on the same test images; on none of "
        "these was any version trained or chosen."
    )
    columns: list[Column | str] = [
        "model",
        "version",
        Column("deployed", "aliases"),
        "metric",
        "value",
        "n_images",
        Column("change since", "since", NUMBER),
        "gate",
    ]
    caption = "Versions of both models; the change is that of the present model since the version"
    blocks: list[Block] = [
        Paragraph(text),
        plot(lambda: history_figure(history), "Every version on the same test images"),
        Table(caption, columns, found["rows"]),
    ]
    if found["refusals"]:
        refusals = Listing([Item(text=words) for words in found["refusals"]])
        blocks += [Heading("Refused by the promotion gate"), refusals]
    return Section("versions", "Versions", blocks, {"versions": found})


def versions_content(model_versions: Mapping[str, pl.DataFrame]) -> Record:
    """Every version with its number, and which the gate refuses."""
    gate = model_versions["gate"]
    asked = gate.select("model", "candidate", "champion").unique(maintain_order=True)
    refused = {row[:2]: refusal(gate, *row) for row in asked.iter_rows()}

    def word(row: Row) -> str:
        asked = (row["model"], row["version"])
        return "" if asked not in refused else "refused" if refused[asked] else "may pass"

    rows = [{**row, "gate": word(row)} for row in records(model_versions["history"])]
    return {"rows": rows, "refusals": [words for words in refused.values() if words is not None]}
