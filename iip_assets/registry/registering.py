"""From what the graph holds to a registered version: its files, its facts, its card."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.embeddings.onnx_session import open_session, run
from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.values import Files, Skipped
from iip_assets.engine.workspace import flat_settings
from iip_assets.models.tasks import FILTER, SEGMENTER, TASKS
from iip_assets.registry.contenders import LEARNED_FROM
from iip_assets.registry.registry import Registry, read_registry
from iip_assets.registry.registry_state import Version

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
        expected = _network(model, files, given)
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
        expected = torch.softmax(head.eval()(torch.from_numpy(given)) / temperature, 1)
    return given, expected.numpy()


def _network(
    model: str, files: Mapping[str, bytes], given: NDArray[np.float32]
) -> NDArray[np.float32]:
    """What the weights say of images."""
    import torch

    from iip_assets.models.filter import restored_filter
    from iip_assets.models.segmentation_model import restored_segmenter

    temperature = 1.0
    if model == SEGMENTER.name:
        network = restored_segmenter(files)
    else:
        network, temperature = restored_filter(files, {})
    with torch.inference_mode():
        logits = network(torch.from_numpy(given))
        expected = torch.softmax(logits / temperature, 1) if model == FILTER.name else logits
    return np.asarray(expected.numpy())


# `data_version` is that of the model, by which a setting can name it as teacher.
_FROM_RECORD = ("asset", "data_version", "action_key", "code_key", "git_commit", "made_at")

# A card's files from a model, its number, its facts and its metrics: `report.model_card`.
Card = Callable[..., Mapping[str, bytes]]


@dataclass(frozen=True)
class Present:
    """What is registered.

    Attributes:
        files: The model.
        examples: `image_id` and `split` of what it learned from.
        metrics: The table `metrics` of the evaluation of this very model.
        validation: Its validation card; None where there were no validation images.
        serving: What else serves it, such as the filter's threshold.
        record: Of the action that made it.
        data_revision: The md5 of the data that it was made of.
        remedy: What training did for groups, and why.
    """

    files: Files
    examples: pl.DataFrame
    metrics: pl.DataFrame
    validation: pl.DataFrame | None
    serving: Mapping[str, Any]
    record: ActionRecord
    data_revision: str
    remedy: str = "none"


def register_present(
    root: Path, model: str, present: Present, *, confidence: float, card: Card
) -> Version:
    """Registers the present model; where it is registered already, that version is given.

    Args:
        root: The workspace's folder.
        model: `filter` or `segmenter`.
        present: What is registered.
        confidence: Of the intervals.
        card: Makes its card.

    Raises:
        OnnxDiffersError: The ONNX file gives other numbers than the weights.
    """
    files, examples, record = present.files, present.examples, present.record
    digest = files.digest
    known = read_registry(root).known(model, digest, present.serving)
    if known is not None:
        return known
    learned = examples.filter(pl.col("split") != "test")["image_id"].sort().to_list()
    own = present.metrics.filter(pl.col("model") == model)
    rows = own.to_dicts()
    headline = TASKS[model].headline
    validated = _validated(present.validation, model)
    facts = {
        **{name: getattr(record, name) for name in _FROM_RECORD},
        "data_revision": present.data_revision,
        "remedy": present.remedy,
        "settings": flat_settings(record.settings),
        "learned_from": len(learned),
        "onnx": _fidelity(model, files.parts),
        "headline": {
            row["slice"]: [row["value"], row["low"], row["high"]]
            for row in rows
            if row["metric"] == headline and row["axis"] == "overall"
        },
        "validation": next(
            (row for row in validated.to_dicts() if row["metric"] == headline), None
        ),
        **present.serving,
    }
    number = str(len(read_registry(root).of(model)) + 1)
    shown = card(model, number, facts, rows, digest=digest, metric=headline, confidence=confidence)
    parts = {
        **files.parts,
        LEARNED_FROM: json.dumps(learned).encode(),
        "metrics.parquet": _parquet(own),
        "facts.json": json.dumps(facts, indent=2, sort_keys=True).encode(),
        **shown,
    }
    if validated.height:
        parts["validation.parquet"] = _parquet(validated)
    return Registry(root).register(
        model, parts, digest=digest, facts=facts, serving=tuple(present.serving)
    )


def _fidelity(model: str, files: Mapping[str, bytes]) -> str:
    """How near its ONNX file is to the weights beside it, which a smaller model has none of."""
    if smaller := json.loads(files["card.json"]).get("compressed"):
        return f"{smaller} of its original, without weights beside it"
    return f"largest difference {largest_difference(model, files):.1e} of the range"


def promised_serving(
    model: str, promises: pl.DataFrame | Skipped, pixel_class: str
) -> dict[str, Any]:
    """What of fairness_guarantee a version is served by: its promises, and the segmenter's pixels.

    From `pixel_threshold` on a pixel is of `pixel_class`; without a threshold of the likeliest.
    """
    rows = [] if isinstance(promises, Skipped) else promises.filter(model=model).to_dicts()
    found: dict[str, Any] = {"promises": rows} if rows else {}
    if model == SEGMENTER.name:
        threshold = next((row["threshold"] for row in rows if row["granted"]), None)
        found |= {"pixel_threshold": threshold, "pixel_class": pixel_class if rows else None}
    return found


def _validated(card: pl.DataFrame | None, model: str) -> pl.DataFrame:
    """The model's rows of a validation card."""
    return pl.DataFrame() if card is None else card.filter(pl.col("model") == model)


def _parquet(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


def compared(before: Version, after: Version) -> Sequence[dict[str, Any]]:
    """What differs in what two versions were made of: facts and settings, by name."""
    was, now = ({**one.facts, **one.facts.get("settings", {})} for one in (before, after))
    left_out = {
        "settings",
        "promises",
        "headline",
        "validation",
        "data_version",
        "action_key",
        "onnx",
        "made_at",
    }
    return [
        {"what": name, before.name: was.get(name), after.name: now.get(name)}
        for name in sorted((was.keys() | now.keys()) - left_out)
        if was.get(name) != now.get(name)
    ]
