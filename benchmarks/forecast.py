"""How well a change of the filter's metrics is forecast before anybody labels the new images."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from forecast_pools import FIRST_HELD_OUT, FIRST_NEW, Photographs, rendered
from numpy.typing import NDArray
from scipy.special import softmax
from turns import CACHE

from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.models.filter import fit_temperature, schedule_of
from iip_assets.models.filter_network import Examples, head_logits, train_head
from iip_assets.settings import FilterSettings
from iip_assets.training.trainer import Machine, TrainingRun

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

# Training subjects of each head: what few have taught errs more.
HEADS = (40, 80, 160, 320, 500, 500)
_VALIDATION = 100
KINDS = (
    "none",
    "ethnicity",
    "device",
    "lighting",
    "class",
    "embedding",
    "dim",
    "dark",
    "blurred",
    "very blurred",
    "new device",
    "poor device",
)


def classes_of(labels: NDArray[np.str_]) -> Places:
    return np.array([FILTER_CLASSES.index(one) for one in labels], dtype=np.int64)


@cache
def heads() -> Floats:
    """(H, N, K) probabilities of every head on every rendered image."""
    file = CACHE / "forecast-heads.npz"
    if not file.exists():
        found, numbers = rendered(), subject_numbers(rendered())
        classes, plain = classes_of(found.labels), found.variants == "plain"
        tuned = plain & (numbers >= FIRST_HELD_OUT - _VALIDATION) & (numbers < FIRST_HELD_OUT)
        everything = []
        for seed, subjects in enumerate(HEADS):
            own = np.random.default_rng(seed).permutation(FIRST_HELD_OUT - _VALIDATION)[:subjects]
            parts = [
                Examples(found.embeddings[one].astype(np.float32), classes[one], np.ones(one.sum()))
                for one in (plain & np.isin(numbers, own), tuned)
            ]
            schedule = schedule_of(FilterSettings(seed=seed), "head")
            run = TrainingRun(Machine("cpu", 1))
            head, _ = train_head(*parts, schedule, classes=len(FILTER_CLASSES), run=run)
            logits = head_logits(head, found.embeddings.astype(np.float32))
            everything.append(
                softmax(logits / fit_temperature(logits[tuned], classes[tuned]), axis=1)
            )
        np.savez(file, probabilities=np.stack(everything))
    return np.asarray(np.load(file)["probabilities"], dtype=np.float64)


def subject_numbers(found: Photographs) -> Places:
    return np.array([int(one[3:]) for one in found.subjects])


@dataclass(frozen=True)
class Shift:
    kind: str
    head: int
    reference: Places
    new: Places
    seed: int


def shifts(count: int) -> Iterator[Shift]:
    """Planted shifts: those of even seeds are tuned on, those of odd ones are reported."""
    found = rendered()
    numbers, plain = subject_numbers(found), found.variants == "plain"
    held = plain & (numbers >= FIRST_HELD_OUT) & (numbers < FIRST_NEW)
    new = numbers >= FIRST_NEW
    components = None
    for seed in range(count):
        rng = np.random.default_rng([seed, 77])
        kind = KINDS[(seed // 2) % len(KINDS)]
        people = rng.permutation(np.unique(numbers[held]))[: int(rng.integers(60, 451))]
        reference = np.flatnonzero(held & np.isin(numbers, people))
        people = rng.permutation(np.unique(numbers[new]))[: int(rng.integers(100, 451))]
        own = new & np.isin(numbers, people)
        base = np.flatnonzero(own & plain)
        if kind == "none":
            chosen = base
        elif kind in ("ethnicity", "device", "lighting", "class"):
            words = found.labels if kind == "class" else found.axes[kind]
            word = rng.choice(np.unique(words[base]))
            share = rng.uniform(0.5, 0.9)
            inside, outside = base[words[base] == word], base[words[base] != word]
            size = min(len(inside) / share, len(outside) / (1 - share))
            chosen = np.concatenate(
                [
                    rng.choice(inside, int(size * share), replace=False),
                    rng.choice(outside, int(size * (1 - share)), replace=False),
                ]
            )
        elif kind == "embedding":
            if components is None:
                centred = found.embeddings[held] - found.embeddings[held].mean(0)
                components = np.linalg.svd(centred, full_matrices=False)[2][:10]
            along = found.embeddings[base] @ (rng.normal(size=10) @ components)
            order = (along - along.mean()) / along.std()
            keep = rng.uniform(size=len(base)) < 1 / (1 + np.exp(-rng.uniform(1, 3) * order))
            chosen = base[keep]
        else:
            share = rng.choice([0.4, 0.7, 1.0])
            moved = rng.permutation(np.unique(numbers[base]))
            moved = moved[: round(share * len(moved))]
            other = np.flatnonzero(own & (found.variants == kind) & np.isin(numbers, moved))
            chosen = np.concatenate([base[~np.isin(numbers[base], moved)], other])
        yield Shift(
            kind,
            seed % len(HEADS) if seed % 4 < 2 else (seed + 1) % len(HEADS),
            reference,
            np.sort(chosen),
            seed,
        )
