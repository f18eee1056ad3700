"""Statistics of images a second, beside decoding alone and beside CleanVision, at several sizes.

    python benchmarks/image_statistics.py [--images N] [--runs N] [--json FILE]

All read the same files with two threads, or processes. Decoding alone reads and checks the files as
we do and decodes them (with masks: both). CleanVision looks for its issues of single images:
brightness, entropy, blur, colour and aspect ratio.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from images import SIZES, rendered, stored
from turns import PEERS, in_turn, options_of, peer_python, run_process, show

from iip_assets.images.decode import decode_image, decode_mask
from iip_assets.images.store import ImageStore
from iip_assets.statistics.measure import measure_images

CLASSES = ("background", "sclera", "iris", "pupil")
Records = Sequence[Mapping[str, Any]]


def decode(records: Records, store: ImageStore) -> None:
    """Reads and decodes in two threads, sixteen records at a time as the measures do."""
    store.fetch([md5 for record in records for md5 in record.values() if md5])
    parts = [records[start : start + 16] for start in range(0, len(records), 16)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(partial(_decode_part, store=store), parts))


def _decode_part(records: Records, store: ImageStore) -> None:
    for record in records:
        rgb = decode_image(store.read(record["image_id"]), max_megapixels=50)
        if record["mask_id"]:
            height, width = rgb.shape[:2]
            data = store.read(record["mask_id"])
            decode_mask(data, height=height, width=width, n_classes=len(CLASSES))


def compare(folder: Path, size: str, *, runs: int) -> dict[str, Any]:
    """One row: images a second of each, and the two ratios with and without masks."""
    with tempfile.TemporaryDirectory() as cache:
        store, records = stored(folder, Path(cache))
        bare = [{**record, "mask_id": None} for record in records]
        masked = [record for record in records if record["mask_id"]]
        measure = partial(measure_images, max_megapixels=50, mask_classes=CLASSES, store=store)
        python = peer_python("cleanvision", "cleanvision==0.3.7")
        script = PEERS / "cleanvision_issues.py"
        seconds = in_turn(
            {
                "decode": lambda: decode(bare, store),
                "measure": lambda: measure(bare),
                "decode masks": lambda: decode(masked, store),
                "measure masks": lambda: measure(masked),
                "cleanvision": lambda: float(run_process([python, script, folder]).output),
            },
            runs=runs,
        )
    rate = {name: len(masked if "masks" in name else bare) / s for name, s in seconds.items()}
    return {
        "size": size,
        "images": len(records),
        "decode/s": rate["decode"],
        "measure/s": rate["measure"],
        "of decode": rate["measure"] / rate["decode"],
        "decode+mask/s": rate["decode masks"],
        "measure+mask/s": rate["measure masks"],
        "of decode+mask": rate["measure masks"] / rate["decode masks"],
        "CleanVision/s": rate["cleanvision"],
        "times CleanVision": rate["measure"] / rate["cleanvision"],
        "with masks": rate["measure masks"] / rate["cleanvision"],
    }


def main() -> None:
    options = options_of(__doc__, images=600, runs=5)
    rows = []
    for width, height in SIZES:
        folder = rendered(width, height, options.images)
        rows.append(compare(folder, f"{width}×{height}", runs=options.runs))
    show(rows, options.json)


if __name__ == "__main__":
    main()
