"""Smaller models made of a trained one: fewer bits, fewer channels, or a student of it.

What filters and segmenters have in common; each has a file of its own for what it learns by, so
that the training of one is no part of the other.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl
import torch
import torch_pruning
from numpy.typing import NDArray
from torch.optim.swa_utils import update_bn
from typing_extensions import override

from iip_assets.engine.hashing import digest_table
from iip_assets.engine.values import Files, Skipped
from iip_assets.images.store import Store
from iip_assets.inference.frame import Frame
from iip_assets.robustness.quantized import fp16_onnx, int8_onnx, latencies_ms
from iip_assets.robustness.variants import LATENCY, ORIGINAL, PRUNED
from iip_assets.settings import CompressionTrainingSettings, Section
from iip_assets.training.trainer import TrainingRun, seeded

if TYPE_CHECKING:
    from iip_assets.engine.features import Filled

Batch = NDArray[np.float32]
Parts = Mapping[str, bytes]
Inputs = Callable[["Original", dict[str, Any]], Sequence[NDArray[np.uint8]]]
Learned = Callable[["Original", str, Sequence[Batch]], Parts]

# Fewer channels than these at a time save no time.
_CHANNELS = 8
# Images of the calibration at a time.
_BATCH = 8
# Training images from which batch norm's averages are taken, and how many at a time.
_AVERAGED, _AVERAGED_BATCH = 256, 32


@dataclass(frozen=True)
class Original:
    """A trained model, what its smaller ones learn from, and how.

    Attributes:
        model: `filter` or `segmenter`.
        files: The model.
        examples: The table that it learned from.
        recipe: The settings that it was trained by.
        training: How smaller ones are made.
        resampled: Whether training images are drawn by what they weigh.
        run: Where to train.
        store: Where images and masks are.
        max_megapixels: The largest image that is decoded.
        backbone: Of the embeddings; of a filter alone.
    """

    model: str
    files: Files
    examples: pl.DataFrame
    recipe: Section
    training: CompressionTrainingSettings
    resampled: bool
    run: TrainingRun
    store: Store
    max_megapixels: float
    backbone: Parts = field(default_factory=dict)

    @property
    def card(self) -> dict[str, Any]:
        """What whoever runs it must know."""
        return dict(json.loads(self.files.parts["card.json"]))

    @property
    def frame(self) -> Frame:
        """Its input."""
        return Frame.of_card(self.card)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The training images among the examples, in an order by chance."""
        salt, rows = self.training.seed, self.examples.filter(split="train").to_dicts()
        rows.sort(key=lambda row: hashlib.sha256(f"{salt}:{row['image_id']}".encode()).digest())
        return rows


def compressed(
    original: Original,
    variants: Sequence[str],
    make: Callable[..., list[dict[str, str]]],
    *,
    fill: Callable[..., Filled],
) -> Files | Skipped:
    """The smaller models, files called `<variant>/<file>`, and how long one image takes each.

    Args:
        original: The model.
        variants: Such as `int8`, `fp16`, `pruned_0.3` and `student_lcnet_050`.
        make: `smaller_filters` or `smaller_segmenters`.
        fill: `AssetContext.fill`, which keeps what was made.
    """
    if not variants:
        return Skipped(f"compression.{original.model} names no smaller model")
    ids = original.examples.select(pl.col("^(image|mask)_id$")).to_dict(as_series=False)
    original.store.fetch([one for column in ids.values() for one in column])
    rows = fill(
        "compressed_models",
        pl.DataFrame({"model": original.model, "variant": list(variants)}),
        make,
        key={
            "model": original.files.digest,
            "examples": digest_table(original.examples),
            "recipe": original.recipe.model_dump(mode="json"),
            "training": original.training.model_dump(),
            "resampled": original.resampled,
        },
        tools={"original": original},
        chunk=1,
    ).frame.to_dicts()
    parts = {
        f"{row['variant']}/{name}": base64.b64decode(data)
        for row in sorted(rows, key=lambda row: variants.index(row["variant"]))
        for name, data in json.loads(row["files"]).items()
    }
    file, frame, threads = f"{original.model}.onnx", original.frame, original.run.machine.threads
    networks = {one: parts[f"{one}/{file}"] for one in variants}
    networks[ORIGINAL] = original.files.parts[file]
    found = latencies_ms(networks, (3, frame.height, frame.width), threads=threads)
    latency = json.dumps({"threads": threads, "ms": found}).encode()
    return Files({**parts, LATENCY: latency}, version_of=tuple(parts))


def made(original: Original, variant: str, *, inputs: Inputs, learned: Learned) -> dict[str, str]:
    """`files` of a smaller model: JSON of their names and of their bytes as base64.

    Args:
        original: The model.
        variant: What it becomes.
        inputs: What the network meets of a row of the examples, (H, W, 3) in its frame each.
        learned: The files of a variant that learns; is given the model, the variant's name and
            standardised training images for `Averaging`.
    """
    file = f"{original.model}.onnx"
    kept = {one: original.files.parts.get(one) for one in (file, "card.json", "prior.png")}
    parts = {one: data for one, data in kept.items() if data is not None}
    if variant == "fp16":
        parts[file] = fp16_onnx(parts[file])
    elif variant == "int8":
        most = original.training.calibration_images
        parts[file] = int8_onnx(parts[file], _batches(original, inputs, most, _BATCH))
    else:
        averaged = _batches(original, inputs, _AVERAGED, _AVERAGED_BATCH)
        found = learned(original, variant, averaged)
        parts = {one: found[one] for one in parts}
    card = json.loads(parts["card.json"]) | {"compressed": variant}
    parts["card.json"] = json.dumps(card, indent=2, sort_keys=True).encode()
    encoded = {one: base64.b64encode(data).decode() for one, data in parts.items()}
    return {"files": json.dumps(encoded)}


def _batches(original: Original, inputs: Inputs, most: int, size: int) -> list[Batch]:
    """Standardised inputs of so many training images, in batches (B, 3, H, W) of about one size.

    Batch norm could not take its averages from a last batch of one image.
    """
    fitted = [one for row in original.rows[:most] for one in inputs(original, row)]
    parts = np.array_split(np.arange(len(fitted)), max(1, round(len(fitted) / size)))
    frame = original.frame
    return [frame.standardise(np.stack([fitted[one] for one in part])) for part in parts]


class Averaging(torch.nn.Module):
    """A network whose batch norm takes its averages from given images when it stops learning.

    In a short training the averages that batch norm keeps lag behind the weights, and the network
    would be judged, and exported, with those of weights that it no longer has.
    """

    def __init__(self, network: torch.nn.Module, batches: Sequence[Batch]) -> None:
        super().__init__()
        self.network = network.train()
        self._batches = batches

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """What the network says."""
        found: torch.Tensor = self.network(images)
        return found

    @override
    def train(self, mode: bool = True) -> Self:
        if self.training and not mode:
            device = next(self.network.parameters()).device
            update_bn(map(torch.from_numpy, self._batches), self.network, device)
        return super().train(mode)


def pruned(
    network: torch.nn.Module, variant: str, frame: Frame, *, kept: torch.nn.Module, seed: int
) -> torch.nn.Module:
    """The network without a share of the channels of each layer, those of least weight.

    Channels that belong together fall together: torch-pruning's dependency graph, by the L2 norm
    of a group's weights (Fang et al. 2023, arXiv:2301.12900). What is left of the operations is
    about (1 - ratio)².

    Args:
        network: What loses channels, in place.
        variant: `pruned_` with the share.
        frame: Its input.
        kept: The layer whose outputs all stay.
        seed: Of whatever is drawn.
    """
    with seeded(seed, threads=1):
        torch_pruning.pruner.BasePruner(
            network,
            torch.zeros(1, 3, frame.height, frame.width),
            importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
            pruning_ratio=float(variant.removeprefix(PRUNED)),
            ignored_layers=[kept],
            round_to=_CHANNELS,
        ).step()
    return network
