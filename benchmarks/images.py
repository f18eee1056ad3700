"""Rendered eyes of several sizes as the dataset's store holds them, for the benchmarks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from turns import CACHE

from iip_assets.images.store import ImageStore, content_md5
from iip_assets.synthetic.parameters import SAMPLE
from iip_assets.synthetic.write import write_dataset

SIZES = ((64, 40), (160, 120), (320, 240), (640, 480))


def rendered(width: int, height: int, images: int) -> Path:
    """A folder of batches of that many images with masks, rendered when first asked for."""
    folder = CACHE / f"eyes-{width}x{height}-{images}"
    if not folder.exists():
        half = folder.with_suffix(".part")
        shutil.rmtree(half, ignore_errors=True)
        write_dataset(half, images=images, seed=1, effects=SAMPLE, width=width, height=height)
        half.rename(folder)
    return folder


def stored(folder: Path, cache: Path) -> tuple[ImageStore, list[dict[str, Any]]]:
    """A store of the folder's files, and the records of its images in order of their ids."""
    records = [
        {"image_id": _store(image, cache), "mask_id": _store(mask, cache)}
        for image, mask in _pairs(folder)
    ]
    unique = {record["image_id"]: record for record in records}
    return ImageStore(root=folder, cache=cache), [unique[key] for key in sorted(unique)]


def _pairs(folder: Path) -> Iterator[tuple[Path, Path | None]]:
    for image in sorted(folder.rglob("images/*")):
        mask = image.parent.parent / "masks" / f"{image.stem}.png"
        yield image, mask if mask.exists() else None


def _store(path: Path | None, cache: Path) -> str | None:
    if path is None:
        return None
    data = path.read_bytes()
    md5 = content_md5(data)
    place = cache / md5[:2] / md5[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return md5
