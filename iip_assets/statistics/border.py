"""What surrounds the eye, measured on the frame along the border."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import cv2
import numpy as np

from iip_assets.images.decode import NOT_LABELLED
from iip_assets.statistics.planes import NORMAL_SIDE_PX, U8, Planes

BORDER_MEASURES = (
    "background_edges",
    "background_brightness",
    "background_red_green",
    "background_yellow_blue",
)

# Width of the frame, as a share of the image's shorter side.
_FRAME = 0.15
# Lids and lashes around the marked eye, as a share of the image's longer side.
_LIDS = 1 / 16
# A frame with less left of it than this share of the image says nothing about the background.
_LEAST = 0.02
# A local range of luma above this share of the region's mean is an edge: a dark image has weaker
# edges …
_EDGE_SHARE = 0.15
# … but nothing below this many grey levels is, since noise and JPEG blocks reach it.
_EDGE_LEAST = 10.0


def border_measures(planes: Planes, regions: Sequence[U8]) -> Iterator[dict[str, float | None]]:
    """Measures of each image's background, named `BORDER_MEASURES`.

    They are null where the eye fills the frame.

    - `background_edges`: share of the region where luma varies by more than 15% of the region's
      mean (and by more than 10 levels) within 3x3 pixels at normal size.
    - `background_brightness`: mean luma. `background_red_green`, `background_yellow_blue`: mean a*
      and b*.

    Args:
        planes: The images.
        regions: For each its `background_region`.
    """
    tall = planes.padded.reshape(-1, planes.padded.shape[2])
    ranges = cv2.morphologyEx(tall, cv2.MORPH_GRADIENT, _NEIGHBOURS)
    ranges = ranges.reshape(planes.padded.shape)[:, 1:-1]
    height, width = planes.lab.shape[1:3]
    for normal, local_range, lab, region in zip(
        planes.normal, ranges, planes.lab, regions, strict=True
    ):
        n_pixels = cv2.countNonZero(region)
        if n_pixels < _LEAST * normal.size:
            yield dict.fromkeys(BORDER_MEASURES)
            continue
        brightness = cv2.sumElems(cv2.bitwise_and(normal, region))[0] / n_pixels
        threshold = max(_EDGE_LEAST, _EDGE_SHARE * brightness)
        _, edges = cv2.threshold(local_range, threshold, 255, cv2.THRESH_BINARY)
        sparse = cv2.resize(region, (width, height), interpolation=cv2.INTER_NEAREST)
        _, red_green, yellow_blue, _ = cv2.mean(lab, sparse)
        # A thin rest of the frame may fall between the sampled colours.
        has_colour = cv2.countNonZero(sparse) > 0
        yield {
            "background_edges": cv2.countNonZero(cv2.bitwise_and(edges, region)) / n_pixels,
            "background_brightness": brightness,
            "background_red_green": red_green - 128.0 if has_colour else None,
            "background_yellow_blue": yellow_blue - 128.0 if has_colour else None,
        }


_NEIGHBOURS = np.ones((3, 3), np.uint8)


def background_region(
    shape: tuple[int, int], mask: U8 | None, *, mask_classes: Sequence[str]
) -> U8:
    """(h, w): 255 where an image of this normal size shows what surrounds the eye.

    The region is a frame along the border; with a mask, less the marked eye, its lids and lashes,
    and what is not labelled. It is the same frame with and without a mask because the two must
    compare: on 1,240 eyes (350 photographed, 890 rendered), the word made of it is the same with
    and without its mask for 93%, whereas all of the background away from the eye gives the frame's
    word for 70%.

    Args:
        shape: The normal size.
        mask: (H, W) class index per pixel of the image in any size, or None.
        mask_classes: The classes' names, by index.
    """
    frame = frame_region(*shape)
    if mask is None:
        return frame
    return np.asarray(cv2.bitwise_and(frame, _away_from_eye(mask, shape, mask_classes)))


@lru_cache(maxsize=64)
def frame_region(height: int, width: int) -> U8:
    """(H, W): 255 along the border, 0 inside."""
    thickness = max(1, round(_FRAME * min(height, width)))
    region = np.full((height, width), 255, np.uint8)
    region[thickness:-thickness, thickness:-thickness] = 0
    region.setflags(write=False)
    return region


def _away_from_eye(mask: U8, shape: tuple[int, int], mask_classes: Sequence[str]) -> U8:
    """(h, w): 255 where the mask says background, and no eye is near."""
    small = cv2.resize(mask, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
    background = mask_classes.index("background") if "background" in mask_classes else 0
    labelled_background = cv2.inRange(small, background, background)
    # Not labelled is neither eye nor background: it counts for nothing, and has no lids around it.
    eye = cv2.bitwise_not(labelled_background | cv2.inRange(small, NOT_LABELLED, NOT_LABELLED))
    near = cv2.dilate(eye, _REACH)
    away: U8 = labelled_background & ~near
    return away


_REACH = np.ones((2 * round(_LIDS * NORMAL_SIDE_PX) + 1,) * 2, np.uint8)
