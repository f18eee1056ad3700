"""How many rendered eyes a second, with masks, at 160×120: made, and written as a dataset.

python benchmarks/rendering.py [--images N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from iip_assets.synthetic.parameters import SAMPLE
from iip_assets.synthetic.plan import Dataset
from iip_assets.synthetic.write import make_image, write_dataset


def made_per_second(images: int) -> float:
    """Planned, rendered and encoded in this process, nothing written."""
    dataset = Dataset(images=images, seed=1, batches=4, effects=SAMPLE)
    started = time.perf_counter()
    for index in range(images):
        make_image(dataset, index, width=160, height=120)
    return images / (time.perf_counter() - started)


def written_per_second(images: int, processes: int) -> float:
    """The whole of `iip synthesize` but for starting Python."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        write_dataset(
            Path(folder) / "out", images=images, seed=1, effects=SAMPLE, processes=processes
        )
        return images / (time.perf_counter() - started)


def main() -> None:
    """Prints a table and, if asked, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {
        "made, 1 process": made_per_second(options.images),
        "written, 1 process": written_per_second(options.images, 1),
        "written, 2 processes": written_per_second(options.images, 2),
    }
    for name, rate in results.items():
        print(f"{name:<36}{rate:>7.0f} images/s")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
