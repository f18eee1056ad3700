"""What the report says of the filter's threshold and of the models' versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from iip_assets.evaluation.verdicts import counted, to_label_next
from iip_assets.registry.gate import refusal
from iip_assets.report.metrics import rounded

Record = dict[str, Any]

MOST_REJECTED = 12


def passing_content(filter_verdicts: Mapping[str, pl.DataFrame], images: pl.DataFrame) -> Record:
    """The threshold, what it costs, and rejected images that nobody has labelled.

    Args:
        filter_verdicts: The asset's tables.
        images: The table "images" of raw_dataset.
    """
    chosen = filter_verdicts["threshold"].row(0, named=True)
    verdicts = filter_verdicts["verdicts"]
    unlabelled = to_label_next(verdicts, images, threshold=chosen["threshold"])
    listed = unlabelled.head(MOST_REJECTED).join(
        images.select("image_id", "path", "batch"), on="image_id", how="left", maintain_order="left"
    )
    numbers = ("threshold", "break_even", "cost", "low", "high")
    return {
        **{name: rounded(chosen[name]) for name in numbers},
        **{name: chosen[name] for name in ("usable", "unusable", "subjects")},
        **counted(verdicts),
        "rejected_unlabelled": unlabelled.height,
        "to_label": [
            {
                **{name: row[name] for name in ("image_id", "path", "batch", "predicted")},
                "usable_score": rounded(row["usable_score"]),
            }
            for row in listed.iter_rows(named=True)
        ],
    }


def versions_content(model_versions: Mapping[str, pl.DataFrame]) -> Record:
    """Every version with its number, and which the gate refuses.

    Args:
        model_versions: The asset's tables.
    """
    history, gate = model_versions["history"], model_versions["gate"]
    refused = {
        (model, candidate): refusal(gate, model, candidate, champion)
        for model, candidate, champion in gate.select("model", "candidate", "champion")
        .unique(maintain_order=True)
        .iter_rows()
    }
    numbers = ("value", "low", "high", "since", "since_low", "since_high")
    rows = []
    for row in history.iter_rows(named=True):
        judged = (row["model"], row["version"])
        word = "" if judged not in refused else "refused" if refused[judged] else "may pass"
        rows.append({**row, **{name: rounded(row[name]) for name in numbers}, "gate": word})
    return {"rows": rows, "refusals": [words for words in refused.values() if words is not None]}
