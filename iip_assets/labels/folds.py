"""Folds of images by subject, of which each is judged by models that learned from the others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iip_assets.engine.values import Files

FOLD = "fold_{}/{}"
"""What a file of a fold's model is called: the fold and its own name."""


def deal_folds(groups: Sequence[str], folds: int) -> NDArray[np.int64]:
    """The fold of each image, (N,), whole groups at a time, so many groups in each as can be.

    Groups are dealt in the order of their hashes; with fewer groups than folds each has its own.
    """
    ordered = sorted(set(groups), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    fold_of = {name: place % folds for place, name in enumerate(ordered)}
    return np.array([fold_of[name] for name in groups], dtype=np.int64)


def reason_for_no_folds(groups: Sequence[str], *, least: int, what: str) -> str | None:
    """Why no image can be held out from the others, or None if it can."""
    if len(groups) < least:
        return (
            f"to hold images out from the others takes {least} with {what}; there are {len(groups)}"
        )
    if len(set(groups)) < 2:
        return f"all images with {what} are one group: none can be held out from the others"
    return None


def fold_files(files: Files) -> dict[int, dict[str, bytes]]:
    """By fold the files of its segmenter."""
    found: dict[int, dict[str, bytes]] = {}
    for name, part in files.parts.items():
        folder, _, own = name.partition("/")
        found.setdefault(int(folder.removeprefix("fold_")), {})[own] = part
    return found
