"""All measures of one image, as the feature table computes them: bytes in, a record out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol

from iip_assets.dataset.decode import Undecodable, decode_image, decode_mask
from iip_assets.statistics.border import BORDER_MEASURES, border_measures
from iip_assets.statistics.eye_quality import EYE_MEASURES, eye_measures
from iip_assets.statistics.pixels import PIXEL_MEASURES, pixel_measures
from iip_assets.statistics.planes import U8, make_planes

MEASURES = (*PIXEL_MEASURES, *BORDER_MEASURES, *EYE_MEASURES)

Measured = dict[str, float | None]


class Store(Protocol):
    """Where the bytes of images and masks are, by md5."""

    def fetch(self, md5s: Sequence[str]) -> None:
        """Brings near what is far."""
        ...

    def read(self, md5: str) -> bytes:
        """The bytes."""
        ...


def measure_images(
    records: Sequence[Mapping[str, Any]],
    *,
    max_megapixels: float,
    mask_classes: Sequence[str],
    store: Store,
    threads: int = 2,
) -> list[dict[str, Any]]:
    """One record of `MEASURES` per image, for a chunk of images.

    An image that cannot be decoded has null measures, and a mask that cannot counts as none: both
    are reported where the dataset is fingerprinted, once.

    Args:
        records: `image_id` and `mask_id` (md5 or None) of each image.
        max_megapixels: No image of more is decoded.
        mask_classes: The classes' names, by index.
        store: Gives the bytes.
        threads: Images measured at once; OpenCV gives up the interpreter's lock, so that threads
            serve.
    """
    ids = {record[key] for record in records for key in ("image_id", "mask_id") if record[key]}
    store.fetch(sorted(ids))
    classes = tuple(mask_classes)
    one = partial(_measure_record, max_megapixels=max_megapixels, mask_classes=classes, store=store)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        return list(pool.map(one, records))


def measure(rgb: U8, mask: U8 | None, *, mask_classes: Sequence[str]) -> Measured:
    """All measures of a decoded picture (H, W, 3) and its mask (H, W), if it has one."""
    planes = make_planes(rgb)
    return {
        **pixel_measures(planes),
        **border_measures(planes, mask, mask_classes=mask_classes),
        **eye_measures(planes.luma, mask, mask_classes=mask_classes),
    }


def _measure_record(
    record: Mapping[str, Any], *, max_megapixels: float, mask_classes: Sequence[str], store: Store
) -> Measured:
    try:
        rgb = decode_image(store.read(record["image_id"]), max_megapixels=max_megapixels)
    except Undecodable:
        return dict.fromkeys(MEASURES)
    return measure(
        rgb, _mask(record["mask_id"], rgb, mask_classes, store), mask_classes=mask_classes
    )


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
