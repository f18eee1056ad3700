"""What a model's number is held against: a trivial model, people, and the version in use.

Numbers compare only where they are of the same images, so they stand in groups, each with the
present model in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from iip_assets.evaluation.evaluation import ENOUGH_SUBJECTS
from iip_assets.evaluation.evaluation_rows import (
    BASELINE,
    MAIN_METRIC,
    MODELS,
    OVERALL,
    main_row,
)
from iip_assets.metrics.constants import BESIDE_HUMAN, HUMAN
from iip_assets.report.metrics import rounded

Record = dict[str, Any]

PRESENT, TRIVIAL, PEOPLE, CHAMPION = "present model", "trivial baseline", "people", "champion"

ALL = "all test images"
OF_SEVERAL = "images of several labelers"
OF_NO_VERSION = "images that no version learned from"


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
    for model in MODELS:
        if main_row(metrics, model) is None:
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


def _evaluated(
    metrics: pl.DataFrame, model: str, on: str, suffixes: Mapping[str, str]
) -> list[Record]:
    """Who was judged on these images, by the ends of their names in the table of metrics."""
    rows = metrics.filter(
        (pl.col("axis") == OVERALL) & (pl.col("metric") == MAIN_METRIC[model])
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
