"""CleanVision in its own environment: seconds to find the issues of single images in a folder.

python cleanvision_issues.py FOLDER
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
from pathlib import Path

from cleanvision import Imagelab

ISSUES = ("light", "dark", "low_information", "blurry", "grayscale", "odd_aspect_ratio")


def main() -> None:
    images = sorted(str(path) for path in Path(sys.argv[1]).rglob("images/*"))
    # Its progress bars would be written between the results.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        lab = Imagelab(filepaths=images)
        started = time.perf_counter()
        lab.find_issues({issue: {} for issue in ISSUES}, n_jobs=2, verbose=False)
        seconds = time.perf_counter() - started
    assert len(lab.issues) == len(images)
    print(seconds)


if __name__ == "__main__":
    main()
