"""The headline numbers as files that `dvc metrics` and `dvc plots` read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iip_assets.engine.atomic import write_text_whole
from iip_assets.engine.project import Project
from iip_assets.engine.values import Report
from iip_assets.loading import present_ledger

if TYPE_CHECKING:
    import polars as pl


def write_dvc_outputs(project: Project, folder: Path) -> None:
    """Writes metrics.json, slices.csv and robustness.csv, empty where there is nothing to tell."""
    from iip_assets.release.metrics import headline, slice_records

    ledger = present_ledger(project)
    drift = project.load("drift_report", ledger)
    evaluation = project.load("model_evaluation", ledger)
    metrics = headline(
        evaluation,
        project.load("raw_dataset", ledger),
        quarantine=project.load("quarantine", ledger),
        drift=drift.data if isinstance(drift, Report) else None,
    )
    write_text_whole(folder / "metrics.json", json.dumps(metrics, indent=2, sort_keys=True) + "\n")
    write_text_whole(folder / "slices.csv", _csv(slice_records(evaluation), ("slice", "value")))
    robustness = _overall_robustness(project.load("robustness_benchmark", ledger))
    write_text_whole(folder / "robustness.csv", _csv(robustness, ("severity", "value")))


def _overall_robustness(table: Any) -> list[dict[str, Any]]:
    """One record for each model, corruption and severity, over all pictures."""
    if not hasattr(table, "filter"):
        return []  # skipped
    frame: pl.DataFrame = table
    import polars as pl

    overall = frame.filter(pl.col("axis") == "overall").sort(
        "model", "metric", "corruption", "severity"
    )
    return overall.select("model", "metric", "corruption", "severity", "value").to_dicts()


def _csv(records: Sequence[Mapping[str, Any]], columns_if_empty: Sequence[str]) -> str:
    columns = list(records[0]) if records else list(columns_if_empty)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
