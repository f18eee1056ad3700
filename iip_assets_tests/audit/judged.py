"""Images with known errors and tags."""

import numpy as np
import polars as pl

from iip_assets.audit.difficulty import DIFFICULTY


def difficulty(errors, *, model="filter", per_subject=2):
    """Of each image in turn its error; subjects have so many images each."""
    rows = [
        {**dict.fromkeys(DIFFICULTY), "model": model, "image_id": f"i{k:03}", "error": float(error)}
        | {"group_id": f"g{k // per_subject:03}"}
        for k, error in enumerate(errors)
    ]
    return pl.DataFrame(rows, schema=DIFFICULTY)


def tags(**axes):
    """By axis the word of each image in turn."""
    rows = [
        (f"i{k:03}", axis, word) for axis, words in axes.items() for k, word in enumerate(words)
    ]
    return pl.DataFrame(rows, schema=["image_id", "axis", "slice"], orient="row")


def noisy(base, count, seed=0):
    """Errors around a level."""
    return np.clip(np.random.default_rng(seed).normal(base, 0.05, count), 0, 1)
