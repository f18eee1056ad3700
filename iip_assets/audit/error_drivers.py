"""Which attributes go with the error: permuted, in a model that predicts the error from them.

"Goes with" and not "causes": of two attributes that go together, such as a device and its light,
either can carry the other's part. Attributes that measure one thing are permuted together, so that
they do not hide behind each other (Breiman 2001; Strobl et al. 2008).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.dataset.schema import UNKNOWN
from iip_assets.labels.folds import deal_folds
from iip_assets.metrics.functional import weighted_mean
from iip_assets.metrics.intervals import Intervals, estimate_difference, replicates
from iip_assets.statistics.skin_tone import typology_angle

DRIVERS = {
    **dict.fromkeys(("model", "attribute"), pl.String()),
    **dict.fromkeys(("importance", "low", "high"), pl.Float64()),
    **dict.fromkeys(("n_images", "n_subjects"), pl.Int64()),
    "worst": pl.String(),
}
MEASURES: Mapping[str, Sequence[str]] = {
    "lighting": ("brightness", "contrast", "unevenness", "clipped_shadows", "clipped_highlights"),
    "colour": ("colour_cast", "saturation"),
    "blur and noise": ("sharpness", "noise"),
    "gaze": ("gaze_x", "gaze_y"),
    "openness": ("openness", "iris_visibility"),
    "skin tone (ITA)": ("ita_degrees",),
    "background": ("background_edges",),
    "age": ("age_years",),
}
"""By attribute the measures of it that are permuted together."""

COLUMNS = ("gender", "ethnicity", "geography", "device", "batch")
_ATTRIBUTE_OF = {
    **{name: attribute for attribute, names in MEASURES.items() for name in names},
    **{name: name for name in COLUMNS},
}
_FOLDS, _REPEATS = 5, 5
_TREES = {"max_iter": 60, "max_leaf_nodes": 8, "min_samples_leaf": 10, "early_stopping": False}
LEAST = 40
"""Of fewer images nothing is told."""


def attributes_table(
    images: pl.DataFrame, statistics: pl.DataFrame, geometry: pl.DataFrame | None
) -> pl.DataFrame:
    """image_id and all that is known of an image that may go with an error.

    The gaze and the opening of the eye are as the landmarks have them, where they found an eye:
    they do not hang on the mask that is judged.
    """
    measures = statistics.with_columns(
        ita_degrees=typology_angle(
            pl.col("background_brightness"), pl.col("background_yellow_blue")
        )
    )
    if geometry is not None:
        found = geometry.select("image_id", "openness", "gaze_x")
        measures = measures.drop("gaze_x", "gaze_y", "iris_visibility").join(
            found, on="image_id", how="left"
        )
    return images.select("image_id", "age_years", *COLUMNS).join(
        measures, on="image_id", how="left"
    )


def drivers_table(
    difficulty: pl.DataFrame, attributes: pl.DataFrame, *, intervals: Intervals
) -> pl.DataFrame:
    """Each attribute's importance for each model's error, in `DRIVERS`; the largest first.

    The importance is how much of the error's variance between images is explained less where the
    attribute is permuted, by boosted trees on subjects that they did not learn from; below 0 it is
    chance. `worst` is the fifth of the images, or the word, with the highest error.

    Args:
        difficulty: The table of image_difficulty.
        attributes: image_id, and the columns of `MEASURES` and `COLUMNS` that are known.
        intervals: How they are made.
    """
    found: list[tuple[Any, ...]] = []
    for (model,), own in difficulty.group_by("model", maintain_order=True):
        rows = own.join(attributes, on="image_id").sort("image_id")
        if rows.height >= LEAST and rows["group_id"].n_unique() >= _FOLDS:
            found += _drivers(str(model), rows, intervals)
    return pl.DataFrame(found, schema=DRIVERS, orient="row").sort(
        "model", "importance", "attribute", descending=[False, True, False], nulls_last=True
    )


def _drivers(model: str, rows: pl.DataFrame, intervals: Intervals) -> Iterator[tuple[Any, ...]]:
    groups, error = rows["group_id"].to_list(), rows["error"].to_numpy()
    features = _features(rows)
    names = [_ATTRIBUTE_OF[one] for one in features.columns]
    spread = float(error.var())
    if not names or spread < 1e-9:
        return
    values = features.fill_null(np.nan).to_numpy()
    made = replicates(groups, intervals)
    for attribute, rise in _losses(values, error, names, deal_folds(groups, _FOLDS)).items():
        means = weighted_mean(rise / spread, made.weights)
        found = estimate_difference(means, made.sizes, confidence=intervals.confidence)
        counts = (rows.height, len(set(groups)))
        yield model, attribute, *vars(found).values(), *counts, _worst(rows, attribute)


def _features(rows: pl.DataFrame) -> pl.DataFrame:
    """The measures and columns that vary, as numbers; null of a measure is not known."""
    numbers = rows.select(
        pl.col(name).cast(pl.Float64)
        if attribute not in COLUMNS
        # In the order of their mean error elsewhere nothing may be looked up: by name.
        else pl.col(name).fill_null(UNKNOWN).rank("dense").cast(pl.Float64)
        for name, attribute in _ATTRIBUTE_OF.items()
        if name in rows.columns
    )
    return numbers.select(one for one in numbers if one.drop_nulls().n_unique() > 1)


def _losses(
    values: NDArray[np.float64],
    error: NDArray[np.float64],
    names: Sequence[str],
    fold: NDArray[np.int64],
) -> dict[str, NDArray[np.float64]]:
    """By attribute, how much each image's squared error rises where it is permuted."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    rises = {name: np.zeros(len(error)) for name in dict.fromkeys(names)}
    categorical = [name in COLUMNS for name in names]
    for held_out in np.unique(fold):
        train, asked = fold != held_out, np.flatnonzero(fold == held_out)
        trees = HistGradientBoostingRegressor(
            **_TREES, categorical_features=categorical, random_state=0
        )
        with threadpool_limits(1):
            trees.fit(values[train], error[train])
            before = (trees.predict(values[asked]) - error[asked]) ** 2
            rng = np.random.default_rng(int(held_out))
            for name, rise in rises.items():
                own = [place for place, one in enumerate(names) if one == name]
                for _ in range(_REPEATS):
                    changed = values[asked].copy()
                    changed[:, own] = changed[rng.permutation(len(asked))][:, own]
                    after = (trees.predict(changed) - error[asked]) ** 2
                    rise[asked] += (after - before) / _REPEATS
    return rises


def _worst(rows: pl.DataFrame, attribute: str) -> str:
    """The word of a column with the highest error, or the end of the first measure that has it."""
    if attribute in COLUMNS:
        words = rows.drop_nulls(attribute).group_by(attribute)
        mean = words.agg(pl.mean("error"), n=pl.len()).filter(pl.col("n") >= 10).sort("error")
        return "" if mean.is_empty() else str(mean[attribute][-1])
    measure = next(one for one in MEASURES[attribute] if one in rows.columns)
    known = rows.drop_nulls(measure)
    low, high = (known[measure].quantile(one) for one in (0.2, 0.8))
    parts = {
        f"low {measure}": pl.col(measure) <= low,
        f"high {measure}": pl.col(measure) >= high,
        f"middle {measure}": pl.col(measure).is_between(low, high),
    }
    ends = {name: known.filter(part)["error"].to_numpy().mean() for name, part in parts.items()}
    return max(ends, key=ends.__getitem__).replace("_", " ")
