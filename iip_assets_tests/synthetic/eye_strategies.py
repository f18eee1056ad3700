"""Anything that the renderer may be asked for, plausible or not, and the rule of its labels."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from iip_assets.synthetic.parameters import Anatomy, Camera, EyeParameters, Light, Pose


def label_by_rule(mask: np.ndarray, iris_share: float) -> str:
    """The label of an image by the labeling instructions, from its mask."""
    visible = mask >= 2
    border = np.ones_like(visible)
    border[1:-1, 1:-1] = False
    if visible.sum() < 0.001 * visible.size:
        return "none"
    return "partial" if (visible & border).any() or iris_share < 0.6 else "full"


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


shares = numbers(0, 1)
colours = st.tuples(shares, shares, shares)

anatomies = st.builds(
    Anatomy,
    skin_tone=numbers(1, 10),
    skin_redness=shares,
    hair_rgb=colours,
    iris_rgb=colours,
    iris_texture=st.integers(0, 10_000),
    iris_radius=numbers(0.25, 0.55),
    arcus=shares,
    upper_height=numbers(0.1, 0.6),
    lower_height=numbers(0.1, 0.6),
    tilt=numbers(-0.3, 0.4),
    crease_height=numbers(0, 0.4),
    crease_depth=shares,
    epicanthus=shares,
    droop=shares,
    wrinkles=shares,
    bags=shares,
    lash_density=shares,
    liner=shares,
    lens_pattern=shares,
)
poses = st.builds(
    Pose,
    side=st.sampled_from(["left", "right"]),
    centre_x=numbers(-2, 3),
    centre_y=numbers(-2, 3),
    scale=numbers(0.05, 1.5),
    roll_rad=numbers(-3.2, 3.2),
    aperture=numbers(0, 1.4),
    gaze_x_rad=numbers(-1, 1),
    gaze_y_rad=numbers(-1, 1),
    pupil_ratio=numbers(0.1, 0.9),
    hair_only=st.booleans(),
)
lights = st.builds(
    Light,
    azimuth_rad=numbers(-3.2, 6.4),
    slant=shares,
    ambient=shares,
    falloff=shares,
    exposure=numbers(0.15, 1.5),
    glint=numbers(0, 1),
    glint_kind=st.sampled_from(["point", "window", "ring", "two"]),
    glare=shares,
)
cameras = st.builds(
    Camera,
    blur_px=numbers(0, 4),
    motion_px=numbers(0, 8),
    motion_rad=numbers(-3.2, 3.2),
    noise=numbers(0.001, 0.1),
    contrast=numbers(0.5, 1.5),
    saturation=numbers(0, 2),
    vignette=shares,
    monochrome=st.booleans(),
)
eyes = st.builds(
    EyeParameters,
    anatomy=anatomies,
    pose=poses,
    light=lights,
    camera=cameras,
    scenery=st.sampled_from(["plain", "strand", "room", "glasses"]),
    seed=st.integers(0, 2**31),
)
