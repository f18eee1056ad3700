"""The consensus as a batch: what the labelers agree on comes back as data, and is kept as such.

Its rows name no labeler, so they are nobody's word when agreement is measured again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import polars as pl

from iip_assets.dataset.csv_file import csv_text
from iip_assets.dataset.schema import LABELS_FILE, MASKS_FOLDER
from iip_assets.images.decode import decode_mask
from iip_assets.images.header import read_header
from iip_assets.images.store import ImageStore, content_md5
from iip_assets.labels.consensus import vote_mask
from iip_assets.labels.labeler_quality import MASK


@dataclass(frozen=True)
class ConsensusBatch:
    """How many labels and masks were written; the others that are clear are in use already."""

    labels: int
    masks: int


def write_consensus(
    out: Path,
    consensus: Mapping[str, pl.DataFrame],
    images: pl.DataFrame,
    *,
    store: ImageStore,
    n_classes: int,
) -> ConsensusBatch:
    """Writes clear labels and masks that differ from those in use; no folder where there is none.

    Args:
        out: The batch's folder, which must be empty or not exist.
        consensus: The tables of label_consensus.
        images: The table of images, with the label and the mask in use.
        store: Where masks are.
        n_classes: K, of the masks.

    Raises:
        ValueError: The folder is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is not empty: name a new folder, so that nothing is overwritten")
    in_use = {row["image_id"]: row for row in images.iter_rows(named=True)}
    clear = consensus["classes"].filter("clear").select("image_id", "consensus").iter_rows()
    rows = {
        image_id: {"image": image_id, "label": label}
        for image_id, label in clear
        if image_id in in_use and in_use[image_id]["label"] != label
    }
    labels = len(rows)
    weights = dict(consensus["labelers"].filter(what=MASK).select("labeler", "weight").iter_rows())
    voted = consensus["masks"].filter("clear", pl.col("image_id").is_in(list(in_use)))
    store.fetch([mask_id for ids in voted["mask_ids"] for mask_id in ids])
    masks = 0
    for row in voted.iter_rows(named=True):
        data = _voted(row["mask_ids"], [weights[one] for one in row["labelers"]], store, n_classes)
        image_id = row["image_id"]
        if content_md5(data) == in_use[image_id]["mask_id"]:
            continue
        name = f"{MASKS_FOLDER}/{image_id}.png"
        (out / MASKS_FOLDER).mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(data)
        rows.setdefault(image_id, {"image": image_id})["mask"] = name
        masks += 1
    if rows:
        out.mkdir(parents=True, exist_ok=True)
        table = csv_text(["image", "label", "mask"], rows.values())
        (out / LABELS_FILE).write_text(table, encoding="utf-8")
    return ConsensusBatch(labels, masks)


def _voted(
    mask_ids: Sequence[str], weights: Sequence[float], store: ImageStore, n_classes: int
) -> bytes:
    """The consensus of an image's masks, as PNG bytes."""
    found = [store.read(mask_id) for mask_id in mask_ids]
    sizes = [read_header(data) for data in found]
    drawn = [
        decode_mask(data, height=size.height, width=size.width, n_classes=n_classes)
        for data, size in zip(found, sizes, strict=True)
    ]
    return bytes(cv2.imencode(".png", vote_mask(drawn, weights, n_classes))[1])
