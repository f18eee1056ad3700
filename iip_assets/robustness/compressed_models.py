"""Smaller models made of a trained one: fewer bits, fewer channels, or a student of it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl
import torch
import torch_pruning
from numpy.typing import NDArray
from torch.nn.modules.batchnorm import _BatchNorm
from typing_extensions import override

from iip_assets.embeddings.onnx_session import open_session
from iip_assets.embeddings.onnx_session import run as run_session
from iip_assets.engine.hashing import digest_table
from iip_assets.engine.values import Files, Noted, Skipped
from iip_assets.images.decode import decode_image
from iip_assets.images.letterbox import letterbox_image
from iip_assets.images.store import Store
from iip_assets.inference.filter import has_head
from iip_assets.inference.frame import Frame, box_around, cut_image
from iip_assets.inference.segmenter import eye_classes, read_pair
from iip_assets.models.filter import build_filter, restored_filter
from iip_assets.models.filter_network import build_classifier
from iip_assets.models.segmentation_model import build_segmenter, restored_segmenter
from iip_assets.models.segmenter import build_network, has_packaged_weights
from iip_assets.models.tasks import FILTER
from iip_assets.robustness.quantized import fp16_onnx, int8_onnx, latencies_ms
from iip_assets.robustness.variants import LATENCY, ORIGINAL, PRUNED, STUDENT
from iip_assets.settings import (
    CompressionTrainingSettings,
    FilterSettings,
    Section,
    SegmenterSettings,
)
from iip_assets.training.trainer import TrainingRun, seeded

if TYPE_CHECKING:
    from iip_assets.engine.features import Filled

# Fewer channels than these at a time save no time.
_CHANNELS = 8
# Images a step of a filter's training.
_STEP = 16
# Images of the calibration at a time, and rounds in which latencies are taken.
_BATCH, _ROUNDS = 8, 25
# Training images from which batch norm's averages are taken, and how many at a time.
_AVERAGED, _AVERAGED_BATCH = 256, 32


@dataclass(frozen=True)
class Original:
    """A trained model, and what its smaller ones learn from.

    Attributes:
        model: `filter` or `segmenter`.
        files: The model.
        examples: The table that it learned from.
        backbone: Of the embeddings; of a filter alone.
        recipe: The settings that it was trained by.
        store: Where images and masks are.
        max_megapixels: The largest image that is decoded.
    """

    model: str
    files: Files
    examples: pl.DataFrame
    backbone: Mapping[str, bytes]
    recipe: Section
    store: Store
    max_megapixels: float

    @property
    def card(self) -> dict[str, Any]:
        """What whoever runs it must know."""
        return dict(json.loads(self.files.parts["card.json"]))

    def load(self, image_id: str) -> NDArray[np.uint8]:
        """The image (H, W, 3)."""
        return decode_image(self.store.read(image_id), max_megapixels=self.max_megapixels)


def compressed(
    original: Original,
    variants: Sequence[str],
    training: CompressionTrainingSettings,
    *,
    resampled: bool,
    run: TrainingRun,
    fill: Callable[..., Filled],
) -> Files | Skipped:
    """The smaller models, files called `<variant>/<file>`, and how long one image takes each.

    Args:
        original: The model.
        variants: Such as `int8`, `fp16`, `pruned_0.3` and `student_lcnet_050`.
        training: How they are made.
        resampled: Whether training images are drawn by what they weigh.
        run: Where to train.
        fill: `AssetContext.fill`, which keeps what was made.
    """
    if not variants:
        return Skipped(f"compression.{original.model} names no smaller model")
    ids = original.examples.select(pl.col("^(image|mask)_id$")).to_dict(as_series=False)
    original.store.fetch([one for column in ids.values() for one in column])
    recipe = original.recipe.model_dump(mode="json")
    rows = fill(
        "compressed_models",
        pl.DataFrame({"model": original.model, "variant": list(variants)}),
        compress_chunk,
        given={"training": training.model_dump(), "recipe": recipe, "resampled": resampled},
        key={"model": original.files.digest, "examples": digest_table(original.examples)},
        tools={"original": original, "run": run},
        chunk=1,
    ).frame.to_dicts()
    parts = {
        f"{row['variant']}/{name}": base64.b64decode(data)
        for row in sorted(rows, key=lambda row: variants.index(row["variant"]))
        for name, data in json.loads(row["files"]).items()
    }
    file, frame = f"{original.model}.onnx", Frame.of_card(original.card)
    networks = {one: parts[f"{one}/{file}"] for one in variants}
    networks[ORIGINAL] = original.files.parts[file]
    threads, shape = run.machine.threads, (3, frame.height, frame.width)
    found = latencies_ms(networks, shape, threads=threads, rounds=_ROUNDS)
    latency = json.dumps({"threads": threads, "ms": found}).encode()
    return Files({**parts, LATENCY: latency}, version_of=tuple(parts))


def compress_chunk(
    records: Sequence[dict[str, Any]],
    *,
    training: Mapping[str, Any],
    recipe: Mapping[str, Any],
    resampled: bool,
    original: Original,
    run: TrainingRun,
) -> list[dict[str, Any]]:
    """`files` of each `variant`: JSON of their names and of their bytes as base64.

    `training` has the fields of `CompressionTrainingSettings`, `recipe` those of the settings of
    the original; the latter is called for here as rows hang on it.
    """
    found, most = [], training["calibration_images"]
    for record in records:
        name, file = record["variant"], f"{original.model}.onnx"
        kept = {one: original.files.parts.get(one) for one in (file, "card.json", "prior.png")}
        parts = {one: data for one, data in kept.items() if data is not None}
        if name == "fp16":
            parts[file] = fp16_onnx(parts[file])
        elif name == "int8" and not has_head(original.files.parts):
            parts[file] = int8_onnx(parts[file], _images(original, training, most, _BATCH))
        else:
            given: dict[str, Any] = {"recipe": recipe, "training": training, "run": run}
            learn = _int8_head if name == "int8" else partial(_learned, variant=name)
            learned = learn(original, resampled=resampled, **given)
            parts = {one: learned[one] for one in parts}
        card = json.loads(parts["card.json"]) | {"compressed": name}
        parts["card.json"] = json.dumps(card, indent=2, sort_keys=True).encode()
        encoded = {one: base64.b64encode(data).decode() for one, data in parts.items()}
        found.append({"files": json.dumps(encoded)})
    return found


def _images(
    original: Original, training: Mapping[str, Any], most: int, batch: int
) -> list[NDArray[np.float32]]:
    """Standardised training images as the network meets them, (B, 3, H, W) each.

    Of a segmenter that looks twice, the close look at each eye too.
    """
    card, seed = original.card, training["seed"]
    frame = Frame.of_card(card)
    learned = original.examples.filter(split="train").to_dicts()
    learned.sort(key=lambda row: hashlib.sha256(f"{seed}:{row['image_id']}".encode()).digest())
    fitted = []
    if original.model == FILTER.name:
        images = (original.load(row["image_id"]) for row in learned[:most])
        fitted = [letterbox_image(one, frame.width, frame.height) for one in images]
    else:
        eye = eye_classes(card["classes"]) if card["two_pass"] else ()
        count, largest = len(card["classes"]), original.max_megapixels
        for row in learned[:most]:
            image, mask = read_pair(original.store, row, classes=count, max_megapixels=largest)
            fitted.append(frame.fit_image(image))
            if (box := box_around(np.isin(mask, eye), frame)) is not None:
                fitted.append(cut_image(image, box, frame))
    # Of about one size: batch norm cannot take its averages from a last batch of one image.
    parts = np.array_split(np.arange(len(fitted)), max(1, round(len(fitted) / batch)))
    return [frame.standardise(np.stack([fitted[one] for one in part])) for part in parts]


def _int8_head(
    original: Original,
    *,
    recipe: Mapping[str, Any],
    training: Mapping[str, Any],
    resampled: bool,
    run: TrainingRun,
) -> Mapping[str, bytes]:
    """The files of a head that was trained anew on the embeddings of the backbone in 8 bits.

    These embeddings say as much as before, and in other numbers: the old head would misread them.
    """
    frame, name = Frame.of_card(original.card), "backbone.onnx"
    batches = _images(original, training, training["calibration_images"], _BATCH)
    backbone = {**original.backbone, name: int8_onnx(original.backbone[name], batches)}
    session = open_session(backbone[name], threads=run.machine.threads)
    ids, vectors = original.examples["image_id"], []
    for first in range(0, len(ids), _BATCH):
        images = map(original.load, ids[first : first + _BATCH])
        fitted = [letterbox_image(one, frame.width, frame.height) for one in images]
        vectors += [*run_session(session, frame.standardise(np.stack(fitted)))]
    embeddings = pl.Series("embedding", vectors, original.examples["embedding"].dtype)
    return build_filter(
        original.examples.with_columns(embeddings),
        backbone,
        FilterSettings(**{**recipe, "train": "head", "network": "", "teacher": ""}),
        load=original.load,
        run=run,
        resampled=resampled,
    ).value.parts


class Averaging(torch.nn.Module):
    """A network whose batch norm takes its averages from given images when it stops learning.

    In a short training the averages that batch norm keeps lag behind the weights, and the network
    would be judged, and exported, with those of weights that it no longer has.
    """

    def __init__(self, network: torch.nn.Module, batches: Sequence[NDArray[np.float32]]) -> None:
        super().__init__()
        self.network = network.train()
        self._batches = batches

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """What the network says."""
        found: torch.Tensor = self.network(images)
        return found

    @override
    def train(self, mode: bool = True) -> Self:
        learned = self.training and not mode
        super().train(mode)
        norms = [one for one in self.network.modules() if isinstance(one, _BatchNorm)]
        if not learned or not norms:
            return self
        kept = [one.momentum for one in norms]
        for one in norms:
            one.reset_running_stats()
            one.momentum = None  # the mean of all batches
            one.train()
        device = next(self.network.parameters()).device
        with torch.no_grad():
            for batch in self._batches:
                self.network(torch.from_numpy(batch).to(device))
        for one, momentum in zip(norms, kept, strict=True):
            one.momentum = momentum
            one.eval()
        return self


def _learned(
    original: Original,
    *,
    variant: str,
    recipe: Mapping[str, Any],
    training: Mapping[str, Any],
    resampled: bool,
    run: TrainingRun,
) -> Mapping[str, bytes]:
    """The files of a pruned network, or of a student; both learn from the original too."""
    card, seed = original.card, training["seed"]
    student = variant.removeprefix(STUDENT) if variant.startswith(STUDENT) else ""
    channels = card.get("decoder_channels", ())
    if not student:
        network = pruned(original, float(variant.removeprefix(PRUNED)), seed)
    elif original.model == FILTER.name:
        network = build_classifier(
            original.backbone, len(card["classes"]), seed=seed, model=student
        )
    else:
        channels = [max(_CHANNELS, one // 2) for one in channels]
        network = build_network(
            student,
            classes=len(card["classes"]),
            decoder_channels=channels,
            pretrained=has_packaged_weights(student),
            seed=seed,
        )
    epochs = training["student_epochs" if student else "epochs"]
    size = {"width": card["input_width"], "height": card["input_height"]}
    common = {**recipe, **size, "teacher": "", "seed": seed}
    averaged = _images(original, training, _AVERAGED, _AVERAGED_BATCH)
    given: dict[str, Any] = {"run": run, "resampled": resampled}
    given |= {"network": Averaging(network, averaged), "teacher": original.files.parts}
    if original.model == FILTER.name:
        whole = {"train": "network", "network": student, "network_epochs": epochs}
        # A head's batches are large, of which a network would see too few.
        whole["batch_size"] = min(_STEP, recipe["batch_size"])
        settings = FilterSettings(**{**common, **whole})
        return build_filter(
            original.examples, original.backbone, settings, load=original.load, **given
        ).value.parts
    same = {"encoder": student or card["encoder"], "two_pass": card["two_pass"]}
    same["decoder_channels"] = channels
    built = build_segmenter(
        original.examples,
        original.store,
        SegmenterSettings(**{**common, **same, "epochs": epochs}),
        classes=card["classes"],
        max_megapixels=original.max_megapixels,
        **given,
    )
    assert isinstance(built, Noted)  # the original learned from the same pixels
    return built.value.parts


def pruned(original: Original, ratio: float, seed: int) -> torch.nn.Module:
    """The network without a share of the channels of each layer, those of least weight.

    Channels that belong together fall together: torch-pruning's dependency graph, by the L2 norm
    of a group's weights (Fang et al. 2023, arXiv:2301.12900). What is left of the operations is
    about (1 - ratio)².
    """
    files, card = original.files.parts, original.card
    if original.model == FILTER.name:
        network, _ = restored_filter(files, original.backbone)
        kept: torch.nn.Module
        *_, kept = (one for one in network.modules() if isinstance(one, torch.nn.Linear))
    else:
        network = restored_segmenter(files)
        kept = network.get_submodule("segmentation_head")
    with seeded(seed, threads=1):
        torch_pruning.pruner.BasePruner(
            network,
            torch.zeros(1, 3, card["input_height"], card["input_width"]),
            importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
            pruning_ratio=ratio,
            ignored_layers=[kept],
            round_to=_CHANNELS,
        ).step()
    return network
