"""The tags by which errors are looked for, and how many images have each."""

from __future__ import annotations

import polars as pl

from iip_assets.edge_cases.tags import tag_counts
from iip_assets.report.blocks import Block, Paragraph, Section, Table
from iip_assets.report.metrics import records


def tags(image_tags: pl.DataFrame) -> Section:
    """Images by tag, axis after axis."""
    rows = records(tag_counts(image_tags))
    text = (
        "From the columns of the labels, measures of the images and groups of similar ones. "
        "Openness and glint come from landmarks of the eye, gaze from the mask where there is one."
    )
    table = Table("Images by tag", ["axis", "slice", "n", "share"], rows, folded="Tags as a table")
    blocks: list[Block] = [Paragraph(text), table] if rows else []
    return Section("tags", "Tags", blocks, {"tags": rows})
