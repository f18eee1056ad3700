"""Tiny networks of which it is known where they look."""

from __future__ import annotations

import json

import numpy as np
import onnx
from onnx import helper, numpy_helper

from iip_assets.embeddings.onnx_export import OPSET
from iip_assets.engine.values import Files
from iip_assets.inference.segmenter import prior_png
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.models.filter_head import filter_onnx, head_onnx

SIDE = 32
# The corner that they look at: the first 8 rows and columns of the input.
CORNER = 8
CLASSES = ("background", "sclera", "iris", "pupil")
FLOAT = onnx.TensorProto.FLOAT


def card(classes):
    size = {"input_width": SIDE, "input_height": SIDE, "mean": [0.5] * 3, "std": [0.5] * 3}
    return json.dumps({**size, "classes": list(classes)}).encode()


def corner_filter(kind):
    """`full` where the corner is bright, `none` where it is dark, whatever else is there.

    A whole network, or a head on a backbone whose embedding is the corner's brightness.
    """
    if kind == "network":
        weight = np.array([[4.0], [0.0], [-4.0]], np.float32)
        network = _model(
            [
                *_corner("mean"),
                helper.make_node("Gemm", ["mean", "weight"], ["logits"], transB=1),
                helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
            ],
            {**_arrays(), "weight": weight},
            output=("probabilities", ["B", 3]),
        )
        return Files({"filter.onnx": network, "card.json": card(FILTER_CLASSES)})
    backbone = _model(_corner("embedding"), _arrays(), output=("embedding", ["B", 1]))
    state = {
        "mean": np.zeros(1),
        "spread": np.ones(1),
        "hidden.weight": np.ones((1, 1)),
        "hidden.bias": np.ones(1),
        "out.weight": np.array([[4.0], [0.0], [-4.0]]),
        "out.bias": np.array([-4.0, 0.0, 4.0]),
    }
    head = head_onnx({name: array.astype(np.float32) for name, array in state.items()}, 1.0)
    return Files(
        {
            "filter.onnx": filter_onnx(backbone, head),
            "filter_head.onnx": head,
            "card.json": card(FILTER_CLASSES),
        }
    )


def misled_segmenter():
    """Sees an iris in the middle, of which it is sure as far as the corner is bright."""
    gains, bias = np.zeros((2, 1, 4, SIDE, SIDE), np.float32)
    gains[0, 2][disc()] = 3.0
    bias[0, 0][~disc()] = 3.0
    network = _model(
        [
            *_corner("mean"),
            helper.make_node("Reshape", ["mean", "plane"], ["everywhere"]),
            helper.make_node("Mul", ["everywhere", "gains"], ["moved"]),
            helper.make_node("Add", ["moved", "bias"], ["logits"]),
        ],
        {**_arrays(), "gains": gains, "bias": bias, "plane": np.array([-1, 1, 1, 1])},
        output=("logits", ["B", 4, SIDE, SIDE]),
    )
    return _segmenter(network)


def seeing_segmenter():
    """Calls iris what is blue, by the colour of each pixel alone."""
    kernel = np.zeros((4, 3, 1, 1), np.float32)
    kernel[2] = np.array([-3.0, 0.0, 3.0])[:, None, None]
    bias = np.array([0.0, 0.0, -1.5, 0.0], np.float32)
    network = _model(
        [helper.make_node("Conv", ["image", "kernel", "bias"], ["logits"])],
        {"kernel": kernel, "bias": bias},
        output=("logits", ["B", 4, SIDE, SIDE]),
    )
    return _segmenter(network)


def disc():
    """Where the iris is, (SIDE, SIDE)."""
    rows, columns = np.ogrid[:SIDE, :SIDE]
    return (rows - 19.5) ** 2 + (columns - 19.5) ** 2 < 30


def image(rng, *, bright=True):
    """Grain, a blue disc, and a corner that is bright or dark."""
    image = rng.integers(90, 130, (SIDE, SIDE, 3), dtype=np.uint8)
    image[disc()] = (30, 60, 200)
    image[:CORNER, :CORNER] = 250 if bright else 5
    return image


def mask():
    """The disc is iris, and nothing else is of the eye."""
    return np.where(disc(), 2, 0).astype(np.uint8)


def _segmenter(network):
    prior = prior_png([np.zeros((SIDE, SIDE), np.uint8)], len(CLASSES))
    return Files({"segmenter.onnx": network, "prior.png": prior, "card.json": card(CLASSES)})


def _corner(name):
    return [
        helper.make_node("Mul", ["image", "corner"], ["seen"]),
        helper.make_node("ReduceSum", ["seen", "axes"], ["sum"], keepdims=0),
        helper.make_node("Reshape", ["sum", "column"], [name]),
    ]


def _arrays():
    corner = np.zeros((1, 3, SIDE, SIDE), np.float32)
    corner[:, :, :CORNER, :CORNER] = 1 / (3 * CORNER**2)
    return {"corner": corner, "axes": np.array([1, 2, 3]), "column": np.array([-1, 1])}


def _model(nodes, arrays, *, output):
    graph = helper.make_graph(
        nodes,
        "looking",
        [helper.make_tensor_value_info("image", FLOAT, ["B", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(output[0], FLOAT, output[1])],
        [numpy_helper.from_array(array, name) for name, array in sorted(arrays.items())],
    )
    made = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", OPSET)])
    onnx.checker.check_model(made)
    return made.SerializeToString()
