"""What can go wrong with an image of an eye, by name, in five severities.

Common corruptions are those of ImageNet-C, as strong as there; the others are what eyes need.
A grey image stays grey. Whatever is drawn comes from the image's id, so that any order, process or
machine gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from iip_assets.robustness.common_corruptions import COMMON
from iip_assets.robustness.draws import Draws, Image, Mask
from iip_assets.robustness.eye_corruptions import EYE, find_eye

SEVERITIES = (1, 2, 3, 4, 5)
CORRUPTIONS = tuple(sorted({*COMMON, *EYE}))
_CLASSES = ("background", "sclera", "iris", "pupil")
# Of a grey image the channel that carries the result: hues dim each by another amount.
_GREEN = 1


def corrupt(
    name: str,
    image: Image,
    mask: Mask,
    *,
    severity: int,
    image_id: str,
    seed: int,
    mask_classes: Sequence[str] = _CLASSES,
) -> tuple[Image, Mask]:
    """The image and its mask under a corruption, always the same for one image id and seed.

    What is drawn (a hue, a side, the grain) stays the same over all severities of one corruption,
    so that a curve over severities shows nothing but strength.

    Args:
        name: Of the corruption.
        image: (H, W, 3).
        mask: (H, W), or None.
        severity: 1 to 5.
        image_id: Of the image.
        seed: Of the benchmark.
        mask_classes: What the numbers of the mask mean; where "iris" is, the eye is.

    Raises:
        ValueError: There is no such corruption or severity.
    """
    check_names([name])
    if severity not in SEVERITIES:
        raise ValueError(f"severity is {severity}; it must be one of {SEVERITIES}")
    draws = Draws(f"{seed}:{name}:{image_id}")
    if name in COMMON:
        found, moved = COMMON[name](image, severity, draws), mask
    else:
        found, moved = EYE[name](find_eye(image, mask, mask_classes), severity, draws)
    if (image == image[:, :, :1]).all():
        found = np.repeat(found[:, :, _GREEN : _GREEN + 1], 3, axis=2)
    return found, moved


def check_names(names: Iterable[str]) -> None:
    """Checks that all of these corruptions exist.

    Raises:
        ValueError: One does not.
    """
    unknown = [name for name in names if name not in CORRUPTIONS]
    if unknown:
        raise ValueError(
            f"robustness.corruptions names {unknown}; known are {', '.join(CORRUPTIONS)}"
        )
