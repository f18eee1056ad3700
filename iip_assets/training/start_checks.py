"""What was found before a training, and the checks that say so in Dagster; without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from iip_assets.engine.values import CheckResult, Files

# How far from ln(classes) the loss may start, as a share of it.
_APART = 0.5

# Calibration images are for promises alone: what these lack no model misses.
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Start:
    """How a training begins.

    Attributes:
        start_loss: Cross-entropy of the first batch before the first step.
        expected_loss: ln(classes), that of a network which knows nothing.
        learned_from: Loss of the batch before it was learned by heart.
        learned_to: And after.
    """

    start_loss: float
    expected_loss: float
    learned_from: float
    learned_to: float

    @property
    def sound(self) -> bool:
        """Whether the loss starts near where it should."""
        return abs(self.start_loss - self.expected_loss) <= _APART * self.expected_loss


def absent_in_words(counts: Mapping[str, Mapping[str, int]], classes: Sequence[str]) -> str | None:
    """Which classes which splits lack, by counts of both; None where every split has each."""
    lacking = {
        name: [split for split in _SPLITS if not counts.get(split, {}).get(name)]
        for name in classes
    }
    words = [f"{name} (in {', '.join(splits)})" for name, splits in lacking.items() if splits]
    return "classes without an image: " + ", ".join(words) if words else None


def classes_check(counts: Mapping[str, Mapping[str, int]], model: Files) -> CheckResult:
    """Whether every split has every class of a model, from counts by split and class."""
    absent = absent_in_words(counts, json.loads(model.parts["card.json"])["classes"])
    return CheckResult(
        passed=absent is None,
        severity="warning",
        description=absent or "every split has every class",
    )


def start_check(start: Mapping[str, float] | None) -> CheckResult:
    """Whether a training began where it should, from what was noted of its start."""
    if start is None:
        return CheckResult(passed=None, description="not looked at: the training is short")
    found = Start(**start)
    return CheckResult(
        passed=found.sound,
        severity="warning",
        description=f"cross-entropy {found.start_loss:.3f} at the start, ln(classes) is "
        f"{found.expected_loss:.3f}; one batch by heart: loss {found.learned_from:.3f} to "
        f"{found.learned_to:.3f}",
    )
