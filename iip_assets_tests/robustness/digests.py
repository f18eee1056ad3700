"""What corruptions make of one image, for comparing processes: `python -m` tells it."""

import hashlib
import json
import sys

import numpy as np

from iip_assets.robustness.corruptions import CORRUPTIONS, corrupt


def digests(names):
    """The md5 of image and mask under each corruption, made in this order; sorted by name."""
    image = np.arange(48 * 64 * 3, dtype=np.int64).reshape(48, 64, 3) ** 2 % 251
    mask = np.zeros((48, 64), np.uint8)
    mask[14:33, 10:54], mask[14:33, 23:40], mask[19:28, 28:36] = 1, 2, 3
    found = {}
    for name in names:
        made, moved = corrupt(name, image.astype(np.uint8), mask, severity=3, image_id="a", seed=0)
        found[name] = hashlib.md5(made.tobytes() + moved.tobytes()).hexdigest()
    return dict(sorted(found.items()))


if __name__ == "__main__":
    json.dump(digests(CORRUPTIONS), sys.stdout)
