"""The interval of a share."""

from __future__ import annotations

import math

# Two-sided 95% of the normal distribution.
_Z = 1.959963984540054


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """The 95% score interval of a share of n independent draws (Wilson, 1927).

    Unlike share ± 1.96 standard errors it stays within 0 and 1, and has a width at shares of 0 and
    1.

    Args:
        share: The share seen, 0 to 1.
        n: The number of independent draws; no draw leaves the whole of 0 to 1.

    Raises:
        ValueError: The share is not within 0 and 1, or n is negative.
    """
    if not 0 <= share <= 1 or n < 0:
        raise ValueError(
            f"a share within 0 and 1 of n >= 0 draws is wanted, got {share!r} of {n!r}"
        )
    if n == 0:
        return 0.0, 1.0
    shrink = 1 + _Z**2 / n
    centre = (share + _Z**2 / (2 * n)) / shrink
    half = _Z / shrink * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    # At the ends the bounds are exact, whatever rounding says.
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return low, high
