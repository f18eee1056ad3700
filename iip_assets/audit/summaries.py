"""Short tables of the audit for people."""

from __future__ import annotations

from typing import Any

import polars as pl


def verdict_rows(verdicts: pl.DataFrame) -> list[dict[str, Any]]:
    """One row a batch, the newest first: verdict, difference, and the slices where it is clear.

    Of many slices some come out clear by chance (at a confidence of 95%, one in twenty), so the row
    says how many were judged.
    """
    rows = []
    for batch in sorted(verdicts["batch"].unique(), reverse=True):
        of_batch = verdicts.filter(pl.col("batch") == batch)
        overall = of_batch.filter(pl.col("axis") == "overall").row(0, named=True)
        slices = of_batch.filter(pl.col("axis") != "overall")
        rows.append(
            {
                "batch": batch,
                "verdict": overall["verdict"],
                **{end: _rounded(overall[end]) for end in ("difference", "low", "high")},
                "training_images": overall["training_images"],
                "helps_most": _strongest(slices, "helps"),
                "hurts_most": _strongest(slices, "hurts"),
                "slices_judged": slices.filter(pl.col("verdict") != "too small to judge").height,
            }
        )
    return rows


def _strongest(slices: pl.DataFrame, verdict: str) -> str:
    found = slices.filter(pl.col("verdict") == verdict)
    if found.is_empty():
        return ""
    one = found.sort(pl.col("difference").abs(), descending=True).row(0, named=True)
    return f"{one['axis']} {one['slice']} ({one['difference']:+.3f})"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
