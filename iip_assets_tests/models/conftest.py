import pickle

import numpy as np
import polars as pl
import pytest
from onnx import helper

from iip_assets.models.segmentation_model import build_segmenter
from iip_assets.training.trainer import Machine, TrainingRun
from iip_assets_tests.embeddings.stand_ins import card_of, onnx_model
from iip_assets_tests.models.masked import READ, RECIPE, examples_of, masked_eyes
from iip_assets_tests.once import made_once

SIDE = 4


@pytest.fixture(scope="session")
def tiny_backbone():
    """A backbone whose embedding is the mean of each channel: (B, 3, 4, 4) to (B, 3)."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"], axis=1),
    ]
    return {
        "backbone.onnx": onnx_model(nodes, {}, side=SIDE, output=("embedding", 3)),
        "card.json": card_of(SIDE, model="tiny", weights_sha256="0"),
    }


@pytest.fixture(scope="session")
def labelled():
    """Images, splits and embeddings in which the label shows, two images a subject."""
    rng = np.random.default_rng(0)
    count = 160
    labels = rng.choice(["full", "partial", "none", "unclear"], count, p=[0.4, 0.3, 0.25, 0.05])
    centre = {"full": (2, 0, 0), "partial": (0, 2, 0), "none": (0, 0, 2), "unclear": (0, 0, 0)}
    vectors = [np.array(centre[label]) + rng.normal(0, 0.5, 3) for label in labels]
    ids = [f"{index:03d}" for index in range(count)]
    images = pl.DataFrame({"image_id": ids, "label": labels.tolist(), "mask_id": [None] * count})
    subjects = [f"s{index // 2}" for index in range(count)]
    split = ["train", "validation", "test", "train"]
    splits = pl.DataFrame(
        {
            "image_id": ids,
            "group_id": subjects,
            "split": [split[(index // 2) % 4] for index in range(count)],
            "has_mask": [False] * count,
        }
    )
    embeddings = pl.DataFrame(
        {"image_id": ids, "embedding": [v.tolist() for v in vectors]},
        schema_overrides={"embedding": pl.List(pl.Float32)},
    )
    return images.with_columns(pl.col("mask_id").cast(pl.String)), splits, embeddings


@pytest.fixture(scope="session")
def eyes():
    """Store, images and splits of sixty eyes with masks."""
    return masked_eyes()


@pytest.fixture(scope="session")
def trained_segmenter(eyes, tmp_path_factory):
    """The segmenter of RECIPE that learned from them, with its notes."""

    def make(folder):
        store, images, splits = eyes
        run = TrainingRun(Machine("cpu", threads=1))
        built = build_segmenter(examples_of(images, splits), store, RECIPE, **READ, run=run)
        (folder / "built.pickle").write_bytes(pickle.dumps(built))

    folder = made_once(tmp_path_factory, "trained_segmenter", make)
    return pickle.loads((folder / "built.pickle").read_bytes())
