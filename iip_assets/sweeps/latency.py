"""How long a model takes for one image."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

import numpy as np

from iip_assets.embeddings.onnx_session import open_session, run

_REPEATS = 30


def latency_ms(files: Mapping[str, bytes], *, threads: int) -> float:
    """Milliseconds of one forward pass of one image: the least of 30 on ONNX Runtime's CPU.

    Whatever else the machine does only ever adds to it.

    Args:
        files: Of the filter or the segmenter.
        threads: Inside an operator.
    """
    card = json.loads(files["card.json"])
    model = next(data for name, data in files.items() if name in ("filter.onnx", "segmenter.onnx"))
    shape = (1, 3, int(card["input_height"]), int(card["input_width"]))
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    session = open_session(model, threads=threads)
    took = []
    for repeat in range(_REPEATS + 3):
        started = time.perf_counter()
        run(session, image)
        if repeat >= 3:  # the first ones arrange memory
            took.append(time.perf_counter() - started)
    return 1000 * min(took)
