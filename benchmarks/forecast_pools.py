"""Photographs with known truth for the benchmark of the forecast: rendered in many ways, and real.

Rendered people are photographed by the devices of all sites; who is not learned from is also
photographed in less light, out of focus, and by a device that nobody has seen. Embeddings by the
packaged backbone are kept beside the other benchmarks' files.
"""

from __future__ import annotations

import csv
import io
import sys
import zipfile
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from label_pools import embedded_files
from numpy.typing import NDArray
from turns import CACHE

from iip_assets.synthetic.parameters import RARE_MODES, EyeParameters, PlantedEffects
from iip_assets.synthetic.population import pick, sample_subject
from iip_assets.synthetic.render import encode_jpeg, render
from iip_assets.synthetic.shots import DRIFTED_SITE, SITES, sample_shot

Floats = NDArray[np.float64]
Words = NDArray[np.str_]

SUBJECTS, SHOTS, SIZE = 1500, 4, (80, 60)
FIRST_HELD_OUT, FIRST_NEW = 600, 1050
"""From which subject on images are held out, and from which on they can be the newest."""
VARIANTS = ("plain", "dim", "dark", "blurred", "very blurred", "new device", "poor device")
_RARE = 0.08
_SEED = 31


@dataclass(frozen=True)
class Photographs:
    """Embedded images with what is known of each, all (N,) but for the embeddings (N, D)."""

    embeddings: Floats
    labels: Words
    subjects: Words
    variants: Words
    axes: dict[str, Words]

    def __len__(self) -> int:
        return len(self.labels)


def _varied(found: EyeParameters, variant: str) -> EyeParameters:
    light, camera = found.light, found.camera
    if variant in ("dim", "dark"):
        return replace(
            found,
            light=replace(light, exposure=light.exposure * (0.7 if variant == "dim" else 0.45)),
        )
    if variant in ("blurred", "very blurred"):
        more = 0.8 if variant == "blurred" else 1.8
        return replace(found, camera=replace(camera, blur_px=camera.blur_px + more))
    if variant == "poor device":
        r, g, b = camera.cast_rgb
        return replace(
            found,
            light=replace(light, exposure=light.exposure * 0.7),
            camera=replace(
                camera,
                blur_px=camera.blur_px + 0.8,
                noise=camera.noise * 1.6,
                cast_rgb=(r * 1.12, g, b * 0.85),
            ),
        )
    return found


def _shot(task: tuple[int, int, str]) -> tuple[bytes, str, str, str, str, str, float]:
    number, shot, variant = task
    subject = sample_subject(_SEED, number, PlantedEffects())
    rng = np.random.default_rng([_SEED, number, shot])
    site = DRIFTED_SITE if "device" in variant else SITES[int(rng.integers(len(SITES)))]
    device = pick(rng, site.devices)
    mode = RARE_MODES[int(rng.integers(len(RARE_MODES)))] if rng.uniform() < _RARE else None
    found = _varied(sample_shot(rng, subject, device, rare_mode=mode).parameters, variant)
    made = render(found, width=SIZE[0], height=SIZE[1])
    jpeg = encode_jpeg(made.image, found.camera.jpeg_quality)
    known = (made.label, subject.subject_id, variant, subject.heritage, device.name)
    return jpeg, *known, float(made.image.mean() / 255)


@cache
def rendered() -> Photographs:
    """Rendered eyes of 80×60 pixels."""
    file = CACHE / f"forecast-rendered-{SUBJECTS}-{SHOTS}.npz"
    if not file.exists():
        tasks = [
            (number, shot, variant)
            for variant in VARIANTS
            for number in range(0 if variant == "plain" else FIRST_NEW, SUBJECTS)
            for shot in range(SHOTS)
        ]
        print(f"rendering {len(tasks)} eyes, once", file=sys.stderr)
        with get_context("spawn").Pool(2) as pool:
            files, *columns = zip(*pool.imap(_shot, tasks, chunksize=64), strict=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        embeddings = embedded_files(files).astype(np.float32)
        np.savez(
            file, embeddings=embeddings, **dict(zip(_COLUMNS, map(np.array, columns), strict=True))
        )
    found: dict[str, Any] = dict(np.load(file))
    lighting = np.select(
        [found["light"] < 0.3, found["light"] < 0.45], ["dark", "medium"], "bright"
    )
    return Photographs(
        found["embeddings"].astype(np.float64),
        *(found[name] for name in ("labels", "subjects", "variants")),
        {"ethnicity": found["ethnicity"], "device": found["device"], "lighting": lighting},
    )


_COLUMNS = ("labels", "subjects", "variants", "ethnicity", "device", "light")


@cache
def batch(file: Path) -> tuple[Floats, dict[str, Words]]:
    """Embeddings (N, D) and the columns of labels.csv of a batch in a zip."""
    kept = CACHE / f"forecast-{file.stem}.npz"
    if not kept.exists():
        with zipfile.ZipFile(file) as archive:
            table = next(name for name in archive.namelist() if name.endswith("labels.csv"))
            rows = list(csv.DictReader(io.StringIO(archive.read(table).decode())))
            folder = table.removesuffix("labels.csv")
            files = [archive.read(folder + row["image"]) for row in rows]
        kept.parent.mkdir(parents=True, exist_ok=True)
        columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        np.savez(kept, embeddings=embedded_files(files).astype(np.float32), **columns)
    found: dict[str, Any] = dict(np.load(kept))
    return found.pop("embeddings").astype(np.float64), found
