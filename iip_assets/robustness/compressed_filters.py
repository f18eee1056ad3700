"""Smaller filters, each one network from pixels to probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from iip_assets.images.decode import decode_image
from iip_assets.images.letterbox import letterbox_image
from iip_assets.inference.filter import has_head
from iip_assets.models.filter import (
    build_filter,
    examples_of,
    head_layers,
    restored_filter,
    schedule_of,
)
from iip_assets.models.filter_network import build_classifier, train_head
from iip_assets.robustness.compressed_models import Averaging, Batch, Original, Parts, made, pruned
from iip_assets.robustness.variants import student_of
from iip_assets.settings import FilterSettings
from iip_assets.training.trainer import seeded

# Images a step: a head's batches are large, of which a network would see too few.
_STEP = 16


def smaller_filters(
    records: Sequence[dict[str, Any]], *, original: Original
) -> list[dict[str, str]]:
    """`files` of each record's `variant`, as `made` gives them."""
    return [made(original, one["variant"], inputs=_inputs, learned=_learned) for one in records]


def _inputs(original: Original, row: dict[str, Any]) -> list[NDArray[np.uint8]]:
    frame = original.frame
    return [letterbox_image(_image(original, row["image_id"]), frame.width, frame.height)]


def _image(original: Original, image_id: str) -> NDArray[np.uint8]:
    return decode_image(original.store.read(image_id), max_megapixels=original.max_megapixels)


def _learned(original: Original, variant: str, averaged: Sequence[Batch]) -> Parts:
    """The files of a pruned network, or of a student; both learn from the original too."""
    training, frame, student = original.training, original.frame, student_of(variant)
    recipe = original.recipe.model_dump()
    recipe |= {"train": "network", "network": student, "teacher": "", "seed": training.seed}
    recipe |= {"width": frame.width, "height": frame.height}
    recipe["network_epochs"] = training.student_epochs if student else training.epochs
    recipe["batch_size"] = min(_STEP, recipe["batch_size"])
    network = Averaging(smaller_network(original, variant), averaged)
    if not student and has_head(original.files.parts):
        network = Averaging(_with_new_head(network, original), averaged)
    return build_filter(
        original.examples,
        original.backbone,
        FilterSettings(**recipe),
        load=partial(_image, original),
        run=original.run,
        resampled=original.resampled,
        teacher=original.files.parts,
        network=network,
    ).value.parts


def smaller_network(original: Original, variant: str) -> torch.nn.Module:
    """What learns, (B, 3, H, W) to logits: the pruned network, or a new student."""
    seed, classes = original.training.seed, len(original.card["classes"])
    if student := student_of(variant):
        return build_classifier(original.backbone, classes, seed=seed, model=student)
    network, _ = restored_filter(original.files.parts, original.backbone)
    *_, last = (one for one in network.modules() if isinstance(one, torch.nn.Linear))
    return pruned(network, variant, original.frame, kept=last, seed=seed)


def _with_new_head(network: Averaging, original: Original) -> torch.nn.Module:
    """The pruned backbone under a head that was trained anew on its embeddings.

    With fewer channels, and with averages of these images in its batch norm, they are other numbers
    than before. The old head would misread them, and training on would begin at chance.
    """
    backbone, frame = next(network.eval().network.children()), original.frame
    ids, vectors = original.examples["image_id"], list[NDArray[np.float32]]()
    with seeded(0, threads=original.run.machine.threads), torch.inference_mode():
        for first in range(0, len(ids), _STEP):
            rows = [{"image_id": one} for one in ids[first : first + _STEP]]
            fitted = np.stack([one for row in rows for one in _inputs(original, row)])
            vectors += [*backbone(torch.from_numpy(frame.standardise(fitted))).numpy()]
    embeddings = pl.Series("embedding", vectors, original.examples["embedding"].dtype)
    embedded = original.examples.with_columns(embeddings)
    learned, held_out = (
        examples_of(embedded.filter(split=split), len(vectors[0]))
        for split in ("train", "validation")
    )
    schedule = schedule_of(FilterSettings(**original.recipe.model_dump()), "head")
    classes = len(original.card["classes"])
    head, _ = train_head(learned, held_out, schedule, classes=classes, run=original.run)
    return torch.nn.Sequential(backbone, *head_layers(head.state_dict()))
