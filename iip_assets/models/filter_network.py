"""The filter as a whole network: the backbone trained further, with a classifier at its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import load
from torch import Tensor
from torch.utils.data import Dataset

from iip_assets.embeddings.onnx_export import export_onnx
from iip_assets.images.letterbox import letterbox_image
from iip_assets.inference.frame import Frame
from iip_assets.models.augment import augment
from iip_assets.training.trainer import (
    seeded,
)

_BATCH = 16


class LabelledImages(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Examples: image (3, H, W), class index or shares of classes (K,), what it counts."""

    def __init__(
        self,
        load: Callable[[int], NDArray[np.uint8]],
        truth: NDArray[np.int64] | NDArray[np.float32],
        weights: NDArray[np.float64],
        *,
        frame: Frame,
        seed: int,
        threads: int,
        augmented: bool,
    ) -> None:
        """Examples from `load`, which gives an image (H, W, 3) by place.

        Args:
            load: Reads one; called from several threads.
            truth: (N,) class indices, or (N, K) shares of classes.
            weights: (N,) what each counts.
            frame: The network's input.
            seed: Of the augmentation.
            threads: How many to decode at a time.
            augmented: Whether to change images again in every epoch.
        """
        self._frame = frame
        self._truth = torch.from_numpy(truth)
        self._weights = torch.from_numpy(weights.astype(np.float32))
        self._seed = seed
        self._augmented = augmented
        with ThreadPoolExecutor(threads) as pool:
            self._kept = list(pool.map(lambda place: self._fitted(load(place)), range(len(truth))))

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        epoch, place = item
        image = self._kept[place]
        if self._augmented:
            nowhere = np.zeros(image.shape[:2], np.uint8)
            image, _ = augment(image, nowhere, np.random.default_rng([self._seed, epoch, place]))
        pixels = torch.from_numpy(self._frame.standardise(image[None])[0])
        return pixels, self._truth[place], self._weights[place]

    def _fitted(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return letterbox_image(image, self._frame.width, self._frame.height)


def build_classifier(
    backbone: Mapping[str, bytes], classes: int, *, seed: int, model: str = ""
) -> torch.nn.Module:
    """A network with a new classifier, (B, 3, H, W) to logits (B, K).

    Args:
        backbone: The backbone's files.
        classes: K.
        seed: Of the weights that start from nothing.
        model: A timm model; the backbone with its weights where it is empty or that very model.

    Raises:
        ValueError: timm has no such model.
    """
    card = json.loads(backbone["card.json"])
    name = model or card["model"]
    if not timm.is_model(name):
        raise ValueError(f"timm has no model {name!r}; correct filter.network")
    with seeded(seed, threads=1):
        network: torch.nn.Module = timm.create_model(name, pretrained=False, num_classes=classes)
    if name == card["model"]:
        network.load_state_dict(load(backbone["backbone.safetensors"]), strict=False)
    return network


def network_logits(
    network: torch.nn.Module, images: LabelledImages, *, threads: int
) -> NDArray[np.float32]:
    """(N, K) logits of images that are not augmented."""
    found = []
    with seeded(0, threads=threads), torch.inference_mode():
        for first in range(0, len(images), _BATCH):
            places = range(first, min(first + _BATCH, len(images)))
            batch = torch.stack([images[0, place][0] for place in places])
            found.append(network.eval()(batch).numpy())
    return np.concatenate(found) if found else np.zeros((0, 0), np.float32)


def network_onnx(network: torch.nn.Module, temperature: float, frame: Frame) -> bytes:
    """(B, 3, H, W) standardised images to (B, K) probabilities, checked against torch."""
    return export_onnx(
        _Calibrated(network, temperature),
        (3, frame.height, frame.width),
        input_name="image",
        output_name="probabilities",
    )


class _Calibrated(torch.nn.Module):
    def __init__(self, network: torch.nn.Module, temperature: float) -> None:
        super().__init__()
        self._network = network
        self._temperature = temperature

    def forward(self, images: Tensor) -> Tensor:
        return torch.softmax(self._network(images) / self._temperature, 1)
