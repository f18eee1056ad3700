"""Whom smaller models hurt, whether the planted weak group is named, and what int8 saves.

    python benchmarks/compression.py [--subjects N] [--epochs N] [--seeds N] [--segmenter]
        [--variants NAME ...]

A weak group is planted in rendered eyes of 96×72: a darker group whose images are dim. It is 5% of
the subjects that are learned from and a third of those that are judged on. A filter (a head on the
packaged backbone) and, with `--segmenter`, a segmenter are trained on them and made smaller as
`compressed_filters` and `compressed_segmenters` do; `compression_tradeoff` judges each. A group is
named where it is shown to lose (Holm over groups and smaller models); the first is the one that
loses most. Latencies are medians of single images on two threads, in turns. The last rows count
over the seeds.
"""

from __future__ import annotations

import argparse
import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
from label_pools import SIDE, embedded_files
from turns import show

from iip_assets.embeddings.backbone import build_backbone
from iip_assets.engine.values import Files, Noted
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.models.filter import build_filter
from iip_assets.models.segmentation_model import build_segmenter
from iip_assets.robustness.benchmark import CLEAN, models_answers
from iip_assets.robustness.compressed_filters import smaller_filters
from iip_assets.robustness.compressed_models import Original, compressed
from iip_assets.robustness.compressed_segmenters import smaller_segmenters
from iip_assets.robustness.compression import (
    compression_tables,
    losing_groups,
)
from iip_assets.robustness.variants import ORIGINAL, latency_ms, models_of
from iip_assets.settings import (
    CompressionTrainingSettings,
    EvaluationSettings,
    FilterSettings,
    SegmenterSettings,
    TrainingSettings,
)
from iip_assets.synthetic.parameters import PlantedEffects
from iip_assets.synthetic.population import pick, sample_subject
from iip_assets.synthetic.render import encode_jpeg, encode_png, render
from iip_assets.synthetic.shots import SITES, sample_shot
from iip_assets.training.trainer import Machine, TrainingRun

GROUP, LEARNED, JUDGED, DIMMING = "black", 0.05, 0.33, 0.75
SHOTS, SIZE = 2, (96, 72)
CLASSES = ("background", "sclera", "iris", "pupil")
VARIANTS = ("int8", "fp16", "pruned_0.3", "pruned_0.5", "student_mobilenetv3_small_050")
RUN = TrainingRun(Machine("cpu", 2, TrainingSettings(checks="never")))


class Kept:
    """Bytes by their digest."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def add(self, data: bytes) -> str:
        """Keeps bytes."""
        name = hashlib.md5(data, usedforsecurity=False).hexdigest()
        self.files[name] = data
        return name

    def fetch(self, _: object) -> None:
        """All of it is here."""

    def read(self, md5: str) -> bytes:
        """The bytes."""
        return self.files[md5]


def _shot(numbers: tuple[int, int, float]) -> tuple[bytes, bytes, str, str, str]:
    number, shot, share = numbers
    effects = PlantedEffects(rare_group=GROUP, rare_group_share=share)
    subject = sample_subject(11, number, effects)
    rng = np.random.default_rng([11, number, shot])
    device = pick(rng, SITES[number % len(SITES)].devices)
    parameters = sample_shot(rng, subject, device, rare_mode=None).parameters
    if subject.heritage == GROUP:
        exposure = parameters.light.exposure * (1 - DIMMING)
        parameters = replace(parameters, light=replace(parameters.light, exposure=exposure))
    made = render(parameters, width=SIZE[0], height=SIZE[1])
    jpeg = encode_jpeg(made.image, parameters.camera.jpeg_quality)
    return jpeg, encode_png(made.mask), made.label, subject.subject_id, subject.heritage


def rendered(subjects: int, store: Kept) -> pl.DataFrame:
    """Two parts to learn from, a half and a tenth, and the rest to judge by."""
    learned = int(0.6 * subjects)
    plan = [
        (one, shot, LEARNED if one < learned else JUDGED)
        for one in range(subjects)
        for shot in range(SHOTS)
    ]
    with get_context("spawn").Pool(2) as pool:
        files, masks, labels, people, groups = zip(*pool.imap(_shot, plan, 32), strict=True)
    tuned = int(0.5 * subjects)
    return (
        pl.DataFrame(
            {
                "image_id": [store.add(one) for one in files],
                "mask_id": [store.add(one) for one in masks],
                "label": labels,
                "group_id": people,
                "heritage": [GROUP if one == GROUP else "others" for one in groups],
                "split": [
                    "train" if one < tuned else "validation" if one < learned else "test"
                    for one, _, _ in plan
                ],
                "weight": 1.0,
            }
        )
        .filter(pl.col("label").is_in(FILTER_CLASSES))
        .unique("image_id")
        .sort("image_id")
    )


def fill(_: str, rows: pl.DataFrame, compute: Any, **given: Any) -> Any:
    """As `AssetContext.fill`, keeping nothing."""
    found = compute(rows.to_dicts(), **given.get("given", {}), **given["tools"])
    frame = pl.DataFrame(found, infer_schema_length=None)
    return SimpleNamespace(frame=pl.concat([rows, frame], how="horizontal"))


def training(epochs: int, seed: int) -> CompressionTrainingSettings:
    """How smaller models are made; a student learns four times as long."""
    return CompressionTrainingSettings(epochs=epochs, student_epochs=4 * epochs, seed=seed)


def trained_filter(images: pl.DataFrame, store: Kept, seed: int, epochs: int) -> Original:
    """A head on embeddings."""
    vectors = embedded_files(store.read(one) for one in images["image_id"])
    rows = images.drop("mask_id").with_columns(
        embedding=pl.Series(vectors.astype(np.float32).tolist(), dtype=pl.List(pl.Float32))
    )
    backbone = build_backbone(
        "tf_efficientnet_lite0",
        checkpoint="packaged",
        checkpoint_sha256="",
        root=Path(),
        width=SIDE[0],
        height=SIDE[1],
    )
    recipe = FilterSettings(seed=seed)
    known = rows.filter(pl.col("split") != "test")
    made = build_filter(known, backbone, recipe, load=lambda _: np.zeros((1, 1, 3)), run=RUN).value
    return Original(
        *("filter", made, known, recipe, training(epochs, seed), False, RUN, store, 50.0), backbone
    )


def trained_segmenter(images: pl.DataFrame, store: Kept, seed: int, epochs: int) -> Original:
    """A segmenter of the default networks, on 96×64."""
    recipe = SegmenterSettings(width=96, height=64, epochs=8, seed=seed)
    known = images.filter(pl.col("split") != "test")
    made = build_segmenter(known, store, recipe, classes=CLASSES, max_megapixels=50.0, run=RUN)
    assert isinstance(made, Noted)
    how = (recipe, training(epochs, seed), False, RUN, store, 50.0)
    return Original("segmenter", made.value, known, *how)


def judged(
    original: Original, images: pl.DataFrame, variants: Sequence[str]
) -> tuple[Mapping[str, pl.DataFrame], Mapping[str, float]]:
    """The tables of the trade-off, and latencies."""
    make = smaller_filters if original.model == "filter" else smaller_segmenters
    made = compressed(original, variants, make, fill=fill)
    assert isinstance(made, Files)
    models = {ORIGINAL: original.files, **models_of(made)}
    test = images.filter(split="test").select("image_id", "mask_id", "label", "group_id")
    answers = {
        name: models_answers(
            *({original.model: files}, test, ()),
            fill=fill,
            given={"seed": 0, "max_megapixels": 50.0, "mask_classes": CLASSES},
            store=original.store,
            threads=2,
        )[original.model]
        for name, files in models.items()
    }
    slices = images.select("image_id", axis=pl.lit("ethnicity"), slice="heritage")
    tables = compression_tables(
        {original.model: models},
        test,
        {original.model: answers},
        slices,
        group_axis="ethnicity",
        mask_classes=CLASSES,
        evaluation=EvaluationSettings(),
    )
    return tables, latency_ms(made)


def rows_of(
    model: str, seed: int, tables: Mapping[str, pl.DataFrame], latency: Mapping[str, float]
) -> list[dict[str, Any]]:
    """A row for each smaller model."""
    main = tables["tradeoff"].filter(corruption=CLEAN)
    lost, rows = losing_groups(tables["tradeoff"]), []
    sizes = dict(tables["sizes"].select("variant", "bytes").iter_rows())
    for variant in main["variant"].unique(maintain_order=True):
        by = {row["slice"]: row for row in main.filter(variant=variant).iter_rows(named=True)}
        named = lost.filter(variant=variant)["slice"].to_list()
        rows.append(
            {
                "model": f"{model} {variant}",
                "seed": seed,
                "size": round(sizes[variant] / sizes[ORIGINAL], 2),
                "latency": round(latency[variant] / latency[ORIGINAL], 2),
                "original": round(by["all"]["original"], 3),
                **{name: _points(by[name]) for name in ("all", GROUP, "others")},
                "hit more": by[GROUP]["difference"] < by["others"]["difference"],
                "named first": named[0] if named else "nobody",
            }
        )
    counts = tables["exemplars"]["slice"].value_counts(name="n").rows()
    found = {name: f"{count} of {by[name]['n_images']}" for name, count in counts}
    rows.append({"model": f"{model}: exemplars", "seed": seed, **found})
    return rows


def _points(row: Mapping[str, Any]) -> str:
    ends = (row["difference"], row["difference_low"], row["difference_high"])
    return "{:+.1f} ({:+.1f} to {:+.1f})".format(*(100 * one for one in ends))


def over_seeds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each smaller model how often the planted group is hit more, and is named first."""
    known = [row for row in rows if "hit more" in row]
    found = []
    for model in dict.fromkeys(row["model"] for row in known):
        own = [row for row in known if row["model"] == model]
        first = sum(row["named first"] == GROUP for row in own)
        ratio = round(float(np.median([row["latency"] for row in own])), 2)
        counts = {"hit more": f"{sum(row['hit more'] for row in own)} of {len(own)}"}
        counts["named first"] = f"{GROUP}: {first} of {len(own)}"
        found.append({"model": model, "seed": "all", "latency": ratio, **counts})
    return found


def main() -> None:
    """Prints a table and, if asked, writes JSON."""
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=4, help="after pruning; a student: 4 times")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--segmenter", action="store_true", help="a segmenter, too, of one seed")
    parser.add_argument("--variants", nargs="+", default=VARIANTS, help="smaller models")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    store = Kept()
    images = rendered(options.subjects, store)
    print(images.group_by("split", "heritage").len().sort("split", "heritage").to_dicts())
    rows: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        for train in [trained_filter] + [trained_segmenter] * (options.segmenter and not seed):
            original = train(images, store, seed, options.epochs)
            rows += rows_of(original.model, seed, *judged(original, images, options.variants))
            show(rows + over_seeds(rows), options.json)


if __name__ == "__main__":
    main()
