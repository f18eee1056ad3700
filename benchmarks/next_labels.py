"""What to label next, beside random choice and six strategies of scikit-activeml.

    python benchmarks/next_labels.py [--repeats N] [--rare N] [--faces FILE] [--json FILE]

From 60 labelled images of a pool of 1,200, 30 more are labelled in each of three rounds, as each
strategy chooses, and a linear head is trained on the embeddings. Its macro F1 on images of other
subjects says what that gained. All strategies start from the same images, so gains are paired.
Real crops of eyes join in with `--faces FILE`, a batch in a zip, with classes planted in them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from label_pools import Floats, Places, Pool, faces_pool, rendered_pool
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from iip_assets.audit.labeling_priorities import choose, promised_gains, unit_vectors, worth_of

Strategy = Callable[[Pool, Any, int, int], Any]
"""Pool, which images are labelled, how many to choose and a seed, to their places."""

_DRAWS = 2000
_ENTRIES = 4  # to the committee


def new_head(seed: int = 0, strength: float = 0.1) -> Any:
    return LogisticRegression(C=strength, class_weight="balanced", max_iter=200, random_state=seed)


def probabilities(pool: Pool, places: Any, of: Floats) -> Floats:
    """(N, K) of a head that was trained on these images of the pool."""
    head = new_head().fit(pool.embeddings[places], pool.classes[places])
    found = np.zeros((len(of), pool.n_classes))
    found[:, head.classes_] = head.predict_proba(of)
    return found


def expected(pool: Pool, labelled: Any) -> tuple[Floats, Places, Any]:
    """Unit vectors, places of the unlabelled images, and what their labels are worth."""
    vectors, free = unit_vectors(pool.embeddings), np.flatnonzero(~labelled)
    places = np.flatnonzero(labelled)
    said = probabilities(pool, places, pool.embeddings[free])
    return vectors, free, worth_of(vectors[free], vectors[places], said)


def ours(pool: Pool, labelled: Any, count: int, seed: int) -> Any:
    vectors, free, worth = expected(pool, labelled)
    return free[choose(vectors[free], vectors[labelled], worth.gain, count)]


def by_chance(pool: Pool, labelled: Any, count: int, seed: int) -> Any:
    return np.random.default_rng(seed).choice(np.flatnonzero(~labelled), count, replace=False)


def peer(name: str, pool: Pool, labelled: Any, count: int, seed: int) -> Any:
    """A strategy of scikit-activeml, with its defaults."""
    from skactiveml import pool as peers
    from skactiveml.classifier import SklearnClassifier

    classes = list(range(pool.n_classes))
    labels = np.where(labelled, pool.classes, np.nan)
    asked: dict[str, Any] = {"X": pool.embeddings, "y": labels, "batch_size": count}
    wrapped = partial(SklearnClassifier, classes=classes, random_state=seed)
    if name in ("entropy", "margin"):
        method = {"entropy": "entropy", "margin": "margin_sampling"}[name]
        query = peers.UncertaintySampling(method=method, random_state=seed)
        return query.query(**asked, clf=wrapped(new_head(seed)))
    if name == "committee":
        members = [wrapped(new_head(seed, 10.0**-power)) for power in range(_ENTRIES)]
        return peers.QueryByCommittee(random_state=seed).query(**asked, ensemble=members)
    if name == "BADGE":
        return peers.Badge(random_state=seed).query(**asked, clf=wrapped(new_head(seed)))
    if name == "core-set":
        return peers.CoreSet(random_state=seed).query(**asked)
    return peers.TypiClust(random_state=seed, cluster_algo_dict={"n_init": 1}).query(**asked)


STRATEGIES: Mapping[str, Strategy] = {
    "random": by_chance,
    "iip": ours,
    **{
        name: partial(peer, name)
        for name in ("entropy", "margin", "committee", "core-set", "TypiClust", "BADGE")
    },
}


def scores(pool: Pool, labelled: Any) -> dict[str, Any]:
    """Macro F1 on the held-out images, overall and of each group, and F1 of the rare mode."""
    said = probabilities(pool, np.flatnonzero(labelled), pool.held_out).argmax(1)
    macro = partial(f1_score, average="macro", zero_division=0)
    truth, groups = pool.held_out_classes, pool.held_out_groups
    parts = {g: macro(truth[groups == g], said[groups == g]) for g in np.unique(groups)}
    rare = None if pool.rare is None else f1_score(truth == pool.rare, said == pool.rare)
    return {"f1": macro(truth, said), "groups": parts, "rare": rare}


def repeat(pool: Pool, seed: int, rounds: int, count: int) -> dict[str, dict[str, Any]]:
    """By strategy: what it gained in all, how the groups ended, and how much it found."""
    start = scores(pool, pool.start)
    found = {}
    for name, strategy in STRATEGIES.items():
        labelled, seconds, after = pool.start.copy(), 0.0, []
        for turn in range(rounds):
            began = time.perf_counter()
            places = np.asarray(strategy(pool, labelled, count, 100 * seed + turn))
            seconds += time.perf_counter() - began
            assert len(set(places)) == count
            assert not labelled[places].any()
            labelled[places] = True
            after.append(scores(pool, labelled))
        ended = after[-1]
        found[name] = {
            "start": start["f1"],
            "gain": ended["f1"] - start["f1"],
            "area": float(np.mean([one["f1"] for one in after])) - start["f1"],
            "groups": ended["groups"],
            "rare": ended["rare"],
            "rare_labels": int((pool.classes[labelled] == pool.rare).sum()),
            "seconds": seconds / rounds,
        }
    return found


def promises(pool: Pool, seed: int, count: int) -> tuple[list[float], list[float]]:
    """Promised and realised gain of batches of every kind, each labelled beside the start.

    Three sizes of: our choice, random ones, those of the highest and of the lowest gain, and images
    that are all alike.
    """
    vectors, free, worth = expected(pool, pool.start)
    rng = np.random.default_rng(seed)
    falling, quarter = np.argsort(-worth.gain), len(free) // 4
    before, promised, realised = scores(pool, pool.start)["f1"], [], []
    for size in (count // 2, count, 2 * count):
        alike = np.linalg.norm(vectors[free] - vectors[rng.choice(free)], axis=1)
        for batch in (
            choose(vectors[free], vectors[pool.start], worth.gain, size),
            rng.choice(len(free), size, replace=False),
            rng.choice(falling[:quarter], size, replace=False),
            rng.choice(falling[-quarter:], size, replace=False),
            np.argsort(alike)[:size],
        ):
            labelled = pool.start.copy()
            labelled[free[batch]] = True
            near = promised_gains(vectors[free], vectors[pool.start], worth.error, batch)
            promised.append(float(near.sum()))
            realised.append(float(scores(pool, labelled)["f1"] - before))
    return promised, realised


def summary(name: str, found: list[dict[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """A row a strategy: gain, its ratio to random with a paired 95% interval, groups, rare mode.

    The area is the mean gain over all rounds, the area under the learning curve. Groups are in
    points of F1 beside random: `worst group` compares whichever is worst, `least of groups` is the
    group that gained least.
    """
    rng = np.random.default_rng(0)
    draws = rng.integers(len(found), size=(_DRAWS, len(found)))
    rows = []

    def ratio(one: str, what: str) -> tuple[float, float, float, float]:
        gains, chance = (np.array([r[name][what] for r in found]) for name in (one, "random"))
        ends = np.quantile(gains[draws].mean(1) / chance[draws].mean(1), (0.025, 0.975))
        return float(gains.mean()), float(gains.mean() / chance.mean()), *map(float, ends)

    for one in STRATEGIES:
        gain, times, low, high = ratio(one, "gain")
        _, area, area_low, area_high = ratio(one, "area")
        rare = [r[one]["rare"] for r in found]
        groups = {
            g: 100 * np.mean([r[one]["groups"][g] - r["random"]["groups"][g] for r in found])
            for g in found[0][one]["groups"]
        }
        worst = [
            100 * (min(r[one]["groups"].values()) - min(r["random"]["groups"].values()))
            for r in found
        ]
        rows.append(
            {
                "pool": name,
                "strategy": one,
                "n": len(found),
                "start": float(np.mean([r[one]["start"] for r in found])),
                "gain": gain,
                "ratio": times,
                "low": low,
                "high": high,
                "area ratio": area,
                "area low": area_low,
                "area high": area_high,
                "worst group": float(np.mean(worst)),
                "least of groups": float(min(groups.values())),
                "rare F1": None if rare[0] is None else float(np.mean(rare)),
                "rare labels": float(np.mean([r[one]["rare_labels"] for r in found])),
                "seconds": float(np.mean([r[one]["seconds"] for r in found])),
            }
        )
    return rows


def main() -> None:
    """Prints tables and, if asked, writes JSON."""
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20, help="of balanced pools")
    parser.add_argument("--rare", type=int, default=20, help="repeats of pools with a rare mode")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=30, help="labelled a round")
    parser.add_argument("--faces", type=Path, help="a batch of real eyes, zipped")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    pools: dict[str, Callable[[int], Pool]] = {
        "rendered, balanced": partial(rendered_pool, rare=""),
        **{f"rendered, {m} 3%": partial(rendered_pool, rare=m) for m in ("none", "infrared")},
    }
    if options.faces:
        pools |= {
            "faces, balanced": partial(faces_pool, options.faces, rare=False),
            "faces, planted 3%": partial(faces_pool, options.faces, rare=True),
        }
    rows, ranks, pairs = [], [], []
    for name, make in pools.items():
        repeats = options.repeats if "balanced" in name else options.rare
        found, kept = [], []
        for seed in range(repeats):
            pool = make(seed)
            found.append(repeat(pool, seed, options.rounds, options.images))
            kept.append(promises(pool, seed, options.images))
            print(f"\r{name}: {seed + 1} of {repeats}", end="", file=sys.stderr, flush=True)
        rows += summary(name, found)
        each = [float(spearmanr(*one).statistic) for one in kept]
        means = np.mean(np.array(kept), axis=0)
        ends = np.quantile(
            [np.mean(np.random.default_rng(i).choice(each, len(each))) for i in range(_DRAWS)],
            (0.025, 0.975),
        )
        ranks.append(
            {
                "pool": name,
                "n": repeats,
                "rank correlation": float(np.mean(each)),
                "low": float(ends[0]),
                "high": float(ends[1]),
                "of mean gains": float(spearmanr(*means).statistic),
            }
        )
        pairs.append({"pool": name, "promised": means[0].tolist(), "realised": means[1].tolist()})
        print(file=sys.stderr)
        show(rows[-len(STRATEGIES) :])
    show(ranks)
    if options.json:
        options.json.write_text(
            json.dumps({"gains": rows, "promises": ranks, "batches": pairs}, indent=1)
        )


def show(rows: list[dict[str, Any]]) -> None:
    from turns import show as print_rows

    print_rows(rows, None)


if __name__ == "__main__":
    main()
