"""How long an asset will take, going by how long it took."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from iip_assets.engine.actions import ActionRecord

# Older runs had other data and other code.
_RUNS = 20


def estimate_seconds(records: Sequence[ActionRecord], images: int | None) -> float | None:
    """Seconds for so many images, or None where nothing is known.

    A fixed part, and a rate for each image where the past runs tell them apart: the median of the
    slopes between each two runs, then of what is left (Theil-Sen), so that a run which had to wait
    for something does not count.

    Args:
        records: The asset's past actions, the newest last.
        images: How many it would compute; None where it does not work image by image.
    """
    runs = [(one.images_computed, one.seconds) for one in records[-_RUNS:]]
    if not runs:
        return None
    if images is None:
        return median(seconds for _, seconds in runs)
    slopes = [
        (after[1] - before[1]) / (after[0] - before[0])
        for place, before in enumerate(runs)
        for after in runs[place + 1 :]
        if after[0] != before[0]
    ]
    if not slopes:
        # One point: all of it is the images' share, unless there were none.
        count = runs[-1][0]
        typical = median(seconds for _, seconds in runs)
        return typical * images / count if count else typical
    rate = max(0.0, median(slopes))
    fixed = max(0.0, median(seconds - rate * count for count, seconds in runs))
    return fixed + rate * images
