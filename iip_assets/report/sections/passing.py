"""What the filter lets pass, what that costs, and what it rejects unseen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from iip_assets.evaluation.figures import threshold_figure
from iip_assets.evaluation.threshold import counted, to_label_next
from iip_assets.report.blocks import (
    Block,
    Heading,
    Paragraph,
    Pictures,
    Section,
    count,
    number,
    percent,
    plot,
)
from iip_assets.report.metrics import rounded
from iip_assets.report.sections.failures import gallery_picture

MOST_REJECTED = 12


def passing(
    raw_dataset: dict[str, pl.DataFrame], filter_verdicts: dict[str, pl.DataFrame]
) -> Section | None:
    """The threshold and its cost; rejected images that nobody has labelled."""
    if filter_verdicts["threshold"].is_empty():
        return None
    found = passing_content(filter_verdicts, raw_dataset["images"])
    text = (
        f"{count(found['passed'])} images pass, {count(found['rejected'])} are rejected. The "
        f"threshold, {number(found['threshold'])}, is where lost irises and failed segmentations "
        "cost least on the validation images; with perfectly calibrated probabilities it would be "
        f"{number(found['break_even'])}."
    )
    blocks: list[Block] = [
        Paragraph(text),
        plot(
            lambda: threshold_figure(
                filter_verdicts["curve"], filter_verdicts["threshold"].row(0, named=True)
            ),
            "Cost of the filter and its errors by threshold",
            "The band is the 95% interval of the cost, over subjects.",
        ),
    ]
    if found["to_label"]:
        pictures = [
            gallery_picture(
                row,
                row["predicted"],
                f", usable {percent(row['usable_score'])}, {row['batch'] or 'no batch'}",
            )
            for row in found["to_label"]
        ]
        blocks += [
            Heading(f"Rejected, and never labelled: {count(found['rejected_unlabelled'])}"),
            Paragraph("The least sure first. A label on these teaches the filter most."),
            Pictures(pictures, "gallery"),
        ]
    return Section("passing", "What the filter lets pass", blocks, {"passing": found})


def passing_content(
    filter_verdicts: Mapping[str, pl.DataFrame], images: pl.DataFrame
) -> dict[str, Any]:
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
