"""One photograph from its parameters: the layers in the order in which light meets them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iip_assets.synthetic.backdrop import paint_scenery
from iip_assets.synthetic.camera import expose
from iip_assets.synthetic.eyeball import paint_eyeball
from iip_assets.synthetic.folds import paint_crease, paint_margins, paint_wrinkles
from iip_assets.synthetic.geometry import Disc, Frame, eye_geometry
from iip_assets.synthetic.hair import hair_image, paint_brow, paint_lashes
from iip_assets.synthetic.masks import Label, eye_mask, iris_share, label_of
from iip_assets.synthetic.parameters import EyeParameters
from iip_assets.synthetic.skin import paint_skin


@dataclass(frozen=True)
class Rendered:
    """A photograph and what is true of it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8: 0 background, 1 sclera, 2 iris, 3 pupil.
        label: What the labeling rule says.
        iris_share: Visible part of the whole iris disc, 0 to 1.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    label: Label
    iris_share: float


def render(parameters: EyeParameters, *, width: int = 160, height: int = 120) -> Rendered:
    """Renders one photograph; equal arguments give equal bytes.

    Args:
        parameters: What it shows.
        width: Of the image in pixels, at least 16.
        height: Of the image in pixels, at least 16.

    Raises:
        ValueError: A side under 16 pixels.
    """
    if min(width, height) < 16:
        raise ValueError(f"an image of {width} x {height} px was asked for; make both at least 16")
    rng = np.random.default_rng(parameters.seed)
    anatomy, pose, light = parameters.anatomy, parameters.pose, parameters.light
    frame = Frame.of(pose, height, width)
    eye = eye_geometry(parameters, frame)
    if pose.hair_only:
        planes = hair_image(frame, anatomy.hair_rgb, rng)
    else:
        planes = paint_skin(frame, anatomy, light, rng)
        if eye is not None:
            paint_crease(planes, eye, anatomy)
            paint_wrinkles(planes, eye, anatomy, rng)
            paint_margins(planes, eye, anatomy)
            paint_eyeball(planes, eye, parameters, rng)
        paint_brow(planes, frame, anatomy, rng)
        if eye is not None:
            paint_lashes(planes, eye, anatomy, pose, rng)
    cover = None if pose.hair_only else paint_scenery(planes, frame, parameters, rng)
    mask = eye_mask(eye, cover, height, width)
    disc_area_px = Disc.of(anatomy, pose).area_px(frame.unit_px)
    image = expose(planes, light, parameters.camera, rng)
    return Rendered(image, mask, label_of(mask, disc_area_px), iris_share(mask, disc_area_px))
