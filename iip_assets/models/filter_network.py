"""The filter's networks: a head on embeddings, or the backbone trained further; also as ONNX."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import onnx
import timm
import torch
from numpy.typing import NDArray
from onnx import compose, helper, numpy_helper
from safetensors.torch import load
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset
from typing_extensions import override

from iip_assets.embeddings.onnx_export import OPSET, export_onnx
from iip_assets.inference.frame import Frame
from iip_assets.models.fair_task import FairTask, GroupLoss, Scored, log_doubts, log_odds
from iip_assets.models.training_images import LabelledImages
from iip_assets.training.processes import shared_norm, total
from iip_assets.training.trainer import Schedule, Trained, TrainingRun, seeded, train

_HIDDEN = 64
_DROPOUT = 0.3
_BATCH = 16
# Of the format of ONNX files; the version that belongs to the operator set.
_IR_VERSION = 10


class FilterHead(torch.nn.Module):
    """(B, D) embeddings, standardised as the training images' were, to (B, K) logits."""

    mean: Tensor
    spread: Tensor

    def __init__(self, dimensions: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dimensions))
        self.register_buffer("spread", torch.ones(dimensions))
        self.hidden = torch.nn.Linear(dimensions, _HIDDEN)
        self.drop = torch.nn.Dropout(_DROPOUT)
        self.out = torch.nn.Linear(_HIDDEN, classes)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logits of each class."""
        inputs = (embeddings - self.mean) / self.spread
        logits: Tensor = self.out(self.drop(functional.relu(self.hidden(inputs))))
        return logits


@dataclass(frozen=True)
class Examples:
    """Labelled embeddings.

    Attributes:
        embeddings: (N, D).
        classes: (N,) class indices.
        weights: (N,) what each image counts.
        sides: (N, G) where each image stands in a remedy: 1, -1 or 0 in a pair, 1 or 0 in a subset.
    """

    embeddings: NDArray[np.float32]
    classes: NDArray[np.int64]
    weights: NDArray[np.float64]
    sides: NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return len(self.classes)


def class_balanced(examples: Examples, classes: int) -> NDArray[np.float64]:
    """Weights, mean 1, under which each class that occurs counts the same in sum.

    Images keep their weights relative to others of their class.
    """
    sums = np.bincount(examples.classes, weights=examples.weights, minlength=classes)
    balanced = examples.weights / sums[examples.classes]
    return np.asarray(balanced * len(examples) / balanced.sum())


def train_head(
    training: Examples,
    validation: Examples,
    schedule: Schedule,
    *,
    classes: int,
    run: TrainingRun,
    fair: GroupLoss | None = None,
    resampled: bool = False,
) -> tuple[FilterHead, Trained]:
    """The head with the lowest loss on the validation images; the last one if there are none.

    With a remedy both kinds of examples have sides, and the best head is the remedy's. Resampled,
    images are drawn by what they weigh, and count the same.
    """
    weights, sides = class_balanced(training, classes), usable_sides(training, fair)
    with seeded(schedule.seed, threads=run.machine.threads):
        head = FilterHead(training.embeddings.shape[1], classes)
        head.mean.copy_(torch.from_numpy(training.embeddings.mean(0)))
        # A number that never varies says nothing; dividing by its spread would only make noise.
        spread = training.embeddings.std(0)
        head.spread.copy_(torch.from_numpy(np.where(spread > 1e-6, spread, 1.0)))
    log_doubts(fair, sides, head, run.log)
    alone = run.machine.training.model_copy(update={"processes": 1})
    trained = train(
        head,
        task=partial(ClassifierTask, fair=fair),
        examples=_Embedded(training, np.ones_like(weights) if resampled else weights, sides),
        validation=_Embedded(
            validation, class_balanced(validation, classes), usable_sides(validation, fair)
        ),
        sides=sides,
        drawn=weights if resampled else None,
        schedule=schedule,
        # A head is done in seconds, sooner than other processes would have begun.
        run=replace(run, machine=replace(run.machine, training=alone)),
        label="training the filter",
        validation_batch=max(1, len(validation)),
        collate=_as_it_is,
    )
    return head.eval(), trained


def weighted_loss(logits: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Mean cross-entropy of (B, K) logits under weights (B,), of the batch of all processes.

    The truth is a class index (B,), or the share of each class (B, K).
    """
    losses = functional.cross_entropy(logits, truth, reduction="none")
    sums = total(torch.stack([(losses * weights).sum(), weights.sum()]))
    return sums[0] / sums[1]


def head_logits(head: FilterHead, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, K) logits."""
    with torch.inference_mode():
        return np.asarray(head(torch.from_numpy(embeddings)).numpy())


class ClassifierTask(FairTask):
    """A step of a network from inputs to (B, K) logits, under the images' weights."""

    @override
    def training_step(self, batch: tuple[Tensor, ...], _: int) -> Tensor:
        loss, scored = self._loss(batch)
        self.log("loss", loss, on_step=False, on_epoch=True, batch_size=len(batch[1]))
        return loss if scored is None else self.with_remedy(loss, scored)

    @override
    def validation_step(self, batch: tuple[Tensor, ...], _: int) -> None:
        loss, scored = self._loss(batch)
        self.log("validation_loss", loss, batch_size=len(batch[1]))
        if scored is not None:
            self.keep_validation(scored, loss)

    @override
    def on_validation_epoch_end(self) -> None:
        self.log_goal()

    def _loss(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, Scored | None]:
        inputs, classes, weights, *sides = batch
        with shared_norm():
            logits = self.network(inputs).float()
        loss = weighted_loss(logits, classes, weights)
        if self.fair is None:
            return loss, None
        usable = torch.zeros(logits.shape[1], dtype=torch.bool, device=logits.device)
        usable[list(self.fair.usable)] = True
        odds = log_odds(logits, usable.expand_as(logits))[:, None]
        return loss, Scored.of(odds, torch.ones_like(odds, dtype=torch.bool), sides[0])


def usable_sides(examples: Examples, fair: GroupLoss | None) -> NDArray[np.int8] | None:
    """(N, G) sides of the usable images, where there is a remedy; the others stand on none.

    Raises:
        ValueError: The sides are not known.
    """
    if fair is None:
        return None
    if examples.sides is None:
        raise ValueError("a remedy needs the sides of the examples; they have none")
    return examples.sides * np.isin(examples.classes, fair.usable)[:, None].astype(np.int8)


class _Embedded(Dataset[Any]):
    """Embeddings, classes, weights and, for a remedy, sides, taken a batch at a time."""

    def __init__(
        self, examples: Examples, weights: NDArray[np.float64], sides: NDArray[np.int8] | None
    ) -> None:
        parts = [examples.embeddings, examples.classes, weights.astype(np.float32)]
        parts += [] if sides is None else [sides]
        self._parts = tuple(torch.from_numpy(part) for part in parts)

    def __len__(self) -> int:
        return len(self._parts[0])

    def __getitems__(self, items: list[Any]) -> tuple[Tensor, ...]:
        places = torch.tensor([place for _, place in items])
        return tuple(part[places] for part in self._parts)


def _as_it_is(batch: Any) -> Any:
    return batch


def head_onnx(state: Mapping[str, NDArray[np.float32]], temperature: float) -> bytes:
    """(B, D) embeddings to (B, K) probabilities, from the arrays of a `FilterHead` by name."""
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
