"""From tables to forecasts: of the newest batch, and of past ones as if they were the newest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from iip_assets.dataset.schema import CHALLENGE, UNKNOWN
from iip_assets.drift.concept import concept_drift
from iip_assets.drift.forecast import (
    RECALIBRATED,
    REWEIGHTED,
    Forecast,
    Side,
    Spread,
    Subsets,
    forecast_recalibrated,
    forecast_reweighted,
)
from iip_assets.drift.forecast_weights import far_share, principal_components
from iip_assets.engine.values import Skipped
from iip_assets.metrics.intervals import LEAST_SUBJECTS, judgeable
from iip_assets.metrics.names import FILTER_CLASSES, OVERALL
from iip_assets.metrics.scored_predictions import (
    ScoredPredictions,
    class_places,
    places_by_slice,
    scored_filter,
    scored_segmenter,
)
from iip_assets.models.tasks import FILTER, SEGMENTER
from iip_assets.settings import ForecastSettings

HELD_OUT = ("validation", "test")
METRICS: Mapping[str, tuple[str, ...]] = {
    FILTER.name: (FILTER.headline, "accuracy"),
    SEGMENTER.name: (SEGMENTER.headline,),
}
# Distances that so many of the older images keep from others are not far.
FAR = 0.99
# From this p-value on labels are taken to mean what they meant.
CONCEPT_LEVEL = 0.05
ALL = (OVERALL, "all")
_CHANCES = [f"prob_{name}" for name in FILTER_CLASSES]
# Which images have a model's answer and the truth.
_TOLD = {
    FILTER.name: pl.col("label").is_in(FILTER_CLASSES) & pl.col(_CHANCES[0]).is_not_null(),
    SEGMENTER.name: pl.col("confusion").is_not_null(),
}

_ENDS = ("now", "value", "low", "high", "change", "change_low", "change_high", "measured")
_FORECASTS = {
    **dict.fromkeys(("batch", "model", "metric", "axis", "slice", "method"), pl.String()),
    **dict.fromkeys((*_ENDS, "effective_images"), pl.Float64()),
    **dict.fromkeys(("n_images", "n_subjects"), pl.Int64()),
    "verdict": pl.String(),
}
_SIDES = {
    **dict.fromkeys(("batch", "model"), pl.String()),
    **dict.fromkeys(("old_images", "new_images", "new_subjects"), pl.Int64()),
    **dict.fromkeys(("far_share", "concept_p"), pl.Float64()),
    "reason": pl.String(),
}


@dataclass(frozen=True)
class Known:
    """All that forecasts are made of.

    Attributes:
        images: A row an image with an embedding: image_id, batch, split, group_id, label,
            embedding, what the models said of it, null where they said nothing, and whether it
            `taught` them.
        slices: `image_id`, `axis`, `slice`: a forecast for each, too.
        classes: Of masks.
        settings: Of the forecast.
        least_images: Fewer images of a slice are too few.
    """

    images: pl.DataFrame
    slices: pl.DataFrame
    classes: Sequence[str]
    settings: ForecastSettings
    least_images: int


def known_images(
    images: pl.DataFrame,
    splits: pl.DataFrame,
    embeddings: pl.DataFrame,
    verdicts: pl.DataFrame | None,
    predictions: pl.DataFrame,
) -> pl.DataFrame:
    """The table of `Known`, sorted by image.

    Images of challenge sets are left out: no held-out image, which are weighted, is like them.
    """
    if verdicts is None:
        verdicts = predictions
    splits = splits.filter(pl.col("split") != CHALLENGE)
    taught = (pl.col("split") == "train") & (pl.col("label").is_not_null() | pl.col("has_mask"))
    return (
        images.select("image_id", "batch", "label")
        .join(splits.select("image_id", "split", "group_id", "has_mask"), on="image_id")
        .join(embeddings.select("image_id", "embedding"), on="image_id")
        .join(verdicts.select("image_id", *_CHANCES), on="image_id", how="left")
        .join(predictions.select("image_id", "confusion"), on="image_id", how="left")
        .with_columns(taught=taught.fill_null(value=False))
        .sort("image_id")
    )


def scored(table: pl.DataFrame, classes: Sequence[str]) -> dict[str, ScoredPredictions]:
    """By model its answers on images of known truth, where there are some."""
    parts = {model: table.filter(told) for model, told in _TOLD.items()}
    return {
        model: scored_filter(own) if model == FILTER.name else scored_segmenter(own, classes)
        for model, own in parts.items()
        if not own.is_empty()
    }


def forecast_tables(known: Known) -> dict[str, pl.DataFrame] | Skipped:
    """`forecast` and `sides` of the newest batch, `past` of earlier ones; or why there are none.

    Past batches are forecast from what came before them, and have no slices.
    """
    batches = known.images["batch"].drop_nulls().unique().sort().to_list()
    if not batches:
        return Skipped("a forecast is of the newest batch; no image is in a batch")
    newest = batches[-1]
    old, new = _sides_of(known.images, newest)
    if old.is_empty():
        return Skipped(
            "a forecast weighs validation and test images of older batches, with a label or a "
            f"mask; there are none beside {newest}"
        )
    if new.is_empty():
        return Skipped(f"both models learned from every image of {newest}: nothing is left to ask")
    rows, sides = _forecasts(known, newest)
    past = replace(known, slices=known.slices.clear())
    earlier = [
        row
        for batch in batches[:-1][-known.settings.past_batches :]
        for row in _forecasts(past, batch)[0]
        if row["measured"] is not None and row.get("value") is not None
    ]
    return {
        "forecast": pl.DataFrame(rows, schema=_FORECASTS),
        "past": pl.DataFrame(earlier, schema=_FORECASTS),
        "sides": pl.DataFrame(sides, schema=_SIDES),
    }


def _sides_of(images: pl.DataFrame, batch: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Held-out images of known truth from before a batch, and those of it that taught nothing."""
    is_older = (pl.col("batch") < batch).fill_null(value=True)
    truth = pl.any_horizontal(*_TOLD.values())
    old = images.filter(is_older & pl.col("split").is_in(HELD_OUT) & truth)
    return old, images.filter(~pl.col("taught"), batch=batch)


def _forecasts(known: Known, batch: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of both models' metrics of a batch, and a row a model of what they rest on."""
    rows: list[dict[str, Any]] = []
    sides: list[dict[str, Any]] = []
    for model in METRICS:
        old, new = _sides_of(known.images, batch)
        old = old.filter(_TOLD[model])
        new = new.drop_nulls(_CHANCES[0]) if model == FILTER.name else new
        if old.is_empty() or new.is_empty():
            continue
        before, after = _as_sides(old, new)
        subsets = _subsets(old, new, known.slices)
        spread = Spread(known.settings.confidence, known.settings.seed)
        answers, metrics = scored(old, known.classes)[model], METRICS[model]
        reweighted = forecast_reweighted(
            before, after, answers, spread, metrics=metrics, subsets=subsets
        )
        found = {REWEIGHTED: reweighted}
        chance = None
        if model == FILTER.name:
            labels = class_places(old["label"])
            found[RECALIBRATED] = forecast_recalibrated(
                before, after, labels, spread, subsets=subsets, beside=reweighted
            )
            chance = _concept_p(old, new, known.settings.seed)
        effective = min(one[ALL][metrics[0]].effective for one in found.values())
        far = far_share(before.seen, after.seen, before.groups, quantile=FAR)
        subjects = [one["group_id"].n_unique() for one in (old, new)]
        side = {
            **{"batch": batch, "model": model, "old_images": old.height, "new_images": new.height},
            **{"new_subjects": subjects[1], "far_share": far, "concept_p": chance},
        }
        reason = None
        if min(subjects) < LEAST_SUBJECTS:
            there = " and ".join(map(str, subjects))
            reason = f"it takes {LEAST_SUBJECTS} subjects on both sides; there are {there}"
        elif far > known.settings.max_far:
            reason = f"{far:.0%} of the new images are far from all that were labelled before"
        elif effective < known.settings.min_effective_images:
            reason = f"weighted like the new images the older ones count as {effective:.0f}"
        elif chance is not None and chance < CONCEPT_LEVEL:
            reason = f"new labels contradict predictions that were sure (p = {chance:.2g})"
        sides.append(side | {"reason": reason})
        for (axis, name), (_, places) in subsets.items():
            part = new[places.tolist()]
            common = {
                **{"batch": batch, "model": model, "axis": axis, "slice": name},
                **{"n_images": part.height, "n_subjects": part["group_id"].n_unique()},
            }
            measured = _measured(part.filter(_TOLD[model]), model, known.classes)
            for method, by_subset in found.items():
                for metric, one in by_subset[axis, name].items():
                    row = common | {"metric": metric, "method": method}
                    row["measured"] = measured.get(metric)
                    rows.append(row | _told(one, row, known, silent=reason is not None))
    return rows, sides


def _as_sides(old: pl.DataFrame, new: pl.DataFrame) -> list[Side]:
    tables = old, new
    embeddings = [np.array(one["embedding"].to_list(), dtype=np.float64) for one in tables]
    # The segmenter's weights go by the filter's answers too, where every image has one.
    asked = not any(one[_CHANCES[0]].null_count() for one in tables)
    return [
        Side(
            seen,
            one["group_id"].to_list(),
            one.select(_CHANCES).to_numpy().astype(np.float64) if asked else None,
        )
        for seen, one in zip(principal_components(*embeddings), tables, strict=True)
    ]


def _concept_p(old: pl.DataFrame, new: pl.DataFrame, seed: int) -> float | None:
    """Of labels that mean what they meant; None without new labels."""
    both = pl.concat([old, new.filter(_TOLD[FILTER.name])])
    newest = np.arange(both.height) >= old.height
    shares, labels = both.select(_CHANCES).to_numpy(), class_places(both["label"])
    return concept_drift(shares, labels, both["group_id"].to_list(), newest, seed=seed).p


def _subsets(old: pl.DataFrame, new: pl.DataFrame, slices: pl.DataFrame) -> Subsets:
    """All images, and the slices of known name that both sides have."""
    before, after = (
        {(axis, name): places for axis, name, places in places_by_slice(ids.to_list(), slices)}
        for ids in (old["image_id"], new["image_id"])
    )
    both = [part for part in after if part in before and part[1] != UNKNOWN]
    return {part: (before[part], after[part]) for part in both}


def _measured(own: pl.DataFrame, model: str, classes: Sequence[str]) -> Mapping[str, float]:
    """Metrics of new images whose truth is known."""
    if own.is_empty():
        return {}
    scores = scored(own, classes)[model].score(np.arange(own.height), np.ones((1, own.height)))
    return {name: float(value[0]) for name, value in scores.items() if not np.isnan(value[0])}


def _told(found: Forecast, row: Mapping[str, Any], known: Known, *, silent: bool) -> dict[str, Any]:
    """Now and then, or that there is no saying."""
    bare = {"now": found.now, "effective_images": found.effective}
    enough = judgeable(row["n_images"], row["n_subjects"], known.least_images)
    few = found.effective < known.settings.min_effective_images
    low, high = found.change.low, found.change.high
    if silent:
        return bare | {"verdict": "no forecast"}
    if few or not enough or low is None or high is None:
        return bare | {"verdict": "too few to judge"}
    shown = "falls" if high < 0 else "rises" if low > 0 else "no change shown"
    return found.row() | {"verdict": shown}
