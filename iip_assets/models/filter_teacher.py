"""A trained filter as the teacher of a smaller one: its word beside the labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.inference.filter import has_head, probabilities_of
from iip_assets.metrics.constants import FILTER_CLASSES
from iip_assets.models.teacher import UnfitTeacherError

_MAKES_EMBEDDINGS = ("weights_sha256", "input_width", "input_height")


def softened_truth(
    images: pl.DataFrame,
    classes: NDArray[np.int64],
    teacher: Mapping[str, bytes],
    *,
    backbone: Mapping[str, Any],
    load_image: Callable[[str], NDArray[np.uint8]],
    share: float,
    threads: int,
) -> NDArray[np.float32]:
    """(N, K) shares of classes: the labels', and the word of a trained filter.

    Args:
        images: (N) `image_id` and `embedding`.
        classes: (N,) the labels.
        teacher: The filter's files.
        backbone: Facts of the backbone that made the embeddings: weights and input size.
        load_image: Reads an image (H, W, 3) by its id.
        share: That the teacher's word has.
        threads: On the processor.

    Raises:
        UnfitTeacherError: It is a head on other embeddings.
    """
    told = np.eye(len(FILTER_CLASSES), dtype=np.float32)[classes]
    if not len(classes):
        return told
    if has_head(teacher):
        card = json.loads(teacher["card.json"])
        if any(card[name] != backbone[name] for name in _MAKES_EMBEDDINGS):
            raise UnfitTeacherError(
                "the teacher is a head on other embeddings: of another backbone, or of another "
                "embeddings.width or height; choose another filter.teacher"
            )
    said = probabilities_of(images, teacher, load_image=load_image, threads=threads)
    return ((1 - share) * told + share * said).astype(np.float32)
