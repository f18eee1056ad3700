"""False alarms of drift over streams of batches, and what is found of planted shifts.

    python benchmarks/drift_alarms.py [--streams N] [--shifts N] [--json FILE]

Rendered eyes, two images a subject, are measured and embedded once and kept; so are the same images
10% darker, and as a device of another colour and with more noise would take them. A stream deals
subjects to batches at random, so that nothing drifts, and is looked at after every batch by the
alarms of `drift_history` at their usual level of 5%. A planted shift is a last batch of 500 images:
darker ones, another mix of groups (black subjects 15 points more, or fewer), or the new device,
under a word of its own. Found is an alarm of that batch, or a feature that `drift_report` says has
moved. Right first: for darker images brightness is among what moved, and before it stand none but
measures that scale with it (contrast, noise, sharpness); for the mix, ethnicity stands first; for
the device, its word, or the noise or the colour that it changes.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
from label_pools import embedded_files
from numpy.typing import NDArray
from scipy.stats import binomtest
from turns import CACHE, show

from iip_assets.drift.alarms import alarm_tables
from iip_assets.drift.columns import compare_sides
from iip_assets.drift.streams import drift_streams
from iip_assets.engine.values import Skipped
from iip_assets.metrics.intervals import wilson
from iip_assets.settings import DriftSettings
from iip_assets.statistics.measure import measure
from iip_assets.synthetic.parameters import PlantedEffects
from iip_assets.synthetic.population import pick, sample_subject
from iip_assets.synthetic.render import encode_jpeg, render
from iip_assets.synthetic.shots import SITES, sample_shot

SUBJECTS, SHOTS, SIZE = 1200, 2, (96, 72)
CLASSES = ("background", "sclera", "iris", "pupil")
SETTINGS = DriftSettings()
NUMBERS = [*SETTINGS.columns, "age_years"]
OLDER, BATCHES, NEWEST = 60, 7, 500
GROUP, POINTS = "black", 0.15
LOOKS = ("plain", "darker", "device")

Image = NDArray[np.uint8]


def _looks(image: Image, seed: int) -> dict[str, Image]:
    """The image as it is, 10% darker, and as another device takes it."""
    rng = np.random.default_rng(seed)
    values = image.astype(np.float32)
    device = values * np.array([0.97, 1.0, 1.05], np.float32) + rng.normal(0, 3, image.shape)
    return {
        "plain": image,
        "darker": (values * 0.9).clip(0, 255).astype(np.uint8),
        "device": device.clip(0, 255).astype(np.uint8),
    }


def _shot(numbers: tuple[int, int]) -> tuple[dict[str, Any], dict[str, tuple[bytes, Any]]]:
    number, shot = numbers
    subject = sample_subject(11, number, PlantedEffects())
    rng = np.random.default_rng([11, *numbers])
    device = pick(rng, SITES[number % len(SITES)].devices)
    parameters = sample_shot(rng, subject, device, rare_mode=None).parameters
    made = render(parameters, width=SIZE[0], height=SIZE[1])
    row = {
        **{"image_id": f"{number:05d}-{shot}", "subject_id": subject.subject_id},
        **{
            "label": made.label,
            "eye": "left" if shot % 2 else "right",
            "age_years": subject.age_years,
        },
        **{"gender": subject.written_gender, "ethnicity": subject.heritage, "geography": "here"},
        "device": str(device),
    }
    looks = _looks(made.image, number * SHOTS + shot)
    measured = {name: measure(one, made.mask, mask_classes=CLASSES) for name, one in looks.items()}
    files = {
        name: (encode_jpeg(one, parameters.camera.jpeg_quality), measured[name])
        for name, one in looks.items()
    }
    return row, files


def pool() -> dict[str, pl.DataFrame]:
    """By look, a row an image: what is known of it, its measures, its embedding."""
    folder = CACHE / f"drift-alarms-{SUBJECTS}"
    if not folder.exists():
        numbers = [(one, shot) for one in range(SUBJECTS) for shot in range(SHOTS)]
        with get_context("spawn").Pool(2) as workers:
            made = list(workers.imap(_shot, numbers, chunksize=32))
        tables = {}
        for look in LOOKS:
            vectors = embedded_files(files[look][0] for _, files in made).astype(np.float32)
            rows = [row | files[look][1] for row, files in made]
            table = pl.DataFrame(rows, infer_schema_length=None)
            tables[look] = table.with_columns(pl.Series("embedding", vectors.tolist()))
        folder.mkdir(parents=True)
        for look, table in tables.items():
            table.write_parquet(folder / f"{look}.parquet")
    return {look: pl.read_parquet(folder / f"{look}.parquet") for look in LOOKS}


def _dealt(plain: pl.DataFrame, sizes: list[int], rng: np.random.Generator) -> pl.DataFrame:
    """Batches of so many subjects, drawn without replacement."""
    subjects = plain["subject_id"].unique().sort().to_numpy()
    chosen = rng.permutation(subjects)[: sum(sizes)]
    batch = np.repeat([f"{place:02d}" for place in range(len(sizes))], sizes)
    dealt = pl.DataFrame({"subject_id": chosen, "batch": batch})
    return plain.join(dealt, on="subject_id").with_columns(group_id=pl.col("subject_id"))


def _alarms(images: pl.DataFrame, seed: int) -> pl.DataFrame:
    followed = drift_streams(images, columns=NUMBERS)
    assert not isinstance(followed, Skipped)
    level = SETTINGS.alarm_level
    return alarm_tables(followed, level=level, confidence=0.95, seed=seed)["alarms"]


def quiet(seed: int, plain: pl.DataFrame) -> bool:
    """Whether a stream without drift raises an alarm, after any of its batches.

    What an alarm takes grows only with time, so one look at the end sees all that were raised.
    """
    images = _dealt(plain, [OLDER] * (BATCHES + 1), np.random.default_rng([1, seed]))
    return _alarms(images, seed)["since"].count() > 0


def _mixed(plain: pl.DataFrame, points: float, rng: np.random.Generator) -> pl.DataFrame:
    """Older batches as they come, and a newest one with a group so much larger."""
    older = _dealt(plain, [OLDER] * BATCHES, rng)
    rest = plain.join(older, on="subject_id", how="anti")
    people = rest.unique("subject_id", keep="first", maintain_order=True)
    share = (plain["ethnicity"] == GROUP).mean()
    wanted = round((float(str(share)) + points) * NEWEST / SHOTS)
    parts = []
    for inside, count in ((True, wanted), (False, NEWEST // SHOTS - wanted)):
        of = people.filter((pl.col("ethnicity") == GROUP) == inside)["subject_id"].to_numpy()
        parts.append(rng.permutation(of)[:count])
    newest = rest.join(pl.DataFrame({"subject_id": np.concatenate(parts)}), on="subject_id")
    newest = newest.with_columns(batch=pl.lit(f"{BATCHES:02d}"), group_id=pl.col("subject_id"))
    return pl.concat([older, newest.select(older.columns)])


def _looking(look: str, tables: dict[str, pl.DataFrame], rng: np.random.Generator) -> pl.DataFrame:
    """Older batches as they are, and a newest one of another look."""
    plain = _dealt(tables["plain"], [OLDER] * BATCHES + [NEWEST // SHOTS], rng)
    is_newest = pl.col("batch") == f"{BATCHES:02d}"
    keys = ["image_id", "batch", "group_id"]
    changed = plain.filter(is_newest).select(keys).join(tables[look], on="image_id")
    if look == "device":
        changed = changed.with_columns(device=pl.lit("new device"))
    return pl.concat([plain.filter(~is_newest), changed.select(plain.columns)])


RIGHT = {
    "darker": (["brightness"], ["contrast", "noise", "sharpness"]),
    "device": (["device", "noise", "saturation", "colour_cast"], []),
    GROUP: (["ethnicity"], []),
}
"""By shift, the features one of which is to be found, and those that may stand before it."""


def shifted(seed: int, name: str, tables: dict[str, pl.DataFrame]) -> dict[str, str]:
    """What is found of one planted shift, by the alarms and by the newest batch's comparison."""
    rng = np.random.default_rng([2, seed])
    if name.startswith(GROUP):
        images = _mixed(tables["plain"], POINTS if "more" in name else -POINTS, rng)
    else:
        images = _looking(name, tables, rng)
    alarms = _alarms(images, seed).drop_nulls("since")
    newest = pl.col("batch") == f"{BATCHES:02d}"
    columns = compare_sides(
        images.filter(~newest),
        images.filter(newest),
        numbers=NUMBERS,
        threshold=SETTINGS.threshold,
        min_images=SETTINGS.min_images,
        seed=seed,
    ).columns
    moved = [str(one["name"]) for one in columns if one["moved"]]
    return {"alarm": _verdict(name, alarms["feature"].to_list()), "report": _verdict(name, moved)}


def _verdict(name: str, found: list[str]) -> str:
    """`right`, or what was found first instead, or `nothing`."""
    right, scaled = RIGHT[name.split(" ", maxsplit=1)[0]]
    for one in found:
        if one in right:
            return "right"
        if one not in scaled:
            return one
    return f"{found[0]} alone" if found else "nothing"


def _shares(found: list[dict[str, str]]) -> dict[str, str]:
    """How often anything was found, how often the right feature first, and what stood there."""
    shares = {}
    for test in found[0]:
        said = Counter(one[test] for one in found)
        others = [f"{word} {count}" for word, count in said.most_common() if word != "right"]
        shares[test] = f"{len(found) - said['nothing']} of {len(found)}"
        shares[f"{test}_right_first"] = f"{said['right']}" + (
            f" ({', '.join(others)})" if others else ""
        )
    return shares


def main() -> None:
    """Prints the false alarms and the table of planted shifts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--shifts", type=int, default=20)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    tables = pool()
    run: Callable[[int], bool] = partial(quiet, plain=tables["plain"])
    raised = sum(map(run, range(given.streams)))
    low, high = wilson(raised / given.streams, given.streams, 1.96)
    p = binomtest(raised, given.streams, SETTINGS.alarm_level, alternative="greater").pvalue
    print(
        f"no drift, {BATCHES + 1} batches of {OLDER} subjects: alarms in {raised} of "
        f"{given.streams} streams, 95% interval {low:.1%} to {high:.1%}; p of more than 5%: {p:.2g}"
    )
    names = ("darker", f"{GROUP} {POINTS:.0%} more", f"{GROUP} {POINTS:.0%} fewer", "device")
    rows = []
    for name in names:
        found = [shifted(seed, name, tables) for seed in range(given.shifts)]
        rows.append({"shift": name, **_shares(found)})
    show(rows, given.json)


if __name__ == "__main__":
    main()
