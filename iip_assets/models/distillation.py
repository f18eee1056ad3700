"""A teacher: a trained model whose probabilities another one learns beside the labels.

Hinton, Vinyals and Dean (2015): what a teacher holds possible says more than the one right word,
so that a small network learns more of the same pictures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from safetensors.torch import load

from iip_assets.models.filter_pixels import FilterFromPixels
from iip_assets.models.lesson import Lesson
from iip_assets.models.predict import has_head, head_scores
from iip_assets.models.preprocess import Frame
from iip_assets.models.segmenter import build_network
from iip_assets.models.words import FILTER_CLASSES


class UnfitTeacherError(ValueError):
    """The teacher cannot teach this student; the words say why."""


def lesson_of(
    teacher: Mapping[str, bytes], student: Frame, classes: Sequence[str], *, share: float
) -> Lesson:
    """The lesson of a trained segmenter.

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
    return Lesson(network.eval(), frame, shrink, share)


def softened_truth(
    pictures: pl.DataFrame,
    classes: NDArray[np.int64],
    teacher: Mapping[str, bytes],
    *,
    backbone_sha256: str,
    load_picture: Callable[[str], NDArray[np.uint8]],
    share: float,
    threads: int,
) -> NDArray[np.float32]:
    """(N, K) shares of classes: the labels', and the word of a trained filter.

    Args:
        pictures: (N) `image_id` and `embedding`.
        classes: (N,) the labels.
        teacher: The filter's files.
        backbone_sha256: Of the backbone that made the embeddings.
        load_picture: Reads a picture (H, W, 3) by its id.
        share: That the teacher's word has.
        threads: On the processor.

    Raises:
        UnfitTeacherError: It is a head on other embeddings.
    """
    told = np.eye(len(FILTER_CLASSES), dtype=np.float32)[classes]
    if not len(classes):
        return told
    if has_head(teacher):
        if json.loads(teacher["card.json"])["weights_sha256"] != backbone_sha256:
            raise UnfitTeacherError(
                "the teacher is a head on the embeddings of another backbone; choose another "
                "filter.teacher"
            )
        scores = head_scores(pictures.select("image_id", "embedding"), teacher)
        ordered = pictures.select("image_id").join(
            scores, on="image_id", how="left", maintain_order="left"
        )
        said = ordered.select(f"prob_{name}" for name in FILTER_CLASSES).to_numpy()
    else:
        network = FilterFromPixels(teacher, threads=threads)
        said = np.concatenate(
            [network.probabilities([load_picture(one)]) for one in pictures["image_id"]]
        )
    return ((1 - share) * told + share * said).astype(np.float32)
