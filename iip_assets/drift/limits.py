"""Limits of what the models achieve, watched from batch to batch.

Of each test subject one image counts, in the order in which they came. An alarm is raised where
the mean loss is shown to be above what the limit allows, by the bound of MAPIE's RiskMonitoring
(Howard et al. 2021), which holds however often one looks while the model stays the same. The
watch begins anew with every batch b, with a share 1 / (b (b + 1)) of the level, as a long good time
would hide a bad one that follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from iip_assets.drift.columns import rounded
from iip_assets.drift.streams import subjects_in_order
from iip_assets.metrics.intervals import mean_estimate

if TYPE_CHECKING:
    from iip_assets.drift.streams import Floats
    from iip_assets.settings import LimitedMetric

LIMITS = {
    **dict.fromkeys(("metric", "batch"), pl.String()),
    **dict.fromkeys(("value", "low", "high", "limit", "at_most"), pl.Float64()),
    **{"n_subjects": pl.Int64(), "alarm": pl.Boolean()},
}
# Subjects from the beginning of a watch on; more cost more and tell little else.
_MOST_SUBJECTS = 2000


def limit_table(
    predictions: pl.DataFrame,
    images: pl.DataFrame,
    *,
    limits: Mapping[LimitedMetric, float],
    level: float,
    confidence: float,
) -> pl.DataFrame:
    """A row a metric and batch: its test images, and the watch that begun with it.

    `at_most` is what the metric is at most since that batch, shown at the level; `alarm` says
    whether that is below the limit.

    Args:
        predictions: The table of that name; test images alone count.
        images: image_id, batch and group_id.
        limits: By metric.
        level: The probability of any alarm, ever, while each metric keeps its limit.
        confidence: Of the intervals.
    """
    tested = predictions.filter(split="test").join(
        images.select("image_id", "batch", "group_id"), on="image_id"
    )
    rows = []
    for metric, limit in limits.items():
        known = tested.with_columns(_score(metric, tested).alias("score")).drop_nulls("score")
        drawn = subjects_in_order(known).unique("group_id", keep="first", maintain_order=True)
        scores, came = drawn["score"].to_numpy(), drawn["batch"].to_numpy()
        for place, batch in enumerate(drawn["batch"].unique().sort()):
            here = drawn.filter(batch=batch)
            found = mean_estimate(
                here["score"].to_numpy(), here["group_id"].to_numpy(), confidence=confidence
            )
            spent = level / len(limits) / ((place + 1) * (place + 2))
            at_most = 1 - _least(1 - scores[came >= batch][:_MOST_SUBJECTS], spent)
            rows.append(
                {"metric": metric, "batch": batch, "limit": limit, "at_most": rounded(at_most)}
                | {"n_subjects": here.height, "alarm": at_most < limit}
                | {name: None if one is None else rounded(one) for name, one in vars(found).items()}
            )
    return pl.DataFrame(rows, schema=LIMITS)


def _score(metric: str, table: pl.DataFrame) -> pl.Expr:
    """From 0 to 1 of each image; null where the metric does not concern it."""
    if metric == "filter.accuracy":
        return (pl.col("predicted") == pl.col("label")).cast(pl.Float64)
    classes = [name for name in table.columns if name.startswith("iou_")]
    return pl.mean_horizontal(classes).cast(pl.Float64)


def _least(losses: Floats, level: float) -> float:
    """What the mean of losses from 0 to 1 is at least."""
    from mapie.exchangeability_testing.bounds import conjugate_mixture_empirical_bernstein_bound

    # Of the level that it is given it spends half on each side. RiskMonitoring itself takes only
    # losses of 0 and 1, and gives it a quarter.
    found: Any = conjugate_mixture_empirical_bernstein_bound(
        losses, v_opt=1, alpha=2 * level, bound_side="lower"
    )
    return float(np.asarray(found)[-1])
