"""Numbers as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ABSENT = "–"


def text(value: object) -> str:
    """The value as it is; nothing for what is absent."""
    return "" if value is None else str(value)


def count(value: float | None) -> str:
    """A whole number with thousands separated."""
    return ABSENT if value is None else f"{round(value):,}"


def number(value: float | None) -> str:
    """Three digits after the point."""
    return ABSENT if value is None else f"{value:.3f}"


def percent(value: float | None) -> str:
    """A share, with one digit after the point where it is small."""
    if value is None:
        return ABSENT
    return f"{value:.1%}" if 0 < value < 0.1 else f"{value:.0%}"


def interval(row: Mapping[str, Any]) -> str:
    """`0.812 to 0.901` of a row with low and high."""
    if row["low"] is None or row["high"] is None:
        return ABSENT
    return f"{row['low']:.3f} to {row['high']:.3f}"


def interval_percent(row: Mapping[str, Any]) -> str:
    """`12% to 17%` of a row with low and high."""
    if row["low"] is None or row["high"] is None:
        return ABSENT
    return f"{percent(row['low'])} to {percent(row['high'])}"
