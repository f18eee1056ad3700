"""What each remedy does for a group that is failed more often, and at what price.

    python benchmarks/fairness.py [--faces FILE] [--seeds N] [--quick] [--json FILE]

A bias is planted in rendered eyes: images of a darker group, 12% of the subjects, are dim, and of
its usable ones that are learned from 30% are labelled partial. The filter's head then rejects
usable images of that group more often. Every remedy runs as trials of `fairness_tradeoff` and is
judged on subjects of whom nothing was learned, whose labels are right. Training, and what is
labelled wrongly, differ from seed to seed.

With `--faces FILE`, a batch in a zip, heads on embeddings of real eyes tell women, or men, from
others. Subjects are dealt 60/20/20; the held-out ones are audited by ethnicity, and every remedy is
to bring these groups together, with Fairlearn's reductions beside: first its regression alone, of
which recalls may differ by 100 points.

Recall is that of usable images, or of one gender; the gap is that between the groups of the highest
and the lowest. Numbers are points: means of the seeds with the least and the largest, and changes
with 95% intervals over subjects and seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from label_pools import Embedded, Words, embedded_files, face_eyes, kept
from numpy.typing import NDArray
from turns import show

from iip_assets.fairness.group_metrics import audit, filter_by_group
from iip_assets.fairness.tradeoff import NONE, passing_metric, tradeoff_tables
from iip_assets.fairness.trials import run_trials, trial_images
from iip_assets.metrics.scores import Gate
from iip_assets.models.filter import schedule_of
from iip_assets.settings import EvaluationSettings, FilterSettings
from iip_assets.synthetic.parameters import PlantedEffects
from iip_assets.synthetic.population import pick, sample_subject
from iip_assets.synthetic.render import encode_jpeg, render
from iip_assets.synthetic.shots import SITES, sample_shot
from iip_assets.training.trainer import Machine, TrainingRun

Flags = NDArray[np.bool_]

GROUP, SHARE, DIMMING, WRONG = "black", 0.12, 0.5, 0.3
SHOTS, SIZE = 2, (96, 72)
SCHEDULE = asdict(schedule_of(FilterSettings(), "head"))
GATE = Gate(("full",), 1.0, 1.0)
# What MinDiff is to bring, and may cost.
CUT, COST = 0.5, 0.01


def remedies(*floors: float) -> dict[str, tuple[float, ...]]:
    """By remedy its strengths, as `fairness.remedies` has them; floors of the rate constraint."""
    return {
        NONE: (0.0,),
        "weights": (5.0,),
        "resampling": (5.0,),
        "mindiff": (0.3, 1.0, 3.0),
        "rate_constraint": floors,
        "threshold_optimizer": (0.02,),
        "reductions": (1.0, 0.02),  # the first is its regression without a bound
    }


@dataclass(frozen=True)
class Task:
    """Embedded images of which some are to pass, in each group as many.

    Attributes:
        name: What is told apart.
        images: The images; labels are words of the filter, and right.
        held_out: (N,) the images that are judged.
        labels: By a seed, the labels (N,) that are learned from; all seeds share one table without.
        floors: Of the rate constraint.
    """

    name: str
    images: Embedded
    held_out: Flags
    labels: Callable[[int], Words] | None
    floors: tuple[float, ...]

    def tables(self, seeds: int) -> list[pl.DataFrame]:
        """What the trials of each seed share."""
        if self.labels is None:
            return [self._table(self.images.labels)] * seeds
        return [self._table(self.labels(seed)) for seed in range(seeds)]

    def _table(self, labels: Words) -> pl.DataFrame:
        images, ids = self.images, [f"{place:05d}" for place in range(len(labels))]
        rows = pl.DataFrame(
            {
                "image_id": ids,
                "split": np.where(self.held_out, "validation", "train"),
                "group_id": images.subjects,
                "label": np.where(self.held_out, images.labels, labels),
                "embedding": images.embeddings.astype(np.float32).tolist(),
                "weight": np.ones(len(labels)),
            }
        )
        slices = pl.DataFrame({"image_id": ids, "slice": images.groups})
        found = trial_images(rows, slices, GATE.usable, least_images=10)
        if isinstance(found, str):
            raise SystemExit(found)
        return found


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
    of_group = found.groups == GROUP

    def labels(seed: int) -> Words:
        drawn = np.random.default_rng(seed).uniform(size=len(held)) < WRONG
        return np.where(of_group & (found.labels == "full") & drawn, "partial", found.labels)

    two = replace(found, groups=np.where(of_group, GROUP, "others"))
    return Task("usable rendered eyes", two, held, labels, (0.9, 0.95))


def gender_task(file: Path, gender: str, most: int) -> Task:
    """Who of the first subjects is of this gender, by crops of real eyes."""
    found = face_eyes(file)
    first = np.isin(found.subjects, np.unique(found.subjects)[:most])
    found = Embedded(*(part[first] for part in vars(found).values()))
    people = np.random.default_rng(0).permutation(np.unique(found.subjects))
    images = replace(found, labels=np.where(found.labels == gender, "full", "none"))
    held_out = np.isin(found.subjects, people[: len(people) // 5])
    return Task(f"{gender} eyes", images, held_out, None, (0.7, 0.75))


def answers_of(task: Task, tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """All trials with what passes, a table a seed; nothing is drawn for reductions."""
    once = tables[:1] if task.labels is None else tables
    plan = [
        {"model": task.name, "remedy": remedy, "strength": f"{strength:g}", "seed": seed}
        for remedy, strengths in remedies(*task.floors).items()
        for strength in strengths
        for seed in range(len(once if remedy == "reductions" else tables))
    ]
    answers = []
    for place, record in enumerate(plan):
        text = f"{task.name}: {place + 1} of {len(plan)}, {record['remedy']}"
        print(f"\r{text:70}", end="", file=sys.stderr, flush=True)
        answers += run_trials(
            [record],
            schedule=SCHEDULE,
            gate=asdict(GATE),
            resampled=False,
            images=tables[record["seed"]],
            run=TrainingRun(Machine("cpu", 1)),
        )
    print(file=sys.stderr)
    return pl.DataFrame([one | two for one, two in zip(plan, answers, strict=True)])


def audited(task: Task, judged: pl.DataFrame, passes: Sequence[float]) -> list[dict[str, Any]]:
    """What the audit says of each group's recall under one head."""
    let = np.array(passes)
    test = judged.with_columns(
        passes=pl.Series(let),
        prob_full=pl.Series(let),
        prob_partial=pl.lit(0.0),
        prob_none=pl.Series(1 - let),
    )
    slices = judged.select("image_id", axis=pl.lit("ethnicity"), slice="group")
    groups, _ = audit(task.name, filter_by_group(test, GATE), slices, EvaluationSettings())
    return [
        {
            "task": task.name,
            "group": row["slice"],
            "recall": _ends(row, ("value", "low", "high")),
            "minus others": _ends(row, ("difference", "difference_low", "difference_high")),
            "images": row["n_images"],
            "p": row["p_holm"],
            "verdict": row["verdict"],
        }
        for row in groups.filter(metric="recall", axis="ethnicity").iter_rows(named=True)
    ]


def prices(task: Task, found: Mapping[str, pl.DataFrame]) -> list[dict[str, Any]]:
    """A row for each remedy and strength, of the tables of `fairness_tradeoff`."""
    rows = []
    for row in found["tradeoff"].iter_rows(named=True):
        spans = {
            name: _ends(row, (name, f"{name}_least", f"{name}_largest"))
            for name in ("gap", "worst", "overall")
        }
        changes = {
            f"{name} changes by": _ends(
                row, [f"{name}_change{end}" for end in ("", "_low", "_high")]
            )
            for name in ("gap", "overall")
            if row["remedy"] != NONE
        }
        own = {"task": task.name, "remedy": row["remedy"], "strength": row["strength"]}
        last = {"worst group": row["worst_group"], "Pareto": _told(row["pareto"])}
        rows.append(own | spans | changes | last)
    return rows


def _told(reached: bool) -> str:
    return "yes" if reached else "no"


def _ends(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """A number with two ends, in points."""
    if any(row[one] is None for one in names):
        return "-"
    return "{:.1f} ({:.1f} to {:.1f})".format(*(100 * row[one] for one in names))


def aims(found: Mapping[str, pl.DataFrame]) -> list[dict[str, Any]]:
    """Whether MinDiff and the rate constraint reach what they are for, on held-out subjects."""
    table, trials = found["tradeoff"], found["trials"]
    plain = table.filter(remedy=NONE).row(0, named=True)
    rows = []
    for row in table.filter(pl.col("remedy").is_in(["mindiff", "rate_constraint"])).to_dicts():
        own = {"remedy": row["remedy"], "strength": row["strength"]}
        if row["remedy"] == "mindiff":
            cut, cost = 1 - row["gap"] / plain["gap"], -row["overall_change"]
            text = f"cuts the gap by {cut:.0%} for {100 * cost:.1f} points of accuracy"
            rows.append({**own, "finding": text, "reached": _told(cut >= CUT and cost <= COST)})
            continue
        recalls = trials.filter(**own)["worst"]
        over = int((recalls >= row["strength"]).sum())
        text = f"least recall {100 * row['worst']:.1f}, so much in {over} of {len(recalls)}"
        reached = row["worst"] >= row["strength"]
        rows.append({**own, "finding": text, "reached": _told(reached)})
    return rows


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
    tasks = [rendered_task(*((300, 200) if options.quick else (950, 900)))]
    if options.faces:
        most = 1000 if options.quick else 5000
        tasks += [gender_task(options.faces, one, most) for one in ("female", "male")]
    written: dict[str, Any] = {}
    for task in tasks:
        tables = task.tables(seeds)
        judged = tables[0].filter(part="judged")
        answers = answers_of(task, tables)
        metric = passing_metric(judged["usable"].to_numpy())
        found = tradeoff_tables(answers, judged, metric, EvaluationSettings())
        shown = {
            "audit": audited(task, judged, answers["answer"][0].to_list()),
            "prices": prices(task, found),
            "aims": aims(found),
        }
        for rows in shown.values():
            show(rows, None)
            print()
        written[task.name] = shown | {name: one.to_dicts() for name, one in found.items()}
    if options.json:
        options.json.write_text(json.dumps(written, indent=1))


if __name__ == "__main__":
    main()
