"""How near `eye_geometry` comes to what masks say, on a batch that has masks; by device.

python benchmarks/eye_geometry.py BATCH [--json FILE]

BATCH holds labels.csv, images/ and masks/, as `iip ingest` takes it, with the classes background,
sclera, iris and pupil. The landmark file must be installed. An eye is believed where the network's
answers on the image and its mirror image agree.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from scipy.stats import pearsonr, spearmanr

from iip_assets.images.decode import decode_image, decode_mask
from iip_assets.statistics.eye_geometry import Landmarks, measure_eye
from iip_assets.statistics.eye_quality import eye_measures
from iip_assets.statistics.landmark_file import MISSING, open_landmarks, read_landmark_file
from iip_assets.statistics.planes import luma_of

CLASSES = ("background", "sclera", "iris", "pupil")
EDGES = ("left", "top", "right", "bottom")

Record = dict[str, Any]


def compared(batch: Path, row: Mapping[str, str], landmarks: Landmarks) -> Record | None:
    """One image's eye by landmarks beside its mask's; None where the mask shows no iris."""
    image = decode_image((batch / row["image"]).read_bytes(), max_megapixels=50)
    height, width = image.shape[:2]
    mask = decode_mask((batch / row["mask"]).read_bytes(), height=height, width=width, n_classes=4)
    iris = cv2.inRange(mask, 2, 3)
    by_mask = eye_measures(luma_of(image), mask, mask_classes=CLASSES)
    if by_mask["iris_radius_px"] is None:
        return None
    started = time.process_time()
    found = measure_eye(image, landmarks)
    record = {"device": row["device"], "ms": 1000 * (time.process_time() - started)}
    if found["openness"] is None:
        return record | {"believed": False}
    rows, columns = np.nonzero(iris)
    box = [found[f"iris_{edge}_px"] for edge in EDGES]
    centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    aside = np.hypot(centre[0] - columns.mean(), centre[1] - rows.mean())
    x, y, w, h = cv2.boundingRect(iris)
    eye = np.isin(mask, (1, 2, 3))
    return record | {
        "believed": True,
        "centre": aside / by_mask["iris_radius_px"],
        "iou": overlap(box, [x, y, x + w, y + h]),
        "openness": (
            found["openness"],
            np.percentile(eye.sum(axis=0), 95) / np.count_nonzero(eye.any(axis=0)),
        ),
        "gaze": (found["gaze_x"], by_mask["gaze_x"]),
    }


def overlap(one: list[float], other: list[float]) -> float:
    """IoU of two boxes of left, top, right, bottom."""
    inner = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = np.prod(np.maximum(0, inner))
    areas = [np.prod(np.subtract(box[2:], box[:2])) for box in (one, other)]
    return float(shared / (sum(areas) - shared))


def summary(records: list[Record]) -> Record:
    """The figures of some images."""
    seen = [one for one in records if one["believed"]]
    gaze = [one["gaze"] for one in seen if one["gaze"][1] is not None]
    return {
        "images": len(records),
        "believed": len(seen) / len(records),
        "centre off, median, radii": median(one["centre"] for one in seen),
        "centre within half a radius": float(np.mean([one["centre"] < 0.5 for one in seen])),
        "iris box IoU, median": median(one["iou"] for one in seen),
        "openness, rank correlation": float(
            spearmanr(*zip(*[s["openness"] for s in seen], strict=True))[0]
        ),
        "gaze_x, correlation": float(pearsonr(*zip(*gaze, strict=True))[0]),
        "processor ms an image": median(one["ms"] for one in records),
    }


def main() -> None:
    """Prints a table and, if asked, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("batch", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    data = read_landmark_file()
    if data is None:
        parser.error(MISSING)
    landmarks = open_landmarks(data)
    with (options.batch / "labels.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["mask"]]
    found = [one for row in rows if (one := compared(options.batch, row, landmarks))]
    results = {
        device: summary([one for one in found if one["device"] == device])
        for device in sorted({one["device"] for one in found})
    }
    for device, figures in results.items():
        print(device or "unknown")
        for name, value in figures.items():
            print(f"  {name:<32}{value:>8.3g}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
