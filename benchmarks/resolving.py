"""Which ids must be computed after 1% changed: our feature table beside Metaxy's Delta store.

    python benchmarks/resolving.py [--ids N] [--runs N] [--json FILE]

Each works in a process of its own, whose peak memory is given; the seconds are those of the
question alone, without imports and without making the rows. For Metaxy the rows come as `samples`
of a root feature, its documented way for data that it does not hold itself.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from turns import PEERS, options_of, peer_python, run_process, show

METAXY = "metaxy[delta]==0.1.11"
CHUNK = 20_000


def rows_of(ids: int, changed: int) -> Any:
    """Image ids, of which the first few are other than they were."""
    import polars as pl

    keys = [f"{'new' if number < changed else 'old'} {number}" for number in range(ids)]
    md5s = [hashlib.md5(key.encode(), usedforsecurity=False).hexdigest() for key in keys]
    return pl.DataFrame({"image_id": md5s})


def fill(folder: Path, ids: int) -> None:
    """Writes a row for each id, as a run over all images leaves them."""
    from iip_assets.engine.features import FeatureTable

    def compute(records: Sequence[Any]) -> list[dict[str, Any]]:
        return [{"brightness": 0.5, "label": "eye"} for _ in records]

    FeatureTable(folder, "measures").fill(
        rows_of(ids, 0),
        compute,
        code_key="code",
        given={},
        tools={},
        chunk=CHUNK,
        progress=lambda items, **_: items,
    )


def resolve(folder: Path, ids: int) -> None:
    """Prints how many rows are missing after the change, and in how many seconds that was known."""
    import lancedb  # noqa: F401 - loaded here, so that its import is not timed

    from iip_assets.engine.features import FeatureTable

    rows = rows_of(ids, ids // 100)
    started = time.perf_counter()
    missing = FeatureTable(folder, "measures").missing(rows, code_key="code", given={})
    seconds = time.perf_counter() - started
    print(json.dumps({"found": missing.height, "seconds": seconds}))


def measure(ids: int, runs: int) -> list[dict[str, Any]]:
    """The rows of one number of ids: ours and Metaxy's, in turn."""
    sides = {
        "ours": (sys.executable, __file__),
        "Metaxy": (peer_python("metaxy", METAXY), PEERS / "metaxy_resolve.py"),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as folder:
        for name, words in sides.items():
            run_process([*words, "fill", Path(folder) / name, str(ids)])
        for _ in range(runs):
            for name, words in sides.items():
                ended = run_process([*words, "resolve", Path(folder) / name, str(ids)])
                answer = json.loads(ended.output)
                if answer["found"] != ids // 100:
                    raise SystemExit(f"{name} found {answer['found']} of {ids // 100} ids")
                found[name].append((answer["seconds"], ended.peak_mb))
    medians = {
        name: [statistics.median(column) for column in zip(*runs_of, strict=True)]
        for name, runs_of in found.items()
    }
    return [
        {
            "ids": ids,
            "side": name,
            "seconds": seconds,
            "peak MB": peak_mb,
            "times ours": seconds / medians["ours"][0],
            "memory, times ours": peak_mb / medians["ours"][1],
        }
        for name, (seconds, peak_mb) in medians.items()
    ]


def main() -> None:
    if sys.argv[1:2] in (["fill"], ["resolve"]):
        {"fill": fill, "resolve": resolve}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
        return
    options = options_of(__doc__, ids=0, runs=3)
    sizes = [options.ids] if options.ids else [20_000, 1_000_000]
    show([row for ids in sizes for row in measure(ids, options.runs)], options.json)


if __name__ == "__main__":
    main()
