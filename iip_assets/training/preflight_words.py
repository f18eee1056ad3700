"""What a look before a training found, for whoever has no torch at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# How far from ln(classes) the loss may start, as a share of it.
_APART = 0.5


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


def absent_classes(
    counts: Mapping[str, Mapping[str, int]], classes: Sequence[str]
) -> list[tuple[str, str]]:
    """Split and class where no image of a split has a class, from counts by split and class."""
    return [
        (split, name)
        for split in ("train", "validation", "test")
        for name in classes
        if not counts.get(split, {}).get(name)
    ]


def absent_in_words(counts: Mapping[str, Mapping[str, int]], classes: Sequence[str]) -> str | None:
    """Which classes which splits lack, in a line; None where there is every class in each."""
    absent = absent_classes(counts, classes)
    if not absent:
        return None
    return "no image has: " + ", ".join(f"{name} in {split}" for split, name in absent)
