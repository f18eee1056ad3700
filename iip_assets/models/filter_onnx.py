"""The filter as ONNX: the head alone, and behind the backbone from pixels to probabilities."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import compose, helper, numpy_helper

from iip_assets.embeddings.onnx_export import OPSET

# Of the format of ONNX files; the version that belongs to the operator set.
_IR_VERSION = 10


def head_onnx(state: Mapping[str, NDArray[np.float32]], temperature: float) -> bytes:
    """(B, D) embeddings to (B, K) probabilities.

    Args:
        state: The head's arrays by name: mean, spread, hidden.weight, hidden.bias, out.weight,
            out.bias.
        temperature: What the logits are divided by.
    """
    nodes = [
        helper.make_node("Sub", ["embedding", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "spread"], ["standardised"]),
        helper.make_node(
            "Gemm", ["standardised", "hidden.weight", "hidden.bias"], ["hidden"], transB=1
        ),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "out.weight", "out.bias"], ["logits"], transB=1),
        helper.make_node("Div", ["logits", "temperature"], ["calibrated"]),
        helper.make_node("Softmax", ["calibrated"], ["probabilities"], axis=1),
    ]
    arrays = {**state, "temperature": np.array(temperature, np.float32)}
    classes, dimensions = state["out.weight"].shape[0], state["mean"].shape[0]
    graph = helper.make_graph(
        nodes,
        "filter_head",
        [helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, ["B", dimensions])],
        [helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["B", classes])],
        [numpy_helper.from_array(array, name) for name, array in sorted(arrays.items())],
    )
    return _checked(_model(graph))


def filter_onnx(backbone: bytes, head: bytes) -> bytes:
    """(B, 3, H, W) standardised images to (B, K) probabilities."""
    first, second = onnx.load_from_string(backbone), onnx.load_from_string(head)
    first.ir_version = second.ir_version
    first = compose.add_prefix(first, "backbone/")
    merged = compose.merge_models(
        first,
        second,
        io_map=[(first.graph.output[0].name, second.graph.input[0].name)],
        name="filter",
    )
    return _checked(merged)


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(
        graph,
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="iip_assets",
    )


def _checked(model: onnx.ModelProto) -> bytes:
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
