"""The smaller models of a trained one: how they are called, and where their files are."""

from __future__ import annotations

import json

from iip_assets.engine.values import Files, Skipped
from iip_assets.models.examples import no_model

Pair = tuple[Files | Skipped, Files | Skipped]

ORIGINAL = "original"
"""Stands for the trained model among its smaller ones."""

PRUNED, STUDENT = "pruned_", "student_"
"""What a name begins with, before the share of channels that is taken away, or the network."""

COMPRESSED = {"filter": "compressed_filters", "segmenter": "compressed_segmenters"}
"""The assets that hold them, by model."""

LATENCY = "latency.json"
"""The file of what one image takes on the machine that made them: in no data version."""


def student_of(variant: str) -> str:
    """The timm model of a student; empty where it is none."""
    return variant.removeprefix(STUDENT) if variant.startswith(STUDENT) else ""


def models_of(made: Files) -> dict[str, Files]:
    """The smaller models by their names, each as a model of its own."""
    found: dict[str, dict[str, bytes]] = {}
    for path in made.version_of:
        variant, _, file = path.partition("/")
        found.setdefault(variant, {})[file] = made.parts[path]
    return {variant: Files(parts) for variant, parts in found.items()}


def latency_ms(made: Files) -> dict[str, float]:
    """The median milliseconds of one image, of the original and of each smaller model."""
    return dict(json.loads(made.parts[LATENCY])["ms"])


def with_original(**pairs: Pair) -> dict[str, dict[str, Files]] | Skipped:
    """By model the original and its smaller ones by name, from both; or why there are none."""
    found = {
        model: {ORIGINAL: original, **models_of(smaller)}
        for model, (original, smaller) in pairs.items()
        if not isinstance(original, Skipped) and not isinstance(smaller, Skipped)
    }
    originals, smaller = zip(*pairs.values(), strict=True)
    return found or no_model(*originals, *smaller)
