"""The tables around embeddings: which images get one, theirs, and which backbone made them."""

from __future__ import annotations

import hashlib

import polars as pl

from iip_assets.engine.values import Files


def decodable_images(fingerprints: pl.DataFrame) -> pl.DataFrame:
    """`image_id` of every image that can be decoded, once each, sorted.

    Args:
        fingerprints: `image_id`, `problem`.
    """
    decodable = fingerprints.filter(pl.col("problem").is_null())
    return decodable.select("image_id").unique().sort("image_id")


def embedding_table(frame: pl.DataFrame) -> pl.DataFrame:
    """`image_id` and `embedding` (List(Float32)), sorted, of the images that have one."""
    if "embedding" not in frame.columns:
        frame = frame.with_columns(pl.lit(None).alias("embedding"))
    return (
        frame.select("image_id", pl.col("embedding").cast(pl.List(pl.Float32)))
        .drop_nulls("embedding")
        .sort("image_id")
    )


def backbone_digest(files: Files) -> str:
    """SHA-256 of what decides the backbone's numbers: its card, which holds the weights' digest."""
    return hashlib.sha256(files.parts["card.json"]).hexdigest()
