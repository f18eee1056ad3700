"""The segmenter as an artifact: trained and exported."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from iip_assets.embeddings.onnx_export import export_onnx
from iip_assets.engine.values import Files, Noted
from iip_assets.images.decode import NOT_LABELLED
from iip_assets.images.store import Reader
from iip_assets.inference.frame import Frame
from iip_assets.inference.segmenter import eye_classes, prior_png, read_pair
from iip_assets.models.losses import segmentation_loss
from iip_assets.models.masked_images import MaskedImages
from iip_assets.models.segmenter import build_network, has_packaged_weights, train_segmenter
from iip_assets.models.segmenter_teacher import distillation_of
from iip_assets.settings import SegmenterSettings, TrainingSettings
from iip_assets.training.preflight import Checks, is_wanted, look_at_start, tell_absent
from iip_assets.training.trainer import Around, Schedule

_WEIGHT_DECAY = 0.01

LEAST_IMAGES = 8
"""Fewer masked training images than this train no segmenter."""


@dataclass(frozen=True)
class SegmenterRecipe:
    """How the segmenter is built and trained."""

    classes: tuple[str, ...]
    encoder: str
    decoder_channels: tuple[int, ...]
    width: int
    height: int
    two_pass: bool
    schedule: Schedule
    teacher_share: float
    checks: Checks
    max_megapixels: float


def recipe_of(
    settings: SegmenterSettings,
    training: TrainingSettings,
    *,
    classes: Sequence[str],
    max_megapixels: float,
) -> SegmenterRecipe:
    """The recipe that the settings mean."""
    return SegmenterRecipe(
        classes=tuple(classes),
        encoder=settings.encoder,
        decoder_channels=settings.decoder_channels,
        width=settings.width,
        height=settings.height,
        two_pass=settings.two_pass and bool(eye_classes(classes)),
        schedule=Schedule(
            epochs=settings.epochs,
            patience=settings.patience,
            learning_rate=settings.learning_rate,
            weight_decay=_WEIGHT_DECAY,
            batch_size=settings.batch_size,
            seed=settings.seed,
        ),
        teacher_share=settings.teacher_share,
        checks=training.checks,
        max_megapixels=max_megapixels,
    )


def reason_not_to_train(rows: pl.DataFrame, classes: Sequence[str]) -> str | None:
    """Why these images train no segmenter, or None if they do."""
    if len(classes) < 2:
        return f"dataset.mask_classes names {len(classes)} class; a segmenter needs two at least"
    count = rows.filter(pl.col("split") == "train").height
    if not count:
        return "no training image has a mask"
    if count < LEAST_IMAGES:
        return f"only {count} training images have a mask; {LEAST_IMAGES} at least"
    return None


def build_segmenter(
    rows: pl.DataFrame,
    weights: Mapping[str, float],
    store: Reader,
    recipe: SegmenterRecipe,
    *,
    around: Around,
    teacher: Mapping[str, bytes] | None = None,
) -> Noted[Files]:
    """The segmenter's files, and how its training went.

    `segmenter.onnx` goes from standardised images in the frame to logits, `segmenter.safetensors`
    holds the weights, `prior.png` the commonest class by place, `card.json` says what whoever runs
    it must know, and nothing that was measured.

    Args:
        rows: From `examples.masked_rows`.
        weights: What a training image counts, by image id; 1 where it is not named.
        store: Where the images are.
        recipe: How to build and train.
        around: Where to train, watched by whom.
        teacher: The files of a segmenter that this one learns from beside the masks.

    Raises:
        CannotLearnError: A check before a long training failed.
        UnfitTeacherError: The teacher cannot teach it.
    """
    frame = Frame(recipe.width, recipe.height)
    classes = len(recipe.classes)
    threads = around.machine.threads

    eye = eye_classes(recipe.classes) if recipe.two_pass else ()

    def examples_of(split: str, frame: Frame = frame) -> MaskedImages:
        part = rows.filter(pl.col("split") == split).to_dicts()
        return MaskedImages(
            Pairs(store, part, classes, recipe.max_megapixels),
            frame=frame,
            weights=[weights.get(row["image_id"], 1.0) for row in part],
            seed=recipe.schedule.seed,
            threads=threads,
            augmented=split == "train",
            eye=eye if split != "test" else (),
        )

    examples, held_out, test = (examples_of(split) for split in ("train", "validation", "test"))
    counts = {
        split: images_by_class(part.fitted_masks(), recipe.classes)
        for split, part in (("train", examples), ("validation", held_out), ("test", test))
    }
    tell_absent(counts, recipe.classes, log=around.log)
    pretrained = has_packaged_weights(recipe.encoder)
    network = build_network(
        recipe.encoder,
        classes=classes,
        decoder_channels=recipe.decoder_channels,
        pretrained=pretrained,
        seed=recipe.schedule.seed,
    )
    start = _start(network, examples, recipe, threads=threads)
    distillation = None
    if teacher is not None:
        distillation = distillation_of(teacher, frame, recipe.classes, share=recipe.teacher_share)
    trained = train_segmenter(
        network,
        examples_of("train", distillation.frame) if distillation else examples,
        held_out,
        recipe.schedule,
        around=around,
        distillation=distillation,
    )
    card = {
        "classes": list(recipe.classes),
        "encoder": recipe.encoder,
        "encoder_pretrained": pretrained,
        "decoder_channels": list(recipe.decoder_channels),
        "input_width": recipe.width,
        "input_height": recipe.height,
        "two_pass": recipe.two_pass,
        "mean": list(frame.mean),
        "std": list(frame.std),
    }
    parts = {
        "segmenter.onnx": export_onnx(
            network,
            (3, recipe.height, recipe.width),
            input_name="image",
            output_name="logits",
        ),
        "segmenter.safetensors": save(
            {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        ),
        "prior.png": prior_png(examples.fitted_masks(), classes),
        "card.json": json.dumps(card, indent=2, sort_keys=True).encode(),
    }
    notes: dict[str, Any] = {
        "images": dict(rows.group_by("split").len().sort("split").iter_rows()),
        "images_by_class": counts,
        "settings": asdict(recipe.schedule),
        "start": start,
        "history": list(trained.history),
        "best_epoch": trained.best_epoch,
    }
    version_of = ("segmenter.safetensors", "prior.png", "card.json")
    return Noted(Files(parts, version_of=version_of), notes)


@dataclass(frozen=True)
class Pairs:
    """Image (H, W, 3) and mask (H, W) by place; survives pickling, for other processes."""

    store: Reader
    rows: Sequence[dict[str, Any]]
    classes: int
    max_megapixels: float

    def __call__(self, place: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Reads a pair.

        Raises:
            Undecodable: One of them cannot be decoded.
        """
        return read_pair(
            self.store,
            self.rows[place],
            classes=self.classes,
            max_megapixels=self.max_megapixels,
        )


def images_by_class(masks: Iterable[NDArray[np.uint8]], classes: Sequence[str]) -> dict[str, int]:
    """In how many masks (H, W) each class occurs."""
    counts = np.zeros(256, np.int64)
    for mask in masks:
        counts[np.unique(mask)] += 1
    return {name: int(counts[place]) for place, name in enumerate(classes)}


def _start(
    network: torch.nn.Module, examples: MaskedImages, recipe: SegmenterRecipe, *, threads: int
) -> dict[str, float] | None:
    """What was seen before the training, if it is long enough to look."""
    schedule = recipe.schedule
    if not is_wanted(recipe.checks, schedule, len(examples)):
        return None
    batch = [examples[0, place] for place in range(min(8, len(examples)))]
    images, masks, weights = (torch.stack(parts) for parts in zip(*batch, strict=True))
    found = look_at_start(
        network,
        images,
        masks,
        classes=len(recipe.classes),
        ignored=NOT_LABELLED,
        loss_of=lambda logits, truth: segmentation_loss(
            logits, truth, weights, ignored=NOT_LABELLED
        ),
        learning_rate=schedule.learning_rate,
        seed=schedule.seed,
        threads=threads,
        what="segmenter",
    )
    return asdict(found)
