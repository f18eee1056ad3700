"""A value and its interval in a cell of a table."""

from __future__ import annotations


def estimate(value: float | None, low: float | None, high: float | None) -> str:
    """`0.872` over `0.86 to 0.89`, so that a terminal has room for several columns of them."""
    if value is None:
        return "-"
    if low is None or high is None:
        return f"{value:.3f}"
    return f"{value:.3f}\n{low:.2f} to {high:.2f}"
