"""What a filter and its smaller ones say of images, with a group that smaller ones fail."""

import numpy as np
import polars as pl

from iip_assets.engine.values import Files
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.robustness.compression import compression_tables
from iip_assets.robustness.variants import ORIGINAL
from iip_assets.settings import EvaluationSettings

GROUPS = ("many", "some", "rare")
EVALUATION = EvaluationSettings(resamples=100, min_slice_images=10)


def files_of(names, model="filter", size=10):
    """Stand-ins of models, each of another size."""
    return {
        name: Files({f"{model}.onnx": bytes(size * (place + 1))})
        for place, name in enumerate(names)
    }


def faces(ids, *, per_subject=2):
    """Images with a label and a subject, and their groups: a fifth is rare."""
    count = len(ids)
    images = pl.DataFrame(
        {
            "image_id": ids,
            "label": [FILTER_CLASSES[place % 3] for place in range(count)],
            "group_id": [f"s{place // per_subject}" for place in range(count)],
        }
    )
    groups = [GROUPS[(0, 1, 0, 1, 2)[place // per_subject % 5]] for place in range(count)]
    slices = pl.DataFrame({"image_id": ids, "axis": ["ethnicity"] * count, "slice": groups})
    return images, slices


def said(images, wrong):
    """A frame of the filter's answers: right by 0.9, or (N,) another class."""
    shares = np.full((images.height, 3), 0.05)
    for place, label in enumerate(images["label"]):
        shares[place, (FILTER_CLASSES.index(label) + int(wrong[place])) % 3] = 0.9
    return pl.DataFrame({"image_id": images["image_id"], "probabilities": shares.tolist()})


def planted_tables(ids, *, failing=("pruned_0.5", "int8"), share=0.6, seed=0):
    """The tables where failing models are wrong on a share of the rare group's images."""
    images, slices = faces(ids)
    rng = np.random.default_rng(seed)
    hard = rng.uniform(size=len(ids)) < 0.1
    rare = (slices["slice"] == "rare").to_numpy()
    lost = rare & (rng.uniform(size=len(ids)) < share)
    names = (ORIGINAL, "fp16", "int8", "pruned_0.5")
    answers = {
        name: {
            corruption: said(images, hard | lost if name in failing else hard)
            for corruption in ("clean", "blur")
        }
        for name in names
    }
    return compression_tables(
        {"filter": files_of(names)},
        images,
        {"filter": answers},
        slices,
        group_axis="ethnicity",
        mask_classes=("background", "iris"),
        evaluation=EVALUATION,
    )
