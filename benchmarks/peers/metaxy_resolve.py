"""Metaxy in its own environment: which samples of a root feature are stale, from a Delta store.

python metaxy_resolve.py fill|resolve FOLDER IDS
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path

import metaxy as mx
import narwhals as nw
import polars as pl
from metaxy.ext.polars.handlers.delta import DeltaMetadataStore

CHUNK = 20_000


class Image(
    mx.BaseFeature,
    spec=mx.FeatureSpec(key="image", id_columns=["path"], fields=["pixels"]),
):
    path: str


def rows_of(ids: int, changed: int) -> pl.DataFrame:
    """Paths with the md5 of each image, of which the first few are other than they were."""
    keys = [f"{'new' if number < changed else 'old'} {number}" for number in range(ids)]
    md5s = [hashlib.md5(key.encode(), usedforsecurity=False).hexdigest() for key in keys]
    return pl.DataFrame(
        {
            "path": [f"images/{number:07}.jpg" for number in range(ids)],
            "metaxy_provenance_by_field": pl.Series(md5s).to_frame("pixels").to_struct(),
        }
    )


def main() -> None:
    what, folder, ids = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    rows = rows_of(ids, 0 if what == "fill" else ids // 100)
    mx.init()
    store = DeltaMetadataStore(folder)
    if what == "fill":
        with store.open(mode="w"):
            store.write(Image, rows)
        return
    started = time.perf_counter()
    with store.open():
        increment = store.resolve_update(Image, samples=nw.from_native(rows))
        found = len(increment.new) + len(increment.stale)
    print(json.dumps({"found": found, "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
