"""A trained network with fewer bits: 8-bit whole numbers, or 16-bit floats. ONNX in, ONNX out."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.transformers.float16 import convert_float_to_float16

from iip_assets.embeddings.onnx_session import open_session, run

Batch = NDArray[np.float32]

# What networks spend their time on, and what stands between: a change of kind in the middle of a
# path costs more than it saves. The last layers keep their floats, which cost next to nothing.
_OPERATORS = ("Conv", "Add", "Mul", "Clip", "Relu", "Concat", "Resize")


def int8_onnx(model: bytes, batches: Sequence[Batch]) -> bytes:
    """The network in 8-bit whole numbers, with a scale for each channel of its weights.

    Static quantization by ONNX Runtime: ranges are the least and the largest value of each tensor
    on the given images. Weights have 7 bits, as processors without VNNI overflow on 8.

    Args:
        model: One input, one output.
        batches: Standardised images (B, 3, H, W), as the network is to meet them.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        file = Path(folder, "int8.onnx")
        given = onnx.load_from_string(model)
        # A merged network names its operator set once for each part, which the quantizer refuses.
        sets = {one.domain: one.version for one in given.opset_import}
        del given.opset_import[:]
        given.opset_import.extend(onnx.helper.make_opsetid(*one) for one in sets.items())
        quantize_static(
            given,
            file,
            _Batches(batches, given.graph.input[0].name),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_OPERATORS),
            nodes_to_quantize=_image_nodes(given.graph),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return bytes(onnx.load(file).SerializeToString(deterministic=True))


def _image_nodes(graph: onnx.GraphProto) -> list[str]:
    """The names of the nodes that the image's numbers pass through.

    Others work out how far an image is padded or enlarged: of numbers that are rounded to 8 bits
    they would make other sizes, and convolutions would look beside the place.
    """
    seen, names = {graph.input[0].name}, []
    for node in graph.node:  # each after those whose outputs it takes
        if node.op_type != "Shape" and seen & {*node.input}:
            seen.update(node.output)
            names.append(node.name)
    return [name for name in names if name]


def fp16_onnx(model: bytes) -> bytes:
    """The network in 16-bit floats; input and output stay 32-bit."""
    with _quiet():
        half = convert_float_to_float16(onnx.load_from_string(model), keep_io_types=True)
    return bytes(half.SerializeToString(deterministic=True))


def latencies_ms(
    models: Mapping[str, bytes], shape: tuple[int, ...], *, threads: int, rounds: int = 25
) -> dict[str, float]:
    """The median milliseconds of one image (*shape,) through each network, which take turns."""
    image = np.random.default_rng(0).standard_normal((1, *shape), dtype=np.float32)
    sessions = {name: open_session(model, threads=threads) for name, model in models.items()}
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds + 2):  # the first two warm up
        for name, session in sessions.items():
            start = time.perf_counter()
            run(session, image)
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: float(np.median(found[2:])) for name, found in times.items()}


class _Batches(CalibrationDataReader):
    """Images for the calibration, one batch after the other."""

    def __init__(self, batches: Sequence[Batch], name: str) -> None:
        self._left = ({name: batch} for batch in batches)

    def get_next(self) -> dict[str, Batch] | None:
        return next(self._left, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the converters say of their own insides."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
