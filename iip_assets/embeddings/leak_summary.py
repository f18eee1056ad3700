"""Leaks between splits in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl


def leak_words(leaks: pl.DataFrame, images: pl.DataFrame) -> list[str]:
    """Each leak in words: both files with subject and split, and how the one becomes the other."""
    path_of = dict(images.select("image_id", "path").iter_rows())

    def side(row: Mapping[str, Any], start: str, image: str) -> str:
        subject = row[f"{start}subject_id"]
        who = "of an unknown subject" if subject is None else f"of {subject}"
        return f"{path_of.get(row[image], row[image])} ({who}, {row[f'{start}split']})"

    return [
        f"{side(row, '', 'image_id')} and {side(row, 'other_', 'other_id')}: {row['reason']}"
        for row in leaks.iter_rows(named=True)
    ]
