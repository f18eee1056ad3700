"""The file of the network that marks lids and iris, and the network that it holds.

It is `iris_landmark.tflite` of Google's MediaPipe (Apache-2.0; Ablavatski et al. 2020, "Real-time
pupil tracking from monocular video for digital puppetry"), which `landmark_install` puts into the
environment. It is known by its hash, so any other file counts as none.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from iip_assets.where import LANDMARK_FILE

if TYPE_CHECKING:
    from iip_assets.statistics.eye_geometry import Landmarks, Pixels, Points

SHA256 = "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f"
ABSENT = "absent"
COMMAND = "python -m iip_assets.statistics.landmark_install"
MISSING = f"the file that eyes are found with is not installed: `{COMMAND}` gets it"


def read_landmark_file() -> bytes | None:
    """The file's bytes; None where it is missing or is another one."""
    try:
        data = LANDMARK_FILE.read_bytes()
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == SHA256 else None


def observe_landmark_file(_: Path) -> str:
    """The file's hash, or "absent"; it is the same in every workspace of this environment."""
    return ABSENT if read_landmark_file() is None else SHA256


def load_landmark_file(_: Path, version: str) -> bytes | None:
    """The file's bytes of a data version, None of "absent".

    Raises:
        LookupError: It was there and is gone.
    """
    if version == ABSENT:
        return None
    data = read_landmark_file()
    if data is None:
        raise LookupError(MISSING)
    return data


def open_landmarks(data: bytes) -> Landmarks:
    """The network as a function of a crop, which several threads may call at a time."""
    import numpy as np
    import onnxruntime
    import tflite
    from tflite2onnx.model import Model

    model = Model(tflite.Model.GetRootAsModel(data, 0))
    model.convert({})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.onnx.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def landmarks(crop: Pixels) -> tuple[Points, Points]:
        pixels = np.ascontiguousarray(crop.transpose(2, 0, 1)[None], np.float32) / 255
        # x, y and a depth that is of no use; after the lids come outlines farther out and brows.
        lids, iris = (
            np.asarray(points, np.float64).reshape(-1, 3)[:, :2]
            for points in session.run(
                ["output_eyes_contours_and_brows", "output_iris"], {"input_1": pixels}
            )
        )
        return lids[:16], iris

    return landmarks
