"""The words of the data set: labels, eyes, splits, file names. No behaviour."""

from __future__ import annotations

LABELS = ("full", "partial", "none", "unclear")
"""What a labeler may say of an image; `unclear` is counted and discussed, never trained on."""

EYES = ("left", "right")

FACTS = (
    "subject_id",
    "eye",
    "age_years",
    "gender",
    "ethnicity",
    "geography",
    "device",
    "captured_at",
)
"""What is known of an image besides its label. What a newer row says replaces what an older one
said; what it leaves empty does not."""

SPLITS = ("train", "validation", "test")

UNKNOWN = "unknown"
"""The slice of what is not known. In labels.csv the word means the same as an empty cell."""

LABELS_FILE = "labels.csv"
ANNOTATIONS_FILE = "annotations.csv"
LABELING_FILE = "LABELING.md"
BATCHES_FOLDER = "batches"
MASKS_FOLDER = "masks"

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
