"""At which severity corrupted test images look as the newest batch does.

They look alike where one measure of `image_statistics` has the same mean. Each measure is taken
alone: a darker batch has less contrast, too. All images are shrunk as those that are corrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.images.store import Reader
from iip_assets.metrics.intervals import Intervals, estimate_difference, judgeable, replicates
from iip_assets.robustness.benchmark import CLEAN, corrupted_pairs, variants
from iip_assets.statistics.measure import measure

MEASURED = {
    **dict.fromkeys(("brightness", "low_light"), "brightness"),
    **dict.fromkeys(("gaussian_noise", "sensor_noise"), "noise"),
    **{"contrast": "contrast", "defocus_blur": "sharpness", "colour_cast": "colour_cast"},
}
"""The measure that tells how far a corruption went."""
MATCHED, BEYOND, NO_SIGN, TOO_FEW = "matched", "beyond 5", "no sign of it", "too few to judge"
OLDER, ALL = "older test images", "test images of all batches"
_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("corruption", "measure", "against", "verdict"), pl.String()),
    **dict.fromkeys(("n_clean", "n_newest"), pl.Int64()),
    **dict.fromkeys(("clean", "newest"), pl.Float64()),
    **dict.fromkeys(("difference", "difference_low", "difference_high"), pl.Float64()),
    **dict.fromkeys(("severity", "severity_low", "severity_high"), pl.Float64()),
}


def newest_images(batches: pl.DataFrame, *, most: int) -> pl.DataFrame:
    """`image_id`, `group_id` of at most so many of the newest batch; none if all are of it."""
    newest = (pl.col("batch") == pl.col("batch").max()).fill_null(value=False)
    found = batches.select("image_id", "group_id", newest=newest)
    # Ids are hashes: the first are drawn at random.
    newer = found.filter(pl.col("newest") & ~pl.col("newest").all()).sort("image_id")
    return newer.head(most).select("image_id", "group_id")


def measured_chunk(
    records: Sequence[dict[str, Any]], *, severities: Sequence[int], **how: Any
) -> list[dict[str, list[float | None]]]:
    """Of each image (`image_id`) each measure of `MEASURED`, as a list of V, over V severities.

    What else there is to give is that of `corrupted_pairs`.
    """
    results = []
    for record in records:
        pairs = corrupted_pairs({**record, "mask_id": None}, severities=severities, **how)
        found = [measure(image, None, mask_classes=how["mask_classes"]) for image, _ in pairs]
        results.append({name: [one[name] for one in found] for name in {*MEASURED.values()}})
    return results


def measures_of(
    images: pl.DataFrame,
    newest: pl.DataFrame,
    corruptions: Sequence[str],
    *,
    fill: Callable[..., Any],
    given: Mapping[str, Any],
    store: Reader,
) -> dict[str, pl.DataFrame]:
    """What `measured_chunk` gives: of the images by corruption, and of all as they are."""
    ids, tools = images.select("image_id"), {"store": store}
    every = pl.concat([ids, newest.select("image_id")]).unique().sort("image_id")
    asked = variants([one for one in corruptions if one in MEASURED and newest.height])
    return {
        name: fill(
            *("corrupted_measures", every if name == CLEAN else ids, measured_chunk),
            given={"corruption": name, "severities": list(severities), **given},
            tools=tools,
        ).frame
        for name, severities in asked.items()
        if len(asked) > 1
    }


def severity_at(changes: NDArray[np.float64], change: float) -> float | None:
    """Where the changes at severities 0 to 5 first reach one: 0 the other way, None beyond 5."""
    toward = np.sign(changes[-1])
    along, wanted = changes * toward, change * toward
    reached = np.flatnonzero(along >= wanted)
    if wanted <= 0 or not len(reached):
        return 0.0 if wanted <= 0 else None
    after = int(reached[0])
    return float(after - 1 + (wanted - along[after - 1]) / (along[after] - along[after - 1]))


def matched_table(
    images: pl.DataFrame,
    newest: pl.DataFrame,
    measured: Mapping[str, pl.DataFrame],
    intervals: Intervals,
    least_images: int,
) -> pl.DataFrame:
    """A row for each corruption with a measure: the severity.

    The measure's change is that of the newest batch against clean test images of older ones, or
    against all test images where too few are older; its interval is over subjects, and the ends of
    the severity are where those of the change are reached.

    Args:
        images: `image_id`, `group_id` of what is corrupted.
        newest: `image_id`, `group_id` of the newest batch.
        measured: As `measures_of` gives it.
        intervals: How they are drawn.
        least_images: Fewer are too few to judge.
    """

    def enough(side: pl.DataFrame) -> bool:
        return judgeable(side.height, side["group_id"].n_unique(), least_images)

    older = images.join(newest, on="image_id", how="anti")
    against, side = (OLDER, older) if enough(older) else (ALL, images)
    rows: list[dict[str, Any]] = []
    for name in measured.keys() - {CLEAN}:
        found = MEASURED[name]
        new, old = (_values(one, measured[CLEAN], found) for one in (newest, side))
        row: dict[str, Any] = {"corruption": name, "measure": found, "against": against}
        row |= {"n_clean": old.height, "n_newest": new.height, "verdict": TOO_FEW}
        if enough(new) and enough(old):
            row |= _severity(new, old, _values(side, measured[name], found), intervals)
        rows.append(row)
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row").sort("corruption")


def _values(side: pl.DataFrame, measured: pl.DataFrame, name: str) -> pl.DataFrame:
    """`group_id` and `values`, one for each severity, of the images that have all."""
    found = side.join(measured.select("image_id", values=name), on="image_id").sort("image_id")
    return found.filter(
        pl.col("values").list.drop_nulls().list.len() == pl.col("values").list.len()
    )


def _severity(
    new: pl.DataFrame, old: pl.DataFrame, harmed: pl.DataFrame, intervals: Intervals
) -> dict[str, Any]:
    numbers = [np.array(one["values"].to_list(), np.float64) for one in (new, old, harmed)]
    made = replicates([*new["group_id"], *old["group_id"]], intervals)
    parts = np.split(made.weights, [new.height], axis=1)
    with np.errstate(invalid="ignore"):
        now, before = (w @ one[:, 0] / w.sum(1) for w, one in zip(parts, numbers, strict=False))
    found = estimate_difference(
        now - before,
        made.sizes,
        confidence=intervals.confidence,
        # All count, those too without whom nothing changes, as where all images are grey.
        subjects=len(made.sizes),
    )
    changes = np.array([0, *(numbers[2].mean(0) - before[0])])
    row: dict[str, Any] = {"clean": float(before[0]), "newest": float(now[0])}
    for end, change in (("", found.value), ("_low", found.low), ("_high", found.high)):
        reached = None if change is None else severity_at(changes, change)
        row |= {f"difference{end}": change, f"severity{end}": reached}
    if found.low is None:
        return row
    if changes[-1] < 0:
        row["severity_low"], row["severity_high"] = row["severity_high"], row["severity_low"]
    nothing = row["severity_low"] == 0
    return row | {"verdict": NO_SIGN if nothing else BEYOND if row["severity"] is None else MATCHED}
