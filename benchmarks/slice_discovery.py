"""Planted failing slices: are they found, named and told from chance, beside HDBSCAN and SliceLine.

    python benchmarks/slice_discovery.py [--images N] [--plantings N] [--clean N] [--pictures DIR]

Rendered eyes are embedded once by the packaged backbone. A planting chooses a slice by what is true
of the images and lets a model fail on 50 to 60% of it and on 10% elsewhere, every other time with
errors between 0 and 1 as a segmenter makes them. Discovery sees the errors, the embeddings, and
tags of which some are wrong, 5% unless told otherwise.

Precision@10 is the share of the ten images that come first in the top slice that are of the planted
one; SliceLens reports 0.73 and Domino 0.36, each on plantings of its own. HDBSCAN's worst cluster
and SliceLine's top slice are put in the same order as ours. With `--pictures`, slices are planted
into the images of a folder with labels.csv too.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from images import stored
from numpy.typing import NDArray
from sliceline.slicefinder import Slicefinder
from turns import CACHE, show

from iip_assets.audit.discovered_slices import discover_slices, in_words
from iip_assets.dataset.slices import age_band
from iip_assets.edge_cases.clusters import cluster_images
from iip_assets.edge_cases.slice_members import Space, members_of
from iip_assets.edge_cases.team_slices import SliceRule
from iip_assets.embeddings.backbone import build_backbone
from iip_assets.embeddings.embedder import embed_chunk, open_embedder
from iip_assets.images.store import content_md5
from iip_assets.settings import SliceDiscoverySettings
from iip_assets.statistics.capture_conditions import background_table, lighting_table
from iip_assets.statistics.measure import measure_images, statistics_table
from iip_assets.synthetic.parameters import RARE_MODES, PlantedEffects
from iip_assets.synthetic.write import write_dataset

Flags = NDArray[np.bool_]
CLASSES = ("background", "sclera", "iris", "pupil")
EFFECTS = PlantedEffects(
    rare_modes=0.12, rare_group="black", rare_group_share=0.12, rare_group_dimming=0.45
)
AGES = (0, 18, 45, 60)
LEAST = 25


@dataclass(frozen=True)
class Eyes:
    """Images with what is true of them.

    Attributes:
        ids: (N,).
        subjects: (N,).
        axes: By axis, the slice of each image.
        modes: (N,) the rare mode that it shows, or an empty text.
        embeddings: image_id, embedding.
        wrong_tags: The share of tags that are wrong.
    """

    ids: list[str]
    subjects: list[str]
    axes: dict[str, NDArray[np.str_]]
    modes: NDArray[np.str_]
    embeddings: pl.DataFrame
    wrong_tags: float


def eyes_of(folder: Path, most: int, wrong_tags: float) -> Eyes:
    """The first images of a folder of batches, embedded and measured once."""
    kept = [CACHE / f"{folder.name}-{most}-{name}.parquet" for name in ("embeddings", "facts")]
    if not all(one.exists() for one in kept):
        for file, table in zip(kept, _tables(folder, most), strict=True):
            table.write_parquet(file)
    embeddings, facts = map(pl.read_parquet, kept)
    words = [name for name in facts.columns if name not in ("image_id", "subject_id", "rare_mode")]
    axes = {name: facts[name].fill_null("unknown").to_numpy().astype(str) for name in words}
    modes = facts["rare_mode"].fill_null("").to_numpy().astype(str)
    ids, subjects = facts["image_id"].to_list(), facts["subject_id"].to_list()
    return Eyes(ids, subjects, axes, modes, embeddings, wrong_tags)


def _tables(folder: Path, most: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    files = build_backbone(
        "tf_efficientnet_lite0",
        checkpoint="packaged",
        checkpoint_sha256="",
        root=Path(),
        width=128,
        height=96,
    )
    with tempfile.TemporaryDirectory() as cache:
        store, records = stored(folder, Path(cache))
        records = records[:most]
        embedder = open_embedder(files, device="cpu", batch_size=16)
        vectors = embed_chunk(records, max_megapixels=50, embedder=embedder, store=store, threads=2)
        measures = measure_images(records, max_megapixels=50, mask_classes=CLASSES, store=store)
    ids = [record["image_id"] for record in records]
    embeddings = pl.DataFrame({"image_id": ids, "embedding": [v["embedding"] for v in vectors]})
    rows = [{"image_id": one, **found} for one, found in zip(ids, measures, strict=True)]
    statistics = statistics_table(pl.DataFrame(rows, infer_schema_length=None))
    return embeddings, _facts(folder, statistics)


def _facts(folder: Path, statistics: pl.DataFrame) -> pl.DataFrame:
    """image_id, subject_id, rare_mode and a column of words for each axis."""
    rows = []
    known = set(statistics["image_id"])
    for file in sorted(folder.rglob("labels.csv")):
        table = pl.read_csv(file, infer_schema=False)
        ids = [content_md5((file.parent / name).read_bytes()) for name in table["image"]]
        rows.append(table.with_columns(image_id=pl.Series(ids), batch=pl.lit(file.parent.name)))
    facts = pl.concat(rows, how="diagonal_relaxed").unique("image_id")
    facts = facts.filter(pl.col("image_id").is_in(known))
    facts = facts.with_columns(rare_mode=pl.lit(None, pl.String))
    if (folder / "truth.csv").exists():
        truth = pl.read_csv(folder / "truth.csv", infer_schema=False)
        truth = truth.select("image", "batch", "rare_mode")
        facts = facts.drop("rare_mode").join(truth, on=["image", "batch"], how="left")
    lighting = lighting_table(statistics, dark_below=70, bright_above=185, uneven_above=0.6)
    background = background_table(statistics, plain_below=0.08, cluttered_above=0.2)
    bands = [
        age_band(None if age is None else float(age), AGES)
        for age in facts["age_years"].replace("", None)
    ]
    blurred = pl.col("sharpness") < pl.col("sharpness").quantile(0.2)
    off = pl.col("gaze_x").abs() > 0.3
    measured = statistics.select(
        "image_id",
        sharpness=pl.when(blurred).then(pl.lit("blurred")).otherwise(pl.lit("sharp")),
        gaze=pl.when(off).then(pl.lit("off")).when(~off).then(pl.lit("centred")),
        openness=pl.when(pl.col("iris_visibility") < 0.6)
        .then(pl.lit("half closed"))
        .when(pl.col("iris_visibility") >= 0.6)
        .then(pl.lit("open")),
    )
    words = facts.select(
        *("image_id", "subject_id", "rare_mode", "gender", "ethnicity", "device", "eye"),
        age_band=pl.Series(bands, dtype=pl.String),
    )
    for table in (lighting, background, measured):
        words = words.join(table, on="image_id")
    return words.sort("image_id")


def tags_of(eyes: Eyes, rng: np.random.Generator) -> pl.DataFrame:
    """The long table of tags, some of them wrong."""
    parts = []
    for axis, words in eyes.axes.items():
        shown = np.where(
            rng.uniform(size=len(words)) < eyes.wrong_tags, rng.permutation(words), words
        )
        parts.append(pl.DataFrame({"image_id": eyes.ids, "axis": axis, "slice": shown}))
    return pl.concat(parts)


@dataclass(frozen=True)
class Planting:
    """A slice that a model fails on.

    Attributes:
        kind: What sort of slice.
        inside: (N,) its images.
        tags: By axis, the slice that it is in truth; empty where no tag says it.
    """

    kind: str
    inside: Flags
    tags: Mapping[str, str]


def plantings_of(eyes: Eyes) -> Iterator[Planting]:
    """Rare modes, a dark group, off-gaze and conjunctions of two, again and again."""
    rng = np.random.default_rng(0)
    axes = eyes.axes
    known = {
        (axis, str(name)): axes[axis] == name
        for axis in axes
        for name in np.unique(axes[axis])
        if name != "unknown"
    }
    pairs = [
        Planting("conjunction", known[one] & known[two], dict([one, two]))
        for one in known
        for two in known
        if one[0] < two[0] and LEAST <= (known[one] & known[two]).sum() <= len(eyes.ids) / 8
    ]
    modes = [Planting(f"rare mode {m}", eyes.modes == m, {}) for m in RARE_MODES]
    modes = [one for one in modes if one.inside.sum() >= LEAST]
    dark = [one for one in pairs if {"lighting": "dark"}.items() <= one.tags.items()]
    dark = [one for one in dark if one.tags.keys() & {"ethnicity", "gender", "age_band"}]
    off = [Planting("off-gaze", known[tag], dict([tag])) for tag in known if tag == ("gaze", "off")]
    turn = 0
    while True:
        for options in (modes, dark, off, pairs, pairs):
            if options:
                chosen = options[int(rng.integers(len(options)))]
                if options is modes:
                    chosen = modes[turn % len(modes)]
                kind = "dark group" if options is dark else chosen.kind
                yield Planting(kind, chosen.inside, chosen.tags)
        turn += 1


def errors_of(inside: Flags, *, seed: int) -> NDArray[np.float64]:
    """Errors (N,): 0 or 1, or in between where the seed is odd."""
    rng = np.random.default_rng(seed)
    wrong = rng.uniform(size=len(inside)) < np.where(inside, rng.uniform(0.5, 0.6), 0.1)
    if seed % 2 == 0:
        return wrong.astype(float)
    return np.where(wrong, rng.uniform(0.4, 1, len(inside)), rng.uniform(0, 0.2, len(inside)))


def ours(eyes: Eyes, space: Space, errors: NDArray[np.float64], seed: int) -> pl.DataFrame:
    """What discovery finds."""
    table = pl.DataFrame(
        {"image_id": eyes.ids, "group_id": eyes.subjects, "error": errors}
    ).with_columns(model=pl.lit("filter"))
    return discover_slices(
        table,
        tags_of(eyes, np.random.default_rng([seed, 1])),
        space,
        options=SliceDiscoverySettings(seed=seed),
        least=10,
        confidence=0.95,
    )


def first_images(inside: Flags, errors: NDArray[np.float64], space: Space) -> NDArray[np.int64]:
    """The ten that discovery would put first in a slice: large errors, then the middle."""
    places = np.flatnonzero(inside)
    middle = (space.vectors[places] * errors[places, None]).sum(axis=0)
    near = space.vectors[places] @ middle
    return places[np.lexsort((-near, -np.round(errors[places], 3)))][:10]


def worst_cluster(errors: NDArray[np.float64], clusters: NDArray[np.int64]) -> Flags:
    """The plain HDBSCAN cluster of the highest mean error."""
    large = [one for one in np.unique(clusters) if one >= 0 and (clusters == one).sum() >= 10]
    return clusters == max(large, key=lambda one: errors[clusters == one].mean(), default=-2)


def sliceline_top(eyes: Eyes, errors: NDArray[np.float64], seed: int) -> Flags:
    """The top slice of SliceLine alone, on the same tags."""
    tags = tags_of(eyes, np.random.default_rng([seed, 1]))
    coded = np.stack(
        [
            np.unique(tags.filter(pl.col("axis") == axis)["slice"], return_inverse=True)[1]
            for axis in eyes.axes
        ],
        axis=1,
    )
    finder = Slicefinder(alpha=0.95, k=1, max_l=2, min_sup=10, verbose=False).fit(coded, errors)
    inside = np.ones(len(errors), bool)
    for column, code in enumerate(finder.top_slices_[0] if len(finder.top_slices_) else ()):
        inside &= (coded[:, column] == code) if code is not None else True
    return inside if not inside.all() else ~inside


def named_right(name: str, planting: Planting, exemplars: Flags) -> bool:
    """Whether a slice's name says what was planted: its tags, or images that mostly show it."""
    if " like " in name:
        return bool(exemplars.mean() >= 0.7)
    return set(name.split(" and ")) == set(in_words(list(planting.tags.items())).split(" and "))


def planted(eyes: Eyes, number: int) -> Iterator[dict[str, Any]]:
    """What comes of each planting."""
    space = Space.from_embeddings(eyes.embeddings).of(eyes.ids)
    table = cluster_images(eyes.embeddings, neighbors=15, min_cluster_size=12, exemplars=1, seed=0)
    clusters = table.sort("image_id")["cluster"].to_numpy()
    place_of = {one: place for place, one in enumerate(eyes.ids)}
    for seed, planting in enumerate(islice(plantings_of(eyes), number)):
        errors = errors_of(planting.inside, seed=seed)
        started = time.perf_counter()
        slices = ours(eyes, space, errors, seed)
        seconds = time.perf_counter() - started
        tags = tags_of(eyes, np.random.default_rng([seed, 1]))
        rules = [SliceRule(**json.loads(rule)) for rule in slices["rule"].head(1)]
        first = [one for rule in rules for one in members_of(rule, tags, space)]
        inside = planting.inside[[place_of[one] for one in first]]
        shown = [
            planting.inside[[place_of[one] for one in row["exemplars"]]]
            for row in slices.iter_rows(named=True)
        ]
        right = [named_right(n, planting, s) for n, s in zip(slices["name"], shown, strict=True)]
        peers = {
            "HDBSCAN": worst_cluster(errors, clusters),
            "SliceLine": sliceline_top(eyes, errors, seed),
        }
        firsts = {name: first_images(one, errors, space) for name, one in peers.items()}
        yield {
            "kind": planting.kind,
            "images": int(planting.inside.sum()),
            "ours": float(shown[0][:10].mean()) if shown else 0.0,
            "ours, best of all": max((float(one[:10].mean()) for one in shown), default=0.0),
            **{
                name: float(planting.inside[first].mean()) if len(first) else 0.0
                for name, first in firsts.items()
            },
            "precision": float(inside.mean()) if shown else 0.0,
            "recall": float(inside.sum() / planting.inside.sum()),
            "found": len(shown),
            "named right": sum(right),
            "first named right": float(right[0]) if right else None,
            "names": slices["name"].to_list(),
            "planted": dict(planting.tags),
            "seconds": seconds,
        }


def false_slices(eyes: Eyes, number: int) -> list[int]:
    """How many slices are found where no slice is planted, each time.

    Every other time some people are harder than others: of one in ten, half the images fail.
    """
    space = Space.from_embeddings(eyes.embeddings).of(eyes.ids)
    _, subjects = np.unique(eyes.subjects, return_inverse=True)
    found = []
    for seed in range(number):
        rng = np.random.default_rng([seed, 2])
        hard = (rng.uniform(size=subjects.max() + 1) < 0.1) & (seed % 2 == 1)
        errors = errors_of(hard[subjects], seed=1000 + seed // 2)
        found.append(ours(eyes, space, errors, seed).height)
    return found


def summary(name: str, eyes: Eyes, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each kind of planting, one for all, and one for clean data."""
    results = list(planted(eyes, options.plantings))
    if options.verbose:
        for one in results:
            print(one)
    rows = []
    for kind in [*dict.fromkeys(one["kind"] for one in results), "all"]:
        own = [one for one in results if kind in (one["kind"], "all")]
        row: dict[str, Any] = {"images of": name, "planted": kind, "plantings": len(own)}
        for what in ("ours", "ours, best of all", "HDBSCAN", "SliceLine"):
            row[f"p@10 {what}"] = float(np.mean([one[what] for one in own]))
        row |= {f"{what} ours": np.mean([o[what] for o in own]) for what in ("precision", "recall")}
        found = sum(one["found"] for one in own)
        firsts = [one["first named right"] for one in own if one["found"]]
        row |= {
            "slices found": found,
            "named right": sum(one["named right"] for one in own) / found if found else None,
            "first named right": float(np.mean(firsts)) if firsts else None,
            "seconds": float(np.median([one["seconds"] for one in own])),
        }
        rows.append(row)
    false = false_slices(eyes, options.clean)
    clean = {"images of": name, "planted": "nothing", "plantings": len(false)}
    return [*rows, {**clean, "slices found": sum(false)}]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for option, default in (("images", 1600), ("plantings", 36), ("clean", 20)):
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--wrong-tags", type=float, default=0.05, help="share of tags")
    parser.add_argument("--pictures", type=Path, help="a folder of batches, or one batch")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rendered = CACHE / f"slice-eyes-{options.images}"
    if not rendered.exists():
        half = rendered.with_suffix(".part")
        shutil.rmtree(half, ignore_errors=True)
        write_dataset(half, images=options.images, seed=1, effects=EFFECTS)
        half.rename(rendered)
    rows = []
    for folder in filter(None, (rendered, options.pictures)):
        eyes = eyes_of(folder, options.images, options.wrong_tags)
        rows += summary(folder.name, eyes, options)
    show(rows, options.json)


if __name__ == "__main__":
    main()
