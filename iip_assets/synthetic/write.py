"""A rendered dataset on disk, batch by batch, in the inbox's layout."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2

from iip_assets.synthetic.camera import encode_jpeg, encode_png
from iip_assets.synthetic.effects import PlantedEffects
from iip_assets.synthetic.errors import spoiled_mask, written_label
from iip_assets.synthetic.labeling import LABELING
from iip_assets.synthetic.plan import Dataset, PlannedImage, plan_image
from iip_assets.synthetic.render import render
from iip_assets.synthetic.tables import (
    LABEL_COLUMNS,
    Row,
    csv_text,
    image_path,
    label_row,
    mask_path,
    truth_row,
)

READY = "READY"


@dataclass(frozen=True)
class Image:
    """One image as it will be written.

    Attributes:
        jpeg: Bytes of the image.
        png: Bytes of the mask, None where none was drawn.
        label_row: Its row of labels.csv.
        truth_row: Its row of truth.csv.
    """

    jpeg: bytes
    png: bytes | None
    label_row: Row
    truth_row: Row


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
        label_row=label_row(planned, label, masked=planned.masked),
        truth_row=truth_row(dataset, planned, rendered, written=label, mask_error=error),
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
        FileExistsError: A batch of that name is there already; nothing is written then.
    """
    dataset = Dataset(images, seed, batches, effects or PlantedEffects())
    if processes < 1:
        raise ValueError(f"processes is {processes}, expected at least 1")
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
            _write_text(trial / "labels.csv", csv_text(LABEL_COLUMNS, rows))
            trial.rename(out / name)
            (out / name / READY).touch()
    _replace_text(labeling or out / "LABELING.md", LABELING)
    _replace_text(truth or out / "truth.csv", csv_text(list(truths[0]), truths))


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
    (folder / image_path(index)).write_bytes(image.jpeg)
    if image.png is not None:
        (folder / mask_path(index)).write_bytes(image.png)
    return image.label_row, image.truth_row


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _replace_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    trial = path.with_name(f".{path.name}.partial")
    _write_text(trial, text)
    trial.replace(path)
