"""Logged predictions against the data: what moved in the world, what serving computes otherwise.

Training-serving skew is seen on logged images that are in the data too: there the log and the graph
must have equal numbers. What is skewed tells nothing about the world, so that a feature that moved
and is skewed counts as skew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from iip_assets.drift.columns import (
    FAMILY_LEVEL,
    change_in_words,
    compare_sides,
    likeliest,
    rounded,
)
from iip_assets.engine.values import Skipped
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.statistics.pixels import PIXEL_MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PROBABILITIES = tuple(f"prob_{name}" for name in FILTER_CLASSES)
# The newest ones are compared, each once.
MOST_IMAGES = 5000
# Other machines and half precision differ by less: in standard deviations, and in probability.
_SAME_STATISTIC, _SAME_PROBABILITY = 0.01, 0.02
# A feature is skewed where so large a share of images that are known to both differs.
_SKEWED = 0.05
_NAMED = 5
_HELD_OUT = ("validation", "test")

FEATURES = {
    **dict.fromkeys(("feature", "kind", "verdict", "change", "reason"), pl.String()),
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
    if log["rows"].is_empty():
        broken = [
            f"{row['file']}: {row['reason']}" for row in log["files"].to_dicts() if row["reason"]
        ]
        return Skipped(
            f"no prediction is logged: {'; '.join(broken) or '`iip predict --log` logs them'}"
        )
    rows = log["rows"].rename({"md5": "image_id"}).sort("at", "image_id", "filter_digest")
    rows = rows.with_columns(subject_id=pl.lit(None, pl.String()))
    logged, by_filter = (
        one.unique("image_id", keep="last", maintain_order=True).tail(MOST_IMAGES)
        for one in (rows, rows.filter(pl.col("filter_digest") == digest))
    )
    known = splits.select("image_id", "split", subject_id="group_id").sort("image_id")
    training = known.filter(split="train").join(statistics, on="image_id", maintain_order="left")
    numbers = [name for name in columns if name in PIXEL_MEASURES]
    skew = [
        *_skew(logged, statistics, {name: _tolerance(training, name) for name in numbers}),
        *(
            ()
            if verdicts is None
            else _skew(by_filter, verdicts, dict.fromkeys(PROBABILITIES, _SAME_PROBABILITY))
        ),
    ]
    skewed = {row["quantity"] for row in skew if row["differ"] > _SKEWED * row["n_images"]}
    options: dict[str, Any] = {"threshold": threshold, "min_images": min_images, "seed": seed}
    options["level"] = 1 - (1 - FAMILY_LEVEL) / 2
    found = [compare_sides(training, logged, numbers=numbers, words=(), **options)]
    if verdicts is not None:
        held_out = known.filter(pl.col("split").is_in(_HELD_OUT))
        held_out = held_out.join(likeliest(verdicts), on="image_id", maintain_order="left")
        learned = known.filter(~pl.col("split").is_in(_HELD_OUT))["image_id"]
        unmet = by_filter.filter(~pl.col("image_id").is_in(learned.implode()))
        said = likeliest(unmet.drop_nulls(PROBABILITIES)).with_columns(
            subject_id=pl.lit(None, pl.String())
        )
        options |= {"numbers": ["confidence"], "words": ["predicted"]}
        found.append(compare_sides(held_out, said, **options))
    features = [
        _feature(one, skewed) for side in found for one in (*side.columns, *side.not_compared)
    ]
    masked = [name for name in columns if name not in PIXEL_MEASURES]
    refused = {"kind": "number", "reason": "the log has it under another mask than the data"}
    features += [_feature(refused | {"name": name}, set()) for name in masked]
    return {
        "features": pl.DataFrame(features, schema=FEATURES),
        "skew": pl.DataFrame(skew, schema=SKEW),
        "files": log["files"],
    }


def _tolerance(training: pl.DataFrame, name: str) -> float:
    spread = training[name].std()
    return max(_SAME_STATISTIC * float(str(spread or 0)), 1e-6)


def _skew(
    logged: pl.DataFrame, computed: pl.DataFrame, tolerances: Mapping[str, float]
) -> Iterator[dict[str, Any]]:
    """Where logged numbers are not those that the graph has of the same image."""
    both = logged.join(
        computed.select("image_id", *tolerances), on="image_id", suffix="_here"
    ).sort("image_id")
    for name, tolerance in tolerances.items():
        gaps = both.select(
            "image_id", gap=(pl.col(name) - pl.col(f"{name}_here").cast(pl.Float64)).abs()
        ).drop_nulls()
        far = gaps.filter(pl.col("gap") > tolerance).sort("gap", "image_id", descending=True)
        largest = gaps["gap"].max()
        yield {
            **{"quantity": name, "n_images": gaps.height, "differ": far.height},
            "largest": None if largest is None else rounded(float(str(largest))),
            **{"tolerance": rounded(tolerance), "images": far["image_id"].head(_NAMED).to_list()},
        }


def _feature(record: Mapping[str, Any], skewed: set[str]) -> dict[str, Any]:
    """The row of a feature; predictions are skewed with anything that the filter reads."""
    name = record["name"]
    row = {"feature": name, "kind": record["kind"], "reason": record.get("reason")}
    if "score" not in record:
        return row | {"verdict": "not compared"}
    is_skewed = name in skewed or (name not in PIXEL_MEASURES and bool(skewed))
    moved = ("skew" if is_skewed else "moved") if record["moved"] else "not shown"
    return row | {
        **{"verdict": moved, "change": change_in_words(record)},
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
