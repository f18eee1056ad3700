"""How far the data is from the mix that is wanted, and what would close the gap."""

from __future__ import annotations

import math
from collections.abc import Mapping

import polars as pl


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


def coverage_words(table: pl.DataFrame, *, tolerance: float, most: int = 3) -> str:
    """What there is to say of coverage: the worst gaps, or that no target is set."""
    targeted = table.filter(pl.col("target").is_not_null())
    if targeted.is_empty():
        return "no target mix is set: put one under coverage.target in iip.toml"
    short = coverage_shortfalls(table, tolerance=tolerance)
    if short.is_empty():
        return f"all {targeted.height} targets are met"
    named = "; ".join(_gap_words(record) for record in short.head(most).to_dicts())
    return f"{short.height} of {targeted.height} targets are not met, worst first: {named}"


def _gap_words(record: Mapping[str, float | str | None]) -> str:
    needed = "" if record["needed"] is None else f", {record['needed']} more images of it needed"
    if record["known_share"] is None:
        return f"{record['axis']} {record['value']}: none known, target {record['target']:.0%}"
    return (
        f"{record['axis']} {record['value']}: {record['known_share']:.1%} "
        f"({record['low']:.1%} to {record['high']:.1%}), target {record['target']:.0%}{needed}"
    )
