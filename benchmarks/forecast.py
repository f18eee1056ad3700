"""How well changes of the filter's metrics are forecast before anybody labels the new images.

    python benchmarks/forecast.py [--shifts N] [--fixed-pools] [--masks FILE] [--faces FILE]

Planted: heads on embeddings of rendered eyes, taught by few or many subjects, are asked about new
subjects of another mix (of ethnicities, devices, lighting, classes, directions of the embedding),
in less light, out of focus, or by another device, in part or all. Of the shifts, those of even
numbers were tuned on, and those of odd ones are reported. A concept shift changes labels of the
very same images: partly seen eyes are called full, full ones partial, or any label is another.

Real: with `--masks FILE` a head that learned from the rendered eyes of a batch in a zip is asked
about its photographs, and with `--faces FILE` heads that tell gender from eyes of one half of the
ages are asked about the other half.

Methods: `reweighted` and `recalibrated` are the product's; no change, ATC (Garg et al. 2022), DoC
(Guillory et al. 2021) and CBPE (confidences calibrated on the older images alone) stand beside.
Errors are mean absolute errors in points.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from forecast_pools import (
    FIRST_HELD_OUT,
    FIRST_NEW,
    SUBJECTS,
    VARIANTS,
    Photographs,
    Words,
    batch,
    rendered,
)
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import binomtest
from turns import CACHE, show

from iip_assets.drift.concept import concept_drift
from iip_assets.drift.forecast import (
    Side,
    Spread,
    expected_scores,
    forecast_recalibrated,
    forecast_reweighted,
    recalibrate,
)
from iip_assets.drift.forecast_tables import ALL, CONCEPT_LEVEL, FAR
from iip_assets.drift.forecast_weights import COMPONENTS, far_share
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scored_predictions import scored_probabilities
from iip_assets.metrics.scores import filter_scores
from iip_assets.models.filter import fit_temperature, schedule_of
from iip_assets.models.filter_network import Examples, head_logits, train_head
from iip_assets.settings import FilterSettings, ForecastSettings
from iip_assets.training.trainer import Machine, TrainingRun

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Training subjects of each head: what few have taught errs more.
HEADS = (40, 80, 160, 320, 500, 500)
_VALIDATION = 100
MIXES = ("ethnicity", "device", "lighting", "class")
KINDS = (
    *("none", *MIXES, "embedding"),
    *("dim", "dark", "blurred", "very blurred", "new device", "poor device"),
)
METRICS = ("accuracy", "f1_macro")
MOVED = 0.02
SETTINGS = ForecastSettings()


def classes_of(labels: Words) -> Places:
    """(N,) places of labels."""
    return np.array([FILTER_CLASSES.index(one) for one in labels], dtype=np.int64)


def head_probabilities(
    embeddings: Floats, classes: Places, parts: Sequence[Flags], seed: int
) -> Floats:
    """(N, K) of a head on all embeddings, that learned from one part and was tuned on the other."""
    inputs = embeddings.astype(np.float32)
    learned, tuned = (Examples(inputs[one], classes[one], np.ones(one.sum())) for one in parts)
    run, schedule = TrainingRun(Machine("cpu", 1)), schedule_of(FilterSettings(seed=seed), "head")
    head, _ = train_head(learned, tuned, schedule, classes=len(FILTER_CLASSES), run=run)
    logits = head_logits(head, inputs)
    temperature = fit_temperature(logits[parts[1]], classes[parts[1]])
    return np.asarray(softmax(logits.astype(np.float64) / temperature, axis=1))


@cache
def heads() -> Floats:
    """(H, N, K) probabilities of every head on every rendered image."""
    file = CACHE / "forecast-heads.npz"
    if not file.exists():
        found = rendered()
        numbers, plain = subject_numbers(found), found.variants == "plain"
        first = FIRST_HELD_OUT - _VALIDATION
        tuned = plain & (numbers >= first) & (numbers < FIRST_HELD_OUT)
        everything = []
        for seed, subjects in enumerate(HEADS):
            own = np.random.default_rng(seed).permutation(first)[:subjects]
            parts = plain & np.isin(numbers, own), tuned
            everything.append(
                head_probabilities(found.embeddings, classes_of(found.labels), parts, seed)
            )
        np.savez(file, probabilities=np.stack(everything))
    return np.asarray(np.load(file)["probabilities"], dtype=np.float64)


def subject_numbers(found: Photographs) -> Places:
    """(N,) the number of each subject."""
    return np.array([int(one[3:]) for one in found.subjects])


@dataclass(frozen=True)
class Shift:
    """Old images whose labels are known, and new ones, by their places in a pool."""

    kind: str
    number: int
    head: int
    old: Places
    new: Places


def shifts(count: int, *, fixed: bool) -> Iterator[Shift]:
    """Planted shifts, of each kind in turn, for the tuned and for the reported half alike."""
    found = rendered()
    numbers, plain = subject_numbers(found), found.variants == "plain"
    held = plain & (numbers >= FIRST_HELD_OUT)
    _, directions = _directions(found.embeddings[held])
    for number in range(count):
        rng = np.random.default_rng([number, 77])
        kind, head = KINDS[(number // 2) % len(KINDS)], int(rng.integers(len(HEADS)))
        older, newest = _people(rng, varied=kind in VARIANTS, fixed=fixed)
        old, own = np.flatnonzero(held & np.isin(numbers, older)), np.isin(numbers, newest)
        base = np.flatnonzero(own & plain)
        if kind in MIXES:
            words = found.labels if kind == "class" else found.axes[kind]
            base = _of_mix(base, words[base], rng)
        elif kind == "embedding":
            along = found.embeddings[base] @ (directions[:, :10] @ rng.normal(size=10))
            order = rng.uniform(1, 3) * (along - along.mean()) / along.std()
            base = base[rng.uniform(size=len(base)) < 1 / (1 + np.exp(-order))]
        elif kind != "none":
            moved = rng.permutation(np.unique(numbers[base]))
            moved = moved[: round(rng.choice([0.4, 0.7, 1.0]) * len(moved))]
            other = own & (found.variants == kind) & np.isin(numbers, moved)
            base = np.concatenate([base[~np.isin(numbers[base], moved)], np.flatnonzero(other)])
        yield Shift(kind, number, head, old, np.sort(base))


def _people(rng: np.random.Generator, *, varied: bool, fixed: bool) -> tuple[Places, Places]:
    """Numbers of the subjects of old and of new images.

    Who is on which side is drawn for each shift: what sets two fixed pools of people apart is an
    error of all shifts at once, so that their intervals do not fail independently. Only some were
    photographed in various ways.
    """
    everybody, some = (np.arange(one, SUBJECTS) for one in (FIRST_HELD_OUT, FIRST_NEW))
    if fixed:
        older = rng.permutation(everybody[everybody < FIRST_NEW])[: int(rng.integers(60, 451))]
        return older, rng.permutation(some)[: int(rng.integers(100, 451))]
    people = rng.permutation(some if varied else everybody)
    newest = people[: int(rng.integers(100, min(450, len(people) - 60) + 1))]
    older = rng.permutation(np.setdiff1d(everybody, newest))[: int(rng.integers(60, 451))]
    return older, newest


def _of_mix(places: Places, words: Words, rng: np.random.Generator) -> Places:
    """Of these places so many that one word has half to nine tenths of them."""
    word, share = rng.choice(np.unique(words)), rng.uniform(0.5, 0.9)
    inside, outside = places[words == word], places[words != word]
    size = min(len(inside) / share, len(outside) / (1 - share))
    drawn = [
        rng.choice(own, int(size * part), replace=False)
        for own, part in ((inside, share), (outside, 1 - share))
    ]
    return np.concatenate(drawn)


def _directions(embeddings: Floats) -> tuple[Floats, Floats]:
    """The mean, and (D, 16) the directions in which embeddings vary most."""
    centre = embeddings.mean(0)
    centred = embeddings - centre
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return centre, vectors[:, ::-1][:, :COMPONENTS]


@dataclass(frozen=True)
class Case:
    """Two sides of a shift, with the truth of both, and what the model says."""

    kind: str
    old: Side
    new: Side
    truth: Places
    asked: Places


def judged(case: Case) -> dict[str, Any]:
    """What came, what each method said, and why nothing was to be said, if so."""
    old, new, spread = case.old, case.new, Spread(SETTINGS.confidence, SETTINGS.seed)
    subsets = {ALL: (np.arange(len(case.truth)), np.arange(len(case.asked)))}
    ids = [str(place) for place in range(len(case.truth))]
    scored = scored_probabilities(ids, old.groups, case.truth, old.probabilities, FILTER_CLASSES)
    reweighted = forecast_reweighted(old, new, scored, spread, metrics=METRICS, subsets=subsets)
    recalibrated = forecast_recalibrated(
        old, new, case.truth, spread, subsets=subsets, beside=reweighted
    )
    found = {"reweighted": reweighted[ALL], "recalibrated": recalibrated[ALL]}
    shares, asked = old.probabilities, new.probabilities
    calibrated = recalibrate(shares, case.truth, np.ones(len(shares)), asked)
    cbpe = expected_scores([calibrated], asked.argmax(1))
    right = shares.argmax(1) == case.truth
    level = np.quantile(shares.max(1), 1 - right.mean())
    points: dict[str, dict[str, float]] = {
        "no change": {name: measured(case.truth, shares)[name] for name in METRICS},
        "ATC": {"accuracy": float((asked.max(1) >= level).mean())},
        "DoC": {"accuracy": float(right.mean() + asked.max(1).mean() - shares.max(1).mean())},
        "CBPE": {name: float(cbpe[name][0]) for name in METRICS},
    }
    points |= {name: {m: one[m].value.value for m in METRICS} for name, one in found.items()}
    ends = {
        name: {m: (one[m].value.low, one[m].value.high) for m in METRICS}
        for name, one in found.items()
    }
    far = far_share(old.seen, new.seen, old.groups, quantile=FAR)
    few = min(one["accuracy"].effective for one in found.values())
    concept = concept_p(case, case.asked)
    return {
        "kind": case.kind,
        "came": {name: measured(case.asked, asked)[name] for name in METRICS},
        "points": points,
        "ends": ends,
        "silent": bool(far > SETTINGS.max_far or few < SETTINGS.min_effective_images),
        "far": far,
        "effective": few,
        "concept": concept is not None and concept < CONCEPT_LEVEL,
    }


def measured(truth: Places, probabilities: Floats) -> dict[str, float]:
    """Metrics by name."""
    scores = filter_scores(truth, probabilities, np.ones((1, len(truth))), FILTER_CLASSES)
    return {name: float(value[0]) for name, value in scores.items()}


def concept_p(case: Case, asked: Places) -> float | None:
    """Of new labels that mean what they meant."""
    both = np.concatenate([case.old.probabilities, case.new.probabilities])
    newest = np.arange(len(both)) >= len(case.truth)
    groups = [*case.old.groups, *case.new.groups]
    return concept_drift(both, np.concatenate([case.truth, asked]), groups, newest).p


def planted_concepts(case: Case, number: int) -> list[dict[str, Any]]:
    """Whether other labels of the same new images are noticed."""
    rng = np.random.default_rng([number, 78])
    drawn, share = rng.uniform(size=len(case.asked)), rng.uniform(0.1, 0.3)
    full, partial = (FILTER_CLASSES.index(name) for name in ("full", "partial"))
    changes = {
        "most partial called full": ((case.asked == partial) & (drawn < 0.5 + share), full),
        "full called partial": ((case.asked == full) & (drawn < share), partial),
        "any other label": (drawn < share, (case.asked + 1) % len(FILTER_CLASSES)),
    }
    rows = []
    for name, (where, to) in changes.items():
        p = concept_p(case, np.where(where, to, case.asked))
        rows.append({"concept": name, "noticed": p is not None and p < CONCEPT_LEVEL})
    return rows


def planted(count: int, *, fixed: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The reported half of the planted shifts, and the concepts planted in them."""
    found, probabilities = rendered(), heads()
    classes, plain = classes_of(found.labels), found.variants == "plain"
    held = plain & (subject_numbers(found) >= FIRST_HELD_OUT)
    centre, directions = _directions(found.embeddings[held])
    seen = (found.embeddings - centre) @ directions
    cases, concepts = [], []
    for one in shifts(count, fixed=fixed):
        if one.number % 2 == 0:
            continue
        print(f"\r{one.number + 1} of {count} shifts ", end="", file=sys.stderr, flush=True)
        sides = [
            Side(seen[own], found.subjects[own].tolist(), probabilities[one.head][own])
            for own in (one.old, one.new)
        ]
        case = Case(one.kind, *sides, classes[one.old], classes[one.new])
        cases.append(judged(case))
        concepts += planted_concepts(case, one.number)
    print(file=sys.stderr)
    return cases, concepts


def error_rows(cases: Sequence[Mapping[str, Any]], kind: str) -> list[dict[str, Any]]:
    """A row a method: mean absolute errors, and shares of right signs of shifts that move."""
    rows = []
    for method in cases[0]["points"]:
        row: dict[str, Any] = {"shifts": kind, "n": len(cases), "method": method}
        for metric in METRICS:
            if metric not in cases[0]["points"][method]:
                continue
            said, now, came = (
                np.array([_of(case, name)[metric] for case in cases])
                for name in (method, "no change", "came")
            )
            row[f"{metric} error"] = 100 * float(np.abs(said - came).mean())
            moved = np.abs(came - now) > MOVED
            if moved.any() and method != "no change":
                right = np.sign(said - now)[moved] == np.sign(came - now)[moved]
                row[f"{metric} sign"] = f"{right.sum()} of {moved.sum()}"
            if method in cases[0]["ends"]:
                inside = sum(_inside(case, method, metric) for case in cases)
                p = binomtest(inside, len(cases), SETTINGS.confidence).pvalue
                row[f"{metric} inside"] = f"{inside} of {len(cases)} (p = {p:.2g})"
        rows.append(row)
    return rows


def _of(case: Mapping[str, Any], name: str) -> dict[str, float]:
    return case["came"] if name == "came" else case["points"][name]


def _inside(case: Mapping[str, Any], method: str, metric: str) -> bool:
    low, high = case["ends"][method][metric]
    return bool(low <= case["came"][metric] <= high)


def kind_rows(cases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row a kind of shift: errors of F1 macro by method, and how often nothing was said."""
    rows = []
    for kind in dict.fromkeys(case["kind"] for case in cases):
        own = [case for case in cases if case["kind"] == kind]
        row: dict[str, Any] = {"kind": kind, "n": len(own)}
        for method in ("no change", "CBPE", "reweighted", "recalibrated"):
            errors = [case["points"][method]["f1_macro"] - case["came"]["f1_macro"] for case in own]
            row[method] = 100 * float(np.abs(errors).mean())
        row["silent"] = sum(case["silent"] for case in own)
        row["concept"] = sum(case["concept"] for case in own)
        rows.append(row)
    return rows


def mask_cases(file: Path) -> list[dict[str, Any]]:
    """A head that learned from rendered eyes, asked about photographs."""
    embeddings, columns = batch(file)
    classes = classes_of(columns["label"])
    rng = np.random.default_rng(0)
    drawn = rng.permutation(len(classes))
    made = columns["device"] == "renderer"
    third = np.zeros(len(classes), dtype=np.int64)
    third[drawn] = np.arange(len(classes)) % 3
    found = []
    for seed in range(3):
        parts = [made & ((third + seed) % 3 == part) for part in range(3)]
        shares = head_probabilities(embeddings, classes, [parts[0], parts[1]], seed)
        found.append(
            _real(
                "rendered to photographs",
                (embeddings, shares, classes),
                columns["subject_id"],
                (parts[2], ~made),
            )
        )
    return found


def face_cases(file: Path) -> list[dict[str, Any]]:
    """Heads that tell women from men by eyes of one half of the ages, asked about the other."""
    embeddings, columns = batch(file)
    known = (columns["age_years"] != "") & (columns["gender"] != "")
    age = np.array([float(one or 0) for one in columns["age_years"]])
    classes = np.where(columns["gender"] == "female", 0, 2)
    people, of = np.unique(columns["subject_id"], return_inverse=True)
    found = []
    middle = np.median(age[known])
    for seed in range(4):
        part = np.random.default_rng(seed).integers(0, 4, len(people))[of]
        young = known & (age < middle)
        first, second = (young, known & ~young) if seed % 2 == 0 else (known & ~young, young)
        parts = [first & (part <= 1), first & (part == 2), first & (part == 3)]
        shares = head_probabilities(embeddings, classes, parts[:2], seed)
        kind = "young to old" if seed % 2 == 0 else "old to young"
        new = second & (part == 3)
        sides = parts[2], new
        found.append(_real(kind, (embeddings, shares, classes), columns["subject_id"], sides))
    return found


def _real(
    kind: str,
    arrays: tuple[Floats, Floats, Places],
    subjects: Words,
    sides: tuple[Flags, Flags],
) -> dict[str, Any]:
    embeddings, shares, classes = arrays
    centre, directions = _directions(embeddings[sides[0] | sides[1]])
    seen = (embeddings - centre) @ directions
    old, new = (Side(seen[own], subjects[own].tolist(), shares[own]) for own in sides)
    return judged(Case(kind, old, new, classes[sides[0]], classes[sides[1]]))


def main() -> None:
    """Prints tables and, if asked, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shifts", type=int, default=624)
    parser.add_argument("--fixed-pools", action="store_true", help="of people, for all shifts")
    parser.add_argument("--masks", type=Path)
    parser.add_argument("--faces", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cases, concepts = planted(options.shifts, fixed=options.fixed_pools)
    spoken = [case for case in cases if not case["silent"]]
    real = [
        *(mask_cases(options.masks) if options.masks else []),
        *(face_cases(options.faces) if options.faces else []),
    ]
    tables = {
        "errors": error_rows(spoken, "planted"),
        "by kind": kind_rows(cases),
        "concepts": [
            {
                "concept shift": name,
                "no forecast": f"{sum(one['noticed'] for one in own)} of {len(own)}",
            }
            for name in dict.fromkeys(one["concept"] for one in concepts)
            for own in [[one for one in concepts if one["concept"] == name]]
        ],
        "real": [
            row
            for kind in dict.fromkeys(case["kind"] for case in real)
            for row in error_rows([case for case in real if case["kind"] == kind], kind)
        ],
        "real silent": [
            {
                "shifts": case["kind"],
                "far": case["far"],
                "count as": case["effective"],
                "silent": "yes" if case["silent"] else "no",
                "concept noticed": "yes" if case["concept"] else "no",
            }
            for case in real
        ],
    }
    for rows in tables.values():
        if rows:
            show(rows, None)
            print()
    if options.json:
        options.json.write_text(json.dumps({"cases": [*cases, *real], **tables}, indent=1))


if __name__ == "__main__":
    main()
