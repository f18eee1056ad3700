"""From tables to the drift report: pick the sides, compare, draw up the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iip_assets.drift.batches import newest_against_training
from iip_assets.drift.columns import WORDS, compare_sides, rounded
from iip_assets.engine.values import Json, Report, Skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl


def compare_newest(
    images: pl.DataFrame,
    splits: pl.DataFrame,
    statistics: pl.DataFrame,
    *,
    numbers: Sequence[str],
    threshold: float,
    min_images: int,
    seed: int,
) -> Report | Skipped:
    """Compares the newest batch with the training images of older ones.

    Args:
        images: The table "images" of raw_dataset.
        splits: data_splits.
        statistics: image_statistics.
        numbers: Columns of image_statistics; the age is compared too.
        threshold: Distance from which a feature may count as moved.
        min_images: The fewest known values of a feature on each side.
        seed: Of the permutations that tell what chance gives.

    Returns:
        Evidently's page, and as its data: batch (the newest one's name), n_reference (training
        images), n_current (images of the batch), share_moved of the compared features, columns (a
        record for each of these, the farthest moved first), not_compared (name and reason of the
        others). Or why there is nothing to compare.
    """
    sides = newest_against_training(images, splits)
    if isinstance(sides, Skipped):
        return sides
    # A word of the labels, such as the device, is not looked for among the statistics.
    own = [name for name in statistics.columns if name == "image_id" or name not in images.columns]
    reference, current = (
        side.join(statistics.select(own), on="image_id", how="left", maintain_order="left")
        for side in (sides.reference, sides.current)
    )
    wanted = dict.fromkeys([*numbers, "age_years"])
    result = compare_sides(
        reference,
        current,
        numbers=[name for name in wanted if name not in WORDS],
        threshold=threshold,
        min_images=min_images,
        seed=seed,
    )
    if not result.columns:
        reasons = "; ".join(f"{r['name']}: {r['reason']}" for r in result.not_compared)
        return Skipped(f"no feature of batch {sides.batch} can be compared: {reasons}")
    from iip_assets.drift.page import evidently_page

    moved = sum(1 for column in result.columns if column["moved"])
    page = evidently_page(reference, current, result.columns, batch=sides.batch)
    data: dict[str, Json] = {
        "batch": sides.batch,
        "n_reference": reference.height,
        "n_current": current.height,
        "share_moved": rounded(moved / len(result.columns)),
        "columns": list(result.columns),
        "not_compared": list(result.not_compared),
    }
    return Report(page, data)
