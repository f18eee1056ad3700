"""Stand-ins for the parts of the engine and the data set that assets talk to."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import onnx
import polars as pl
from onnx import helper, numpy_helper

from iip_assets.embeddings.onnx_export import OPSET


class MemoryStore:
    """Bytes by md5, in memory."""

    def __init__(self):
        self.files = {}

    def add(self, data: bytes) -> str:
        md5 = hashlib.md5(data).hexdigest()
        self.files[md5] = data
        return md5

    def add_png(self, pixels: np.ndarray) -> str:
        bgr = pixels[:, :, ::-1] if pixels.ndim == 3 else pixels
        return self.add(cv2.imencode(".png", np.ascontiguousarray(bgr))[1].tobytes())

    def fetch(self, md5s):
        assert set(md5s) <= self.files.keys()

    def read(self, md5):
        return self.files[md5]


class PlainWork:
    """Computes every row each time."""

    def __init__(self, root: Path):
        self.root = root
        self.state = root / ".iip"
        self.scratch = self.state / "scratch"
        self.provenance = {}
        self.given = {}
        self.said = []
        self.log = self.said.append

    def fill(self, table, rows, compute, *, given, tools, key=None, chunk=64):
        self.given[table] = {**given, **(key or {})}
        records = rows.to_dicts()
        results = []
        for start in range(0, len(records), chunk):
            results += compute(records[start : start + chunk], **given, **tools)
        names = results[0] if results else {}
        columns = {name: pl.Series(name, [_plain(one[name]) for one in results]) for name in names}
        return SimpleNamespace(frame=rows.with_columns(**columns), computed=len(records), reused=0)

    def progress(self, items, *, total=None, label=""):
        return items

    def log(self, text):
        pass


def _plain(value):
    return value.tolist() if isinstance(value, np.ndarray) else value


def eye(rng: np.random.Generator, width: int, height: int, kind: str = "full"):
    """An image and mask of a disc on a pale ellipse on skin, at a random place."""
    image = np.full((height, width, 3), (205, 160, 135), np.uint8)
    mask = np.zeros((height, width), np.uint8)
    if kind != "none":
        x = int(width * (rng.uniform(0.4, 0.6) if kind == "full" else rng.uniform(0.0, 0.1)))
        y = int(height * rng.uniform(0.4, 0.6))
        radius = int(height * rng.uniform(0.24, 0.3))
        for value, colour, axes in (
            (1, (240, 240, 240), (2 * radius, int(1.2 * radius))),
            (2, (60, 90, 140), (radius, radius)),
            (3, (10, 10, 10), (radius // 2, radius // 2)),
        ):
            cv2.ellipse(image, (x, y), axes, 0, 0, 360, colour, -1)
            cv2.ellipse(mask, (x, y), axes, 0, 0, 360, value, -1)
    noisy = image + rng.normal(0, 6, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), mask


def onnx_model(nodes, arrays, *, side, output):
    """An ONNX file from `image`, (B, 3, side, side), to an output of this name and shape."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["B", 3, side, side])],
        [helper.make_tensor_value_info(output[0], onnx.TensorProto.FLOAT, ["B", *output[1:]])],
        [numpy_helper.from_array(array, name) for name, array in sorted(arrays.items())],
    )
    made = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", OPSET)])
    onnx.checker.check_model(made)
    return made.SerializeToString()


def card_of(side, **facts):
    """The card of a model that sees squares."""
    size = {"input_width": side, "input_height": side, "mean": [0.5] * 3, "std": [0.5] * 3}
    return json.dumps({**size, **facts}).encode()
