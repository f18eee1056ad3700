"""The filter as an artifact: trained, calibrated, scored on validation pictures, exported."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from safetensors.torch import save

from iip_assets.embeddings.device import Device
from iip_assets.embeddings.onnx_export import check_equal
from iip_assets.models.calibration import fit_temperature, softmax
from iip_assets.models.filter_head import Examples, head_logits, train_head
from iip_assets.models.filter_onnx import filter_onnx, head_onnx
from iip_assets.models.judged import judge_filter, score
from iip_assets.models.training import Progress
from iip_assets.models.words import FILTER_CLASSES

LEAST_PICTURES = 10
"""Fewer labelled training pictures than this train no filter."""


@dataclass(frozen=True)
class FilterRecipe:
    """How the filter is trained and judged."""

    epochs: int
    learning_rate: float
    weight_decay: float
    batch_size: int
    seed: int
    resamples: int
    confidence: float
    interval_seed: int


def why_not(pictures: pl.DataFrame) -> str | None:
    """Why these pictures train no filter, or None if they do."""
    labels = pictures.filter(pl.col("split") == "train")["label"]
    if labels.is_empty():
        return "no training picture has a label of full, partial or none"
    if labels.n_unique() < 2:
        return (
            f"all {labels.len()} labelled training pictures are {labels[0]!r}; two words at least"
        )
    if labels.len() < LEAST_PICTURES:
        return f"only {labels.len()} training pictures have a label; {LEAST_PICTURES} at least"
    return None


def build_filter(
    pictures: pl.DataFrame,
    weights: Mapping[str, float],
    backbone: Mapping[str, bytes],
    recipe: FilterRecipe,
    *,
    device: Device,
    threads: int,
    progress: Progress,
) -> dict[str, bytes]:
    """The filter's files.

    `filter.onnx` goes from standardised pictures to probabilities, `filter_head.onnx` from
    embeddings to probabilities, `filter.safetensors` holds the head, `card.json` says what it is.

    Args:
        pictures: From `examples.labelled_pictures`.
        weights: What a training picture counts, by image id; 1 where it is not named.
        backbone: The backbone's files.
        recipe: How to train and judge.
        device: Where to train.
        threads: Threads on the CPU.
        progress: Shows how far it is.
    """
    dimensions = len(pictures["embedding"][0])
    training, validation = (
        examples_of(pictures.filter(pl.col("split") == split), weights, dimensions)
        for split in ("train", "validation")
    )
    head = train_head(
        training,
        validation,
        classes=len(FILTER_CLASSES),
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        device=device,
        threads=threads,
        progress=progress,
    )
    held_out = pictures.filter(pl.col("split") == "validation")
    logits = head_logits(head, validation.embeddings)
    temperature = fit_temperature(logits, validation.classes)
    state = {name: tensor.contiguous() for name, tensor in head.state_dict().items()}
    head_file = head_onnx({name: t.numpy() for name, t in state.items()}, temperature)
    sample = training.embeddings[:8]
    expected = softmax(head_logits(head, sample).astype(np.float64) / temperature)
    check_equal(head_file, sample, expected.astype(np.float32))
    state["temperature"] = torch.tensor(temperature, dtype=torch.float64)

    probabilities = softmax(logits.astype(np.float64) / temperature)
    card = {
        **_backbone_facts(backbone),
        "classes": list(FILTER_CLASSES),
        "temperature": temperature,
        "pictures": _counts(pictures),
        "settings": _facts(recipe),
        "validation": _validation(
            held_out["image_id"].to_list(),
            held_out["group_id"].to_list(),
            validation,
            probabilities,
            recipe,
        ),
    }
    return {
        "filter.onnx": filter_onnx(backbone["backbone.onnx"], head_file),
        "filter_head.onnx": head_file,
        "filter.safetensors": save(state),
        "card.json": json.dumps(card, indent=2, sort_keys=True).encode(),
    }


def examples_of(pictures: pl.DataFrame, weights: Mapping[str, float], dimensions: int) -> Examples:
    """What the head is trained on, of `labelled_pictures`; a picture not in `weights` counts 1."""
    place = {name: index for index, name in enumerate(FILTER_CLASSES)}
    vectors = pictures["embedding"].to_list()
    return Examples(
        embeddings=np.array(vectors, dtype=np.float32).reshape(len(vectors), dimensions),
        classes=np.array([place[label] for label in pictures["label"]], dtype=np.int64),
        weights=np.array([weights.get(one, 1.0) for one in pictures["image_id"]], dtype=np.float64),
    )


def _validation(
    image_ids: Sequence[str],
    groups: Sequence[str],
    validation: Examples,
    probabilities: np.ndarray[Any, np.dtype[np.float64]],
    recipe: FilterRecipe,
) -> dict[str, Any]:
    """Metrics with intervals on the validation pictures, for the card."""
    if not image_ids:
        return {}
    judged = judge_filter(image_ids, groups, validation.classes, probabilities, FILTER_CLASSES)
    scored = score(
        judged,
        np.arange(len(image_ids)),
        resamples=recipe.resamples,
        confidence=recipe.confidence,
        seed=recipe.interval_seed,
    )
    return {
        "n_images": scored.n_images,
        "n_subjects": scored.n_subjects,
        "metrics": {name: vars(one) for name, one in scored.estimates.items()},
    }


def _backbone_facts(backbone: Mapping[str, bytes]) -> dict[str, Any]:
    """What whoever feeds pictures to `filter.onnx` must know."""
    card = json.loads(backbone["card.json"])
    names = ("model", "weights_sha256", "input_width", "input_height", "mean", "std")
    return {name if name != "model" else "backbone": card[name] for name in names}


def _counts(pictures: pl.DataFrame) -> dict[str, dict[str, int]]:
    counts = pictures.group_by("split", "label").len().sort("split", "label")
    table: dict[str, dict[str, int]] = {}
    for split, label, count in counts.iter_rows():
        table.setdefault(split, {})[label] = count
    return table


def _facts(recipe: FilterRecipe) -> dict[str, Any]:
    names = ("epochs", "learning_rate", "weight_decay", "batch_size", "seed")
    return {name: getattr(recipe, name) for name in names}
