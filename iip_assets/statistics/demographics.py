"""Who is in the data: counts by axis and intersection, beside the mix that is wanted."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import polars as pl

from iip_assets.dataset.schema import UNKNOWN
from iip_assets.metrics.intervals import LEAST_SUBJECTS, Estimate, judgeable, shares_by_subject

DEMOGRAPHIC_AXES = ("age_band", "gender", "ethnicity", "geography", "device")
INTERSECTIONS = (*combinations(DEMOGRAPHIC_AXES, 2), ("age_band", "gender", "ethnicity"))
TIMES = "×"
SCHEMA = {
    **dict.fromkeys(("axis", "value"), pl.String),
    **dict.fromkeys(("n", "n_subjects"), pl.Int64),
    **dict.fromkeys(("share", "known_share", "low", "high", "target", "gap"), pl.Float64),
    "needed": pl.Int64,
    "enough": pl.Boolean,
    "note": pl.String,
}
Target = Mapping[str, Mapping[str, float]]

# Gaps that a sentence names.
_MOST_GAPS = 3


def images_needed(n: int, total: int, target: float) -> int | None:
    """How many images of one value bring it to its target share, if nothing else is added.

    Solves (n + x) / (total + x) >= target.

    Returns:
        The number, 0 where it is there already, None where the target is 1 and other values exist.
    """
    if total == 0:
        return 0 if target == 0 else 1
    if target >= 1:
        return 0 if n == total else None
    # 1e-9 keeps an exact hit from being rounded up to one image more.
    return max(0, math.ceil((target * total - n) / (1 - target) - 1e-9))


def coverage_shortfalls(table: pl.DataFrame, *, tolerance: float) -> pl.DataFrame:
    """Values whose share of the known is below target × (1 - tolerance), the worst gap first."""
    short = pl.col("known_share").fill_null(0.0) < pl.col("target") * (1 - tolerance)
    return table.filter(short).sort("gap", "axis", "value")


def coverage_words(table: pl.DataFrame, *, tolerance: float) -> str:
    """What there is to say of coverage: the worst gaps, or that no target is set."""
    targeted = table.filter(pl.col("target").is_not_null())
    if targeted.is_empty():
        return "no target mix is set: put one under coverage.target in iip.toml"
    short = coverage_shortfalls(table, tolerance=tolerance)
    if short.is_empty():
        return f"all {targeted.height} targets are met"
    named = "; ".join(_gap_words(record) for record in short.head(_MOST_GAPS).to_dicts())
    return f"{short.height} of {targeted.height} targets are not met, worst first: {named}"


def _gap_words(record: Mapping[str, float | str | None]) -> str:
    needed = "" if record["needed"] is None else f", {record['needed']} more images of it needed"
    if record["known_share"] is None:
        return f"{record['axis']} {record['value']}: none known, target {record['target']:.0%}"
    ends = "" if record["low"] is None else f" ({record['low']:.1%} to {record['high']:.1%})"
    return (
        f"{record['axis']} {record['value']}: {record['known_share']:.1%}{ends}, "
        f"target {record['target']:.0%}{needed}"
    )


def demographic_table(
    images: pl.DataFrame,
    slices: pl.DataFrame,
    *,
    target: Target,
    min_images: int,
    confidence: float,
) -> pl.DataFrame:
    """Counts and coverage of every value of the demographic axes and of their intersections.

    A value of an intersection joins its parts ("30-44 × female"), its axis their names
    ("age_band×gender"). It is known where all its parts are; a missing row of `slices` is unknown.

    Columns: `axis`, `value`; `n` images and `n_subjects` (an image of an unknown subject counts as
    a subject of its own); `share` of all images; `known_share` of the images whose value is known
    (null for unknown) with its interval over subjects, `low` to `high`, of this confidence (null
    where there are too few); `target` share of the known, `gap` = known_share - target; `needed`,
    images of this value to add, with nothing else, until it is at target (null where no number
    reaches it); `enough`, whether images and subjects are; `note` in words. Values that have a
    target but no image have a row too.

    Raises:
        ValueError: The target names an axis that does not exist, or shares that are no mix.
    """
    axes = [(axis,) for axis in DEMOGRAPHIC_AXES] + list(INTERSECTIONS)
    _check_target(target, [TIMES.join(parts) for parts in axes])
    wide = axes_by_image(images, slices)
    rows: list[dict[str, object]] = []
    for parts in axes:
        axis = TIMES.join(parts)
        valued = _valued(wide, parts)
        known = valued.filter("known").select("value", "subject").to_dict(as_series=False)
        shares = shares_by_subject(known["value"], known["subject"], confidence=confidence)
        rows += _axis_rows(axis, _counts(valued), shares, target.get(axis, {}), min_images)
    return pl.DataFrame(rows, schema=SCHEMA)


def slice_shares(
    slices: pl.DataFrame, images: pl.DataFrame, *, confidence: float
) -> list[dict[str, str | int | float | None]]:
    """One record a slice, sorted by axis and slice: images, share, its interval over subjects.

    Args:
        slices: `image_id`, `axis`, `slice`.
        images: `image_id`, `subject_id`; an image of an unknown subject is a subject of its own.
        confidence: Of the intervals.
    """
    known = slices.join(with_subject(images), on="image_id").sort("axis", "image_id")
    records: list[dict[str, str | int | float | None]] = []
    for (axis,), part in known.group_by("axis", maintain_order=True):
        words, subjects = part["slice"].to_list(), part["subject"].to_list()
        counts = dict(part["slice"].value_counts().rows())
        for name, one in shares_by_subject(words, subjects, confidence=confidence).items():
            ends = {"share": one.value, "low": one.low, "high": one.high}
            records.append({"axis": str(axis), "slice": name, "images": counts[name], **ends})
    return records


def with_subject(images: pl.DataFrame) -> pl.DataFrame:
    """`image_id` and `subject`, which is never null: an unknown one is the image's own."""
    subject = pl.concat_str(pl.lit("subject "), "subject_id")
    return images.select("image_id", pl.coalesce(subject, "image_id").alias("subject"))


def axes_by_image(images: pl.DataFrame, slices: pl.DataFrame) -> pl.DataFrame:
    """`image_id`, `subject` (never null) and a column per axis, a row per image."""
    wide = with_subject(images)
    for axis in DEMOGRAPHIC_AXES:
        one = slices.filter(pl.col("axis") == axis).select("image_id", pl.col("slice").alias(axis))
        wide = wide.join(one, on="image_id", how="left").with_columns(
            pl.col(axis).fill_null(UNKNOWN)
        )
    return wide


def natural_key(value: str) -> tuple[bool, list[tuple[int, str]]]:
    """Sorts "5-9" before "13-17", and the unknown last."""
    pieces = [
        (int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"(\d+)", value)
    ]
    return UNKNOWN in value.split(f" {TIMES} "), pieces


def _check_target(target: Target, axes: Sequence[str]) -> None:
    for axis, shares in target.items():
        if axis not in axes:
            raise ValueError(
                f"coverage.target in iip.toml names the axis {axis!r}; known are {', '.join(axes)}"
            )
        wrong = {value: share for value, share in shares.items() if not 0 <= share <= 1}
        if wrong or sum(shares.values()) > 1 + 1e-6:
            raise ValueError(
                f"coverage.target.{axis} in iip.toml must hold shares of 0 to 1 that sum to at "
                f"most 1; they are {dict(shares)} and sum to {sum(shares.values()):g}"
            )
        if any(UNKNOWN in value.split(f" {TIMES} ") for value in shares):
            raise ValueError(
                f"coverage.target.{axis} in iip.toml has a share for {UNKNOWN!r}; targets are "
                "shares of the images whose value is known, so leave it out"
            )


def _valued(wide: pl.DataFrame, parts: Sequence[str]) -> pl.DataFrame:
    """`subject`, `value` and `known` of every image."""
    known = pl.all_horizontal(pl.col(part) != UNKNOWN for part in parts)
    return wide.select(
        "subject",
        pl.concat_str(*parts, separator=f" {TIMES} ").alias("value"),
        known.alias("known"),
    )


def _counts(valued: pl.DataFrame) -> pl.DataFrame:
    """`value`, `known`, `n`, `n_subjects`."""
    return valued.group_by("value", "known").agg(
        pl.len().alias("n"), pl.col("subject").n_unique().alias("n_subjects")
    )


def _axis_rows(
    axis: str,
    counts: pl.DataFrame,
    shares: Mapping[str, Estimate],
    wanted: Mapping[str, float],
    min_images: int,
) -> list[dict[str, object]]:
    seen = {record["value"]: record for record in counts.to_dicts()}
    total = sum(record["n"] for record in seen.values())
    n_known = sum(record["n"] for record in seen.values() if record["known"])
    rows: list[dict[str, object]] = []
    for value in sorted(seen.keys() | wanted.keys(), key=natural_key):
        record = seen.get(value, {"n": 0, "n_subjects": 0, "known": True})
        n, share = record["n"], wanted.get(value)
        known_share = n / n_known if record["known"] and n_known else None
        found = shares.get(value, Estimate(None, None, None))
        rows.append(
            {
                "axis": axis,
                "value": value,
                "n": n,
                "n_subjects": record["n_subjects"],
                "share": n / total if total else None,
                "known_share": known_share,
                "low": found.low,
                "high": found.high,
                "target": share,
                "gap": None if share is None else (known_share or 0.0) - share,
                "needed": None if share is None else images_needed(n, n_known, share),
                "enough": judgeable(n, record["n_subjects"], min_images),
                "note": _note(record, share, n_known, min_images),
            }
        )
    return rows


def _note(record: Mapping[str, Any], target: float | None, n_known: int, min_images: int) -> str:
    notes = []
    if not record["known"]:
        notes.append("not known")
    if target is not None and n_known == 0:
        notes.append("no image has a known value")
    if record["n"] < min_images:
        notes.append(f"fewer than {min_images} images")
    elif record["known"] and record["n_subjects"] < LEAST_SUBJECTS:
        notes.append(f"fewer than {LEAST_SUBJECTS} subjects")
    return "; ".join(notes)
