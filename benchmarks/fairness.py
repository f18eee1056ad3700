"""What each remedy does for a group that is failed more often, and at what price.

    python benchmarks/fairness.py [--faces FILE] [--seeds N] [--quick] [--json FILE]

A bias is planted in rendered eyes: images of a darker group, 12% of the subjects, are dim, and of
its usable ones that are learned from 30% are labelled partial. The filter's head then rejects
usable images of that group more often. Every remedy runs as a trial of `fairness_tradeoff` and is
judged on subjects of whom nothing was learned, whose labels are right. Training, and what is
labelled wrongly, differ from seed to seed.

With `--faces FILE`, a batch in a zip, heads that tell gender from crops of real eyes are audited by
ethnicity. Each seed deals the subjects anew, 60/20/20. The remedies are for that gender and
ethnicity of which most is missed on tuning subjects, beside all others.

Recall is that of usable images, or of that gender; the gap is others' recall minus the group's.
Numbers are points: means of the seeds with the least and the largest, or 95% intervals over
subjects.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from label_pools import Embedded, embedded_files, face_eyes, kept
from numpy.typing import NDArray
from turns import show

from iip_assets.fairness.trials import TrialData, run_trials, trial_data
from iip_assets.metrics.intervals import mean_estimate
from iip_assets.models.filter import schedule_of
from iip_assets.settings import FilterSettings, ThresholdSettings
from iip_assets.synthetic.parameters import PlantedEffects
from iip_assets.synthetic.population import pick, sample_subject
from iip_assets.synthetic.render import encode_jpeg, render
from iip_assets.synthetic.shots import SITES, sample_shot
from iip_assets.training.trainer import Machine

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Words = NDArray[np.str_]

GROUP, SHARE, DIMMING, WRONG = "black", 0.12, 0.5, 0.3
SHOTS, SIZE, CONFIDENCE = 2, (96, 72), 0.95
SCHEDULE = asdict(schedule_of(FilterSettings(), "head"))
COSTS = ThresholdSettings()
GATE = {
    "usable": ["full"],
    "lost_iris": COSTS.lost_iris_cost,
    "failed_segmentation": COSTS.failed_segmentation_cost,
}
REMEDIES: Mapping[str, tuple[float, ...]] = {
    "none": (0.0,),
    "weights": (1.0,),
    "resampling": (1.0,),
    "mindiff": (0.5, 1.0, 2.0),
    "rate_constraint": (0.95,),
    "reductions": (0.01,),
    "threshold_optimizer": (0.01,),
}


@dataclass(frozen=True)
class Task:
    """Embedded images of which some are to pass, and a group of which fewer do.

    Attributes:
        name: What is told apart, and of whom.
        images: The images; labels are the words of the filter, all right.
        group: The group.
        deal: By a seed, which images (N,) are held out, and the labels (N,) of all.
    """

    name: str
    images: Embedded
    group: str
    deal: Callable[[int], tuple[Flags, Words]]

    @property
    def usable(self) -> Flags:
        """(N,) whether an image is to pass."""
        return self.images.labels == "full"

    def data(self, seed: int) -> Made:
        """What the trials of a seed share."""
        held_out, labels = self.deal(seed)
        images = self.images
        ids = [f"{place:05d}" for place in range(len(labels))]
        rows = pl.DataFrame(
            {
                "image_id": ids,
                "split": np.where(held_out, "validation", "train"),
                "group_id": images.subjects,
                "label": labels,
                "embedding": images.embeddings.astype(np.float32).tolist(),
            }
        )
        slices = pl.DataFrame({"image_id": ids, "slice": images.groups})
        found = trial_data(rows, slices, ["full"], least_images=10)
        if isinstance(found, str):
            raise SystemExit(found)
        tuning = np.isin(images.subjects, found.tuning.subjects)
        return Made(found, held_out, tuning)


@dataclass(frozen=True)
class Made:
    """What the trials of a seed share, and which images (N,) are judged and tuned on."""

    data: TrialData
    held_out: Flags
    tuning: Flags


def _shot(numbers: tuple[int, int]) -> tuple[bytes, str, str, str]:
    number, _ = numbers
    effects = PlantedEffects(rare_group=GROUP, rare_group_share=SHARE)
    subject = sample_subject(7, number, effects)
    rng = np.random.default_rng([7, *numbers])
    device = pick(rng, SITES[number % len(SITES)].devices)
    parameters = sample_shot(rng, subject, device, rare_mode=None).parameters
    if subject.heritage == GROUP:
        exposure = parameters.light.exposure * (1 - DIMMING)
        parameters = replace(parameters, light=replace(parameters.light, exposure=exposure))
    made = render(parameters, width=SIZE[0], height=SIZE[1])
    jpeg = encode_jpeg(made.image, parameters.camera.jpeg_quality)
    return jpeg, made.label, subject.subject_id, subject.heritage


def rendered_task(learned: int, held_out: int) -> Task:
    """Rendered eyes of so many subjects, with the planted bias."""

    def make() -> Embedded:
        numbers = [(one, shot) for one in range(learned + held_out) for shot in range(SHOTS)]
        with get_context("spawn").Pool(2) as pool:
            files, *columns = zip(*pool.imap(_shot, numbers, chunksize=32), strict=True)
        return Embedded(embedded_files(files), *map(np.array, columns))

    found = kept(f"fairness-rendered-{learned}-{held_out}-{DIMMING}", make)
    held = np.repeat(np.arange(learned + held_out) >= learned, SHOTS)
    of_group = ~held & (found.groups == GROUP) & (found.labels == "full")

    def deal(seed: int) -> tuple[Flags, Words]:
        drawn = np.random.default_rng(seed).uniform(size=len(held)) < WRONG
        return held, np.where(of_group & drawn, "partial", found.labels)

    return Task(f"usable, {GROUP}", found, GROUP, deal)


def gender_task(file: Path, gender: str, most: int) -> Task:
    """Who of the first subjects is of this gender, of no group yet."""
    found = face_eyes(file)
    first = np.isin(found.subjects, np.unique(found.subjects)[:most])
    found = Embedded(*(part[first] for part in vars(found).values()))
    people = np.unique(found.subjects)
    images = replace(found, labels=np.where(found.labels == gender, "full", "none"))

    def deal(seed: int) -> tuple[Flags, Words]:
        held_out = np.random.default_rng(seed).permutation(people)[: len(people) // 5]
        return np.isin(found.subjects, held_out), images.labels

    return Task(gender, images, "", deal)


def missed_most(tasks: list[Task], seeds: int) -> tuple[Task, list[dict[str, Any]]]:
    """The task and group whose recall on tuning subjects is furthest below others', and the audit.

    The audit has the recalls of a plain head on held-out subjects.
    """
    audit, found = [], []
    for task in tasks:
        trials = [trial(task, task.data(seed), "none", 0.0, seed) for seed in range(seeds)]
        told = np.stack([one.passes for one in trials])
        audit.append({"recall of": task.name, **_recalls(task, told)})
        for group in np.unique(task.images.groups):
            one = replace(task, name=f"{task.name}, {group}", group=str(group))
            gaps = [_numbers(one, trained.tuned)["gap"] for trained in trials]
            found.append((float(np.mean(gaps)), one.name, one))
    return max(found)[2], audit


@dataclass(frozen=True)
class Trial:
    """The chance that each image passes, (N,), NaN where it was not judged, or not tuned on."""

    passes: Floats
    tuned: Floats


def trial(task: Task, made: Made, remedy: str, strength: float, seed: int) -> Trial:
    """What a remedy does."""
    text = f"{task.name}: {remedy} {strength:g}, seed {seed}"
    print(f"\r{text:60}", end="", file=sys.stderr, flush=True)
    record = {"remedy": remedy, "strength": strength, "seed": seed, "weak": task.group}
    (answer,) = run_trials(
        [record], schedule=SCHEDULE, gate=GATE, data=made.data, machine=Machine("cpu", 1)
    )
    passes, tuned = np.full((2, len(task.usable)), np.nan)
    passes[made.held_out] = answer["passes"]
    if answer["tuned"] is not None:
        tuned[made.tuning] = answer["tuned"]
    return Trial(passes, tuned)


def judged(task: Task, seeds: int) -> list[dict[str, Any]]:
    """A row a remedy and strength."""
    made = [task.data(seed) for seed in range(seeds)]
    rows = []
    for remedy, strengths in REMEDIES.items():
        for strength in strengths:
            trials = [trial(task, one, remedy, strength, seed) for seed, one in enumerate(made)]
            seen = [_numbers(task, one.passes) for one in trials]
            name = {"task": task.name, "remedy": remedy, "strength": strength}
            recalls = _recalls(task, np.stack([one.passes for one in trials]))
            rows.append(name | _spread(seen) | recalls)
    print(file=sys.stderr)
    return rows


def _numbers(task: Task, passes: Floats) -> dict[str, float]:
    """Of the images (N,) that were judged; others are NaN."""
    known, of_group = ~np.isnan(passes), task.images.groups == task.group
    mine, others = (passes[known & task.usable & one].mean() for one in (of_group, ~of_group))
    right = np.where(task.usable, passes, 1 - passes)[known].mean()
    return {"gap": others - mine, "worst recall": min(mine, others), "accuracy": right}


def _spread(seen: list[dict[str, float]]) -> dict[str, Any]:
    """Mean, least and largest of each number over the seeds."""
    found: dict[str, Any] = {}
    for name in seen[0]:
        values = 100 * np.array([one[name] for one in seen])
        ends = f"{values.mean():.1f} ({values.min():.1f} to {values.max():.1f})"
        found |= {name: ends, f"{name} by seed": values.tolist()}
    return found


def _recalls(task: Task, told: Floats) -> dict[str, Any]:
    """The recall of each group, mean of the seeds in which an image was judged."""
    found = {}
    for name in np.unique(task.images.groups):
        which = ~np.isnan(told).all(0) & task.usable & (task.images.groups == name)
        means = np.nanmean(told[:, which], axis=0)
        one = mean_estimate(means, task.images.subjects[which], confidence=CONFIDENCE)
        ends = [100 * (end or np.nan) for end in (one.value, one.low, one.high)]
        found[str(name)] = "{:.1f} ({:.1f} to {:.1f})".format(*ends)
    return found


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
    tables = {
        "planted": judged(rendered_task(*((300, 200) if options.quick else (950, 900))), seeds)
    }
    if options.faces:
        most = 1000 if options.quick else 5000
        tasks = [gender_task(options.faces, one, most) for one in ("female", "male")]
        task, tables["audit"] = missed_most(tasks, seeds)
        tables["real"] = judged(task, seeds)
    for rows in tables.values():
        show([{k: v for k, v in row.items() if "by seed" not in k} for row in rows], None)
    if options.json:
        options.json.write_text(json.dumps(tables, indent=1))


if __name__ == "__main__":
    main()
