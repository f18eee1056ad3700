"""The report shows likely wrong labels and masks, each of their own."""

from __future__ import annotations

import polars as pl

from iip_assets.report.blocks import Heading, Images
from iip_assets.report.sections.label_errors import MOST, label_errors
from iip_assets_tests.report.samples import label_error_table, sample_inputs


def test_masks_are_shown_however_many_labels_are_surer():
    raw = sample_inputs().raw_dataset
    found = label_error_table(raw["images"])
    label, mask = (found.filter(pl.col("flagged"), what=what) for what in ("label", "mask"))
    section = label_errors(raw, pl.concat([label] * (MOST + 5) + [mask]))
    headings = [one.text for one in section.blocks if isinstance(one, Heading)]
    galleries = [len(one.images) for one in section.blocks if isinstance(one, Images)]
    assert headings == ["Labels", "Masks"]
    assert galleries == [MOST, 1]
