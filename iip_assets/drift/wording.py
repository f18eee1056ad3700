"""The comparison in words: what moved, from where to where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iip_assets.engine.values import Json


def change_in_words(column: Mapping[str, Any]) -> str:
    """`mean 120 → 96.4`, or `none 10% → 32%` for the word whose share changed most.

    Args:
        column: A record of `compare_sides`.
    """
    if column["kind"] == "number":
        return f"mean {column['mean_reference']:.3g} → {column['mean_current']:.3g}"
    shares = zip(column["words"], column["shares_reference"], column["shares_current"], strict=True)
    word, before, after = max(shares, key=lambda triple: (abs(triple[2] - triple[1]), triple[0]))
    return f"{word} {before:.0%} → {after:.0%}"


def column_rows(columns: list[dict[str, Any]]) -> list[dict[str, Json]]:
    """A small table for people: one row a feature."""
    return [
        {
            "feature": column["name"],
            "moved": "yes" if column["moved"] else "no",
            "distance": round(column["score"], 3),
            "moved_from": round(column["threshold"], 3),
            "by_chance_up_to": round(column["by_chance"], 3),
            "change": change_in_words(column),
            "training_images": column["n_reference"],
            "batch_images": column["n_current"],
            "statistic": column["statistic"],
        }
        for column in columns
    ]
