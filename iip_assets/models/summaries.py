"""Short tables for people, and what the assets need to know of one another's values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from iip_assets.engine.values import CheckResult, Files, MetadataValue, Rows
from iip_assets.training.preflight_words import Start, absent_in_words


def counts_by_split(examples: pl.DataFrame) -> Rows:
    """Images and groups of each split."""
    counted = examples.group_by("split").agg(
        images=pl.len().cast(pl.Int64), groups=pl.col("group_id").n_unique().cast(pl.Int64)
    )
    return Rows(counted.sort("split").to_dicts())


def card_facts(model: Files) -> dict[str, Any]:
    """What a model's card says."""
    facts: dict[str, Any] = json.loads(model.parts["card.json"])
    return facts


def model_summary(model: Files, notes: Mapping[str, Any]) -> dict[str, MetadataValue]:
    """A trained model for Dagster: what its card says, and what was noted of its training."""
    seen = {name: value for name, value in notes.items() if name != "history"}
    return {**card_facts(model), **seen, "epochs_trained": len(notes["history"])}


def classes_check(counts: Mapping[str, Mapping[str, int]], classes: Sequence[str]) -> CheckResult:
    """Whether every split has every class, from counts by split and class."""
    absent = absent_in_words(counts, classes)
    return CheckResult(
        passed=absent is None,
        severity="warning",
        description=absent or "every split has every class",
    )


def start_check(start: Mapping[str, float] | None) -> CheckResult:
    """Whether a training began where it should, from what was noted of its start."""
    if start is None:
        return CheckResult(passed=True, description="not looked at: the training is short")
    found = Start(**start)
    return CheckResult(
        passed=found.sound,
        severity="warning",
        description=f"cross-entropy {found.start_loss:.3f} at the start, ln(classes) is "
        f"{found.expected_loss:.3f}; one batch by heart: loss {found.learned_from:.3f} to "
        f"{found.learned_to:.3f}",
    )
