"""A trained segmenter as the teacher of a smaller one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from safetensors.torch import load

from iip_assets.inference.frame import Frame
from iip_assets.models.distillation import Distillation
from iip_assets.models.segmenter import build_network
from iip_assets.models.teacher import UnfitTeacherError


def distillation_of(
    teacher: Mapping[str, bytes], student: Frame, classes: Sequence[str], *, share: float
) -> Distillation:
    """What a student learns from a trained segmenter.

    Args:
        teacher: Its files.
        student: The student's input.
        classes: That the student learns.
        share: Of the loss that the teacher has.

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
    network = build_network(
        card["encoder"],
        classes=len(classes),
        decoder_channels=card["decoder_channels"],
        pretrained=False,
        seed=0,
    )
    network.load_state_dict(load(teacher["segmenter.safetensors"]))
    return Distillation(network.eval(), frame, shrink, share)
