"""Tiny networks of which it is known where they look."""

from __future__ import annotations

import numpy as np
from onnx import helper

from iip_assets.engine.values import Files
from iip_assets.inference.segmenter import prior_png
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.models.filter_network import filter_onnx, head_onnx
from iip_assets_tests.embeddings.stand_ins import card_of, onnx_model

SIDE = 32
# The corner that they look at: the first 8 rows and columns of the input.
CORNER = 8
CLASSES = ("background", "sclera", "iris", "pupil")


def corner_filter(kind):
    """`full` where the corner is bright, `none` where it is dark, whatever else is there.

    A whole network, or a head on a backbone whose embedding is the corner's brightness.
    """
    card = card_of(SIDE, classes=FILTER_CLASSES)
    if kind == "network":
        weight = np.array([[4.0], [0.0], [-4.0]], np.float32)
        network = onnx_model(
            [
                *_corner("mean"),
                helper.make_node("Gemm", ["mean", "weight"], ["logits"], transB=1),
                helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
            ],
            {**_arrays(), "weight": weight},
            side=SIDE,
            output=("probabilities", 3),
        )
        return Files({"filter.onnx": network, "card.json": card})
    backbone = onnx_model(_corner("embedding"), _arrays(), side=SIDE, output=("embedding", 1))
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
            "card.json": card,
        }
    )


def misled_segmenter():
    """Sees an iris in the middle, of which it is sure as far as the corner is bright."""
    gains, bias = np.zeros((2, 1, 4, SIDE, SIDE), np.float32)
    gains[0, 2][disc()] = 3.0
    bias[0, 0][~disc()] = 3.0
    network = onnx_model(
        [
            *_corner("mean"),
            helper.make_node("Reshape", ["mean", "plane"], ["everywhere"]),
            helper.make_node("Mul", ["everywhere", "gains"], ["moved"]),
            helper.make_node("Add", ["moved", "bias"], ["logits"]),
        ],
        {**_arrays(), "gains": gains, "bias": bias, "plane": np.array([-1, 1, 1, 1])},
        side=SIDE,
        output=("logits", 4, SIDE, SIDE),
    )
    return _segmenter(network)


def seeing_segmenter():
    """Calls iris what is blue, by the colour of each pixel alone."""
    kernel = np.zeros((4, 3, 1, 1), np.float32)
    kernel[2] = np.array([-3.0, 0.0, 3.0])[:, None, None]
    bias = np.array([0.0, 0.0, -1.5, 0.0], np.float32)
    network = onnx_model(
        [helper.make_node("Conv", ["image", "kernel", "bias"], ["logits"])],
        {"kernel": kernel, "bias": bias},
        side=SIDE,
        output=("logits", 4, SIDE, SIDE),
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
    return Files(
        {
            "segmenter.onnx": network,
            "prior.png": prior,
            "card.json": card_of(SIDE, classes=CLASSES),
        }
    )


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
