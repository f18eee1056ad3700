"""Which models say their word: the deployed versions, or what the graph holds now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from iip_assets.engine.values import Files, Skipped
from iip_assets.metrics.scores import Gate
from iip_assets.registry.registry_state import read_registry


@dataclass(frozen=True)
class Deployed:
    """A model that says its word.

    Attributes:
        name: Such as `segmenter 3`, or `segmenter (present)`.
        digest: What tells it from others.
        files: Its files by name.
        serving: What else serves it, such as the filter's threshold.
    """

    name: str
    digest: str
    files: Mapping[str, bytes]
    serving: Mapping[str, Any]


def deployed(root: Path, model: str, alias: Literal["champion", "challenger"]) -> Deployed | None:
    """The version that an alias stands for, or None.

    Args:
        root: The workspace's folder.
        model: `filter` or `segmenter`.
        alias: Which.
    """
    version = read_registry(root).holder(model, alias)
    if version is None:
        return None
    return Deployed(version.name, version.digest, version.files(), version.facts)


def present_model(
    model: str, value: Files | Skipped, serving: Mapping[str, Any]
) -> Deployed | None:
    """What the graph holds, or None where it was skipped."""
    if isinstance(value, Skipped):
        return None
    return Deployed(f"{model} (present)", value.digest, value.parts, serving)


def threshold_of(model: Deployed) -> tuple[float, tuple[str, ...]]:
    """From what score on a filter lets pass, and of which classes the score is the sum."""
    usable = tuple(model.serving.get("usable", ("full",)))
    return float(model.serving.get("threshold", Gate(usable, 1, 1).break_even)), usable
