"""Whether a model's ONNX file says what its weights say, on images of noise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iip_assets.embeddings.onnx_session import open_session, run
from iip_assets.models.tasks import FILTER, SEGMENTER

TOLERANCE = 1e-3
"""Of the output's range: what kernels of other machines may differ in."""

_IMAGES = 3


class OnnxDiffersError(ValueError):
    """The ONNX file gives other numbers than the weights beside it."""


def largest_difference(model: str, files: Mapping[str, bytes]) -> float:
    """The largest difference between ONNX and torch, as a share of the output's range.

    Args:
        model: `filter` or `segmenter`.
        files: Of the model.

    Raises:
        OnnxDiffersError: It is more than `TOLERANCE`.
    """
    rng = np.random.default_rng(0)
    card = json.loads(files["card.json"])
    if model == FILTER.name and "filter_head.onnx" in files:
        given, expected = _head(files, rng)
        found = run(open_session(files["filter_head.onnx"], threads=1), given)
    else:
        shape = (_IMAGES, 3, card["input_height"], card["input_width"])
        given = rng.normal(0, 1, shape).astype(np.float32)
        expected = _network(model, files, card, given)
        found = run(open_session(files[f"{model}.onnx"], threads=1), given)
    scale = max(1.0, float(np.abs(expected).max()))
    apart = float(np.abs(found - expected).max()) / scale
    if not apart <= TOLERANCE:
        raise OnnxDiffersError(
            f"the {model}'s ONNX file and its weights differ by {apart:.2g} of the output's range, "
            f"more than {TOLERANCE:g}: the files do not belong together; train it again"
        )
    return apart


def _head(
    files: Mapping[str, bytes], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Random embeddings, and what the head's weights say of them."""
    import torch
    from safetensors.torch import load

    from iip_assets.models.filter_network import FilterHead

    state = load(files["filter.safetensors"])
    temperature = float(state.pop("temperature"))
    head = FilterHead(len(state["mean"]), len(state["out.bias"]))
    head.load_state_dict(state)
    shape = (_IMAGES, len(state["mean"]))
    given = rng.normal(0, 1, shape) * state["spread"].numpy() + state["mean"].numpy()
    given = given.astype(np.float32)
    with torch.inference_mode():
        said = torch.softmax(head.eval()(torch.from_numpy(given)) / temperature, 1)
    return given, said.numpy()


def _network(
    model: str, files: Mapping[str, bytes], card: Mapping[str, Any], given: NDArray[np.float32]
) -> NDArray[np.float32]:
    """What the weights say of images."""
    import timm
    import torch
    from safetensors.torch import load

    from iip_assets.models.segmenter import build_network

    state = load(files[f"{model}.safetensors"])
    temperature = float(state.pop("temperature", torch.tensor(1.0)))
    classes = len(card["classes"])
    network: torch.nn.Module
    if model == SEGMENTER.name:
        network = build_network(
            str(card["encoder"]),
            classes=classes,
            decoder_channels=card["decoder_channels"],
            pretrained=False,
            seed=0,
        )
    else:
        network = timm.create_model(str(card["backbone"]), pretrained=False, num_classes=classes)
    network.load_state_dict(state)
    with torch.inference_mode():
        logits = network.eval()(torch.from_numpy(given))
        said = torch.softmax(logits / temperature, 1) if model == FILTER.name else logits
    return np.asarray(said.numpy())
