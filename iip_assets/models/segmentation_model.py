"""The segmenter as an artifact: trained, exported, scored on validation pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray
from safetensors.torch import save

from iip_assets.embeddings.device import Device
from iip_assets.embeddings.onnx_export import export_onnx
from iip_assets.models.judged import judge_segmenter, score
from iip_assets.models.masked_pictures import MaskedPictures
from iip_assets.models.preprocess import Frame
from iip_assets.models.segment_rows import read_pair, segment_chunk
from iip_assets.models.segmentation import Segmenter, prior_png
from iip_assets.models.segmenter import build_network, has_packaged_weights, train_segmenter
from iip_assets.models.training import Progress

LEAST_PICTURES = 8
"""Fewer masked training pictures than this train no segmenter."""


class Reader(Protocol):
    """Gives the bytes behind an md5, as the dataset's store does."""

    def read(self, md5: str) -> bytes:
        """The file's bytes."""
        ...


@dataclass(frozen=True)
class SegmenterRecipe:
    """How the segmenter is built, trained and judged."""

    classes: tuple[str, ...]
    encoder: str
    decoder_channels: tuple[int, ...]
    width: int
    height: int
    epochs: int
    learning_rate: float
    batch_size: int
    seed: int
    max_megapixels: float
    resamples: int
    confidence: float
    interval_seed: int


def why_not(rows: pl.DataFrame, classes: Sequence[str]) -> str | None:
    """Why these pictures train no segmenter, or None if they do."""
    if len(classes) < 2:
        return f"dataset.mask_classes names {len(classes)} class; a segmenter needs two at least"
    count = rows.filter(pl.col("split") == "train").height
    if not count:
        return "no training picture has a mask"
    if count < LEAST_PICTURES:
        return f"only {count} training pictures have a mask; {LEAST_PICTURES} at least"
    return None


def build_segmenter(
    rows: pl.DataFrame,
    weights: Mapping[str, float],
    store: Reader,
    recipe: SegmenterRecipe,
    *,
    device: Device,
    threads: int,
    progress: Progress,
) -> dict[str, bytes]:
    """The segmenter's files.

    `segmenter.onnx` goes from standardised pictures in the frame to logits, `segmenter.safetensors`
    holds the weights, `prior.png` the commonest class by place, `card.json` says what it is.

    Args:
        rows: From `examples.masked_rows`.
        weights: What a training picture counts, by image id; 1 where it is not named.
        store: Where the pictures are.
        recipe: How to build, train and judge.
        device: Where to train.
        threads: Threads on the CPU.
        progress: Shows how far it is.
    """
    frame = Frame(recipe.width, recipe.height)
    training = rows.filter(pl.col("split") == "train").to_dicts()
    classes = len(recipe.classes)

    def load(place: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        return read_pair(
            store, training[place], classes=classes, max_megapixels=recipe.max_megapixels
        )

    examples = MaskedPictures(
        len(training),
        load,
        frame=frame,
        weights=[weights.get(row["image_id"], 1.0) for row in training],
        seed=recipe.seed,
        threads=threads,
    )
    pretrained = has_packaged_weights(recipe.encoder)
    network = build_network(
        recipe.encoder,
        classes=classes,
        decoder_channels=recipe.decoder_channels,
        pretrained=pretrained,
        seed=recipe.seed,
    )
    train_segmenter(
        network,
        examples,
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        device=device,
        threads=threads,
        progress=progress,
    )
    card: dict[str, Any] = {
        "classes": list(recipe.classes),
        "encoder": recipe.encoder,
        "encoder_pretrained": pretrained,
        "decoder_channels": list(recipe.decoder_channels),
        "input_width": recipe.width,
        "input_height": recipe.height,
        "mean": list(frame.mean),
        "std": list(frame.std),
        "pictures": dict(rows.group_by("split").len().sort("split").iter_rows()),
        "settings": {
            name: getattr(recipe, name)
            for name in ("epochs", "learning_rate", "batch_size", "seed")
        },
    }
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    files = {
        "segmenter.onnx": export_onnx(
            network,
            (3, recipe.height, recipe.width),
            input_name="image",
            output_name="logits",
        ),
        "segmenter.safetensors": save(state),
        "prior.png": prior_png(examples.fitted_masks(), classes),
        "card.json": json.dumps(card).encode(),
    }
    card["validation"] = _validation(rows, files, store, recipe, threads=threads)
    return files | {"card.json": json.dumps(card, indent=2, sort_keys=True).encode()}


def _validation(
    rows: pl.DataFrame,
    files: Mapping[str, bytes],
    store: Reader,
    recipe: SegmenterRecipe,
    *,
    threads: int,
) -> dict[str, Any]:
    """Metrics with intervals on the validation pictures, for the card."""
    held_out = rows.filter(pl.col("split") == "validation")
    if held_out.is_empty():
        return {}
    found = segment_chunk(
        held_out.to_dicts(),
        model="",
        max_megapixels=recipe.max_megapixels,
        segmenter=Segmenter(files, threads=threads),
        store=store,
        threads=threads,
    )
    size = len(recipe.classes)
    counts = np.array([json.loads(one["confusion"]) for one in found], dtype=np.float64)
    judged = judge_segmenter(
        held_out["image_id"].to_list(),
        held_out["group_id"].to_list(),
        counts.reshape(-1, size, size),
        recipe.classes,
    )
    scored = score(
        judged,
        np.arange(held_out.height),
        resamples=recipe.resamples,
        confidence=recipe.confidence,
        seed=recipe.interval_seed,
    )
    return {
        "n_images": scored.n_images,
        "n_subjects": scored.n_subjects,
        "metrics": {name: vars(one) for name, one in scored.estimates.items()},
    }
