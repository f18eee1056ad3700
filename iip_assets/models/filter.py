"""The filter as an artifact: trained, calibrated, exported."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from iip_assets.embeddings.onnx_export import check_equal
from iip_assets.engine.values import Files, Noted
from iip_assets.images.decode import NOT_LABELLED
from iip_assets.inference.frame import Frame
from iip_assets.metrics.calibration import fit_temperature
from iip_assets.metrics.constants import FILTER_CLASSES
from iip_assets.models.filter_head import (
    Examples,
    class_balanced,
    head_logits,
    train_head,
    weighted_loss,
)
from iip_assets.models.filter_network import (
    LabelledImages,
    build_classifier,
    network_logits,
    network_onnx,
    train_network,
)
from iip_assets.models.filter_onnx import filter_onnx, head_onnx
from iip_assets.models.filter_teacher import softened_truth
from iip_assets.settings import FilterSettings, TrainingSettings
from iip_assets.training.preflight import Checks, is_wanted, look_at_start, tell_absent
from iip_assets.training.trainer import Around, Schedule, Trained

LEAST_IMAGES = 10
"""Fewer labelled training images than this train no filter."""

LoadImage = Callable[[str], NDArray[np.uint8]]


@dataclass(frozen=True)
class FilterRecipe:
    """How the filter is trained."""

    train: Literal["head", "network"]
    network: str
    teacher_share: float
    width: int
    height: int
    schedule: Schedule
    checks: Checks


def recipe_of(settings: FilterSettings, training: TrainingSettings) -> FilterRecipe:
    """The recipe that the settings mean."""
    schedules = {"head": head_schedule, "network": network_schedule}
    return FilterRecipe(
        train=settings.train,
        network=settings.network,
        teacher_share=settings.teacher_share,
        width=settings.width,
        height=settings.height,
        schedule=schedules[settings.train](settings),
        checks=training.checks,
    )


def head_schedule(settings: FilterSettings) -> Schedule:
    """How long and how fast a head learns."""
    return Schedule(
        epochs=settings.epochs,
        patience=settings.patience,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        batch_size=settings.batch_size,
        seed=settings.seed,
    )


def network_schedule(settings: FilterSettings) -> Schedule:
    """How long and how fast a whole network learns."""
    return replace(
        head_schedule(settings),
        epochs=settings.network_epochs,
        learning_rate=settings.network_learning_rate,
    )


def reason_not_to_train(images: pl.DataFrame) -> str | None:
    """Why these images train no filter, or None if they do."""
    labels = images.filter(pl.col("split") == "train")["label"]
    if labels.is_empty():
        return "no training image has a label of full, partial or none"
    if labels.n_unique() < 2:
        return f"all {labels.len()} labelled training images are {labels[0]!r}; two words at least"
    if labels.len() < LEAST_IMAGES:
        return f"only {labels.len()} training images have a label; {LEAST_IMAGES} at least"
    return None


def build_filter(
    images: pl.DataFrame,
    weights: Mapping[str, float],
    backbone: Mapping[str, bytes],
    recipe: FilterRecipe,
    *,
    load: LoadImage,
    around: Around,
    teacher: Mapping[str, bytes] | None = None,
) -> Noted[Files]:
    """The filter's files, and how its training went.

    `filter.onnx` goes from standardised images to probabilities, `filter_head.onnx` (of a trained
    head alone) from embeddings to probabilities, `filter.safetensors` holds the weights that were
    trained, `card.json` says what whoever runs it must know, and nothing that was measured.

    Args:
        images: From `examples.labelled_images`.
        weights: What a training image counts, by image id; 1 where it is not named.
        backbone: The backbone's files.
        recipe: How to train.
        load: Reads an image (H, W, 3) by its id; asked only where a whole network is trained.
        around: Where to train, watched by whom.
        teacher: The files of a filter that a whole network learns from beside the labels.

    Raises:
        CannotLearnError: A check before a long training failed.
        UnfitTeacherError: The teacher cannot teach it.
    """
    dimensions = len(images["embedding"][0])
    training, validation = (
        examples_of(images.filter(pl.col("split") == split), weights, dimensions)
        for split in ("train", "validation")
    )
    facts = _backbone_facts(backbone)
    counts = _counts(images)
    tell_absent(counts, FILTER_CLASSES, log=around.log)
    if recipe.train == "head":
        built = _head((training, validation), backbone, recipe, around=around)
    else:
        facts |= {"input_width": recipe.width, "input_height": recipe.height}
        if recipe.network not in ("", facts["backbone"]):
            facts |= {"backbone": recipe.network, "weights_sha256": ""}
        built = _network(
            images,
            (training, validation),
            backbone,
            recipe,
            load=load,
            around=around,
            teacher=teacher,
        )
    card = {**facts, "classes": list(FILTER_CLASSES), "temperature": built.temperature}
    parts = built.files | {"card.json": json.dumps(card, indent=2, sort_keys=True).encode()}
    notes: dict[str, Any] = {
        "images": counts,
        "settings": _facts(recipe),
        "start": built.start,
        "history": list(built.trained.history),
        "best_epoch": built.trained.best_epoch,
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
    examples: tuple[Examples, Examples],
    backbone: Mapping[str, bytes],
    recipe: FilterRecipe,
    *,
    around: Around,
) -> _Built:
    """A head on embeddings."""
    from scipy.special import softmax

    training, validation = examples
    head, trained = train_head(
        training,
        validation,
        recipe.schedule,
        classes=len(FILTER_CLASSES),
        around=around,
    )
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
    recipe: FilterRecipe,
    *,
    load: LoadImage,
    around: Around,
    teacher: Mapping[str, bytes] | None,
) -> _Built:
    """A whole network."""
    training, validation = examples
    classes = len(FILTER_CLASSES)
    card = json.loads(backbone["card.json"])
    frame = Frame.of_card({**card, "input_width": recipe.width, "input_height": recipe.height})

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
                share=recipe.teacher_share,
                threads=around.machine.threads,
            )
        return LabelledImages(
            lambda place: load(ids[place]),
            truth,
            class_balanced(examples, classes),
            frame=frame,
            seed=recipe.schedule.seed,
            threads=around.machine.threads,
            augmented=split == "train",
        )

    learned, held_out = part("train", training), part("validation", validation)
    network = build_classifier(backbone, classes, seed=recipe.schedule.seed, model=recipe.network)
    start = None
    if is_wanted(recipe.checks, recipe.schedule, len(learned)):
        batch = [learned[0, place] for place in range(min(8, len(learned)))]
        batch_images, _, counted = (torch.stack(parts) for parts in zip(*batch, strict=True))
        found = look_at_start(
            network,
            batch_images,
            # Labels, also where a teacher softens them: only these can be learned by heart.
            torch.from_numpy(training.classes[: len(batch)]),
            classes=classes,
            ignored=NOT_LABELLED,
            loss_of=lambda logits, classes: weighted_loss(logits, classes, counted),
            learning_rate=recipe.schedule.learning_rate,
            seed=recipe.schedule.seed,
            threads=around.machine.threads,
            what="filter",
        )
        start = asdict(found)
    trained = train_network(
        network,
        learned,
        held_out,
        recipe.schedule,
        around=around,
        label="training the filter",
    )
    logits = network_logits(network, held_out, threads=around.machine.threads)
    logits = logits.reshape(-1, classes)
    temperature = fit_temperature(logits, validation.classes)
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    files = {
        "filter.onnx": network_onnx(network, temperature, frame),
        "filter.safetensors": _saved(state, temperature),
    }
    return _Built(files, temperature, trained, start)


def examples_of(images: pl.DataFrame, weights: Mapping[str, float], dimensions: int) -> Examples:
    """What the head is trained on, of `labelled_images`; an image not in `weights` counts 1."""
    place = {name: index for index, name in enumerate(FILTER_CLASSES)}
    vectors = images["embedding"].to_list()
    return Examples(
        embeddings=np.array(vectors, dtype=np.float32).reshape(len(vectors), dimensions),
        classes=np.array([place[label] for label in images["label"]], dtype=np.int64),
        weights=np.array([weights.get(one, 1.0) for one in images["image_id"]], dtype=np.float64),
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


def _facts(recipe: FilterRecipe) -> dict[str, Any]:
    facts: dict[str, Any] = {"train": recipe.train, **asdict(recipe.schedule)}
    if recipe.train == "network":
        facts |= {"network": recipe.network, "teacher_share": recipe.teacher_share}
    return facts
