"""What each remedy does to a group that is failed more often, and at what price.

    python benchmarks/fairness.py [--faces FILE] [--seeds N] [--quick] [--json FILE]

A bias is planted in rendered eyes: of a darker group, 12% of the subjects, images are dim, and 20%
of its usable ones that are trained and tuned on are labelled partial. The filter's head then
rejects usable images of that group more often. Each remedy is judged on subjects that nobody
trained on, whose labels are all right. What is wrongly labelled differs from seed to seed.

With `--faces FILE`, a batch in a zip, heads that tell gender from crops of real eyes are audited by
ethnicity. Each seed deals the subjects anew, 60/20/20. The remedies are for that gender and
ethnicity whose recall on tuning subjects stays furthest below that of all others.

Recall is that of usable images, or of that gender; an image passes where the head gives that half
or more. The gap is others' recall minus the group's. Intervals are over subjects.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from label_pools import Embedded, embedded_files, face_eyes, kept
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator
from turns import show

from iip_assets.metrics.intervals import mean_estimate
from iip_assets.models.filter import schedule_of
from iip_assets.models.filter_network import Examples, head_logits, train_head
from iip_assets.settings import FilterSettings
from iip_assets.synthetic.parameters import PlantedEffects
from iip_assets.synthetic.population import pick, sample_subject
from iip_assets.synthetic.render import encode_jpeg, render
from iip_assets.synthetic.shots import SITES, sample_shot
from iip_assets.training.trainer import Machine, TrainingRun
from iip_assets.training_set.balance import balance_weights

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

GROUP, SHARE, DIMMING, WRONG = "black", 0.12, 0.5, 0.2
SHOTS, SIZE, CONFIDENCE = 2, (96, 72), 0.95
USABLE = 0
"""The class whose images should pass: full of the filter's three, or the audited gender."""


@dataclass(frozen=True)
class Dealt:
    """Who trains and tunes and who is held out, all (N,), and the labels that are known of them."""

    training: Flags
    tuning: Flags
    held_out: Flags
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """Embedded images with their true classes, of which one group is to be failed less.

    Attributes:
        name: What is told apart.
        embeddings: (N, D).
        truth: (N,) the true classes; `USABLE` is to pass.
        subjects: (N,).
        group: (N,) whether of the group.
        deal: Deals subjects and labels by a seed.
    """

    name: str
    embeddings: NDArray[np.float32]
    truth: NDArray[np.int64]
    subjects: NDArray[np.str_]
    group: Flags
    deal: Callable[[int], Dealt]

    def examples(self, dealt: Dealt, which: Flags, weights: Floats | None = None) -> Examples:
        """What a head learns from."""
        count = np.ones(which.sum()) if weights is None else weights
        return Examples(self.embeddings[which], dealt.labels[which], count)


Remedy = Callable[[Task, Dealt, int], Floats]
"""Task, who trains, and a seed, to the chance (N,) with which each image passes."""


def _shot(numbers: tuple[int, int]) -> tuple[bytes, str, str, str]:
    subject_number, _ = numbers
    effects = PlantedEffects(rare_group=GROUP, rare_group_share=SHARE)
    subject = sample_subject(7, subject_number, effects)
    rng = np.random.default_rng([7, *numbers])
    device = pick(rng, SITES[subject_number % len(SITES)].devices)
    parameters = sample_shot(rng, subject, device, rare_mode=None).parameters
    if subject.heritage == GROUP:
        exposure = parameters.light.exposure * (1 - DIMMING)
        parameters = replace(parameters, light=replace(parameters.light, exposure=exposure))
    made = render(parameters, width=SIZE[0], height=SIZE[1])
    jpeg = encode_jpeg(made.image, parameters.camera.jpeg_quality)
    return jpeg, made.label, subject.subject_id, subject.heritage


def rendered_task(counts: tuple[int, int, int]) -> Task:
    """Rendered eyes of so many training, tuning and held-out subjects, with the planted bias."""

    def make() -> Embedded:
        numbers = [(subject, shot) for subject in range(sum(counts)) for shot in range(SHOTS)]
        with get_context("spawn").Pool(2) as pool:
            files, *columns = zip(*pool.imap(_shot, numbers, chunksize=32), strict=True)
        return Embedded(embedded_files(files), *map(np.array, columns))

    found = kept(f"fairness-rendered-{sum(counts)}-{DIMMING}", make)
    truth = np.array([("full", "partial", "none").index(one) for one in found.labels])
    group = found.groups == GROUP
    parts = np.repeat(np.arange(3), SHOTS * np.array(counts))

    def deal(seed: int) -> Dealt:
        drawn = np.random.default_rng(seed).uniform(size=len(truth)) < WRONG
        wrong = drawn & group & (truth == USABLE) & (parts < 2)
        return Dealt(parts == 0, parts == 1, parts == 2, np.where(wrong, 1, truth))

    embeddings = found.embeddings.astype(np.float32)
    return Task(f"usable, {GROUP}", embeddings, truth, found.subjects, group, deal)


def gender_tasks(file: Path, most: int) -> list[Task]:
    """A task for each gender and ethnicity, of the first subjects."""
    found = face_eyes(file)
    first = np.isin(found.subjects, np.unique(found.subjects)[:most])
    found = Embedded(*(part[first] for part in vars(found).values()))
    people = np.unique(found.subjects)
    ends = [int(0.6 * len(people)), int(0.8 * len(people))]
    tasks = []
    for gender in np.unique(found.labels):
        truth = (found.labels != gender).astype(np.int64)

        def deal(seed: int, truth: NDArray[np.int64] = truth) -> Dealt:
            parts = np.split(np.random.default_rng(seed).permutation(people), ends)
            return Dealt(*(np.isin(found.subjects, part) for part in parts), truth)

        for ethnicity in np.unique(found.groups):
            group = found.groups == ethnicity
            name = f"{gender}, {ethnicity}"
            embeddings = found.embeddings.astype(np.float32)
            tasks.append(Task(name, embeddings, truth, found.subjects, group, deal))
    return tasks


def head(
    task: Task, dealt: Dealt, seed: int, *, training: Examples | None = None, scores: bool = False
) -> Floats:
    """The project's head on these examples, by default on all: who passes, or its scores."""
    schedule = replace(schedule_of(FilterSettings(), "head"), seed=seed)
    trained, _ = train_head(
        training or task.examples(dealt, dealt.training),
        task.examples(dealt, dealt.tuning),
        schedule,
        classes=int(task.truth.max()) + 1,
        run=TrainingRun(Machine("cpu", 1)),
    )
    logits = head_logits(trained, task.embeddings).astype(np.float64)
    found: Floats = softmax(logits, axis=1)[:, USABLE]
    return found if scores else (found >= 0.5).astype(np.float64)


def weights(task: Task, dealt: Dealt, seed: int) -> Floats:
    """Every group counts the same."""
    cells = [str(one) for one in task.group[dealt.training]]
    training = task.examples(dealt, dealt.training, balance_weights(cells, max_weight=5.0))
    return head(task, dealt, seed, training=training)


def reductions(task: Task, dealt: Dealt, seed: int) -> Floats:
    """Fairlearn's ExponentiatedGradient on the same embeddings."""
    from fairlearn.reductions import ExponentiatedGradient, TruePositiveRateParity
    from sklearn.linear_model import LogisticRegression

    train = dealt.training
    middle, spread = task.embeddings[train].mean(0), task.embeddings[train].std(0)
    features = ((task.embeddings - middle) / np.maximum(spread, 1e-6)).astype(np.float64)
    fair = ExponentiatedGradient(
        LogisticRegression(C=1e-3, max_iter=300), TruePositiveRateParity(difference_bound=0.01)
    )
    usable = (dealt.labels == USABLE).astype(int)
    fair.fit(features[train], usable[train], sensitive_features=task.group[train])
    return np.asarray(fair._pmf_predict(features)[:, 1])


def threshold_optimizer(task: Task, dealt: Dealt, seed: int) -> Floats:
    """Fairlearn's ThresholdOptimizer on the plain head's scores, fitted on tuning subjects."""
    from fairlearn.postprocessing import ThresholdOptimizer

    scores = head(task, dealt, seed, scores=True)
    fair = ThresholdOptimizer(
        estimator=_Scores(),
        constraints="true_positive_rate_parity",
        objective="accuracy_score",
        prefit=True,
        predict_method="predict",
    )
    usable, tune = (dealt.labels == USABLE).astype(int), dealt.tuning
    fair.fit(scores[tune, None], usable[tune], sensitive_features=task.group[tune])
    return np.asarray(fair._pmf_predict(scores[:, None], sensitive_features=task.group)[:, 1])


class _Scores(BaseEstimator):
    """Gives the scores that it gets; scikit-learn finds no attribute of a fitted one elsewhere."""

    fitted_ = True

    def fit(self, scores: Floats, labels: Any) -> _Scores:
        return self

    def predict(self, scores: Floats) -> Floats:
        return scores[:, 0]

    def __sklearn_is_fitted__(self) -> bool:
        return True


REMEDIES: Mapping[str, Remedy] = {
    "none": head,
    "weights": weights,
    "reductions (Fairlearn)": reductions,
    "threshold_optimizer (Fairlearn)": threshold_optimizer,
}


def recalls(task: Task, passes: Floats, which: Flags) -> tuple[float, float]:
    """Of the group, and of all others, by the true labels."""
    usable = which & (task.truth == USABLE)
    return tuple(float(passes[usable & one].mean()) for one in (task.group, ~task.group))


def judged(task: Task, seeds: int) -> list[dict[str, Any]]:
    """A row a remedy: gap, least recall and accuracy, mean of the seeds with least and largest."""
    rows = []
    for name, remedy in REMEDIES.items():
        seen: list[dict[str, float]] = []
        told = np.full((seeds, len(task.truth)), np.nan)
        for seed in range(seeds):
            print(f"\r{task.name}: {name}, {seed + 1} of {seeds}   ", end="", file=sys.stderr)
            dealt = task.deal(seed)
            passes, held = remedy(task, dealt, seed), dealt.held_out
            told[seed, held] = passes[held]
            right = np.where(task.truth == USABLE, passes, 1 - passes)
            of_group, others = recalls(task, passes, held)
            seen.append(
                {
                    "gap": others - of_group,
                    "trained gap": float(-np.diff(recalls(task, passes, dealt.training)[::-1])[0]),
                    "worst recall": min(of_group, others),
                    "accuracy": float(right[held].mean()),
                }
            )
        rows.append({"task": task.name, "remedy": name, **_spread(seen), **_intervals(task, told)})
    print(file=sys.stderr)
    return rows


def _spread(seen: list[dict[str, float]]) -> dict[str, Any]:
    """Mean, least and largest of each number over the seeds, in points."""
    found: dict[str, Any] = {}
    for name in seen[0]:
        values = 100 * np.array([one[name] for one in seen])
        ends = f"{values.mean():.1f} ({values.min():.1f} to {values.max():.1f})"
        found |= {name: ends, f"{name} by seed": values.tolist()}
    return found


def _intervals(task: Task, told: Floats) -> dict[str, Any]:
    """The recall of the group, with its interval over held-out subjects; mean of the seeds."""
    which = ~np.isnan(told).all(0) & (task.truth == USABLE) & task.group
    mean = np.nanmean(told[:, which], axis=0)
    found = mean_estimate(mean, task.subjects[which], confidence=CONFIDENCE)
    return {"group's recall": _in_points(found.value, found.low, found.high)}


def _in_points(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return "-"
    return f"{100 * value:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def main() -> None:
    """Prints tables and, if asked, writes JSON."""
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="fewer subjects and two seeds")
    parser.add_argument("--faces", type=Path, help="a batch of real eyes, zipped")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    seeds = 2 if options.quick else options.seeds
    planted = judged(rendered_task((200, 80, 200) if options.quick else (700, 250, 900)), seeds)
    show([{k: v for k, v in row.items() if "by seed" not in k} for row in planted], None)
    if options.json:
        options.json.write_text(json.dumps(planted, indent=1))


if __name__ == "__main__":
    main()
