"""The segmenter as an artifact: trained and exported."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save

from iip_assets.embeddings.onnx_export import export_onnx
from iip_assets.engine.values import Files, Noted, Skipped
from iip_assets.images.decode import NOT_LABELLED
from iip_assets.images.store import Reader
from iip_assets.inference.frame import Frame
from iip_assets.inference.segmenter import eye_classes, prior_png, read_pair
from iip_assets.models.distillation import Distillation, UnfitTeacherError
from iip_assets.models.fair_task import log_doubts, remedy_of, sides_of
from iip_assets.models.segmenter import (
    SegmenterTask,
    build_network,
    has_packaged_weights,
    segmentation_loss,
)
from iip_assets.models.training_images import MaskedImages
from iip_assets.settings import SegmenterSettings
from iip_assets.training.preflight import log_absent, start_of
from iip_assets.training.trainer import Schedule, TrainingRun, train_network

_WEIGHT_DECAY = 0.01


def schedule_of(settings: SegmenterSettings) -> Schedule:
    """How long and how fast the segmenter learns."""
    return Schedule(
        epochs=settings.epochs,
        patience=settings.patience,
        learning_rate=settings.learning_rate,
        weight_decay=_WEIGHT_DECAY,
        batch_size=settings.batch_size,
        seed=settings.seed,
    )


def build_segmenter(
    rows: pl.DataFrame,
    store: Reader,
    settings: SegmenterSettings,
    *,
    classes: Sequence[str],
    max_megapixels: float,
    run: TrainingRun,
    resampled: bool = False,
    teacher: Mapping[str, bytes] | None = None,
    network: torch.nn.Module | None = None,
) -> Noted[Files] | Skipped:
    """The segmenter's files, and how its training went; why there is none without labelled pixels.

    `segmenter.onnx` goes from standardised images in the frame to logits, `segmenter.safetensors`
    holds the weights, `prior.png` the commonest class by place, `card.json` says what whoever runs
    it must know, and nothing that was measured.

    Args:
        rows: The table of segmenter_examples.
        store: Where the images are.
        settings: How to build and train.
        classes: The K names.
        max_megapixels: The largest image that is decoded.
        run: Where to train, watched by whom.
        resampled: Whether training images are drawn by what they weigh, and then count the same.
        teacher: The files of a segmenter that this one learns from beside the masks.
        network: What it goes on from, (B, 3, H, W) to logits; None: a new one of the settings.

    Raises:
        CannotLearnError: A check before a long training failed.
        UnfitTeacherError: The teacher cannot teach it.
    """
    frame, schedule = Frame(settings.width, settings.height), schedule_of(settings)
    eye = eye_classes(classes) if settings.two_pass else ()

    def examples_of(split: str, frame: Frame = frame) -> MaskedImages:
        part = rows.filter(pl.col("split") == split)
        alike = resampled and split == "train"
        return MaskedImages(
            Pairs(store, part.to_dicts(), len(classes), max_megapixels),
            frame=frame,
            weights=[1.0] * part.height if alike else part["weight"].to_list(),
            seed=schedule.seed,
            threads=run.machine.threads,
            augmented=split == "train",
            eye=eye if split != "test" else (),
            sides=sides_of(part),
        )

    examples, held_out, test = (examples_of(split) for split in ("train", "validation", "test"))
    counts = {
        split: images_by_class(part.fitted_masks(), classes)
        for split, part in (("train", examples), ("validation", held_out), ("test", test))
    }
    if not any(counts["train"].values()):
        return Skipped("no mask to train on has a pixel that is labelled")
    log_absent(counts, classes, log=run.log)
    pretrained = has_packaged_weights(settings.encoder)
    if network is None:
        network = build_network(
            settings.encoder,
            classes=len(classes),
            decoder_channels=settings.decoder_channels,
            pretrained=pretrained,
            seed=schedule.seed,
        )
    start = start_of(
        network,
        examples,
        schedule,
        run.machine,
        classes=len(classes),
        ignored=NOT_LABELLED,
        loss_of=partial(segmentation_loss, ignored=NOT_LABELLED),
        what="segmenter",
    )
    distillation = None
    if teacher is not None:
        distillation = distillation_of(teacher, frame, classes, share=settings.teacher_share)
    learned = rows.filter(pl.col("split") == "train")
    fair = remedy_of(rows, classes, eye=eye_classes(classes) or tuple(range(len(classes))))
    log_doubts(fair, sides_of(learned), network, run.log)
    trained = train_network(
        network,
        task=partial(SegmenterTask, distillation=distillation, fair=fair),
        examples=examples_of("train", distillation.frame) if distillation else examples,
        validation=held_out if any(counts["validation"].values()) else None,
        sides=sides_of(learned),
        drawn=learned["weight"].to_numpy() if resampled else None,
        schedule=schedule,
        run=run,
        label="training the segmenter",
    )
    card = {
        "classes": list(classes),
        "encoder": settings.encoder,
        "encoder_pretrained": pretrained,
        "decoder_channels": list(settings.decoder_channels),
        "input_width": frame.width,
        "input_height": frame.height,
        "two_pass": bool(eye),
        "mean": list(frame.mean),
        "std": list(frame.std),
    }
    parts = {
        "segmenter.onnx": export_onnx(
            network, (3, frame.height, frame.width), input_name="image", output_name="logits"
        ),
        "segmenter.safetensors": save(
            {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        ),
        "prior.png": prior_png(examples.fitted_masks(), len(classes)),
        "card.json": json.dumps(card, indent=2, sort_keys=True).encode(),
    }
    notes: dict[str, Any] = {
        "images": dict(rows.group_by("split").len().sort("split").iter_rows()),
        "images_by_class": counts,
        "settings": asdict(schedule),
        "start": start,
        **asdict(trained),
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


def distillation_of(
    teacher: Mapping[str, bytes], student: Frame, classes: Sequence[str], *, share: float
) -> Distillation:
    """What a student of these classes learns from a trained segmenter, by a share of its loss.

    Raises:
        UnfitTeacherError: It knows other classes, or its input is no multiple of the student's.
    """
    card = json.loads(teacher["card.json"])
    if tuple(card["classes"]) != tuple(classes):
        raise UnfitTeacherError(
            f"the teacher knows {', '.join(card['classes'])}, the student is to learn "
            f"{', '.join(classes)}; choose another segmenter.teacher"
        )
    frame = Frame.of_card(card)
    shrink = frame.width // student.width
    if shrink < 1 or (student.width * shrink, student.height * shrink) != (
        frame.width,
        frame.height,
    ):
        raise UnfitTeacherError(
            f"the teacher sees {frame.width}x{frame.height}, which is no multiple of the student's "
            f"{student.width}x{student.height}; change segmenter.width and segmenter.height"
        )
    return Distillation(restored_segmenter(teacher), frame, shrink, share)


def restored_segmenter(files: Mapping[str, bytes]) -> torch.nn.Module:
    """A trained segmenter from its files, (B, 3, H, W) to logits (B, K, H, W)."""
    card = json.loads(files["card.json"])
    network = build_network(
        card["encoder"],
        classes=len(card["classes"]),
        decoder_channels=card["decoder_channels"],
        pretrained=False,
        seed=0,
    )
    network.load_state_dict(load(files["segmenter.safetensors"]))
    return network.eval()
