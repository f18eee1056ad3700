"""What two versions of the data differ in."""

from __future__ import annotations

from typing import Any

import polars as pl

from iip_assets.dataset.schema import images_schema
from iip_assets.provenance.data_changes import BatchChange, LabelChange, data_changes


def images(*rows: dict[str, Any]) -> pl.DataFrame:
    filled = [
        {"path": f"batches/{row['batch']}/images/{row['image_id']}.png", **row} for row in rows
    ]
    return pl.DataFrame(filled, schema=images_schema())


A = {"image_id": "a", "batch": "one", "label": "full", "mask_id": "m"}
B = {"image_id": "b", "batch": "one", "label": "none", "age_years": 30.0}
C = {"image_id": "c", "batch": "two", "label": "full"}


def test_a_new_batch_a_removed_image_and_a_correction_are_told_apart() -> None:
    path = "batches/one/images/a.png"
    corrected = {**A, "batch": "two", "label": "partial", "path": path}
    found = data_changes(images(A, B), images(corrected, C))
    assert (found.images_before, found.images_after) == (2, 2)
    assert found.batches == (
        BatchChange("one", "changed", images=1, images_added=0, images_removed=1),
        BatchChange("two", "added", images=1, images_added=1, images_removed=0),
    )
    assert found.labels == (LabelChange("two", "full", "partial", 1),)


def test_masks_and_facts_count_and_a_label_that_came_is_one_that_changed() -> None:
    before = images({**A, "label": None}, B)
    after = images({**A, "mask_id": "n"}, {**B, "age_years": 31.0})
    found = data_changes(before, after)
    assert found.labels == (LabelChange("one", None, "full", 1),)
    assert (found.masks, found.facts) == (1, 1)
    assert found.batches == ()


def test_equal_versions_differ_in_nothing() -> None:
    found = data_changes(images(A, B, C), images(A, B, C))
    assert (found.batches, found.labels, found.masks, found.facts) == ((), (), 0, 0)
