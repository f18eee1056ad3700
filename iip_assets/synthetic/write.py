"""A rendered dataset on disk, batch by batch, in the inbox's layout, with a labeler's mistakes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from iip_assets.dataset.csv_file import csv_text
from iip_assets.dataset.schema import FACTS, LABELING_FILE, LABELS_FILE
from iip_assets.engine.atomic import write_text_whole
from iip_assets.ingest.batch_files import READY_FILE
from iip_assets.synthetic.eyeball import BACKGROUND, IRIS, PUPIL, SCLERA, Label, Mask
from iip_assets.synthetic.parameters import LabelFate, MaskError, PlantedEffects
from iip_assets.synthetic.plan import Dataset, PlannedImage, plan_image
from iip_assets.synthetic.population import pick
from iip_assets.synthetic.render import Rendered, encode_jpeg, encode_png, render

LABELING = """# How these images are labelled

One image shows one eye, or the place where one was expected.
Cells of `labels.csv` are empty where nothing is known.

## Filter label

- `full`: at least 60% of the whole iris disc (pupil included) can be seen, and it does not touch
  the border of the image.
- `partial`: some iris or pupil can be seen, but under 60% of the disc, or it touches the border.
- `none`: iris and pupil together are under 0.1% of the pixels: closed eyes, skin, hair, off frame.
- `unclear`: you cannot tell; somebody else will look at it.

What covers the iris counts as not seen: lids, hair, the rim of glasses.
Lashes, a glint or a reflection on the eye do not cover it.

## Mask

A single-channel PNG of the image's size: 0 background, 1 sclera, 2 iris, 3 pupil;
255 where you leave a pixel out. A pixel belongs to what fills more than half of it.
The pink inner corner (caruncle) and the wet edge of the lid are background.
"""


LABEL_COLUMNS = ("image", "label", "mask", *FACTS)
Row = dict[str, str]

# People mistake a label for the one next to it more often than for the far one.
_CONFUSIONS: dict[Label, dict[Label, float]] = {
    "full": {"partial": 0.85, "none": 0.15},
    "partial": {"full": 0.6, "none": 0.4},
    "none": {"partial": 0.8, "full": 0.2},
}


def _image_path(index: int) -> str:
    return f"images/{index:06d}.jpg"


def _mask_path(index: int) -> str:
    return f"masks/{index:06d}.png"


def _label_row(planned: PlannedImage, label: str, *, masked: bool) -> Row:
    """The row of labels.csv: what a data team would know."""
    subject = planned.subject
    age = subject.written_age_years
    return {
        "image": _image_path(planned.index),
        "label": label,
        "mask": _mask_path(planned.index) if masked else "",
        "subject_id": subject.subject_id,
        "eye": planned.shot.side,
        "age_years": "" if age is None else str(age),
        "gender": subject.written_gender,
        "ethnicity": subject.written_ethnicity,
        "geography": subject.written_geography,
        "device": planned.device,
        "captured_at": planned.captured_at.isoformat(),
    }


def _truth_row(
    dataset: Dataset,
    planned: PlannedImage,
    rendered: Rendered,
    *,
    written: str,
    mask_error: MaskError | None,
) -> Row:
    """The row of truth.csv: what only the renderer knows, parameters in `group.name` columns."""
    return {
        "image": _image_path(planned.index),
        "batch": dataset.batch_name(planned.batch),
        "label": rendered.label,
        "written_label": written,
        "fate": planned.fate,
        "mask_error": mask_error or "",
        "rare_mode": planned.rare_mode or "",
        "rare_group": _text(planned.subject.heritage == dataset.effects.rare_group),
        "drifted": _text(dataset.drifts(planned.batch)),
        "same_as": _path_of(dataset, planned.same_as),
        "nearly_as": _path_of(dataset, planned.nearly_as),
        "shot": planned.shot.kind,
        "iris_share": _text(rendered.iris_share),
        "subject_id": planned.subject.subject_id,
        "ethnicity": planned.subject.heritage,
        "age_years": str(planned.subject.age_years),
        **_flat(planned.shot.parameters),
    }


def _path_of(dataset: Dataset, index: int | None) -> str:
    if index is None:
        return ""
    return f"{dataset.batch_name(dataset.batch_of(index))}/{_image_path(index)}"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, tuple):
        return " ".join(_text(part) for part in value)
    return str(value)


def _flat(value: Any, prefix: str = "") -> Row:
    flat: Row = {}
    for entry in fields(value):
        part = getattr(value, entry.name)
        if is_dataclass(part):
            flat |= _flat(part, f"{prefix}{entry.name}.")
        else:
            flat[f"{prefix}{entry.name}"] = _text(part)
    return flat


def written_label(truth: Label, fate: LabelFate, seed: int) -> str:
    """What stands in the label file for an image of this true label; "" when unlabelled."""
    if fate == "unlabelled":
        return ""
    if fate == "unclear":
        return "unclear"
    if fate == "wrong":
        return pick(np.random.default_rng([seed, 0]), _CONFUSIONS[truth])
    return truth


def spoiled_mask(mask: Mask, error: MaskError, seed: int) -> tuple[Mask, MaskError | None]:
    """The mask with an error in it, and the error that came of it.

    A mask that lacks the class in question is shifted instead; an empty one stays as it is.
    """
    rng = np.random.default_rng([seed, 1])
    if not mask.any():
        return mask, None
    spoiled = _apply(mask, error, rng)
    if not np.array_equal(spoiled, mask):
        return spoiled, error
    shifted = _shifted(mask, rng)
    return (mask, None) if np.array_equal(shifted, mask) else (shifted, "shifted")


def _apply(mask: Mask, error: MaskError, rng: np.random.Generator) -> Mask:
    if error == "shifted":
        return _shifted(mask, rng)
    if error == "no_pupil":
        return np.where(mask == PUPIL, np.uint8(IRIS), mask)
    if error == "no_sclera":
        return np.where(mask == SCLERA, np.uint8(BACKGROUND), mask)
    side = 2 * max(2, round(mask.shape[1] * rng.uniform(0.02, 0.035))) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    if error == "dilated":
        grown = cv2.dilate((mask >= IRIS).astype(np.uint8), kernel) > 0
        return np.where(grown & (mask < IRIS), np.uint8(IRIS), mask)
    kept = cv2.erode((mask > 0).astype(np.uint8), kernel) > 0
    return np.where(kept, mask, np.uint8(BACKGROUND))


def _shifted(mask: Mask, rng: np.random.Generator) -> Mask:
    """Moved by 4% to 9% of the width."""
    turn, far = rng.uniform(0, 2 * np.pi), mask.shape[1] * rng.uniform(0.04, 0.09)
    move = np.array([(1, 0, far * np.cos(turn)), (0, 1, far * np.sin(turn))], np.float32)
    size = (mask.shape[1], mask.shape[0])
    return np.asarray(cv2.warpAffine(mask, move, size, flags=cv2.INTER_NEAREST), dtype=np.uint8)


@dataclass(frozen=True)
class Image:
    """One image as it will be written."""

    jpeg: bytes  # bytes of the image
    png: bytes | None  # bytes of the mask, None where none was drawn
    label_row: Row  # its row of labels.csv
    truth_row: Row  # its row of truth.csv


def make_image(dataset: Dataset, index: int, *, width: int, height: int) -> Image:
    """Plans, renders, mislabels and encodes one image."""
    planned: PlannedImage = plan_image(dataset, index)
    parameters = planned.shot.parameters
    rendered = render(parameters, width=width, height=height)
    label = written_label(rendered.label, planned.fate, planned.error_seed)
    mask, error = rendered.mask, None
    if planned.mask_error and planned.masked:
        mask, error = spoiled_mask(mask, planned.mask_error, planned.error_seed)
    return Image(
        jpeg=encode_jpeg(rendered.image, parameters.camera.jpeg_quality),
        png=encode_png(mask) if planned.masked else None,
        label_row=_label_row(planned, label, masked=planned.masked),
        truth_row=_truth_row(dataset, planned, rendered, written=label, mask_error=error),
    )


def write_dataset(
    out: Path,
    *,
    images: int,
    seed: int,
    batches: int = 4,
    width: int = 160,
    height: int = 120,
    effects: PlantedEffects | None = None,
    truth: Path | None = None,
    labeling: Path | None = None,
    progress: Callable[[int], None] | None = None,
    processes: int = 1,
) -> None:
    """Writes batches of rendered eyes, each made aside and moved into place whole, READY last.

    Equal arguments give equal bytes, whatever the number of processes.

    Args:
        out: Folder that gets a folder a batch; made when missing.
        images: How many in all.
        seed: Of everything, from 0.
        batches: Into how many batches they go, in the order of time.
        width: Of each image, in pixels.
        height: Of each image, in pixels.
        effects: What is planted; nothing by default.
        truth: Where the known truth goes, `out/truth.csv` by default.
        labeling: Where the labeling instructions go, `out/LABELING.md` by default.
        progress: Called with the number of images finished since the last call.
        processes: How many render at once. Threads would not help: much of the work holds Python's
            lock.

    Raises:
        ValueError: Numbers that make no dataset.
        FileExistsError: A batch of that name is there already, or `out` is a file; nothing is
            written then.
    """
    dataset = Dataset(images, seed, batches, effects or PlantedEffects())
    if processes < 1:
        raise ValueError(f"processes is {processes}, expected at least 1")
    if out.is_file():
        raise FileExistsError(f"{out} is a file; give a folder")
    names = [dataset.batch_name(batch) for batch in range(batches)]
    for name in names:
        if (out / name).exists():
            raise FileExistsError(
                f"{out / name} is there already; write to an empty folder, or remove it first"
            )
    out.mkdir(parents=True, exist_ok=True)
    truths: list[Row] = []
    with _mapping(processes) as run:
        for batch, name in enumerate(names):
            members = [i for i in range(images) if dataset.batch_of(i) == batch]
            trial = out / f".{name}.partial"
            if trial.exists():  # left by a run that was stopped
                shutil.rmtree(trial)
            (trial / "images").mkdir(parents=True)
            (trial / "masks").mkdir()
            save = partial(_save, trial, dataset, width, height)
            rows: list[Row] = []
            for label, true in run(save, members):
                rows.append(label)
                truths.append(true)
                if progress is not None:
                    progress(1)
            (trial / LABELS_FILE).write_bytes(csv_text(LABEL_COLUMNS, rows).encode())
            trial.rename(out / name)
            (out / name / READY_FILE).touch()
    write_text_whole(labeling or out / LABELING_FILE, LABELING)
    write_text_whole(truth or out / "truth.csv", csv_text(list(truths[0]), truths))


@contextmanager
def _mapping(processes: int) -> Iterator[Callable[..., Iterable[tuple[Row, Row]]]]:
    """`map` in this process, or over several of them."""
    if processes == 1:
        yield map
        return
    # Spawned: forking a process that has threads, as one with OpenCV in it has, may hang.
    with ProcessPoolExecutor(processes, get_context("spawn"), cv2.setNumThreads, (1,)) as pool:
        yield partial(pool.map, chunksize=8)


def _save(folder: Path, dataset: Dataset, width: int, height: int, index: int) -> tuple[Row, Row]:
    image = make_image(dataset, index, width=width, height=height)
    (folder / _image_path(index)).write_bytes(image.jpeg)
    if image.png is not None:
        (folder / _mask_path(index)).write_bytes(image.png)
    return image.label_row, image.truth_row
