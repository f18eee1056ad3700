"""Images that several labelers labelled and drew, with planted truth, as the asset reads them."""

import cv2
import numpy as np
import polars as pl

from iip_assets.dataset.schema import ANNOTATIONS_FILE, label_rows_schema
from iip_assets.labels.agreement import WORDS
from iip_assets_tests.embeddings.stand_ins import MemoryStore

CLASSES = ("background", "sclera", "iris", "pupil")
SIZE = (48, 64)
GOOD, BAD = ("ann", "ben", "cid", "dee"), "eve"


def eye_mask(x, y, radius):
    mask = np.zeros(SIZE, np.uint8)
    for value, times in ((1, 1.8), (2, 1.0), (3, 0.45)):
        cv2.circle(mask, (round(x), round(y)), max(1, round(radius * times)), value, -1)
    return mask


def true_masks(count, seed=0):
    rng = np.random.default_rng(seed)
    return [
        eye_mask(*rng.uniform((26, 20), (38, 28)), float(rng.uniform(7, 10))) for _ in range(count)
    ]


def moved(mask, right, down):
    return np.roll(mask, (down, right), (0, 1))


def as_drawn(mask, labeler, rng):
    """Good labelers are a pixel off; the bad one is far off and draws all too large."""
    if labeler != BAD:
        return moved(mask, *rng.integers(-1, 2, 2))
    return cv2.dilate(moved(mask, *rng.integers(-5, 6, 2)), np.ones((5, 5), np.uint8))


def words_table(*rows):
    """image_id, labeler, label and, where there is one, mask_id; a subject an image."""
    full = [
        dict(zip(("image_id", "labeler", "label", "mask_id"), (*row, None), strict=False))
        for row in rows
    ]
    return pl.DataFrame([{**row, "group_id": f"g{row['image_id']}"} for row in full], schema=WORDS)


def label_rows(rows):
    """The rows as annotations.csv says them: image_id, labeler, label, mask_id."""
    names = ("image_id", "labeler", "label", "mask_id")
    empty = dict.fromkeys(label_rows_schema())
    told = [
        {**empty, "batch": "b", "file": ANNOTATIONS_FILE, **dict(zip(names, row, strict=True))}
        for row in rows
    ]
    return pl.DataFrame(told, schema=label_rows_schema())


def five_labelers(count, seed=0):
    """A store, label rows and the truth (labels and masks by image id) of images that all saw."""
    rng = np.random.default_rng(seed)
    store, rows, truth = MemoryStore(), [], {}
    for index, mask in enumerate(true_masks(count, seed)):
        pixels = rng.integers(0, 255, (*SIZE, 3)).astype(np.uint8)
        image_id, label = store.add_png(pixels), ("full", "partial", "none")[index % 3]
        truth[image_id] = (label, mask)
        for labeler in (*GOOD, BAD):
            wrong = rng.random() < (0.8 if labeler == BAD else 0.04)
            said = str(rng.choice(["full", "partial", "none"])) if wrong else label
            rows.append((image_id, labeler, said, store.add_png(as_drawn(mask, labeler, rng))))
    return store, label_rows(rows), truth
