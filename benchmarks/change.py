"""One image in a hundred changed: what it costs beside a full run, and beside `dvc repro`.

    python benchmarks/change.py [--embeddings N] [--statistics N] [--json FILE]

Every run is a process of its own that hashes all files of a folder, asks the feature table and
computes what is missing; of its seconds, those of the table alone are given too, without starting
Python, importing and hashing. The DVC stage runs the same code over the same folder; DVC knows
stages and not images, so it does all of them again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from images import rendered
from turns import CACHE, options_of, run_process, show

BACKBONE = CACHE / "backbone"


class FolderStore:
    """The bytes of a folder's files by md5."""

    def __init__(self, folder: Path) -> None:
        from iip_assets.images.store import content_md5

        self.paths = {content_md5(path.read_bytes()): path for path in folder.rglob("*.jpg")}

    def fetch(self, md5s: Sequence[str]) -> None:
        """All are here."""

    def read(self, md5: str) -> bytes:
        """The bytes with that md5."""
        return self.paths[md5].read_bytes()


def fill(what: str, folder: Path, state: Path) -> None:
    """Brings a feature table up to date; prints how many images were computed, and the seconds."""
    import lancedb  # noqa: F401 - loaded here, so that its import is no part of these seconds
    import polars as pl

    from iip_assets.engine.features import FeatureTable
    from iip_assets.statistics.measure import measure_images

    store = FolderStore(folder)
    ids = sorted(store.paths)
    if what == "embeddings":
        rows = pl.DataFrame({"image_id": ids})
        compute, given, tools, chunk = embedding_work(store)
    else:
        rows = pl.DataFrame({"image_id": ids}).with_columns(mask_id=pl.lit(None, pl.String))
        given = {"max_megapixels": 50, "mask_classes": ["background"]}
        compute, tools, chunk = measure_images, {"store": store}, 512
    started = time.perf_counter()
    filled = FeatureTable(state, what).fill(
        rows,
        compute,
        code_key="code",
        given=given,
        tools=tools,
        chunk=chunk,
        progress=lambda items, **_: items,
    )
    seconds = time.perf_counter() - started
    print(json.dumps({"computed": filled.computed, "seconds": seconds}))


def embed_all(folder: Path, out: Path) -> None:
    """The DVC stage: embeds every image of a folder."""
    import numpy as np

    store = FolderStore(folder)
    compute, given, tools, _ = embedding_work(store)
    records = compute([{"image_id": md5} for md5 in sorted(store.paths)], **given, **tools)
    np.save(out, np.stack([record["embedding"] for record in records]))


def embedding_work(store: FolderStore) -> tuple[Any, dict[str, Any], dict[str, Any], int]:
    """What embeds: the function, what it is given, its tools, and images at a time."""
    from iip_assets.embeddings.embedder import embed_chunk, open_embedder

    folder = Path(os.environ["BACKBONE"])
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    embedder = open_embedder(files, device="cpu", batch_size=16)
    given = {"max_megapixels": 50}
    return embed_chunk, given, {"embedder": embedder, "store": store, "threads": 2}, 256


def flat_copy(images: int, folder: Path) -> None:
    """That many rendered images in one folder."""
    folder.mkdir(parents=True)
    for number, path in enumerate(sorted(rendered(160, 120, images).rglob("*.jpg"))):
        shutil.copy(path, folder / f"{number:06}.jpg")


def change_one_in_a_hundred(folder: Path) -> int:
    """Writes a comment into every hundredth JPEG: other bytes, the same image."""
    paths = sorted(folder.iterdir())[::100]
    for path in paths:
        data = path.read_bytes()
        path.write_bytes(data[:2] + b"\xff\xfe\x00\x09changed" + data[2:])
    return len(paths)


def in_feature_table(what: str, images: int) -> dict[str, Any]:
    """A row: seconds of a full run, of a run after the change, and of one with nothing to do."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, state = Path(scratch) / "images", Path(scratch) / "state"
        flat_copy(images, folder)
        words = [sys.executable, __file__, "fill", what, folder, state]
        full = run_process(words)
        changed = change_one_in_a_hundred(folder)
        after = run_process(words)
        if json.loads(after.output)["computed"] != changed:
            raise SystemExit(f"{changed} images changed, computed were {after.output}")
        nothing = run_process(words)
    row = _row(f"{what}, feature table", images, full.seconds, after.seconds, nothing.seconds)
    inside = [json.loads(ended.output)["seconds"] for ended in (full, after)]
    return row | {
        "of it full": inside[0],
        "of it changed": inside[1],
        "ratio": inside[0] / inside[1],
    }


def in_dvc_stage(images: int) -> dict[str, Any]:
    """The same for one DVC stage that embeds a folder."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        flat_copy(images, root / "images")
        dvc = [sys.executable, "-m", "dvc"]
        subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
        subprocess.run([*dvc, "init", "--quiet"], cwd=root, check=True)
        stage = f"{sys.executable} {Path(__file__).absolute()} embed-all images out.npy"
        add = ["stage", "add", "--quiet", "-n", "embed", "-d", "images", "-o", "out.npy", stage]
        subprocess.run([*dvc, *add], cwd=root, check=True)
        full = run_process([*dvc, "repro"], cwd=root)
        change_one_in_a_hundred(root / "images")
        after = run_process([*dvc, "repro"], cwd=root)
        nothing = run_process([*dvc, "repro"], cwd=root)
    return _row("embeddings, dvc repro", images, full.seconds, after.seconds, nothing.seconds)


def _row(what: str, images: int, full: float, after: float, nothing: float) -> dict[str, Any]:
    return {
        "what": what,
        "images": images,
        "full s": full,
        "1% changed s": after,
        "nothing s": nothing,
        "full / changed": full / after,
    }


def keep_backbone() -> None:
    """Exports the backbone once, so that no run is timed with it."""
    from iip_assets.embeddings.backbone import build_backbone

    os.environ["BACKBONE"] = str(BACKBONE.absolute())
    if not BACKBONE.exists():
        files = build_backbone(
            "tf_efficientnet_lite0", checkpoint="packaged", checkpoint_sha256="", root=Path()
        )
        half = BACKBONE.with_suffix(".part")
        half.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (half / name).write_bytes(data)
        half.rename(BACKBONE)


def main() -> None:
    if sys.argv[1:2] == ["fill"]:
        fill(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
        return
    if sys.argv[1:2] == ["embed-all"]:
        embed_all(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    options = options_of(__doc__, embeddings=2_000, statistics=20_000)
    keep_backbone()
    rows = [
        in_feature_table("statistics", options.statistics),
        in_feature_table("embeddings", options.embeddings),
        in_dvc_stage(options.embeddings),
    ]
    show(rows, options.json)


if __name__ == "__main__":
    main()
