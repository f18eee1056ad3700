"""How often promised recall falls short over resampled calibration subjects, and what it costs.

A simulated population of subjects with one to six images each, of two groups of which one is
weaker; the promise is about the weaker one. Beside it the naive threshold, the Hoeffding-Bentkus
inequality with fixed-sequence testing, and the same with Bonferroni-Holm.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from mapie.risk_control import control_fwer
from mapie.risk_control.methods import compute_hoeffding_bentkus_p_value
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import binomtest, norm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from iip_assets.metrics.guarantee import THRESHOLDS, guarantee, rejected, subject_losses

Floats = NDArray[np.float64]

DELTA, FLOOR = 0.05, 0.9
ENOUGH, FEW = (100, 400, 1600), (20, 30)
# Subjects whom no threshold lets pass: then few do not tell how near the floor recall is.
SOME = 0.04


@dataclass(frozen=True)
class Population:
    """Subjects and what happens at each threshold.

    Attributes:
        losses: (G, T) of each subject of the weaker group.
        recall: (T,) of that group, the mean of its subjects' own.
        precision: (T,) of all images, or pixels.
    """

    losses: Floats
    recall: Floats
    precision: Floats


def filter_population(subjects: int, seed: int) -> Population:
    """Usable and unusable images whose scores vary by subject and by image."""
    rng = np.random.default_rng(seed)
    weak = rng.random(subjects) < 0.3
    owner = np.repeat(np.arange(subjects), rng.integers(1, 7, subjects))
    usable = rng.random(len(owner)) < 0.6
    mean = np.where(usable, np.where(weak[owner], 2.2, 3.0), -2.0)
    logit = mean + rng.normal(0, 0.9, subjects)[owner] + rng.normal(0, 1.3, len(owner))
    scores = expit(logit)
    kept = usable & weak[owner]
    losses = subject_losses(rejected(scores[kept]), [f"{one:07d}" for one in owner[kept]])
    edges = np.concatenate([[-np.inf], THRESHOLDS, [np.inf]])
    passed = [
        np.histogram(scores[of], edges)[0][::-1].cumsum()[::-1][1:] for of in (usable, ~usable)
    ]
    return Population(losses, 1 - losses.mean(0), passed[0] / (passed[0] + passed[1]))


def mask_population(subjects: int, seed: int) -> Population:
    """Masks whose pixels of the class, and those beside it, have probabilities by subject."""
    rng = np.random.default_rng(seed)
    weak = rng.random(subjects) < 0.3
    owner = np.repeat(np.arange(subjects), rng.integers(1, 7, subjects))
    varied = 0.7 * rng.normal(0, 1, subjects)[owner] + 0.5 * rng.normal(size=len(owner))
    cut = np.log(THRESHOLDS / (1 - THRESHOLDS))

    def above(mean: Floats, spread: float) -> Floats:
        return norm.sf((cut[None] - mean[:, None]) / spread)

    found = above(np.where(weak[owner], 3.2, 4.0) + varied, 1.8)
    false = above(-3.5 - 0.5 * varied, 1.5)
    names = [f"{one:07d}" for one in owner[weak[owner]]]
    losses = subject_losses(1 - found[weak[owner]], names)
    true, wrong = found.mean(0), 2 * false.mean(0)
    return Population(losses, 1 - losses.mean(0), true / (true + wrong))


def promised(losses: Floats) -> int | None:
    """The place of the threshold, or None where it is refused."""
    found = guarantee([losses], [FLOOR], delta=DELTA).threshold
    return None if found is None else int(np.searchsorted(THRESHOLDS, found))


def naive(losses: Floats) -> int | None:
    """The highest threshold at which the subjects' recall is the floor."""
    fits = np.flatnonzero(1 - losses.mean(0) >= FLOOR)
    return int(fits[-1]) if len(fits) else None


def hoeffding_bentkus(losses: Floats, method: str) -> int | None:
    """MAPIE's p-values."""
    sizes = np.full(losses.shape[1], float(len(losses)))
    p_values = compute_hoeffding_bentkus_p_value(losses.mean(0), sizes, 1 - FLOOR)[:, 0]
    valid = control_fwer(p_values, DELTA, fwer_method=method)
    return int(valid[-1]) if len(valid) else None


WAYS: dict[str, Callable[[Floats], int | None]] = {
    "promised": promised,
    "Hoeffding-Bentkus, fixed sequence": lambda one: hoeffding_bentkus(one, "fixed_sequence"),
    "Hoeffding-Bentkus, Bonferroni-Holm": lambda one: hoeffding_bentkus(one, "bonferroni_holm"),
    "naive": naive,
}


def judged(one: Population, n: int, draws: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """A row for each way to choose, over draws of n calibration subjects."""
    samples = [one.losses[rng.integers(0, len(one.losses), n)] for _ in range(draws)]
    oracle = int(np.flatnonzero(one.recall >= FLOOR)[-1])
    rows = []
    for name, way in WAYS.items():
        places = [place for sample in samples if (place := way(sample)) is not None]
        broken = int(sum(one.recall[place] < FLOOR for place in places))
        lost = [one.precision[oracle] - one.precision[place] for place in places]
        rows.append(
            {
                "way": name,
                "subjects": n,
                "granted": len(places),
                "broken": broken,
                "p above delta": binomtest(broken, draws, DELTA, alternative="greater").pvalue,
                "recall": float(np.mean(one.recall[places])) if places else None,
                "precision lost": float(np.mean(lost)) if places else None,
            }
        )
    return rows


def asked_for_more(one: Population, n: int, draws: int, rng: np.random.Generator) -> dict[str, Any]:
    """Of draws that were refused: how many more subjects were asked for, and whether they did."""
    asked, granted, refused = [], 0, 0
    for draw in range(draws):
        sample = one.losses[rng.integers(0, len(one.losses), n)]
        found = guarantee([sample], [FLOOR], delta=DELTA, seed=draw)
        if found.threshold is not None:
            continue
        refused += 1
        more = found.subsets[0].more_subjects
        if more is None:
            continue
        asked.append(more)
        both = np.concatenate([sample, one.losses[rng.integers(0, len(one.losses), more)]])
        granted += guarantee([rng.permutation(both)], [FLOOR], delta=DELTA).threshold is not None
    return {
        "subjects": n,
        "refused": refused,
        "no number will do": refused - len(asked),
        "more, median": float(np.median(asked)) if asked else None,
        "then granted": granted / len(asked) if asked else None,
    }


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The rows in Markdown."""

    def words(value: Any) -> str:
        return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)

    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    return lines + [f"| {' | '.join(words(row[name]) for name in names)} |" for row in rows]


def main() -> None:
    """Prints tables and, if asked, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200, help="of calibration subjects")
    parser.add_argument("--population", type=int, default=100_000, help="subjects")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    kept, more = [], []
    for name, make in (("images pass", filter_population), ("pixels are found", mask_population)):
        one = make(options.population, options.seed)
        also_lost = rng.random((len(one.losses), 1)) < SOME
        hard = replace(one, losses=np.maximum(one.losses, also_lost))
        kept += [
            {"recall of": name, **row} for n in ENOUGH for row in judged(one, n, options.draws, rng)
        ]
        for kind, which in (("nobody", one), (f"{SOME:.0%}", hard)):
            more += [
                {
                    "recall of": name,
                    "lost at any threshold": kind,
                    **asked_for_more(which, n, options.draws, rng),
                }
                for n in FEW
            ]
    print("\n".join([*table(kept), "", *table(more)]))
    if options.json:
        options.json.write_text(json.dumps({"kept": kept, "more": more}, indent=1))


if __name__ == "__main__":
    main()
