"""Smaller segmenters, each in the frame and with the classes of the original."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iip_assets.engine.values import Noted
from iip_assets.inference.frame import box_around, cut_image
from iip_assets.inference.segmenter import eye_classes, read_pair
from iip_assets.models.segmentation_model import build_segmenter, restored_segmenter
from iip_assets.models.segmenter import build_network, has_packaged_weights
from iip_assets.robustness.compressed_models import Averaging, Batch, Original, Parts, made, pruned
from iip_assets.robustness.variants import student_of
from iip_assets.settings import SegmenterSettings

# The fewest channels of a step of a student's decoder.
_FEWEST = 8


def smaller_segmenters(
    records: Sequence[dict[str, Any]], *, original: Original
) -> list[dict[str, str]]:
    """`files` of each record's `variant`, as `made` gives them."""
    return [made(original, one["variant"], inputs=_inputs, learned=_learned) for one in records]


def _inputs(original: Original, row: dict[str, Any]) -> list[NDArray[np.uint8]]:
    """The image in the frame and, of a segmenter that looks twice, its close look at the eye."""
    card, frame, largest = original.card, original.frame, original.max_megapixels
    classes = card["classes"]
    image, mask = read_pair(original.store, row, classes=len(classes), max_megapixels=largest)
    eye = eye_classes(classes) if card["two_pass"] else ()
    box = box_around(np.isin(mask, eye), frame)
    return [frame.fit_image(image), *([] if box is None else [cut_image(image, box, frame)])]


def _learned(original: Original, variant: str, averaged: Sequence[Batch]) -> Parts:
    """The files of a pruned network, or of a student; both learn from the original too."""
    training, card, student = original.training, original.card, student_of(variant)
    recipe = original.recipe.model_dump() | {"teacher": "", "seed": training.seed}
    recipe |= {"width": card["input_width"], "height": card["input_height"]}
    recipe |= {"two_pass": card["two_pass"], "encoder": student or card["encoder"]}
    recipe["decoder_channels"] = _decoder(original, variant)
    recipe["epochs"] = training.student_epochs if student else training.epochs
    built = build_segmenter(
        original.examples,
        original.store,
        SegmenterSettings(**recipe),
        classes=card["classes"],
        max_megapixels=original.max_megapixels,
        run=original.run,
        resampled=original.resampled,
        teacher=original.files.parts,
        network=Averaging(smaller_network(original, variant), averaged),
    )
    assert isinstance(built, Noted)  # the original learned from the same pixels
    return built.value.parts


def smaller_network(original: Original, variant: str) -> torch.nn.Module:
    """What learns, (B, 3, H, W) to logits: the pruned network, or a new student."""
    seed = original.training.seed
    if student := student_of(variant):
        return build_network(
            student,
            classes=len(original.card["classes"]),
            decoder_channels=_decoder(original, variant),
            pretrained=has_packaged_weights(student),
            seed=seed,
        )
    network = restored_segmenter(original.files.parts)
    kept = network.get_submodule("segmentation_head")
    return pruned(network, variant, original.frame, kept=kept, seed=seed)


def _decoder(original: Original, variant: str) -> tuple[int, ...]:
    """The channels of the steps up; a student has half as many."""
    channels = original.card["decoder_channels"]
    return tuple(max(_FEWEST, one // 2) if student_of(variant) else one for one in channels)
