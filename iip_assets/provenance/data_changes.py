"""What two versions of the data differ in: images by batch, and what is said of the others."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from iip_assets.dataset.layout import batch_of
from iip_assets.dataset.schema import FACTS


@dataclass(frozen=True)
class BatchChange:
    """A batch whose images differ.

    Attributes:
        batch: Its name; "" for images outside `batches/`.
        change: `added` and `removed`: it is there in one version alone.
        images: Its images in the later version.
        images_added: Images that the earlier version does not have in any batch.
        images_removed: Images that the later one has no more.
    """

    batch: str
    change: str
    images: int
    images_added: int
    images_removed: int


@dataclass(frozen=True)
class LabelChange:
    """How often one label became another, by the batch that brought the later one."""

    batch: str
    before: str | None
    after: str | None
    images: int


@dataclass(frozen=True)
class DataChanges:
    """What differs.

    Attributes:
        images_before: Images of the earlier version.
        images_after: Images of the later one.
        batches: Batches whose images differ.
        labels: Labels that differ, of images in both.
        masks: Images in both whose mask differs.
        facts: Images in both of which a fact differs, such as the age.
    """

    images_before: int
    images_after: int
    batches: tuple[BatchChange, ...]
    labels: tuple[LabelChange, ...]
    masks: int
    facts: int


def data_changes(before: pl.DataFrame, after: pl.DataFrame) -> DataChanges:
    """The difference of two tables `images` of `raw_dataset`."""
    both = before.join(after, on="image_id", suffix="_after")
    differs = both.filter(pl.col("label").ne_missing(pl.col("label_after")))
    counted = (
        differs.group_by(pl.col("batch_after").fill_null(""), "label", "label_after")
        .len()
        .sort("batch_after", "label", "label_after", nulls_last=True)
    )
    facts = pl.any_horizontal([pl.col(name).ne_missing(pl.col(f"{name}_after")) for name in FACTS])
    return DataChanges(
        images_before=before.height,
        images_after=after.height,
        batches=_batch_changes(before, after),
        labels=tuple(LabelChange(*row) for row in counted.iter_rows()),
        masks=both.filter(pl.col("mask_id").ne_missing(pl.col("mask_id_after"))).height,
        facts=both.filter(facts).height,
    )


def _batch_changes(before: pl.DataFrame, after: pl.DataFrame) -> tuple[BatchChange, ...]:
    was, is_now = _by_batch(before), _by_batch(after)
    all_before = set(before["image_id"])
    all_after = set(after["image_id"])
    changes = []
    for batch in sorted(was.keys() | is_now.keys()):
        old, new = was.get(batch, set()), is_now.get(batch, set())
        if old == new:
            continue
        change = "added" if not old else "removed" if not new else "changed"
        changes.append(
            BatchChange(batch, change, len(new), len(new - all_before), len(old - all_after))
        )
    return tuple(changes)


def _by_batch(images: pl.DataFrame) -> dict[str, set[str]]:
    """Image ids by the batch whose folder they lie in; a correction moves none."""
    found: dict[str, set[str]] = {}
    for image_id, path in images.select("image_id", "path").iter_rows():
        found.setdefault(batch_of(path) or "", set()).add(image_id)
    return found
