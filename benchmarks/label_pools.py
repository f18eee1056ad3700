"""Embedded images whose labels are known; pools of them for the benchmark of what to label next.

Rendered eyes and real eye crops go through the packaged backbone once and are kept beside.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from turns import CACHE

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Words = NDArray[np.str_]
SIDE = (128, 96)  # the default input of the backbone
_BATCH = 16
RENDERED = 6000
IMAGES, LABELLED, RARE_SHARE = 1200, 60, 0.03
# Of principal components, which every strategy gets: distances are theirs, and all is quicker.
_DIMENSIONS = 96
_CLUSTERS, _CLASSES, _PLANTED = 12, 3, 200


@dataclass(frozen=True)
class Pool:
    """Images of a pool, of which some are labelled at first, and those of other subjects.

    Attributes:
        embeddings: (N, D) of the pool.
        classes: (N,) whole numbers from 0.
        start: (N,) whether labelled at first.
        held_out: (M, D) of subjects that the pool lacks.
        held_out_classes: (M,).
        held_out_groups: (M,) the demographic group of each.
        rare: The class of the rare mode, or None.
    """

    embeddings: Floats
    classes: Places
    start: NDArray[np.bool_]
    held_out: Floats
    held_out_classes: Places
    held_out_groups: Words
    rare: int | None = None

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        return int(self.held_out_classes.max()) + 1


@dataclass(frozen=True)
class Embedded:
    """Embedded images with what is known of each, all (N,) but for the embeddings (N, D)."""

    embeddings: Floats
    labels: Words
    subjects: Words
    groups: Words


def _jpeg(index: int) -> tuple[bytes, str, str, str, str]:
    from iip_assets.synthetic.parameters import PlantedEffects
    from iip_assets.synthetic.plan import Dataset
    from iip_assets.synthetic.write import make_image

    dataset = Dataset(images=RENDERED, seed=5, batches=4, effects=PlantedEffects(rare_modes=0.1))
    made = make_image(dataset, index, width=80, height=60)
    truth = made.truth_row
    person = truth["subject_id"], truth["ethnicity"]
    return made.jpeg, truth["label"], *person, truth["rare_mode"]


def embedded_files(files: Iterable[bytes]) -> Floats:
    """(N, D) of the files of images, by the packaged backbone."""
    from iip_assets.embeddings.backbone import build_backbone
    from iip_assets.embeddings.embedder import open_embedder
    from iip_assets.images.letterbox import letterbox_image

    backbone = build_backbone(
        "tf_efficientnet_lite0",
        checkpoint="packaged",
        checkpoint_sha256="",
        root=Path(),
        width=SIDE[0],
        height=SIDE[1],
    )
    embedder = open_embedder(backbone, device="cpu", batch_size=_BATCH)
    images = [
        letterbox_image(
            cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1], *SIDE
        )
        for data in files
    ]
    parts = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
    return np.concatenate([embedder.embed(np.stack(part)) for part in parts]).astype(np.float64)


def kept(name: str, make: Callable[[], Embedded]) -> Embedded:
    """What `make` gives, made when it is first asked for."""
    file = CACHE / f"{name}.npz"
    if not file.exists():
        made = make()
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **{**vars(made), "embeddings": made.embeddings.astype(np.float32)})
    found: dict[str, Any] = dict(np.load(file))
    return Embedded(**{**found, "embeddings": found["embeddings"].astype(np.float64)})


@cache
def rendered_eyes() -> Embedded:
    """Rendered eyes of 80×60 pixels, a tenth of them of a rare mode; rendered when first needed."""

    def make() -> Embedded:
        with get_context("spawn").Pool(2) as pool:
            files, labels, subjects, groups, modes = zip(
                *pool.imap(_jpeg, range(RENDERED), chunksize=32), strict=True
            )
        named = [mode or label for mode, label in zip(modes, labels, strict=True)]
        return Embedded(embedded_files(files), *map(np.array, (named, subjects, groups)))

    return kept(f"label-pool-rendered-{RENDERED}", make)


@cache
def face_eyes(file: Path) -> Embedded:
    """Crops of real eyes, from a batch in a zip, with gender as label and ethnicity as group."""

    def make() -> Embedded:
        with zipfile.ZipFile(file) as archive:
            table = next(name for name in archive.namelist() if name.endswith("labels.csv"))
            text = archive.read(table).decode()
            rows = [row for row in csv.DictReader(io.StringIO(text)) if row["ethnicity"]]
            folder = table.removesuffix("labels.csv")
            files = [archive.read(folder + row["image"]) for row in rows]
        names = ("gender", "subject_id", "ethnicity")
        columns = [np.array([row[name] for row in rows]) for name in names]
        return Embedded(embedded_files(files), *columns)

    return kept("label-pool-face-genders", make)


def rendered_pool(seed: int, *, rare: str) -> Pool:
    """A pool of rendered eyes: the filter's classes in equal shares, or one of them or a mode rare.

    Args:
        seed: Of who is held out, of the images, and of those labelled at first.
        rare: A class or rare mode that few images have; without one the pool is balanced.
    """
    found = rendered_eyes()
    names = ["full", "partial", "none"]
    if rare:
        names = [*(name for name in names if name != rare), rare]
    keep = np.isin(found.labels, names)
    classes = np.array([names.index(name) for name in found.labels[keep]])
    kept = Embedded(*(part[keep] for part in vars(found).values()))
    return _pool(kept, classes, np.random.default_rng(seed), rare=bool(rare))


def faces_pool(file: Path, seed: int, *, rare: bool) -> Pool:
    """A pool of real eyes whose classes are clusters; the rare one is the nearest of some image."""
    found, rng = face_eyes(file), np.random.default_rng(seed)
    places, clusters = _clusters(file)
    classes = (rng.permutation(_CLUSTERS) % _CLASSES)[clusters]
    if rare:
        away = np.linalg.norm(places - places[rng.integers(len(places))], axis=1)
        classes[np.argsort(away)[:_PLANTED]] = _CLASSES
    return _pool(found, classes, rng, rare=rare)


@cache
def _clusters(file: Path) -> tuple[Floats, Places]:
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    places = PCA(_DIMENSIONS, random_state=0).fit_transform(face_eyes(file).embeddings)
    return places, KMeans(_CLUSTERS, n_init=3, random_state=0).fit_predict(places)


def _pool(found: Embedded, classes: Places, rng: np.random.Generator, *, rare: bool) -> Pool:
    """A pool of these images; 40% of the subjects are held out, with all their images."""
    from sklearn.decomposition import PCA

    subjects = rng.permutation(np.unique(found.subjects))
    inside = np.isin(found.subjects, subjects[: int(0.6 * len(subjects))])
    count = int(classes.max()) + 1
    shares = np.full(count, 1 / count)
    if rare:
        shares = np.append(np.full(count - 1, (1 - RARE_SHARE) / (count - 1)), RARE_SHARE)
    drawn = []
    for number, share in enumerate(shares):
        of_class = np.flatnonzero(inside & (classes == number))
        size = min(len(of_class), round(share * IMAGES))
        drawn.append(rng.choice(of_class, size, replace=False))
    pool, held = rng.permutation(np.concatenate(drawn)), np.flatnonzero(~inside)
    components = PCA(_DIMENSIONS, random_state=0).fit(found.embeddings[pool])
    places = components.transform(found.embeddings[pool])
    start = np.zeros(len(pool), dtype=np.bool_)
    start[rng.choice(len(pool), LABELLED, replace=False)] = True
    return Pool(
        places / places.std(),
        classes[pool],
        start,
        components.transform(found.embeddings[held]) / places.std(),
        classes[held],
        found.groups[held],
        rare=count - 1 if rare else None,
    )
