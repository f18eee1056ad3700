"""Short tables for people, and what the assets need to know of one another's values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from iip_assets.engine.values import Check, Files, MetadataValue, Rows
from iip_assets.training.preflight_words import Start, absent_in_words


def model_digest(files: Files) -> str:
    """SHA-256 over the parts that are the model: all that its data version covers."""
    hasher = hashlib.sha256()
    for name in sorted(files.version_of or files.parts):
        hasher.update(f"{name} {len(files.parts[name])} ".encode())
        hasher.update(files.parts[name])
    return hasher.hexdigest()


def counts_by_split(examples: pl.DataFrame) -> Rows:
    """Pictures and groups of each split."""
    counted = examples.group_by("split").agg(
        images=pl.len().cast(pl.Int64), groups=pl.col("group_id").n_unique().cast(pl.Int64)
    )
    return Rows(counted.sort("split").to_dicts())


def card_facts(card: bytes) -> dict[str, Any]:
    """What a model's card says."""
    facts: dict[str, Any] = json.loads(card)
    return facts


def card_summary(card: Mapping[str, Any]) -> dict[str, MetadataValue]:
    """A model's card for Dagster: its facts, and its validation metrics as a table."""
    facts = dict(card)
    validation = facts.pop("validation")
    facts["epochs_trained"] = len(facts.pop("history"))
    rows = [
        {
            "metric": name,
            **{end: _rounded(one[end]) for end in ("value", "low", "high")},
            "n_images": validation["n_images"],
            "n_subjects": validation["n_subjects"],
        }
        for name, one in validation.get("metrics", {}).items()
    ]
    return {**facts, "validation": Rows(rows)}


def filter_checks(card: Mapping[str, Any]) -> list[Check]:
    """What the filter's card says of its labels and of how its training began."""
    return [
        _classes_check("filter_classes_in_splits", card["pictures"], card["classes"]),
        _start_check(card["start"]),
    ]


def segmenter_checks(card: Mapping[str, Any]) -> list[Check]:
    """What the segmenter's card says of its masks and of how its training began."""
    return [
        _classes_check("mask_classes_in_splits", card["pictures_by_class"], card["classes"]),
        _start_check(card["start"]),
    ]


def _classes_check(
    name: str, counts: Mapping[str, Mapping[str, int]], classes: Sequence[str]
) -> Check:
    absent = absent_in_words(counts, classes)
    return Check(
        name,
        passed=absent is None,
        severity="warning",
        description=absent or "every split has every class",
    )


def _start_check(start: Mapping[str, float] | None) -> Check:
    name = "training_starts_sound"
    if start is None:
        return Check(name, passed=True, description="not looked at: the training is short")
    found = Start(**start)
    return Check(
        name,
        passed=found.sound,
        severity="warning",
        description=f"cross-entropy {found.start_loss:.3f} at the start, ln(classes) is "
        f"{found.expected_loss:.3f}; one batch by heart: loss {found.learned_from:.3f} to "
        f"{found.learned_to:.3f}",
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
