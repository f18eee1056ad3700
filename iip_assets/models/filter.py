"""The filter as an artifact: trained, calibrated, exported."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import polars as pl
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_state
from safetensors.torch import save

from iip_assets.embeddings.backbone import restore_backbone
from iip_assets.embeddings.onnx_export import check_equal
from iip_assets.engine.values import Files, Noted
from iip_assets.images.decode import NOT_LABELLED
from iip_assets.inference.filter import has_head
from iip_assets.inference.frame import Frame
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.models.distillation import softened_truth
from iip_assets.models.fair_task import log_doubts, remedy_of, sides_of
from iip_assets.models.filter_network import (
    ClassifierTask,
    Examples,
    FilterHead,
    build_classifier,
    class_balanced,
    filter_onnx,
    head_logits,
    head_onnx,
    network_logits,
    network_onnx,
    train_head,
    usable_sides,
    weighted_loss,
)
from iip_assets.models.training_images import LabelledImages
from iip_assets.settings import FilterSettings
from iip_assets.training.preflight import log_absent, start_of
from iip_assets.training.trainer import Schedule, Trained, TrainingRun, train_network

LoadImage = Callable[[str], NDArray[np.uint8]]

# With fewer images the temperature would be noise.
_LEAST_IMAGES = 20
# A temperature outside of this says that something else is wrong.
_LOWEST, _HIGHEST = 0.2, 10.0
_STEPS = 60


def schedule_of(settings: FilterSettings, train: Literal["head", "network"]) -> Schedule:
    """How long and how fast a head, or a whole network, learns."""
    network = train == "network"
    return Schedule(
        epochs=settings.network_epochs if network else settings.epochs,
        patience=settings.patience,
        learning_rate=settings.network_learning_rate if network else settings.learning_rate,
        weight_decay=settings.weight_decay,
        batch_size=settings.batch_size,
        seed=settings.seed,
    )


def build_filter(
    images: pl.DataFrame,
    backbone: Mapping[str, bytes],
    settings: FilterSettings,
    *,
    load: LoadImage,
    run: TrainingRun,
    resampled: bool = False,
    teacher: Mapping[str, bytes] | None = None,
    network: torch.nn.Module | None = None,
) -> Noted[Files]:
    """The filter's files, and how its training went.

    `filter.onnx` goes from standardised images to probabilities, `filter_head.onnx` (of a trained
    head alone) from embeddings to probabilities, `filter.safetensors` holds the weights that were
    trained, `card.json` says what whoever runs it must know, and nothing that was measured.

    Args:
        images: The table of filter_examples.
        backbone: The backbone's files.
        settings: How to train.
        load: Reads an image (H, W, 3) by its id; asked only where a whole network is trained.
        run: Where to train, watched by whom.
        resampled: Whether training images are drawn by what they weigh, and then count the same.
        teacher: The files of a filter that a whole network learns from beside the labels.
        network: What a whole network goes on from, (B, 3, H, W) to logits; None: the backbone, or
            the network that the settings name.

    Raises:
        CannotLearnError: A check before a long training failed.
        UnfitTeacherError: The teacher cannot teach it.
    """
    dimensions = len(images["embedding"][0])
    training, validation = (
        examples_of(images.filter(pl.col("split") == split), dimensions)
        for split in ("train", "validation")
    )
    schedule = schedule_of(settings, settings.train)
    facts = _backbone_facts(backbone)
    noted: dict[str, Any] = {"train": settings.train, **asdict(schedule)}
    counts = _counts(images)
    log_absent(counts, FILTER_CLASSES, log=run.log)
    if settings.train == "head":
        fair = remedy_of(images, FILTER_CLASSES)
        head = train_head(
            training,
            validation,
            schedule,
            classes=len(FILTER_CLASSES),
            run=run,
            fair=fair,
            resampled=resampled,
        )
        built = _head(head, (training, validation), backbone)
    else:
        facts |= {"input_width": settings.width, "input_height": settings.height}
        if settings.network not in ("", facts["backbone"]):
            facts |= {"backbone": settings.network, "weights_sha256": ""}
        noted |= {"network": settings.network, "teacher_share": settings.teacher_share}
        built = _network(
            images,
            (training, validation),
            backbone,
            settings,
            load=load,
            run=run,
            resampled=resampled,
            teacher=teacher,
            network=network,
        )
    card = {**facts, "classes": list(FILTER_CLASSES), "temperature": built.temperature}
    parts = built.files | {"card.json": json.dumps(card, indent=2, sort_keys=True).encode()}
    notes: dict[str, Any] = {
        "images": counts,
        "settings": noted,
        "start": built.start,
        **asdict(built.trained),
    }
    return Noted(Files(parts, version_of=("filter.safetensors", "card.json")), notes)


@dataclass(frozen=True)
class _Built:
    """A trained filter.

    Attributes:
        files: Its files, without the card.
        temperature: By which logits are divided.
        trained: How the training went.
        start: What was seen before it, if somebody looked.
    """

    files: dict[str, bytes]
    temperature: float
    trained: Trained
    start: dict[str, float] | None = None


def _head(
    trained_head: tuple[FilterHead, Trained],
    examples: tuple[Examples, Examples],
    backbone: Mapping[str, bytes],
) -> _Built:
    """A head on embeddings."""
    from scipy.special import softmax

    (training, validation), (head, trained) = examples, trained_head
    logits = head_logits(head, validation.embeddings)
    temperature = fit_temperature(logits, validation.classes)
    state = {name: tensor.contiguous() for name, tensor in head.state_dict().items()}
    head_file = head_onnx({name: t.numpy() for name, t in state.items()}, temperature)
    sample = training.embeddings[:8]
    expected = softmax(head_logits(head, sample).astype(np.float64) / temperature, axis=1)
    check_equal(head_file, sample, expected.astype(np.float32))
    files = {
        "filter.onnx": filter_onnx(backbone["backbone.onnx"], head_file),
        "filter_head.onnx": head_file,
        "filter.safetensors": _saved(state, temperature),
    }
    return _Built(files, temperature, trained)


def _network(
    images: pl.DataFrame,
    examples: tuple[Examples, Examples],
    backbone: Mapping[str, bytes],
    settings: FilterSettings,
    *,
    load: LoadImage,
    run: TrainingRun,
    resampled: bool,
    teacher: Mapping[str, bytes] | None,
    network: torch.nn.Module | None,
) -> _Built:
    """A whole network."""
    training, validation = examples
    classes, threads = len(FILTER_CLASSES), run.machine.threads
    schedule = schedule_of(settings, "network")
    card = json.loads(backbone["card.json"])
    fair, drawn = remedy_of(images, FILTER_CLASSES), class_balanced(training, classes)
    frame = Frame.of_card({**card, "input_width": settings.width, "input_height": settings.height})

    def part(split: str, examples: Examples) -> LabelledImages:
        rows = images.filter(pl.col("split") == split)
        ids = rows["image_id"].to_list()
        truth: NDArray[np.int64] | NDArray[np.float32] = examples.classes
        if teacher is not None and split == "train":
            truth = softened_truth(
                rows,
                examples.classes,
                teacher,
                backbone=card,
                load_image=load,
                share=settings.teacher_share,
                threads=threads,
            )
        return LabelledImages(
            lambda place: load(ids[place]),
            truth,
            np.ones_like(drawn)
            if resampled and split == "train"
            else class_balanced(examples, classes),
            frame=frame,
            seed=schedule.seed,
            threads=threads,
            augmented=split == "train",
            sides=usable_sides(examples, fair),
        )

    learned, held_out = part("train", training), part("validation", validation)
    if network is None:
        network = build_classifier(backbone, classes, seed=schedule.seed, model=settings.network)
    start = start_of(
        network,
        learned,
        schedule,
        run.machine,
        classes=classes,
        ignored=NOT_LABELLED,
        loss_of=weighted_loss,
        what="filter",
        labels=torch.from_numpy(training.classes),
    )
    log_doubts(fair, usable_sides(training, fair), network, run.log)
    trained = train_network(
        network,
        task=partial(ClassifierTask, fair=fair),
        examples=learned,
        validation=held_out,
        sides=usable_sides(training, fair),
        drawn=drawn if resampled else None,
        schedule=schedule,
        run=run,
        label="training the filter",
    )
    logits = network_logits(network, held_out, threads=threads).reshape(-1, classes)
    temperature = fit_temperature(logits, validation.classes)
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    files = {
        "filter.onnx": network_onnx(network, temperature, frame),
        "filter.safetensors": _saved(state, temperature),
    }
    return _Built(files, temperature, trained, start)


def restored_filter(
    files: Mapping[str, bytes], backbone: Mapping[str, bytes]
) -> tuple[torch.nn.Module, float]:
    """A trained filter from its files, (B, 3, H, W) to logits (B, K), and its temperature.

    A head stands behind the backbone; what standardises its embeddings is in its first layer.
    """
    state = load_state(files["filter.safetensors"])
    temperature = float(state.pop("temperature"))
    if not has_head(files):
        card = json.loads(files["card.json"])
        network: torch.nn.Module = timm.create_model(
            card["backbone"], pretrained=False, num_classes=len(card["classes"])
        )
        network.load_state_dict(state)
        return network.eval(), temperature
    layers = head_layers(state)
    return torch.nn.Sequential(restore_backbone(dict(backbone)), *layers).eval(), temperature


def head_layers(state: Mapping[str, torch.Tensor]) -> tuple[torch.nn.Module, ...]:
    """The layers of a `FilterHead`, (B, D) to logits, from its weights by name."""
    weight, bias = state["hidden.weight"] / state["spread"], state["hidden.bias"]
    hidden, out = torch.nn.Linear(*weight.T.shape), torch.nn.Linear(*state["out.weight"].T.shape)
    hidden.load_state_dict({"weight": weight, "bias": bias - weight @ state["mean"]})
    out.load_state_dict({"weight": state["out.weight"], "bias": state["out.bias"]})
    return hidden, torch.nn.ReLU(), out


def examples_of(images: pl.DataFrame, dimensions: int) -> Examples:
    """What the head is trained on, of the table of filter_examples."""
    vectors = images["embedding"].to_list()
    return Examples(
        embeddings=np.array(vectors, dtype=np.float32).reshape(len(vectors), dimensions),
        classes=np.array([FILTER_CLASSES.index(one) for one in images["label"]], dtype=np.int64),
        weights=images["weight"].to_numpy().astype(np.float64),
        sides=sides_of(images),
    )


def _saved(state: Mapping[str, torch.Tensor], temperature: float) -> bytes:
    return save({**state, "temperature": torch.tensor(temperature, dtype=torch.float64)})


def _backbone_facts(backbone: Mapping[str, bytes]) -> dict[str, Any]:
    """What whoever feeds images to `filter.onnx` must know."""
    card = json.loads(backbone["card.json"])
    names = ("model", "weights_sha256", "input_width", "input_height", "mean", "std")
    return {name if name != "model" else "backbone": card[name] for name in names}


def _counts(images: pl.DataFrame) -> dict[str, dict[str, int]]:
    counts = images.group_by("split", "label").len().sort("split", "label")
    table: dict[str, dict[str, int]] = {}
    for split, label, count in counts.iter_rows():
        table.setdefault(split, {})[label] = count
    return table


def fit_temperature(logits: NDArray[np.float32], classes: NDArray[np.int64]) -> float:
    """The number by which (N, K) logits are divided so that held-out images are likeliest.

    1 where there are too few images to tell.
    """
    if len(classes) < _LEAST_IMAGES:
        return 1.0
    from scipy.special import log_softmax

    exact, rows = logits.astype(np.float64), np.arange(len(classes))

    def loss(inverse: float) -> float:
        return float(-log_softmax(exact * inverse, axis=1)[rows, classes].mean())

    # The loss is convex in 1 / temperature: thirds of the range can be dropped.
    low, high = 1 / _HIGHEST, 1 / _LOWEST
    for _ in range(_STEPS):
        third = (high - low) / 3
        if loss(low + third) < loss(high - third):
            high -= third
        else:
            low += third
    return float(2 / (low + high))
