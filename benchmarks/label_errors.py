"""Are planted wrong labels and masks found: average precision, kinds, places, and memory.

python benchmarks/label_errors.py [--seeds N] [--images N] [--memory] [--json FILE]

Rendered eyes whose labels and masks are right, of which 5% are made wrong: labels flipped to
another class; masks swapped, shifted, dilated, emptied, or without a class that is visible. Beside
it cleanlab's own recipe: for labels logistic regression on the same embeddings in cross-validation
and its self-confidence; for masks its softmin score of the same probabilities.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl

from iip_assets.embeddings.backbone import build_backbone
from iip_assets.embeddings.embedder import embed_chunk, open_embedder
from iip_assets.images.store import content_md5
from iip_assets.inference.segmenter import Segmenter
from iip_assets.labels.fold_segmenters import train_fold_segmenters
from iip_assets.labels.folds import deal_folds, fold_files
from iip_assets.labels.label_errors import class_errors, mask_errors
from iip_assets.labels.mask_scores import compared, score_masks
from iip_assets.labels.out_of_fold import out_of_fold_filter
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.settings import (
    LabelErrorSettings,
    MaskErrorSettings,
    SegmenterSettings,
    TrainingSettings,
)
from iip_assets.synthetic.parameters import SAMPLE
from iip_assets.synthetic.plan import Dataset
from iip_assets.synthetic.write import make_image
from iip_assets.training.progress import no_progress
from iip_assets.training.trainer import Machine, TrainingRun

CLASSES = ("background", "sclera", "iris", "pupil")
SCLERA, IRIS, PUPIL = 1, 2, 3
KINDS = ("swapped", "shifted", "resized", "empty", "missing")
BAD = 0.05
# On the images of seeds 0 and 1 the weights of `label_errors` were chosen.
FIRST_SEED = 2
READ = {"max_megapixels": 50.0, "threads": 2}


class Memory(dict[str, bytes]):
    """Bytes by md5."""

    def add(self, data: bytes) -> str:
        md5 = content_md5(data)
        self[md5] = data
        return md5

    def read(self, md5: str) -> bytes:
        return self[md5]

    def fetch(self, md5s: Sequence[str]) -> None:
        del md5s


def damaged(mask: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """The mask with an error of the kind; as it was where it lacks what the error needs."""
    spoiled = mask.copy()
    width = mask.shape[1]
    if kind == "swapped":
        one, other = ((SCLERA, IRIS), (IRIS, PUPIL))[rng.integers(2)]
        if (mask == one).any() and (mask == other).any():
            spoiled[mask == one], spoiled[mask == other] = other, one
    elif kind == "shifted":  # by 4% to 9% of the width
        turn, far = rng.uniform(0, 2 * np.pi), width * rng.uniform(0.04, 0.09)
        move = np.array([(1, 0, far * np.cos(turn)), (0, 1, far * np.sin(turn))], np.float32)
        spoiled = cv2.warpAffine(mask, move, mask.shape[::-1], flags=cv2.INTER_NEAREST)
    elif kind == "resized":  # the iris, by 2% to 3.5% of the width
        side = 2 * max(2, round(width * rng.uniform(0.02, 0.035))) + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        grown = cv2.dilate((mask >= IRIS).astype(np.uint8), disc) > 0
        spoiled[grown & (mask < IRIS)] = IRIS
    elif kind == "empty":
        spoiled[:] = 0
    elif kind == "missing":
        lost = rng.integers(1, 4)
        spoiled[mask == lost] = lost - 1
    return spoiled


def rendered(count: int, seed: int, store: Memory) -> tuple[pl.DataFrame, list[np.ndarray]]:
    """image_id, group_id and true label of rendered eyes, and their true masks."""
    effects = replace(SAMPLE, mask_errors=0.0, exact_duplicates=0.0, near_duplicates=0.0)
    dataset = Dataset(images=count, seed=100 + seed, batches=1, effects=effects)
    rows, masks = [], []
    for index in range(count):
        made = make_image(dataset, index, width=160, height=120)
        if made.png is None:
            continue
        truth = made.truth_row
        rows.append((store.add(made.jpeg), truth["subject_id"], truth["label"]))
        masks.append(cv2.imdecode(np.frombuffer(made.png, np.uint8), cv2.IMREAD_UNCHANGED))
    return pl.DataFrame(rows, schema=["image_id", "group_id", "label"], orient="row"), masks


def average_precision(bad: np.ndarray, scores: np.ndarray) -> float:
    """Average precision where 5% are bad, whatever share of these is."""
    from sklearn.metrics import average_precision_score

    weights = np.where(bad, BAD / bad.sum(), (1 - BAD) / (~bad).sum())
    return float(average_precision_score(bad, scores, sample_weight=weights))


def labels_found(table: pl.DataFrame, store: Memory, seed: int) -> dict[str, float]:
    """Average precision of flipped labels, ours and cleanlab's own recipe."""
    from cleanlab.rank import get_label_quality_scores
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    embedder = open_embedder(BACKBONE, device="cpu", batch_size=16)
    found = embed_chunk(table.to_dicts(), embedder=embedder, store=store, **READ)
    vectors = [one["embedding"] for one in found]
    rng = np.random.default_rng(seed)
    bad = rng.random(table.height) < BAD
    true = np.array([FILTER_CLASSES.index(one) for one in table["label"]])
    given = np.where(bad, (true + rng.integers(1, 3, table.height)) % 3, true)
    words = np.array(FILTER_CLASSES)[given]
    examples = table.with_columns(
        pl.Series("label", words),
        pl.Series("embedding", [one.tolist() for one in vectors]),
        split=pl.lit("train"),
    )
    settings = LabelErrorSettings()
    how = {"folds": settings.folds, "seeds": settings.seeds, "seed": seed}
    ours = class_errors(out_of_fold_filter(examples, **how, progress=no_progress))
    by_id = dict(ours.select("image_id", "confidence").iter_rows())
    flagged = set(ours.filter("flagged")["image_id"])
    ids = table["image_id"].to_list()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it does not converge in its default number of steps
        shares = cross_val_predict(
            LogisticRegression(), np.stack(vectors), given, method="predict_proba"
        )
    quality = get_label_quality_scores(given, shares)
    return {
        "labels, ours": average_precision(bad, np.array([by_id[one] for one in ids])),
        "labels, cleanlab's recipe": average_precision(bad, -quality),
        "labels flagged, precision": float(np.mean([bad[ids.index(one)] for one in flagged])),
        "labels flagged, recall": float(np.mean([ids[k] in flagged for k in np.flatnonzero(bad)])),
    }


def masks_found(
    table: pl.DataFrame, masks: list[np.ndarray], store: Memory, seed: int
) -> dict[str, float]:
    """Average precision of damaged masks over all and by kind, the kind and the place named."""
    rng = np.random.default_rng(seed)
    kinds = [""] * len(masks)
    chosen = rng.permutation(len(masks))
    wanted = max(len(KINDS), round(BAD * len(masks)))
    given = list(masks)
    for place in chosen:
        kind = KINDS[sum(map(bool, kinds)) % len(KINDS)]
        spoiled = damaged(masks[place], kind, rng)
        if (spoiled != masks[place]).any():
            given[place], kinds[place] = spoiled, kind
        if sum(map(bool, kinds)) >= wanted:
            break
    encoded = [store.add(bytes(cv2.imencode(".png", one)[1])) for one in given]
    settings = MaskErrorSettings(seed=seed)
    rows = table.select("image_id", "group_id").with_columns(
        pl.Series("mask_id", encoded), split=pl.lit("train"), weight=pl.lit(1.0)
    )
    machine = Machine("cpu", 2, TrainingSettings(checks="never"))
    started = time.process_time()
    files = train_fold_segmenters(
        rows,
        store,
        SegmenterSettings(),
        settings,
        classes=CLASSES,
        max_megapixels=50.0,
        run=TrainingRun(machine),
    )
    trained = time.process_time() - started
    fold = deal_folds(rows["group_id"].to_list(), settings.folds)
    segmenters = {k: Segmenter(one, threads=1) for k, one in fold_files(files).items()}
    records = rows.with_columns(pl.Series("fold", fold)).to_dicts()
    started = time.process_time()
    scores = score_masks(records, segmenters=segmenters, store=store, **READ)
    scored = time.process_time() - started
    # As the feature table gives them back, row by row.
    parts = rows.select("image_id", "group_id").hstack(pl.DataFrame(scores))
    found = {row["image_id"]: row for row in mask_errors(parts, CLASSES).to_dicts()}
    own = np.array([found[one]["confidence"] for one in rows["image_id"]])
    peer = np.array([1 - softmin(one, segmenters, store) for one in records])
    bad = np.array([bool(kind) for kind in kinds])
    result = {
        "masks, ours": average_precision(bad, own),
        "masks, cleanlab's softmin": average_precision(bad, peer),
    }
    for kind in KINDS:
        part = ~bad | (np.array(kinds) == kind)
        result[f"masks {kind}, ours"] = average_precision(bad[part], own[part])
        result[f"masks {kind}, softmin"] = average_precision(bad[part], peer[part])
    ids = rows["image_id"].to_list()
    named = [found[ids[k]]["kind"] == kinds[k] for k in np.flatnonzero(bad)]
    place = [overlap(found[ids[k]]["region"], given[k] != masks[k]) for k in np.flatnonzero(bad)]
    flagged = np.array([found[one]["flagged"] for one in ids])
    return result | {
        "kind named": float(np.mean(named)),
        "region covers half of the damage": float(np.mean(np.array(place) >= 0.5)),
        "flagged, precision": float(bad[flagged].mean()) if flagged.any() else float("nan"),
        "flagged, recall": float(flagged[bad].mean()),
        "training, s of processor a fold": trained / settings.folds,
        "scoring, ms of processor a mask": 1000 * scored / len(masks),
    }


def softmin(record: Mapping[str, Any], segmenters: Mapping[int, Segmenter], store: Memory) -> float:
    """cleanlab's score of a mask: the mean of its pixels' probabilities, the low ones first."""
    from iip_assets.inference.segmenter import read_pair

    image, mask = read_pair(store, dict(record), classes=len(CLASSES), max_megapixels=50.0)
    _, given, shares = compared(image, mask, segmenters[record["fold"]])
    from cleanlab.segmentation.rank import get_label_quality_scores

    known = np.where(given == 255, shares.argmax(0), given)
    return float(
        get_label_quality_scores(known[None].astype(int), shares[None], verbose=False)[0][0]
    )


def overlap(region: Sequence[float], wrong: np.ndarray) -> float:
    """The share of the wrong pixels that lie in the region."""
    left, top, width, height = (round(one) for one in region)
    inside = np.zeros(wrong.shape, bool)
    inside[max(0, top) : top + height, max(0, left) : left + width] = True
    return float((wrong & inside).sum() / wrong.sum())


def peak_memory(count: int) -> float:
    """Megabytes that scoring so many masks takes at its peak, in a process of its own."""
    code = f"from label_errors import scored_many; scored_many({count})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "benchmarks",
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def scored_many(count: int) -> None:
    """Scores so many masks in chunks through a feature table, and prints the peak in megabytes."""
    import tempfile

    from iip_assets.engine.features import FeatureTable
    from iip_assets.models.segmentation_model import build_segmenter

    store = Memory()
    table, masks = rendered(64, 0, store)
    ids = [store.add(bytes(cv2.imencode(".png", one)[1])) for one in masks]
    rows = table.select("image_id", "group_id").with_columns(
        pl.Series("mask_id", ids), split=pl.lit("train"), weight=pl.lit(1.0)
    )
    small = SegmenterSettings(width=128, height=96, epochs=1)
    run = TrainingRun(Machine("cpu", 2, TrainingSettings(checks="never")))
    built = build_segmenter(rows, store, small, classes=CLASSES, max_megapixels=50.0, run=run)
    segmenters = {0: Segmenter(built.value.parts, threads=1)}
    with tempfile.TemporaryDirectory() as folder:
        # The same few files under many ids: what grows is the number of rows.
        real = rows.select("image_id", "mask_id").to_dicts()
        many = pl.DataFrame(
            {
                "image_id": [f"{real[k % len(real)]['image_id']}-{k}" for k in range(count)],
                "mask_id": [real[k % len(real)]["mask_id"] for k in range(count)],
                "fold": [0] * count,
            }
        )
        store_of = ManyNames(store)
        FeatureTable(Path(folder), "mask_scores").fill(
            many,
            score_masks,
            code_key="k",
            given={"max_megapixels": 50.0},
            key={},
            tools={"segmenters": segmenters, "store": store_of, "threads": 2},
            chunk=128,
            progress=no_progress,
            refuse_other_code=lambda: None,
            force=False,
            log=lambda _: None,
        )
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


class ManyNames:
    """Reads `<md5>-<number>` as md5."""

    def __init__(self, store: Memory) -> None:
        self.store = store

    def read(self, md5: str) -> bytes:
        return self.store.read(md5.partition("-")[0])


def main() -> None:
    """Prints a table and, if asked, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=800)
    parser.add_argument(
        "--memory", action="store_true", help="20,000 masks beside 1,000, half an hour"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results: dict[str, list[float]] = {}
    for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
        store = Memory()
        table, masks = rendered(options.images, seed, store)
        found = labels_found(table, store, seed) | masks_found(table, masks, store, seed)
        for name, value in found.items():
            results.setdefault(name, []).append(value)
        print(f"seed {seed}: {found}", file=sys.stderr, flush=True)
    for name, values in results.items():
        mean, half = float(np.mean(values)), interval_half(values)
        print(f"{name:<40}{mean:>9.3f}  ({mean - half:.3f} to {mean + half:.3f})")
    if options.memory:
        few, many = peak_memory(1000), peak_memory(20000)
        results["peak memory, 20,000 over 1,000 masks"] = [many / few]
        print(
            f"peak memory: {few:.0f} MB at 1,000 masks, {many:.0f} MB at 20,000 ({many / few:.2f})"
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def interval_half(values: Sequence[float]) -> float:
    """Half of the 95% t-interval of the mean."""
    from scipy.stats import t

    if len(values) < 2:
        return float("nan")
    return float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)


ROOT = Path(__file__).resolve().parent.parent
BACKBONE = build_backbone(
    "tf_efficientnet_lite0",
    checkpoint="packaged",
    checkpoint_sha256="",
    root=ROOT,
    width=128,
    height=96,
)

if __name__ == "__main__":
    main()
