"""A small data set with masks, for the segmenter."""

import numpy as np
import polars as pl

from iip_assets.engine.values import Skipped
from iip_assets.models.examples import masked_rows
from iip_assets.settings import RemedySettings, SegmenterSettings
from iip_assets_tests.embeddings.stand_ins import MemoryStore, eye

CLASSES = ("background", "sclera", "iris", "pupil")


def masked_eyes(count: int = 60, width: int = 80, height: int = 56):
    """Store, images and splits of eyes, a third of them seen in part or not at all."""
    store = MemoryStore()
    rng = np.random.default_rng(0)
    rows = []
    for index in range(count):
        kind = ("full", "full", "full", "partial", "full", "none")[index % 6]
        image, mask = eye(rng, width, height, kind)
        split = ("train", "train", "train", "validation", "test")[index % 5]
        rows.append(
            (store.add_png(image), store.add_png(mask), kind, f"s{index // 10}{split}", split)
        )
    names = ["image_id", "mask_id", "label", "group_id", "split"]
    frame = pl.DataFrame(rows, schema=names, orient="row").sort("image_id")
    images = frame.select("image_id", "mask_id", "label").with_columns(
        age_years=pl.lit(30.0),
        gender=pl.lit("female"),
        ethnicity=pl.lit(None, dtype=pl.String),
    )
    splits = frame.select("image_id", "group_id", "split", has_mask=pl.lit(True))
    return store, images, splits


def examples_of(images, splits):
    """What the segmenter learns from, every image counting the same."""
    return masked_rows(images, splits).with_columns(weight=pl.lit(1.0))


RECIPE = SegmenterSettings(
    encoder="tf_efficientnet_lite0",
    decoder_channels=(16, 16, 8, 8, 8),
    width=64,
    height=64,
    two_pass=False,
    epochs=14,
    patience=14,
    learning_rate=0.005,
    batch_size=8,
)
UNREMEDIED = {"protected_subsets": Skipped("no slices"), "remedy": RemedySettings()}
"""What examples take where no model has a remedy."""
READ = {"classes": CLASSES, "max_megapixels": 1.0}
