"""Copies across splits that the perceptual hash does not join: how many are found, how many false.

    python benchmarks/leaks.py [FOLDER] [--images N] [--copies N] [--seeds N] [--json FILE]

On rendered eyes, one photograph a subject, and on those of a folder with `labels.csv` and `images/`
if one is named, one a subject too. Beside them other shots of the same rendered eyes, which nothing
here is made to find. Pairs of real photographs that are found and were not planted are named: some
are copies that the folder holds.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
from turns import show

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from iip_assets.embeddings.backbone import build_backbone
from iip_assets.embeddings.embedder import Embedder, embed_chunk, open_embedder
from iip_assets.embeddings.image_matching import eye_reader, match_pairs
from iip_assets.embeddings.leaks import candidate_pairs, leak_table
from iip_assets_tests.embeddings.planted_leaks import (
    KINDS,
    Image,
    Planted,
    file_of,
    plant,
    rendered_eye,
)

THREADS = 2


def rendered(seed: int, images: int) -> dict[str, Image]:
    """A photograph of each of so many people."""
    return {f"subject {number}": rendered_eye(seed, number) for number in range(images)}


def photographs(folder: Path, seed: int, images: int) -> dict[str, Image]:
    """One photograph of each of so many people of a folder at most, by its name."""
    with (folder / "labels.csv").open() as file:
        rows = {row["subject_id"] or row["image"]: row["image"] for row in csv.DictReader(file)}
    names = np.random.default_rng(seed).permutation(sorted(rows.values()))[:images]
    found = {name: cv2.imread(str(folder / name)) for name in names}
    return {name: cv2.cvtColor(image, cv2.COLOR_BGR2RGB) for name, image in found.items()}


def searched(planted: Planted, embedder: Embedder) -> tuple[pl.DataFrame, pl.DataFrame, float]:
    """All pairs that were looked at, the leaks among them, and seconds without embedding."""
    records = [{"image_id": image_id} for image_id in sorted(planted.files)]
    vectors = embed_chunk(
        records, max_megapixels=50, embedder=embedder, store=planted, threads=THREADS
    )
    embeddings = pl.DataFrame(
        {
            "image_id": [record["image_id"] for record in records],
            "embedding": [one["embedding"].tolist() for one in vectors],
        }
    )
    started = time.perf_counter()
    pairs = candidate_pairs(embeddings, planted.splits)
    ends = pairs.select("image_id", "other_id").to_dicts()
    matched = match_pairs(ends, eye_of=eye_reader(planted, 50), threads=THREADS)
    pairs = pl.concat([pairs, pl.DataFrame(matched)], how="horizontal")
    unknown = planted.splits.select("image_id", subject_id=pl.lit(None, pl.String))
    return pairs, leak_table(pairs, planted.splits, unknown), time.perf_counter() - started


def one_seed(
    where: str, images: Mapping[str, Image], copies: int, seed: int, by: Embedder
) -> dict[str, Any]:
    """A row of the table."""
    planted = plant([*images.values()], copies=copies, seed=seed)
    pairs, leaks, seconds = searched(planted, by)
    named = {frozenset(pair) for pair in leaks.select("image_id", "other_id").rows()}
    looked = {frozenset(pair) for pair in pairs.select("image_id", "other_id").rows()}
    found = Counter(kind for pair, kind in planted.copies.items() if pair in named)
    name_of = {file_of(image)[0]: name for name, image in images.items()}
    others = [sorted(name_of.get(one, "a copy") for one in pair) for pair in named]
    others = [pair for pair in others if "a copy" not in pair]
    return {
        "images of": where,
        "seed": seed,
        "planted": len(planted.copies),
        "found": found.total(),
        "proposed": len(planted.copies.keys() & looked),
        "not planted": len(named - planted.copies.keys()),
        "clean pairs": len(looked - planted.copies.keys()),
        "seconds": seconds,
        "missed": ", ".join(
            f"{count - found[kind]} of {count} {kind}"
            for kind, count in Counter(planted.copies.values()).items()
            if found[kind] < count
        ),
        "others": "; ".join(" = ".join(pair) for pair in sorted(others)),
    }


def other_shots(seed: int, images: int, copies: int, by: Embedder) -> dict[str, Any]:
    """A row in which other shots of the same eyes stand for copies: a limit, not a claim."""
    planted = plant([*rendered(seed, images).values()], copies=0, seed=seed)
    train = planted.splits.with_row_index().filter(split="train").head(copies)
    shots = plant([rendered_eye(seed, int(i), 1) for i in train["index"]], copies=0, seed=seed)
    splits = pl.concat([planted.splits, shots.splits.with_columns(split=pl.lit("test"))])
    pairs_of = zip(train["image_id"], shots.files, strict=True)
    both = Planted(
        {**planted.files, **shots.files},
        splits,
        {frozenset(pair): "another shot" for pair in pairs_of},
    )
    pairs, leaks, seconds = searched(both, by)
    named = {frozenset(pair) for pair in leaks.select("image_id", "other_id").rows()}
    return {
        "images of": "rendered, other shots",
        "seed": seed,
        "planted": len(both.copies),
        "found": len(named & both.copies.keys()),
        "not planted": len(named - both.copies.keys()),
        "clean pairs": pairs.height,
        "seconds": seconds,
    }


def main() -> None:
    """Prints a table and, if asked, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    for name, default in (("images", 400), ("copies", 20), ("seeds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    files = build_backbone(
        *("tf_efficientnet_lite0",), checkpoint="packaged", checkpoint_sha256="", root=Path(),
        width=128, height=96,
    )  # fmt: skip
    by = open_embedder(files, device="cpu", batch_size=16)
    print(f"kinds: {', '.join(KINDS)}", file=sys.stderr)
    rows = []
    for seed in range(options.seeds):
        if options.folder is None:
            images = rendered(seed, options.images)
            rows.append(one_seed("rendered", images, options.copies, seed, by))
            if not seed:
                rows.append(other_shots(seed, options.images, options.copies, by))
        else:
            real = photographs(options.folder, seed, options.images)
            where = options.folder.name
            rows.append(one_seed(where, real, options.copies, seed, by))
        print(rows[-1], file=sys.stderr)
    show(rows, options.json)


if __name__ == "__main__":
    main()
