"""Both models on files of one's own: a verdict an image, masks of those that pass.

A run that was stopped goes on: an image of which the table has a row by these very models and
this very threshold, and whose bytes are what they were, is not looked at again. A mask stands in
the folder for no other row than its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.dataset.csv_file import no_formula, table_csv
from iip_assets.dataset.schema import IMAGE_SUFFIXES
from iip_assets.drift.prediction_log import RunLog
from iip_assets.engine.atomic import write_bytes_whole
from iip_assets.errors import counted
from iip_assets.images.decode import Undecodable, decode_image
from iip_assets.images.files import read_image_file
from iip_assets.images.header import read_header
from iip_assets.inference.filter import FilterFromPixels
from iip_assets.inference.segmenter import Segmenter
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.registry.contenders import threshold_of
from iip_assets.registry.registry_state import Version
from iip_assets.statistics.measure import measure

TABLE = "predictions.csv"
MASKS = "masks"
SHEET = "contact_sheet.png"

QUALITY = ("iris_visibility", "iris_sclera_contrast", "pupil_ratio", "iris_radius_px", "sharpness")
"""Measures of the image and of the eye under its predicted mask."""

SCHEMA = {
    "path": pl.String(),
    "md5": pl.String(),
    "verdict": pl.String(),
    "label": pl.String(),
    **{f"prob_{name}": pl.Float64() for name in FILTER_CLASSES},
    "usable_score": pl.Float64(),
    "mask": pl.String(),
    **dict.fromkeys(QUALITY, pl.Float64()),
    "filter_model": pl.String(),
    "usable": pl.String(),
    "threshold": pl.Float64(),
    "segmenter_model": pl.String(),
    "pixel_class": pl.String(),
    "pixel_threshold": pl.Float64(),
    "error": pl.String(),
}

# Images between two writings of the table: what a killed run loses.
_CHUNK = 64
# After the point, in the table.
_DIGITS = 6
_BATCH = 8
# Bytes of a file in which it shows whether it is an image.
_BEGINNING = 4_000_000


@dataclass(frozen=True)
class Found:
    """An image file.

    Attributes:
        path: Where it is.
        name: Its place among the results, which no other has.
    """

    path: Path
    name: str


@dataclass(frozen=True)
class Deployed:
    """A model that predicts.

    Attributes:
        name: Such as `segmenter 3`, or `segmenter (present)`.
        digest: What tells it from others.
        files: Its files by name.
        serving: What else serves it, such as the filter's threshold.
    """

    name: str
    digest: str
    files: Mapping[str, bytes]
    serving: Mapping[str, Any]

    @classmethod
    def version(cls, version: Version) -> Deployed:
        """A registered version."""
        return cls(version.name, version.digest, version.files(), version.facts)

    @property
    def promised(self) -> tuple[str, float] | None:
        """Of a segmenter: a class, and from what probability on a pixel is of it."""
        threshold = self.serving.get("pixel_threshold")
        return None if threshold is None else (self.serving["pixel_class"], threshold)


class Predictor:
    """Both models, opened; either may be missing."""

    def __init__(
        self,
        the_filter: Deployed | None,
        segmenter: Deployed | None,
        *,
        max_megapixels: float,
        threads: int,
        measured: bool = False,
    ) -> None:
        """Opens them.

        Args:
            the_filter: Without it every image passes.
            segmenter: Without it there are no masks.
            max_megapixels: The largest image that is decoded.
            threads: On the processor.
            measured: Whether rows have all measures of their images, for the prediction log.
        """
        self._measured = measured
        self._digests = {
            "filter_digest": the_filter.digest if the_filter else None,
            "segmenter_digest": segmenter.digest if segmenter else None,
        }
        self._filter = FilterFromPixels(the_filter.files, threads=threads) if the_filter else None
        self._threshold, self._usable = (
            threshold_of(the_filter.serving) if the_filter else (0.0, ())
        )
        promised = segmenter.promised if segmenter else None
        self._segmenter = (
            Segmenter(segmenter.files, threads=threads, promised=promised) if segmenter else None
        )
        self._max_megapixels = max_megapixels
        # What makes a row another one; as the table has it, where numbers are rounded.
        self.by: dict[str, str | float | None] = {
            "filter_model": _named(the_filter),
            "usable": " or ".join(self._usable) or "all",
            "threshold": round(self._threshold, _DIGITS),
            "segmenter_model": _named(segmenter),
            "pixel_class": promised[0] if promised else None,
            "pixel_threshold": round(promised[1], _DIGITS) if promised else None,
        }
        self.classes: tuple[str, ...] = self._segmenter.classes if self._segmenter else ()

    def predict(self, found: Sequence[Found], out: Path) -> list[dict[str, Any]]:
        """A row an image, of the table and the log; masks are written into the folder `out`."""
        rows: list[dict[str, Any]] = []
        images: list[tuple[dict[str, Any], NDArray[np.uint8]]] = []
        for one in found:
            row: dict[str, Any] = {
                **dict.fromkeys(SCHEMA),
                "path": one.name,
                **self.by,
                **self._digests,
            }
            rows.append(row)
            try:
                data = read_image_file(one.path, max_megapixels=self._max_megapixels)
                row["md5"] = _md5(data)
                images.append((row, decode_image(data, max_megapixels=self._max_megapixels)))
            except (OSError, Undecodable) as error:
                row |= {"verdict": "unreadable", "error": _text(str(error))}
        for first in range(0, len(images), _BATCH):
            self._judge(images[first : first + _BATCH], out)
        return rows

    def _judge(self, images: Sequence[tuple[dict[str, Any], NDArray[np.uint8]]], out: Path) -> None:
        if self._filter is not None:
            shares = self._filter.probabilities([image for _, image in images]).astype(float)
            for (row, _), given in zip(images, shares, strict=True):
                score = sum(float(given[FILTER_CLASSES.index(name)]) for name in self._usable)
                for name, share in zip(FILTER_CLASSES, given, strict=True):
                    row[f"prob_{name}"] = float(share)
                row |= {
                    "label": FILTER_CLASSES[int(given.argmax())],
                    "usable_score": score,
                    "verdict": "pass" if score >= self._threshold else "reject",
                }
        passed = [pair for pair in images if pair[0]["verdict"] in (None, "pass")]
        for row, _ in passed:
            row["verdict"] = "pass"
        segmented = passed if self._segmenter is not None else []
        if self._measured:
            for row, image in images:
                if row["verdict"] != "pass" or not segmented:
                    row["measures"] = measure(image, None, mask_classes=self.classes)
        if self._segmenter is None:
            return
        masks = self._segmenter.segment([image for _, image in passed])
        for (row, image), mask in zip(passed, masks, strict=True):
            name = mask_name(row["path"])
            encoded = cv2.imencode(".png", mask)[1].tobytes()
            write_bytes_whole(out / name, encoded)
            measured = measure(image, mask, mask_classes=self.classes)
            row |= {"mask": name, **{quality: measured[quality] for quality in QUALITY}}
            row["measures"] = measured


def mask_name(name: str) -> str:
    """Where in the folder of results the mask of an image stands: each has a place of its own."""
    return f"{MASKS}/{name}.png"


def find_images(paths: Iterable[Path], out: Path) -> list[Found]:
    """All images among the paths and in the folders among them, sorted.

    Args:
        paths: Files and folders.
        out: The folder for the results; those of an earlier run are no images.

    Raises:
        FileNotFoundError: A path leads nowhere.
        ValueError: A path leads to no image, or none does.
    """
    found: dict[str, Found] = {}
    given = list(paths)
    for path in given:
        _refuse_no_image(path)
    masks, sheet = (out / MASKS).resolve(), (out / SHEET).resolve()
    for path in given:
        files = (
            sorted(
                one
                for one in path.rglob("*")
                if one.suffix.lower() in IMAGE_SUFFIXES and one.is_file()
            )
            if path.is_dir()
            else [path]
        )
        for file in files:
            whole = file.resolve()
            if path.is_dir() and (whole == sheet or masks in whole.parents):
                continue
            name = _text(file.relative_to(path).as_posix() if path.is_dir() else file.name)
            while name in found and found[name].path.resolve() != whole:
                # Two folders have an image of this name.
                name = _text(f"{file.parent.name}_{name}")
            found[name] = Found(file, name)
    if not found:
        raise ValueError(
            f"there is no image ({', '.join(IMAGE_SUFFIXES)}) in {', '.join(map(str, given))}"
        )
    return list(found.values())


def _refuse_no_image(path: Path) -> None:
    """Refuses a path that somebody named and that can be no image: a text, a pipe, a device."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    if path.is_dir() or (path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES):
        return
    try:
        read_header(read_image_file(path, max_megapixels=float("inf"), first=_BEGINNING))
    except Undecodable as error:
        raise ValueError(f"{path}: {error}") from error


def predict_all(
    found: Sequence[Found],
    predictor: Predictor,
    out: Path,
    *,
    progress: Callable[..., Iterable[Sequence[Found]]],
    log: RunLog | None = None,
) -> pl.DataFrame:
    """The table of all images, written to `out` after every chunk.

    Args:
        found: The images.
        predictor: The models.
        out: A folder, made where it is missing.
        progress: Passes chunks through and shows how far it is.
        log: Gets every row before the table does; what it has not is looked at again.
    """
    file = out / TABLE
    done = _done(file, found, predictor)
    if log is not None:
        done = {name: row for name, row in done.items() if log.has(row)}
    due = [one for one in found if one.name not in done]
    # Killed from here on, no row of another model stands beside a mask of this one.
    _write(file, found, done)
    for one in due:
        (out / mask_name(one.name)).unlink(missing_ok=True)
    chunks = list(_chunks(due))
    for chunk in progress(
        chunks, total=len(chunks), label=f"looking at {counted(len(due), 'image')}"
    ):
        rows = predictor.predict(chunk, out)
        if log is not None:
            log.add(rows)
        done |= {row["path"]: row for row in rows}
        _write(file, found, done)
    return _write(file, found, done)


def _done(file: Path, found: Sequence[Found], predictor: Predictor) -> dict[str, dict[str, Any]]:
    """Rows of an earlier run that still hold."""
    if not file.is_file():
        return {}
    try:
        table = pl.read_csv(file, schema=SCHEMA)
    except pl.exceptions.PolarsError:
        return {}  # somebody else's table, which the new one replaces
    rows = {row["path"]: row for row in table.iter_rows(named=True)}
    kept = {}
    for one in found:
        row = rows.get(no_formula(one.name))
        if row is None or any(row[name] != value for name, value in predictor.by.items()):
            continue
        if row["verdict"] == "unreadable":
            continue  # what stood in the way may be gone
        has_mask = row["mask"] is None or (file.parent / row["mask"]).is_file()
        if has_mask and row["md5"] is not None and row["md5"] == _md5(one.path.read_bytes()):
            kept[one.name] = {**row, "path": one.name}
    return kept


def _write(file: Path, found: Sequence[Found], done: dict[str, dict[str, Any]]) -> pl.DataFrame:
    rows = [done[one.name] for one in found if one.name in done]
    table = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    write_bytes_whole(file, table_csv(table, float_precision=_DIGITS).encode())
    return table


def _chunks(found: Sequence[Found]) -> Iterator[Sequence[Found]]:
    for first in range(0, len(found), _CHUNK):
        yield found[first : first + _CHUNK]


def _named(model: Deployed | None) -> str:
    return f"{model.name} {model.digest[:12]}" if model else "none"


def _text(name: str) -> str:
    """What no encoding explains, as in a file name from another system, as its bytes in words."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
