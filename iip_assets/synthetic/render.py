"""One photograph from its parameters: layers in the order of the light, then the camera."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.synthetic.drawing import REFERENCE_WIDTH, Plane, Planes, sensor_noise
from iip_assets.synthetic.eyeball import Label, eye_mask, iris_share, label_of, paint_eyeball
from iip_assets.synthetic.geometry import Disc, Frame, eye_geometry
from iip_assets.synthetic.parameters import Camera, EyeParameters, Light
from iip_assets.synthetic.skin import paint_crease, paint_margins, paint_skin, paint_wrinkles
from iip_assets.synthetic.surroundings import hair_image, paint_brow, paint_lashes, paint_scenery

Image = NDArray[np.uint8]

_MID_GREY = 0.45


@lru_cache(maxsize=8)
def _grid(height: int, width: int) -> tuple[Plane, Plane, Plane]:
    """(x, y, squared radius), x and y from -1 to 1, y upwards."""
    x, y = np.meshgrid(
        np.linspace(-1, 1, width, dtype=np.float32), np.linspace(1, -1, height, dtype=np.float32)
    )
    return x, y, (x * x + y * y) * np.float32(0.5)


def _illuminate(planes: Planes, light: Light, camera: Camera) -> None:
    """Light falls off across the frame and towards the corners."""
    x, y, r2 = _grid(*planes.shape[1:])
    towards = x * np.float32(np.cos(light.azimuth_rad)) + y * np.float32(np.sin(light.azimuth_rad))
    gain = 1 + np.float32(0.42 * light.falloff) * (towards - np.float32(0.3))
    gain *= 1 - np.float32(camera.vignette) * r2
    planes *= gain * np.float32(light.exposure)


def _glare(planes: Planes, light: Light, rng: np.random.Generator) -> None:
    """A lamp mirrored in lens or tears: a blown-out patch, a streak, a veil over everything."""
    x, y, _ = _grid(*planes.shape[1:])
    at_x, at_y = (float(value) for value in rng.uniform(-0.45, 0.45, 2))
    turn = float(rng.uniform(0, np.pi))
    dx, dy = x - np.float32(at_x), (y - np.float32(at_y)) * np.float32(0.75)
    along = dx * np.float32(np.cos(turn)) + dy * np.float32(np.sin(turn))
    across = dy * np.float32(np.cos(turn)) - dx * np.float32(np.sin(turn))
    spot = np.exp(-(dx * dx + dy * dy) / np.float32(0.05 + 0.1 * light.glare))
    streak = np.exp(-(across * across) / np.float32(0.004) - along * along)
    veil = np.float32(0.3 * light.glare) + np.float32(1.3 * light.glare) * spot
    planes += veil + np.float32(0.7 * light.glare) * streak


def _defocus(planes: Planes, camera: Camera) -> None:
    """Motion and defocus, in place."""
    scale = planes.shape[2] / REFERENCE_WIDTH
    if camera.motion_px > 0.5:
        kernel = _motion_kernel(camera.motion_px * scale, camera.motion_rad)
        for plane in planes:
            plane[:] = cv2.filter2D(plane, -1, kernel, borderType=cv2.BORDER_REFLECT)
    if camera.blur_px > 0.15:
        for plane in planes:
            cv2.GaussianBlur(plane, (0, 0), camera.blur_px * scale, dst=plane)


def _motion_kernel(length_px: float, angle_rad: float) -> NDArray[np.float32]:
    """A line through the middle that sums to 1."""
    half = int(np.ceil(length_px / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.uint8)
    x = round(length_px / 2 * np.cos(angle_rad))
    y = round(length_px / 2 * np.sin(angle_rad))
    cv2.line(kernel, (half - x, half + y), (half + x, half - y), 255, 1, cv2.LINE_AA)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def _grade(planes: Planes, camera: Camera) -> None:
    """Contrast around mid grey, then the cast, then to 0..255, in place.

    More contrast bends the curve so that shadows sink without being cut off; less lifts them.
    """
    more = camera.contrast - 1
    if more > 0:
        planes *= np.float32(more / _MID_GREY) * planes + np.float32(1 - more)
    elif more < 0:
        planes *= np.float32(camera.contrast)
        planes -= np.float32(_MID_GREY * more)
    planes *= np.array(camera.cast_rgb, np.float32)[:, None, None] * np.float32(255)


def expose(planes: Planes, light: Light, camera: Camera, rng: np.random.Generator) -> Image:
    """The photograph (H, W, 3) uint8 RGB of a scene (3, H, W) float32 RGB, which is used up.

    `rng` says where the glare lies and which noise falls.
    """
    _illuminate(planes, light, camera)
    if light.glare > 0:
        _glare(planes, light, rng)
    if camera.monochrome or camera.saturation != 1:
        grey = planes[0] * np.float32(0.4) + planes[1] * np.float32(0.4)
        grey += planes[2] * np.float32(0.2)
        planes -= grey
        planes *= np.float32(0.0 if camera.monochrome else camera.saturation)
        planes += grey
    _defocus(planes, camera)
    # Shot noise grows with the light, read noise does not.
    level = np.sqrt(np.clip(planes[1], 0, 1) * np.float32(1.2) + np.float32(0.4))
    level *= np.float32(255 * camera.noise)
    _grade(planes, camera)
    noise = sensor_noise(rng, *planes.shape[1:])
    for channel in range(3):
        planes[channel] += noise[0 if camera.monochrome else channel] * level
    np.clip(planes, 0, 255, out=planes)
    return np.asarray(cv2.merge(list(planes.astype(np.uint8))), dtype=np.uint8)


def encode_jpeg(image: Image, quality: int) -> bytes:
    """(H, W, 3) uint8 RGB as JPEG bytes."""
    return _encode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])


def encode_png(mask: Image) -> bytes:
    """(H, W) uint8 as a single-channel PNG."""
    return _encode(".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 6])


def _encode(extension: str, image: Image, options: list[int]) -> bytes:
    done, data = cv2.imencode(extension, np.ascontiguousarray(image), options)
    if not done:
        raise ValueError(f"OpenCV cannot encode a {image.shape} {image.dtype} array as {extension}")
    return bytes(data)


@dataclass(frozen=True)
class Rendered:
    """A photograph and what is true of it."""

    image: NDArray[np.uint8]  # (H, W, 3) uint8 RGB
    mask: NDArray[np.uint8]  # (H, W) uint8: 0 background, 1 sclera, 2 iris, 3 pupil
    label: Label  # what the labeling rule says
    iris_share: float  # visible part of the whole iris disc, 0 to 1


def render(parameters: EyeParameters, *, width: int = 160, height: int = 120) -> Rendered:
    """Renders one photograph; equal arguments give equal bytes.

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
