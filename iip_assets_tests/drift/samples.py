"""Small tables with a batch that differs in known ways."""

from __future__ import annotations

import numpy as np
import polars as pl

TEXT = ("label", "eye", "gender", "ethnicity", "geography", "device", "subject_id", "batch")


def drift_tables(*, n=300, batches=("a", "b", "c"), darker=0.0, label_shift=0.0, seed=0):
    """images, data_splits and image_statistics of `n` images, one subject an image.

    Args:
        n: Images.
        batches: Names, in order.
        darker: How much darker the last batch is, in standard deviations.
        label_shift: How much larger the share of `none` is in the last batch.
        seed: Of everything random.
    """
    rng = np.random.default_rng(seed)
    batch = np.sort(rng.permutation(np.array(batches, dtype=object)[np.arange(n) % len(batches)]))
    newest = batch == max(batches)
    ids = [f"{i:04d}" for i in range(n)]
    none = rng.random(n) < 0.2 + label_shift * newest
    images = pl.DataFrame(
        {
            "image_id": ids,
            "batch": batch.tolist(),
            "label": np.where(none, "none", "full").tolist(),
            "subject_id": [f"s{i}" for i in range(n)],
            "eye": rng.choice(["left", "right"], n).tolist(),
            "age_years": rng.normal(40, 10, n),
            "gender": rng.choice(["female", "male"], n).tolist(),
            "ethnicity": [None] * n,
            "geography": rng.choice(["x", "y"], n).tolist(),
            "device": ["camera"] * n,
        },
        schema_overrides=dict.fromkeys(TEXT, pl.String),
    ).with_columns(captured_at=pl.lit(None, dtype=pl.Datetime(time_zone="UTC")))
    splits = pl.DataFrame(
        {"image_id": ids, "split": rng.choice(["train", "test"], n, p=[0.8, 0.2]).tolist()}
    )
    statistics = pl.DataFrame(
        {
            "image_id": ids,
            "brightness": rng.normal(120, 20, n) - 20 * darker * newest,
            "contrast": rng.normal(50, 5, n),
            "noise": np.ones(n),
            "iris_visibility": pl.Series([None] * n, dtype=pl.Float64),
        }
    )
    return images, splits, statistics
