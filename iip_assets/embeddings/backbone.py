"""The backbone: a timm network without its classifier, as ONNX for CPUs and as weights for GPUs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import timm
import torch
from safetensors.torch import load, save
from timm.data import resolve_data_config

from iip_assets.embeddings.onnx_export import export_onnx
from iip_assets.embeddings.weights import (
    PACKAGED,
    PACKAGED_MODEL,
    checkpoint_weights,
    packaged_weights,
    weights_digest,
)


def load_network(
    model: str,
    *,
    checkpoint: str = PACKAGED,
    checkpoint_sha256: str = "",
    root: Path | None = None,
    classifier: bool = False,
) -> torch.nn.Module:
    """A timm network with its weights, ready to infer.

    Args:
        model: timm's name of the architecture.
        checkpoint: `packaged`, or the path of a .safetensors file inside the workspace.
        checkpoint_sha256: What that file's SHA-256 must be.
        root: The workspace's folder, where the checkpoint is a path.
        classifier: Keep the last layer, which gives (B, classes) logits; without it the network
            gives (B, D) embeddings.

    Raises:
        ValueError: There is no such model, or the weights are not this model's.
    """
    if model not in timm.list_models():
        close = ", ".join(timm.list_models(f"*{model.split('.', maxsplit=1)[0]}*")[:5]) or "none"
        raise ValueError(
            f"timm {timm.__version__} has no model {model!r} (names like it: {close}); "
            "`timm.list_models()` lists all names for embeddings.model"
        )
    state = _weights_for(model, checkpoint, checkpoint_sha256, root)
    network: torch.nn.Module = timm.create_model(
        model,
        pretrained=True,
        pretrained_cfg_overlay={"state_dict": state},
        **_classes(model, state, classifier=classifier),
    )
    return network.eval()


def build_backbone(
    model: str,
    *,
    checkpoint: str,
    checkpoint_sha256: str,
    root: Path,
    width: int = 0,
    height: int = 0,
) -> dict[str, bytes]:
    """The backbone's files: `backbone.onnx`, `backbone.safetensors` and `card.json`.

    The ONNX file takes (B, 3, H, W) float32, standardised by the card's mean and std, and gives
    (B, D).

    Args:
        model: See `load_network`, for the next three too.
        checkpoint: Its weights.
        checkpoint_sha256: Their digest.
        root: The workspace's folder.
        width: W in pixels; 0 for the size that the model was trained at.
        height: H in pixels; 0 likewise.

    Raises:
        ValueError: See `load_network`; or the model takes its own size alone.
        ExportError: The ONNX file gives other numbers than the network.
    """
    network = load_network(
        model, checkpoint=checkpoint, checkpoint_sha256=checkpoint_sha256, root=root
    )
    config = resolve_data_config({}, model=network)
    own_height, own_width = config["input_size"][1:]
    height, width = height or own_height, width or own_width
    fixed = timm.models.get_pretrained_cfg(model).fixed_input_size
    if fixed and (height, width) != (own_height, own_width):
        raise ValueError(
            f"{model} takes images of {own_width}×{own_height} alone, not of {width}×{height}; "
            "set embeddings.width and embeddings.height to 0"
        )
    onnx_file = export_onnx(
        network, (3, height, width), input_name="image", output_name="embedding"
    )
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    card: dict[str, Any] = {
        "model": model,
        "checkpoint": checkpoint,
        "weights_sha256": weights_digest(state),
        "input_height": height,
        "input_width": width,
        "mean": list(config["mean"]),
        "std": list(config["std"]),
        "dimensions": _output_dimensions(onnx_file),
    }
    return {
        "backbone.onnx": onnx_file,
        "backbone.safetensors": save(state),
        "card.json": json.dumps(card, indent=2, sort_keys=True).encode(),
    }


def _output_dimensions(onnx_file: bytes) -> int:
    output = onnx.load_from_string(onnx_file).graph.output[0]
    return int(output.type.tensor_type.shape.dim[1].dim_value)


def restore_backbone(files: dict[str, bytes]) -> torch.nn.Module:
    """The network again from the files that `build_backbone` gave."""
    card = json.loads(files["card.json"])
    network: torch.nn.Module = timm.create_model(card["model"], pretrained=False, num_classes=0)
    network.load_state_dict(load(files["backbone.safetensors"]), strict=True)
    return network.eval()


def _weights_for(
    model: str, checkpoint: str, sha256: str, root: Path | None
) -> dict[str, torch.Tensor]:
    if checkpoint != PACKAGED:
        if root is None:
            raise ValueError(f"the checkpoint {checkpoint!r} is a path, but no workspace was given")
        return checkpoint_weights(root, checkpoint, sha256)
    if model != PACKAGED_MODEL:
        raise ValueError(
            f"the packaged weights belong to {PACKAGED_MODEL!r}, embeddings.model is {model!r}; "
            "use that model, or set embeddings.checkpoint to a .safetensors file with this "
            "model's weights"
        )
    return packaged_weights()


def _classes(model: str, state: dict[str, torch.Tensor], *, classifier: bool) -> dict[str, int]:
    """What timm must be told about the number of classes; a checkpoint may have any, or none."""
    if not classifier:
        return {"num_classes": 0}
    name = timm.models.get_pretrained_cfg(model).classifier
    weight = state.get(f"{name}.weight")
    return {} if weight is None else {"num_classes": int(weight.shape[0])}
