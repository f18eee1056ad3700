"""All measures of images, as the feature table computes them, and the table that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import polars as pl

from iip_assets.images.decode import Undecodable, decode_image, decode_mask
from iip_assets.images.store import Store
from iip_assets.statistics.eye_quality import EYE_MEASURES, eye_measures
from iip_assets.statistics.pixels import (
    BORDER_MEASURES,
    PIXEL_MEASURES,
    background_region,
    border_measures,
    pixel_measures,
)
from iip_assets.statistics.planes import U8, Reduced, luma_of, reduce_image, stack_planes

MEASURES = (*PIXEL_MEASURES, *BORDER_MEASURES, *EYE_MEASURES)

Measured = dict[str, float | None]

# Images that one thread reads one after another and then measures together: threads that change
# hands at every image wait for each other most of the time.
_TOGETHER = 16


def measure_images(
    records: Sequence[Mapping[str, Any]],
    *,
    max_megapixels: float,
    mask_classes: Sequence[str],
    store: Store,
    threads: int = 2,
) -> list[dict[str, Any]]:
    """One record of `MEASURES` per image, for a chunk of images (`image_id`, `mask_id` or None).

    An image's measures are the same whatever is measured beside it. One that cannot be decoded has
    null measures, and a mask that cannot counts as none: both are reported where the dataset is
    fingerprinted, once. OpenCV gives up the interpreter's lock, so that threads serve.
    """
    ids = {record[key] for record in records for key in ("image_id", "mask_id") if record[key]}
    store.fetch(sorted(ids))
    _keep_freed_memory()
    parts = [records[start : start + _TOGETHER] for start in range(0, len(records), _TOGETHER)]
    measure_part = partial(
        _measure_part, max_megapixels=max_megapixels, mask_classes=mask_classes, store=store
    )
    with ThreadPoolExecutor(max_workers=threads) as pool:
        return list(chain.from_iterable(pool.map(measure_part, parts)))


def measure(rgb: U8, mask: U8 | None, *, mask_classes: Sequence[str]) -> Measured:
    """All measures of a decoded image (H, W, 3) and its mask (H, W), if it has one."""
    (found,) = _all_measures([_Looked.at(rgb, mask, mask_classes=mask_classes)])
    return found


def _keep_freed_memory() -> None:
    """Lets the C library keep what is freed from one part to the next.

    glibc gives freed memory back to the system above a limit, which grows to twice the largest
    block that was ever freed. Under the first limit of 128 KiB every part pays for its memory
    force: a fifth of the time, in page faults. The block is never touched, so it costs nothing.
    """
    np.empty(16 << 20, np.uint8)


@dataclass(frozen=True)
class _Looked:
    """What one look at an image in full size leaves: its eye's measures, and the rest made small.

    Attributes:
        reduced: The image.
        region: Its background, in the normal size.
        eye: Its eye's measures.
    """

    reduced: Reduced
    region: U8
    eye: Measured

    @classmethod
    def at(cls, rgb: U8, mask: U8 | None, *, mask_classes: Sequence[str]) -> _Looked:
        """Looks at an image (H, W, 3) and its mask (H, W)."""
        luma = luma_of(rgb)
        reduced = reduce_image(rgb, luma)
        height, width = reduced.normal.shape
        return cls(
            reduced,
            background_region((height, width), mask, mask_classes=mask_classes),
            eye_measures(luma, mask, mask_classes=mask_classes),
        )


def _all_measures(images: Sequence[_Looked]) -> list[Measured]:
    """All measures of images of one shape."""
    planes = stack_planes([image.reduced for image in images])
    borders = border_measures(planes, [image.region for image in images])
    return [
        {**pixel, **border, **image.eye}
        for pixel, border, image in zip(pixel_measures(planes), borders, images, strict=True)
    ]


def _measure_part(
    records: Sequence[Mapping[str, Any]],
    *,
    max_megapixels: float,
    mask_classes: Sequence[str],
    store: Store,
) -> list[Measured]:
    found: list[Measured] = [dict.fromkeys(MEASURES) for _ in records]
    of_shape: dict[Any, dict[int, _Looked]] = {}
    for place, record in enumerate(records):
        try:
            rgb = decode_image(store.read(record["image_id"]), max_megapixels=max_megapixels)
        except Undecodable:
            continue
        mask = _mask(record["mask_id"], rgb, mask_classes, store)
        looked = _Looked.at(rgb, mask, mask_classes=mask_classes)
        of_shape.setdefault(looked.reduced.shapes, {})[place] = looked
    for images in of_shape.values():
        for place, measures in zip(images, _all_measures([*images.values()]), strict=True):
            found[place] = measures
    return found


def _mask(mask_id: str | None, rgb: U8, mask_classes: Sequence[str], store: Store) -> U8 | None:
    if mask_id is None:
        return None
    try:
        return decode_mask(
            store.read(mask_id),
            height=rgb.shape[0],
            width=rgb.shape[1],
            n_classes=len(mask_classes),
        )
    except Undecodable:
        return None


def statistics_table(filled: pl.DataFrame, measures: Sequence[str] = MEASURES) -> pl.DataFrame:
    """`image_id` and one Float64 column per measure, sorted by `image_id`.

    A measure that no image has (no masks, or no images at all) is a column of nulls, so that what
    reads the table finds every column.
    """
    columns = [
        (pl.col(name) if name in filled.columns else pl.lit(None)).cast(pl.Float64).alias(name)
        for name in measures
    ]
    return filled.select(pl.col("image_id").cast(pl.String), *columns).sort("image_id")


def measured_share(table: pl.DataFrame) -> float:
    """Share of the images that could be measured; 1 for no images."""
    return table["brightness"].count() / table.height if table.height else 1.0


def spread_rows(
    table: pl.DataFrame, measures: Sequence[str] = MEASURES
) -> list[dict[str, str | int | float | None]]:
    """For each measure, how many images have it, and its 5%, 50% and 95% quantile."""
    return [
        {
            "measure": name,
            "n": table[name].count(),
            **{
                f"q{share:.0%}": table[name].quantile(share, "linear")
                for share in (0.05, 0.5, 0.95)
            },
        }
        for name in measures
    ]
