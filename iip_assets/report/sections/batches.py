"""What each of the newest batches did to the filter."""

from __future__ import annotations

import polars as pl

from iip_assets.audit.figures import batches_figure, verdict_rows
from iip_assets.report.blocks import (
    COUNT,
    Block,
    Column,
    Paragraph,
    Section,
    Table,
    estimate_column,
    plot,
    signed,
)

_TEXT = (
    "The filter's last layer was trained with and without each of the newest batches, and both "
    "were judged on the validation images. A batch helps or hurts only where the interval of the "
    "difference leaves out 0. Batches that brought labels for images of others alone are not tried."
)


def batches(batch_verdict: pl.DataFrame) -> Section | None:
    """Did each of the newest batches help or hurt the filter."""
    if batch_verdict.is_empty():
        return None
    rows = verdict_rows(batch_verdict)
    table = Table(
        "Training with the batch against training without it, the newest first",
        [
            "batch",
            "verdict",
            estimate_column("change of F1, interval", "difference", show=signed),
            Column("training images", "training_images", COUNT),
        ],
        rows,
    )
    alt = "Change of the filter's F1 by batch, with intervals"
    blocks: list[Block] = [
        Paragraph(_TEXT),
        plot(lambda: batches_figure(batch_verdict), alt),
        table,
    ]
    return Section("batches", "What each batch did", blocks, {"batch_verdicts": rows})
