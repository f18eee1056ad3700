"""One bad labeler of five: the consensus beside the majority, and whether the bad one is named.

Rendered eyes, whose true masks are known, as five labelers would draw them. The good ones wobble by
a pixel and now and then move the whole; the bad one draws all too large or far off, and often
leaves the pupil out. Labels: the good ones err now and then, the bad one often, and either at
random or always towards `partial`. Every labeler sees every image, or three of the five see each.
The intervals are Student's, of the differences by seed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from iip_assets.images.decode import NOT_LABELLED
from iip_assets.labels.agreement import Masks
from iip_assets.labels.consensus import consensus_tables, vote_mask
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scores import segmenter_scores
from iip_assets.settings import EvaluationSettings
from iip_assets.synthetic.parameters import SAMPLE
from iip_assets.synthetic.plan import Dataset, plan_image
from iip_assets.synthetic.render import render
from iip_assets_tests.embeddings.stand_ins import MemoryStore, PlainWork

Mask = NDArray[np.uint8]

CLASSES = ("background", "sclera", "iris", "pupil")
LABELERS = ("ann", "ben", "cid", "dee", "eve")
BAD = "eve"
Kind = Literal["too large", "far off", "none"]
KINDS: tuple[Kind, ...] = ("too large", "far off", "none")
_WRONG = {"good": 0.08, "bad": 0.5}


@dataclass(frozen=True)
class Trial:
    """What came of one seed.

    Attributes:
        kind: What the bad labeler does; `none` has five good ones.
        seen: By how many of the five each image is seen.
        seed: Of eyes and labelers.
        images: How many.
        consensus: Mean IoU of the weighted vote with the truth; what it leaves open is wrong.
        majority: The same of the commonest class of each pixel, ties to the lower class.
        smooth_majority: The same of the vote where all weigh the same.
        open_pixels: Share of pixels that the vote leaves open.
        dawid_skene: Share of images whose likeliest label is right.
        common: Share of images whose commonest label is right; one of h that tie counts 1/h.
        clear: Share of images whose consensus label is clear.
        clear_right: Share of these where it is right.
        named_labels: Who is named for labels.
        named_masks: Who is named for masks.
    """

    kind: Kind
    seen: int
    seed: int
    images: int
    consensus: float
    majority: float
    smooth_majority: float
    open_pixels: float
    dawid_skene: float
    common: float
    clear: float
    clear_right: float
    named_labels: tuple[str, ...]
    named_masks: tuple[str, ...]


def drawn_by(mask: Mask, labeler: str, kind: Kind, rng: np.random.Generator) -> Mask:
    """The mask as a labeler would draw it."""
    if labeler != BAD or kind == "none":
        return _wobbled(mask, rng, wobble_px=1.0, shift_px=0.7)
    if kind == "too large":
        drawn = _wobbled(mask, rng, wobble_px=1.5, shift_px=1.0)
        drawn = cv2.dilate(drawn, np.ones((7, 7), np.uint8))
    else:
        drawn = _wobbled(mask, rng, wobble_px=3.0, shift_px=5.0)
    return np.where((drawn == 3) & (rng.random() < 0.3), 2, drawn).astype(np.uint8)


def _wobbled(mask: Mask, rng: np.random.Generator, *, wobble_px: float, shift_px: float) -> Mask:
    """The mask with its borders moved by a smooth random field, and all of it shifted."""
    height, width = mask.shape
    field = rng.normal(size=(height, width, 2)).astype(np.float32)
    field = cv2.GaussianBlur(field, (0, 0), width / 16)
    field *= wobble_px / field.std()
    y, x = np.mgrid[:height, :width].astype(np.float32)
    right, down = rng.normal(0, shift_px, 2).astype(np.float32)
    there = (x + field[..., 0] + right, y + field[..., 1] + down)
    return cv2.remap(mask, *there, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)


def said_by(label: str, labeler: str, kind: Kind, rng: np.random.Generator) -> str:
    """The label as a labeler would give it."""
    is_bad = labeler == BAD and kind != "none"
    if rng.random() >= _WRONG["bad" if is_bad else "good"]:
        return label
    if is_bad and kind == "too large":
        return "partial"
    return str(rng.choice([one for one in FILTER_CLASSES if one != label]))


def run(kind: Kind, seen: int, seed: int, images: int) -> Trial:
    """One seed."""
    dataset = Dataset(images=images, seed=seed, batches=1, effects=SAMPLE)
    rng = np.random.default_rng([seed, seen, KINDS.index(kind)])
    store = MemoryStore()
    words, truth = [], {}
    for index in range(images):
        planned = plan_image(dataset, index)
        eye = render(planned.shot.parameters)
        image_id = f"{index:032x}"
        truth[image_id] = (eye.label, eye.mask)
        for labeler in sorted(rng.permutation(LABELERS)[:seen]):
            drawn = drawn_by(eye.mask, labeler, kind, rng)
            label = said_by(eye.label, labeler, kind, rng)
            subject = str(planned.subject.subject_id)
            words.append((image_id, subject, labeler, label, store.add_png(drawn)))
    names = ("image_id", "group_id", "labeler", "label", "mask_id")
    table = pl.DataFrame(words, schema=names, orient="row")
    drawn = table.select("image_id", "labeler", "mask_id", reason=pl.lit(None, dtype=pl.String))
    with tempfile.TemporaryDirectory() as folder:
        images: Any = store
        work: Any = PlainWork(Path(folder))
        found = consensus_tables(
            table,
            drawn,
            Masks(images, work, len(CLASSES), 1.0, 1, 64),
            slices=pl.DataFrame(schema=["image_id", "axis", "slice"]),
            classes=CLASSES,
            evaluation=EvaluationSettings(),
        )
    flagged = found["labelers"].filter("flagged")
    named = {what: tuple(flagged.filter(what=what)["labeler"]) for what in ("label", "mask")}
    return Trial(
        kind,
        seen,
        seed,
        images,
        **_of_masks(found, store, truth),
        **_of_labels(found["classes"], table, truth),
        named_labels=named["label"],
        named_masks=named["mask"],
    )


def _of_masks(
    found: Mapping[str, pl.DataFrame], store: MemoryStore, truth: Mapping[str, tuple[str, Mask]]
) -> dict[str, float]:
    of_masks = found["labelers"].filter(what="mask")
    weight = dict(of_masks.select("labeler", "weight").iter_rows())
    ways = ("consensus", "majority", "smooth_majority")
    counts = {way: np.zeros((1, len(CLASSES), len(CLASSES))) for way in ways}
    left_open = []
    for row in found["masks"].iter_rows(named=True):
        true = truth[row["image_id"]][1]
        drawn = [
            cv2.imdecode(np.frombuffer(store.read(one), np.uint8), cv2.IMREAD_UNCHANGED)
            for one in row["mask_ids"]
        ]
        votes = np.stack([(np.stack(drawn) == value).sum(0) for value in range(len(CLASSES))])
        made = {
            "consensus": vote_mask(drawn, [weight[one] for one in row["labelers"]], len(CLASSES)),
            "majority": votes.argmax(0),
            "smooth_majority": vote_mask(drawn, [1.0] * len(drawn), len(CLASSES)),
        }
        left_open.append((made["consensus"] == NOT_LABELLED).mean())
        for way, mask in made.items():
            # What is left open is some wrong class.
            closed = np.where(mask == NOT_LABELLED, (true + 1) % len(CLASSES), mask)
            np.add.at(counts[way][0], (true.ravel(), closed.ravel()), 1)
    scores = {
        way: float(segmenter_scores(one, np.ones((1, 1)), CLASSES)["mean_iou"][0])
        for way, one in counts.items()
    }
    return {**scores, "open_pixels": float(np.mean(left_open))}


def _of_labels(
    classes: pl.DataFrame, table: pl.DataFrame, truth: Mapping[str, tuple[str, Mask]]
) -> dict[str, float]:
    from crowdkit.aggregation import OneCoinDawidSkene

    columns = {"image_id": "task", "labeler": "worker", "label": "label"}
    frame = pd.DataFrame({to: table[of].to_list() for of, to in columns.items()})
    likeliest = OneCoinDawidSkene(n_iter=100).fit_predict(frame)
    right = [truth[image_id][0] == label for image_id, label in likeliest.items()]
    clear = [
        truth[row["image_id"]][0] == row["consensus"] for row in classes.filter("clear").to_dicts()
    ]
    common = []
    for (image_id,), part in table.group_by("image_id"):
        counts = dict(part["label"].value_counts().iter_rows())
        most = [label for label, n in counts.items() if n == max(counts.values())]
        common.append((truth[str(image_id)][0] in most) / len(most))
    return {
        "dawid_skene": float(np.mean(right)),
        "common": float(np.mean(common)),
        "clear": len(clear) / classes.height,
        "clear_right": float(np.mean(clear)),
    }


def mean_and_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95% interval over seeds."""
    from scipy.stats import t

    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def summary(trials: Sequence[Trial]) -> list[str]:
    """A line a setting, in Markdown."""
    lines = [
        "| bad labeler | seen by | weighted vote, mean IoU | minus majority | minus equal weights |"
        " left open | Dawid-Skene | minus majority | clear: share, right |"
        " bad named: labels, masks | good named |",
        "|---" * 11 + "|",
    ]
    for kind, seen in dict.fromkeys((one.kind, one.seen) for one in trials):
        part = [one for one in trials if (one.kind, one.seen) == (kind, seen)]

        def told(values: Sequence[float]) -> str:
            mean, low, high = mean_and_interval(values)
            return f"{mean:+.4f} ({low:+.4f} to {high:+.4f})"

        bad = [
            np.mean([BAD in names for names in who])
            for who in ([one.named_labels for one in part], [one.named_masks for one in part])
        ]
        wrong = np.mean(
            [
                bool({*one.named_labels, *one.named_masks} - ({BAD} if kind != "none" else set()))
                for one in part
            ]
        )
        lines.append(
            f"| {kind} | {seen} of 5 | {np.mean([one.consensus for one in part]):.4f} | "
            f"{told([one.consensus - one.majority for one in part])} | "
            f"{told([one.consensus - one.smooth_majority for one in part])} | "
            f"{np.mean([one.open_pixels for one in part]):.2%} | "
            f"{np.mean([one.dawid_skene for one in part]):.4f} | "
            f"{told([one.dawid_skene - one.common for one in part])} | "
            f"{np.mean([one.clear for one in part]):.1%}, "
            f"{np.mean([one.clear_right for one in part]):.2%} | "
            f"{bad[0]:.0%}, {bad[1]:.0%} | {wrong:.0%} |"
        )
    return lines


def main() -> None:
    """Prints a table and, if asked, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=150)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    trials = [
        run(kind, seen, seed, options.images)
        for kind in KINDS
        for seen in (5, 3)
        for seed in range(options.seeds)
    ]
    sys.stdout.write("\n".join(summary(trials)) + "\n")
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in trials], indent=1) + "\n")


if __name__ == "__main__":
    main()
