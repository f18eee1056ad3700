"""Embeddings a second from files to numbers, beside the network alone in ONNX Runtime and in timm.

    python benchmarks/embeddings.py [--images N] [--runs N] [--threads N] [--json FILE]

ONNX Runtime runs forward only, on tensors made before, with all threads inside the network and with
a network for each thread, at several batch sizes; the best of these is what we are held against.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from images import SIZES, rendered, stored
from numpy.typing import NDArray
from turns import in_turn, options_of, show

from iip_assets.embeddings.backbone import build_backbone, restore_backbone
from iip_assets.embeddings.embedder import embed_chunk, open_embedder
from iip_assets.embeddings.onnx_session import open_session, run

BATCHES = (1, 4, 16)
Tensors = NDArray[np.float32]


def forward_only(
    model: bytes, tensors: Tensors, *, threads: int
) -> dict[str, Callable[[], object]]:
    """ONNX Runtime on tensors that are there, in each way of using the threads."""
    together, alone = open_session(model, threads=threads), open_session(model, threads=1)

    def inside(size: int) -> None:
        for start in range(0, len(tensors), size):
            run(together, tensors[start : start + size])

    def beside(size: int) -> None:
        batches = [tensors[start : start + size] for start in range(0, len(tensors), size)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(partial(run, alone), batches))

    return {
        f"{way.__name__}, batch {size}": partial(way, size)
        for way in (inside, beside)
        for size in BATCHES
    }


def main() -> None:
    options = options_of(__doc__, images=256, runs=3, threads=2)
    torch.set_num_threads(options.threads)
    files = build_backbone(
        "tf_efficientnet_lite0", checkpoint="packaged", checkpoint_sha256="", root=Path()
    )
    tensors = np.random.default_rng(0).normal(size=(options.images, 3, 224, 224))
    tensors = tensors.astype(np.float32)
    network = restore_backbone(files)
    embedder = open_embedder(files, device="cpu", batch_size=16)

    def eager() -> None:
        with torch.inference_mode():
            for batch in torch.from_numpy(tensors).split(16):
                network(batch)

    with tempfile.TemporaryDirectory() as cache:
        works = {"timm, eager": eager}
        works |= forward_only(files["backbone.onnx"], tensors, threads=options.threads)
        ours = {}
        for width, height in SIZES:
            folder = rendered(width, height, options.images)
            store, records = stored(folder, Path(cache) / f"{width}x{height}")
            ours[f"ours, from {width}×{height} files"] = partial(
                embed_chunk,
                records,
                max_megapixels=50,
                embedder=embedder,
                store=store,
                threads=options.threads,
            )
        seconds = in_turn(works | ours, runs=options.runs)
    best = min(seconds[name] for name in works if "batch" in name)
    rows = [
        {"what": name, "images/s": options.images / s, "of forward only": best / s}
        for name, s in seconds.items()
    ]
    show(rows, options.json)


if __name__ == "__main__":
    main()
