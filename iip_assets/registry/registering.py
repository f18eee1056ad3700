"""From what the graph holds to a registered version: its files, its facts, its card."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from iip_assets.engine.values import Files
from iip_assets.engine.workspace import flat_settings
from iip_assets.models.tasks import TASKS
from iip_assets.registry.contenders import LEARNED_FROM
from iip_assets.registry.onnx_check import largest_difference
from iip_assets.registry.registry import Registry, read_registry
from iip_assets.registry.registry_state import Version

# A card's files from a model, its number, its facts and its metrics: `report.model_card`.
Card = Callable[..., Mapping[str, bytes]]


@dataclass(frozen=True)
class Origin:
    """Where a model came from, by its record.

    Attributes:
        asset: Its asset.
        data_version: Of the model, by which a setting can name it as teacher.
        action_key: Of the action that made it.
        code_key: Of that action.
        git_commit: Checked out when it was made.
        made_at: When, as ISO 8601.
        settings: That it read.
        data_revision: The md5 of the data that it was made of.
    """

    asset: str
    data_version: str
    action_key: str
    code_key: str
    git_commit: str
    made_at: str
    settings: Mapping[str, Any]
    data_revision: str


@dataclass(frozen=True)
class Present:
    """What is registered.

    Attributes:
        files: The model.
        examples: `image_id` and `split` of what it learned from.
        metrics: The table `metrics` of the evaluation of this very model.
        validation: Its validation card; None where there were no validation images.
        serving: What else serves it, such as the filter's threshold.
        origin: Where it came from.
    """

    files: Files
    examples: pl.DataFrame
    metrics: pl.DataFrame
    validation: pl.DataFrame | None
    serving: Mapping[str, Any]
    origin: Origin


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
    files, examples, origin = present.files, present.examples, present.origin
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
        **vars(origin),
        "settings": flat_settings(origin.settings),
        "learned_from": len(learned),
        "onnx": f"largest difference {largest_difference(model, files.parts):.1e} of the range",
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


def _validated(card: pl.DataFrame | None, model: str) -> pl.DataFrame:
    """The model's rows of a validation card."""
    return pl.DataFrame() if card is None else card.filter(pl.col("model") == model)


def _parquet(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


def metrics_of(version: Version) -> pl.DataFrame:
    """The metrics by slice that a version was registered with."""
    return pl.read_parquet(version.folder / "metrics.parquet")


def compared(before: Version, after: Version) -> Sequence[dict[str, Any]]:
    """What differs in what two versions were made of: facts and settings, by name."""
    was, now = ({**one.facts, **one.facts.get("settings", {})} for one in (before, after))
    left_out = {
        "settings",
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
