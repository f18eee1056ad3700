"""Are planted wrong labels and masks found: average precision, kinds, places, and memory.

python benchmarks/label_errors.py [--seeds N] [--images N] [--memory] [--json FILE]

Rendered eyes whose labels and masks are right, of which 5% are made wrong: labels flipped to another
class; masks swapped, shifted, dilated, emptied, or without a class that is visible. Beside it
cleanlab's own recipe: for labels logistic regression on the same embeddings in cross-validation and
its self-confidence; for masks its softmin score of the same probabilities.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl

from iip_assets.embeddings.backbone import build_backbone
from iip_assets.embeddings.embedder import embed_chunk, open_embedder
from iip_assets.images.store import content_md5
from iip_assets.inference.segmenter import Segmenter
from iip_assets.labels.fold_segmenters import train_fold_segmenters
from iip_assets.labels.folds import deal_folds, fold_files
from iip_assets.labels.label_errors import class_errors, mask_errors
from iip_assets.labels.mask_scores import compared, score_masks
from iip_assets.labels.out_of_fold import out_of_fold_filter
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.settings import (
    LabelErrorSettings,
    MaskErrorSettings,
    SegmenterSettings,
    TrainingSettings,
)
from iip_assets.synthetic.parameters import SAMPLE
from iip_assets.synthetic.plan import Dataset
from iip_assets.synthetic.write import make_image
from iip_assets.training.progress import no_progress
from iip_assets.training.trainer import Machine, TrainingRun

CLASSES = ("background", "sclera", "iris", "pupil")
SCLERA, IRIS, PUPIL = 1, 2, 3
KINDS = ("swapped", "shifted", "resized", "empty", "missing")
BAD = 0.05
READ = {"max_megapixels": 50.0, "threads": 2}


class Memory(dict[str, bytes]):
    """Bytes by md5."""

    def add(self, data: bytes) -> str:
        md5 = content_md5(data)
        self[md5] = data
        return md5

    def read(self, md5: str) -> bytes:
        return self[md5]

    def fetch(self, md5s: Sequence[str]) -> None:
        del md5s


def damaged(mask: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """The mask with an error of the kind; as it was where it lacks what the error needs."""
    spoiled = mask.copy()
    width = mask.shape[1]
    if kind == "swapped":
        one, other = ((SCLERA, IRIS), (IRIS, PUPIL))[rng.integers(2)]
        if (mask == one).any() and (mask == other).any():
            spoiled[mask == one], spoiled[mask == other] = other, one
    elif kind == "shifted":  # by 4% to 9% of the width
        turn, far = rng.uniform(0, 2 * np.pi), width * rng.uniform(0.04, 0.09)
        move = np.array([(1, 0, far * np.cos(turn)), (0, 1, far * np.sin(turn))], np.float32)
        spoiled = cv2.warpAffine(mask, move, mask.shape[::-1], flags=cv2.INTER_NEAREST)
    elif kind == "resized":  # the iris, by 2% to 3.5% of the width
        side = 2 * max(2, round(width * rng.uniform(0.02, 0.035))) + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        grown = cv2.dilate((mask >= IRIS).astype(np.uint8), disc) > 0
        spoiled[grown & (mask < IRIS)] = IRIS
    elif kind == "empty":
        spoiled[:] = 0
    elif kind == "missing":
        lost = rng.integers(1, 4)
        spoiled[mask == lost] = lost - 1
    return spoiled


def rendered(count: int, seed: int, store: Memory) -> tuple[pl.DataFrame, list[np.ndarray]]:
    """image_id, group_id and label of rendered eyes, and their true masks."""
    dataset = Dataset(images=count, seed=100 + seed, batches=1, effects=SAMPLE)
    rows, masks = [], []
    for index in range(count):
        made = make_image(dataset, index, width=160, height=120)
        rows.append(
            {
                "image_id": store.add(made.jpeg),
                "group_id": made.truth["subject_id"],
                "label": made.truth["label"],
            }
        )
        masks.append(cv2.imdecode(np.frombuffer(made.png, np.uint8), cv2.IMREAD_UNCHANGED))
    return pl.DataFrame(rows), masks
