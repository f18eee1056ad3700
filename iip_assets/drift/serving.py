"""Logged predictions against the data: what moved in the world, what serving computes otherwise.

Training-serving skew is seen on logged images that are in the data too: there the log and the graph
must have equal numbers. What is skewed tells nothing about the world, so that a feature that moved
and is skewed counts as skew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import polars as pl

from iip_assets.drift.columns import (
    FAMILY_LEVEL,
    change_in_words,
    compare_sides,
    joined,
    likeliest,
    rounded,
)
from iip_assets.engine.values import Skipped
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.statistics.pixels import PIXEL_MEASURES

PROBABILITIES = tuple(f"prob_{name}" for name in FILTER_CLASSES)
# The newest ones are compared, each once.
MOST_IMAGES = 5000
# Other machines and half precision differ by less: in standard deviations, and in probability.
_SAME_STATISTIC, _SAME_PROBABILITY = 0.01, 0.02
# A feature is skewed where so large a share of images that are known to both differs.
_SKEWED = 0.05
_NAMED = 5
_HELD_OUT = pl.col("split").is_in(("validation", "test"))

FEATURES = {
    **dict.fromkeys(("feature", "verdict", "change"), pl.String()),
    **dict.fromkeys(("score", "threshold"), pl.Float64()),
    **dict.fromkeys(("n_reference", "n_logged"), pl.Int64()),
}
SKEW = {
    **{"quantity": pl.String(), "n_images": pl.Int64(), "differ": pl.Int64()},
    **{"largest": pl.Float64(), "tolerance": pl.Float64(), "images": pl.List(pl.String())},
}


def serving_tables(
    log: Mapping[str, pl.DataFrame],
    splits: pl.DataFrame,
    statistics: pl.DataFrame,
    verdicts: pl.DataFrame | None,
    digest: str | None,
    *,
    columns: Sequence[str],
    threshold: float,
    min_images: int,
    seed: int,
) -> dict[str, pl.DataFrame] | Skipped:
    """The tables `features` (a row a feature), `skew` (a row a quantity) and `files` of the log.

    Measures of images are held against training images; what the present filter says, against
    what it says of validation and test images, as it is surer of images that it learned from. Both
    share the error level. A logged image counts once, by its newest row, and as a subject alone.

    Args:
        log: Of `load_log`.
        splits: data_splits.
        statistics: image_statistics.
        verdicts: The table of that name of filter_verdicts, where there is a filter.
        digest: Of the present filter: predictions of another are not compared.
        columns: Measures that are compared, where they need no mask.
        threshold: Distance from which a feature may count as moved.
        min_images: The fewest known values of a feature on each side.
        seed: Of the permutations that tell what chance gives.
    """
    rows = log["rows"].rename({"md5": "image_id"}).sort("at", "image_id", "filter_digest")
    if rows.is_empty():
        broken = [
            f"{row['file']}: {row['reason']}" for row in log["files"].to_dicts() if row["reason"]
        ]
        return Skipped(
            f"no prediction is logged: {'; '.join(broken) or '`iip predict --log` logs them'}"
        )
    logged, by_filter = (
        one.unique("image_id", keep="last", maintain_order=True)
        .tail(MOST_IMAGES)
        .with_columns(subject_id=pl.lit(None, pl.String()))
        for one in (rows, rows.filter(pl.col("filter_digest") == digest))
    )
    known = splits.select("image_id", "split", subject_id="group_id").sort("image_id")
    training = joined(known.filter(split="train"), statistics)
    numbers = [name for name in columns if name in PIXEL_MEASURES]
    spreads = training.select(pl.col(PIXEL_MEASURES).cast(pl.Float64).std().fill_null(0)).row(
        0, named=True
    )
    same = {name: max(_SAME_STATISTIC * spreads[name], 1e-6) for name in numbers}
    compare = partial(
        compare_sides,
        threshold=threshold,
        min_images=min_images,
        seed=seed,
        level=1 - (1 - FAMILY_LEVEL) / 2,
    )
    skew = list(_skew(logged, statistics, same))
    found = [compare(training, logged, numbers=numbers, words=())]
    if verdicts is not None:
        skew += _skew(by_filter, verdicts, dict.fromkeys(PROBABILITIES, _SAME_PROBABILITY))
        held_out = joined(known.filter(_HELD_OUT), likeliest(verdicts))
        unmet = by_filter.join(known.filter(~_HELD_OUT), on="image_id", how="anti")
        said = unmet.select("image_id", "subject_id", *PROBABILITIES).drop_nulls(PROBABILITIES)
        said = joined(said, likeliest(said))
        found.append(compare(held_out, said, numbers=["confidence"], words=["predicted"]))
    skewed = {row["quantity"] for row in skew if row["differ"] > _SKEWED * row["n_images"]}
    features = [_feature(row, skewed) for side in found for row in side.columns]
    other = "the log has it under another mask than the data"
    refused = {str(one["name"]): one["reason"] for side in found for one in side.not_compared}
    refused |= {name: other for name in columns if name not in numbers}
    features += [
        {"feature": name, "verdict": "not compared", "change": reason}
        for name, reason in refused.items()
    ]
    return {
        "features": pl.DataFrame(features, schema=FEATURES),
        "skew": pl.DataFrame(skew, schema=SKEW),
        "files": log["files"],
    }


def _skew(
    logged: pl.DataFrame, computed: pl.DataFrame, tolerances: Mapping[str, float]
) -> Iterator[dict[str, Any]]:
    """Where logged numbers are not those that the graph has of the same image."""
    both = logged.join(computed.select("image_id", *tolerances), on="image_id", suffix="_here")
    for name, tolerance in tolerances.items():
        gap = (pl.col(name) - pl.col(f"{name}_here").cast(pl.Float64)).abs()
        gaps = both.select("image_id", gap=gap).drop_nulls().sort("gap", "image_id")
        far = gaps.filter(pl.col("gap") > tolerance).reverse()
        yield {
            **{"quantity": name, "n_images": gaps.height, "differ": far.height},
            "largest": rounded(gaps["gap"][-1]) if gaps.height else None,
            **{"tolerance": rounded(tolerance), "images": far["image_id"].head(_NAMED).to_list()},
        }


def _feature(record: Mapping[str, Any], skewed: set[str]) -> dict[str, Any]:
    """The row of a feature; predictions are skewed with anything that the filter reads."""
    name = record["name"]
    is_skewed = name in skewed or (name not in PIXEL_MEASURES and bool(skewed))
    moved = ("skew" if is_skewed else "moved") if record["moved"] else "not shown"
    return {
        **{"feature": name, "verdict": moved, "change": change_in_words(record)},
        **{"score": record["score"], "threshold": record["threshold"]},
        **{"n_reference": record["n_reference"], "n_logged": record["n_current"]},
    }


def skew_in_words(row: Mapping[str, Any]) -> str:
    """Such as `brightness: 12 of 80 images differ, by up to 3.1 (a1b2c3d4, …)`."""
    names = ", ".join(name[:8] for name in row["images"])
    more = ", …" if row["differ"] > len(row["images"]) else ""
    return (
        f"{row['quantity']}: {row['differ']} of {row['n_images']} images differ, by up to "
        f"{row['largest']:.3g} ({names}{more})"
    )
