"""torch modules as ONNX files, checked to give the same numbers."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import torch

from iip_assets.embeddings.onnx_session import open_session, run

OPSET = 18
"""The operator set that is written."""

TOLERANCE = 1e-4
"""How far the exported numbers may lie from torch's, relative to their size (1 at least)."""


class ExportError(RuntimeError):
    """The exported file gives other numbers than the module."""


def export_onnx(
    module: torch.nn.Module, shape: tuple[int, ...], *, input_name: str, output_name: str
) -> bytes:
    """The module as an ONNX file with one input, one output and a dynamic batch.

    Args:
        module: Takes (B, *shape) and gives one tensor whose first axis is B.
        shape: The input's shape without the batch.
        input_name: Name of the input in the file.
        output_name: Name of the output in the file.

    Raises:
        ExportError: On random input the file and the module differ by more than `TOLERANCE`.
    """
    training = module.training
    module.eval()
    example = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    # In memory, which its annotation does not know: an asset touches no file.
    file: Any = io.BytesIO()
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            module,
            (example,),
            file,
            # The exporter by tracing takes a fifth of the time of the one by torch.export.
            dynamo=False,
            opset_version=OPSET,
            input_names=[input_name],
            output_names=[output_name],
            dynamic_axes={input_name: {0: "batch"}, output_name: {0: "batch"}},
        )
        expected = module(example).numpy()
    data = _stripped(onnx.load_from_string(file.getvalue()))
    module.train(training)
    check_equal(data, example.numpy(), expected)
    return data


def check_equal(data: bytes, example: np.ndarray, expected: np.ndarray) -> None:
    """Checks that the file gives `expected` for `example`, and its first row for the first alone.

    Raises:
        ExportError: It does not, within `TOLERANCE`.
    """
    session = open_session(data, threads=1)
    for rows in (slice(None), slice(0, 1)):
        found = run(session, example[rows])
        scale = max(1.0, float(np.abs(expected).max()))
        apart = float(np.abs(found - expected[rows]).max()) / scale
        if not apart <= TOLERANCE:
            raise ExportError(
                f"the ONNX file and the torch module differ by {apart:.2g} of the output's range, "
                f"more than {TOLERANCE:g}; this model cannot be exported faithfully"
            )


def _stripped(model: onnx.ModelProto) -> bytes:
    """The file without the exporter's notes, which hold source paths of the exporting machine."""
    model.doc_string = ""
    del model.metadata_props[:]
    for graph_part in (model.graph, *model.functions):
        del graph_part.metadata_props[:]
        for node in graph_part.node:
            node.doc_string = ""
            del node.metadata_props[:]
        for value in graph_part.value_info:
            del value.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    return bytes(model.SerializeToString(deterministic=True))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's talk about its own insides, which no user can act upon."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
