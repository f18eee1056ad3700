"""An augmentation that shows what half of the images lack helps these, and no others."""

import numpy as np
import polars as pl

from iip_assets.audit.augmentation_trials import (
    best_gain,
    copies_of,
    embed_augmented,
    try_augmentations,
)
from iip_assets.models.augment import LOOKS, WARPS
from iip_assets.settings import EvaluationSettings
from iip_assets.training.progress import no_progress
from iip_assets_tests.embeddings.stand_ins import MemoryStore

EVALUATION = EvaluationSettings(resamples=60)


def examples(count=160, seed=0):
    """Dark images lie elsewhere, and few of them are there to learn from."""
    rng = np.random.default_rng(seed)
    classes = np.arange(count) % 2
    dark = np.arange(count) % 8 >= 6
    vectors = rng.normal(0, 0.6, (count, 6))
    vectors[:, 0] += np.where(classes, 1.5, -1.5) * np.where(dark, -0.6, 1)
    vectors[:, 1] += np.where(dark, 4, 0)
    table = pl.DataFrame(
        {
            "image_id": [f"{k:032x}" for k in range(count)],
            "group_id": [f"g{k // 2}" for k in range(count)],
            "label": np.array(["full", "none"])[classes],
            "embedding": vectors.tolist(),
        }
    )
    slices = pl.DataFrame(
        {
            "image_id": table["image_id"],
            "axis": "lighting",
            "slice": np.where(dark, "dark", "light"),
        }
    )
    return table, slices, vectors, classes


def test_the_gain_of_each_augmentation_is_told_by_slice():
    table, slices, vectors, classes = examples()
    dimmed = vectors.copy()
    dimmed[:, 1] = 4
    dimmed[:, 0] = np.where(classes, -0.9, 0.9)
    useless = vectors + np.random.default_rng(1).normal(0, 0.1, vectors.shape)
    parts = [
        table.select("image_id").with_columns(
            augmentation=pl.lit(name), embedding=pl.Series(copies.tolist())
        )
        for name, copies in (("dimmed", dimmed), ("useless", useless))
    ]
    found = try_augmentations(table, pl.concat(parts), progress=no_progress)
    dark, light = (table.join(slices.filter(slice=one), on="image_id") for one in ("dark", "light"))
    name, gain = best_gain(found, dark, EVALUATION)
    assert (name, gain > 0.02) == ("dimmed", True)
    on_light = found.filter(augmentation="dimmed").join(light, on="image_id")["gain"].mean()
    assert gain > on_light
    assert best_gain(found.filter(augmentation="useless"), light, EVALUATION) is None


def test_copies_are_those_of_whole_groups_by_each_augmentation():
    table, *_ = examples()
    copies = copies_of(table, 10)
    assert copies["image_id"].n_unique() == 10
    assert copies.height == 10 * (len(LOOKS) + len(WARPS))


class Mean:
    """An embedder that gives the mean colour."""

    input_width, input_height, batch_size = 32, 24, 1

    def embed(self, images):
        return images.mean((1, 2)).astype(np.float32)


def test_what_is_drawn_depends_on_the_image_and_the_augmentation_alone():
    store = MemoryStore()
    image = np.random.default_rng(0).integers(60, 200, (24, 32, 3)).astype(np.uint8)
    one, damaged = store.add_png(image), store.add(b"no image")
    names = [look.name for look in LOOKS]
    records = [{"image_id": one, "augmentation": name} for name in names]
    records.append({"image_id": damaged, "augmentation": names[0]})
    how = {"max_megapixels": 1.0, "embedder": Mean(), "store": store}
    found = embed_augmented(records, **how, threads=2)
    again = embed_augmented(records[::-1], **how, threads=1)[::-1]
    assert found == again
    assert found[-1] == {"embedding": None}
    assert len({tuple(np.round(row["embedding"], 3)) for row in found[:-1]}) > len(names) // 2
