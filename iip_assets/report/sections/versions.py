"""Every registered version beside the present models, and which the gate refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from iip_assets.registry.figures import history_figure
from iip_assets.registry.gate import refusal
from iip_assets.report.blocks import (
    NUMBER,
    Block,
    Column,
    Heading,
    Item,
    Listing,
    Paragraph,
    Section,
    Table,
    plot,
)
from iip_assets.report.metrics import rounded


def versions(model_versions: dict[str, pl.DataFrame]) -> Section | None:
    """The versions on the same test images."""
    if model_versions["history"].is_empty():
        return None
    found = versions_content(model_versions)
    text = (
        "Every registered version and the present models, on the same test images; on none of "
        "these was any version trained or chosen."
    )
    caption = "Versions of both models; the change is that of the present model since the version"
    blocks: list[Block] = [
        Paragraph(text),
        plot(
            lambda: history_figure(model_versions["history"]),
            "Every version on the same test images",
        ),
        Table(
            caption,
            [
                "model",
                "version",
                Column("deployed", "aliases"),
                "metric",
                "value",
                "n_images",
                Column("change since", "since", NUMBER),
                "gate",
            ],
            found["rows"],
        ),
    ]
    if found["refusals"]:
        refusals = Listing([Item(text=words) for words in found["refusals"]])
        blocks += [Heading("Refused by the promotion gate"), refusals]
    return Section("versions", "Versions", blocks, {"versions": found})


def versions_content(model_versions: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
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
