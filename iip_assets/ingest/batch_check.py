"""Is a batch sound? Every image and mask is decoded, every row read, and every fault named.

An image or row that would only be quarantined inside the data sends the whole batch back here:
whoever made it is still at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2

from iip_assets.dataset.labels import READERS, LabelFile, LabelRow, rows_by_name
from iip_assets.dataset.layout import is_image_path, lies_in, sort_out
from iip_assets.dataset.listing import KnownImages, Listing
from iip_assets.dataset.problems import Problem, shown
from iip_assets.dataset.schema import (
    ANNOTATIONS_FILE,
    BATCHES_FOLDER,
    FACTS,
    IMAGE_SUFFIXES,
    LABELS_FILE,
    MASKS_FOLDER,
)
from iip_assets.engine.context import track
from iip_assets.images.decode import NOT_LABELLED, Undecodable, decode_image, decode_mask
from iip_assets.images.dvc_data import DataPointer, read_manifest, read_pointer
from iip_assets.images.files import largest_bytes, too_large
from iip_assets.images.header import read_header
from iip_assets.images.store import ImageStore, content_md5, file_md5
from iip_assets.ingest.batch_files import BatchFile
from iip_assets.ingest.unread import find_unread

# A million rows of every column are less than this.
_LARGEST_LABELS_BYTES = 256_000_000


@dataclass(frozen=True)
class PresentData:
    """The data that DVC tracks.

    Attributes:
        paths: Path under `data/` to image id.
        images: Image id to the first path that has it.
        batches: Batch name to path within the batch to md5.
        read: Tracked bytes by md5, brought from the remote where needed.
        fetch: Brings many, in one transfer.
    """

    paths: Mapping[str, str]
    images: Mapping[str, str]
    batches: Mapping[str, Mapping[str, str]]
    read: Callable[[str], bytes]
    fetch: Callable[[Sequence[str]], None] = lambda _: None


def read_present(root: Path, pointer: DataPointer | None = None) -> PresentData:
    """What the workspace's `data.dvc` names, or another pointer of the same data.

    Raises:
        BadPointer: `data.dvc` cannot be used.
        BadManifest: The listing that it names is damaged.
        MissingData: Neither cache nor remote has that listing.
    """
    pointer = pointer or read_pointer(root)
    store = cache(lambda: ImageStore.open(root))

    def read(md5: str) -> bytes:
        store().fetch([md5])
        return store().read(md5)

    present = present_data(dict(read_manifest(root, pointer.md5).iter_rows()), read=read)
    return replace(present, fetch=lambda md5s: store().fetch(md5s))


def present_data(manifest: Mapping[str, str], *, read: Callable[[str], bytes]) -> PresentData:
    """The files of a manifest (path to md5), sorted out."""
    layout = sort_out(manifest)
    paths = layout.candidates
    images = {md5: path for path, md5 in reversed(paths.items())}
    return PresentData(paths, images, layout.batches, read)


@dataclass(frozen=True)
class ImageRules:
    """What an image and a mask may be; see the settings of the same names."""

    max_megapixels: float
    mask_classes: Sequence[str]

    @property
    def largest_bytes(self) -> float:
        """No sound image is a larger file."""
        return largest_bytes(self.max_megapixels)


@dataclass(frozen=True)
class CheckedBatch:
    """What a batch holds and what is wrong with it."""

    images: Mapping[str, str]  # path to image id of every image; masks are none
    # The rows of labels.csv and annotations.csv that count, each with its file.
    rows: tuple[tuple[str, LabelRow], ...]
    problems: tuple[Problem, ...]  # why it cannot be taken; none when it is sound
    # Further columns of labels.csv, with the known column that each may be meant to be.
    tags: Mapping[str, str | None]
    unread: tuple[str, ...]  # files that no reader uses and that hold no labels
    unlabelled: tuple[str, ...]  # images that no row names, where there are rows

    @property
    def image_ids(self) -> frozenset[str]:
        """The distinct images."""
        return frozenset(self.images.values())

    def corrections(self) -> dict[str, int]:
        """What the rows say of images that the batch does not bring: how many of each, by name."""
        own = self.image_ids
        found = {"label": 0, "mask": 0, "fact": 0, "annotation": 0}
        for file, row in self.rows:
            if row.image_id in own:
                continue
            if file == ANNOTATIONS_FILE:
                found["annotation"] += 1
                continue
            facts = any(getattr(row, name) is not None for name in FACTS) or row.tags
            found["label"] += row.label is not None
            found["mask"] += row.mask_id is not None
            found["fact"] += bool(facts)
        return {noun: count for noun, count in found.items() if count}


class _Size(NamedTuple):
    """Of an image, upright, in pixels, and whether its EXIF turned it by a quarter."""

    height: int
    width: int
    turned: bool


@dataclass(frozen=True)
class _Examined:
    """One file: its md5, and of an image its size or why it has none."""

    md5: str
    size: _Size | None = None
    reason: str | None = None


def check_batch(
    folder: Path,
    batch: str,
    files: Sequence[BatchFile],
    *,
    present: PresentData,
    rules: ImageRules,
    place: str,
    threads: int = 2,
    log: Callable[[str], None],
) -> CheckedBatch:
    """Reads every file of a batch's folder (from `list_batch`) and says all that is wrong.

    Rows may name by id what is `present` in the data. `place` is where people find the folder. How
    far it is is logged now and then.

    Raises:
        MissingData: A row's mask belongs to an image of the data that cannot be had.
    """
    with ThreadPoolExecutor(max_workers=threads) as pool:
        found = pool.map(lambda file: _examine(folder, file, rules), files)
        watched = track(found, total=len(files), label=f"Checking {batch}", log=log)
        examined = {file.path: one for file, one in zip(files, watched, strict=True)}
        md5s = {path: one.md5 for path, one in examined.items()}
        layout = sort_out({f"{BATCHES_FOLDER}/{batch}/{path}": md5 for path, md5 in md5s.items()})
        within = len(f"{BATCHES_FOLDER}/{batch}/")
        listing = Listing(md5s, KnownImages({**present.paths, **layout.candidates}))
        read = {name: _read_rows(folder, batch, name, listing) for name in READERS if name in md5s}
        read = read or {MASKS_FOLDER: rows_by_name(md5s, batch=batch)}
        rows = [(name, row) for name, one in read.items() for row in one.rows]
        named = {row.mask_path for _, row in rows if row.mask_path is not None}
        described = {row.image_id for _, row in rows}
        found_images, unused = layout.images_of(
            described, {f"{BATCHES_FOLDER}/{batch}/{path}" for path in named}
        )
        images = {path[within:]: md5 for path, md5 in found_images.items()}
        strays = [replace(stray, file=stray.file[within:]) for stray in layout.strays]
        left = find_unread(folder, batch, md5s, strays=strays, place=place)
        masks = _Masks(folder, examined, images, present, rules)
        masked = [(name, row) for name, row in rows if row.mask_id is not None]
        # Each mask is held against an image once, however many rows say so.
        pairs = {(row.image_id, row.mask_id): row for _, row in masked}
        unread = [problem for one in read.values() for problem in one.problems]
        problems = [*left.problems, *unread]
        faults = dict(zip(pairs, pool.map(masks.fault, pairs.values()), strict=True))
        problems += [
            _mask_problem(batch, name, row, fault)
            for name, row in masked
            if (fault := faults[row.image_id, row.mask_id]) is not None
        ]
        if masks.binary and not masks.has_classes:
            problems.append(_binary_masks(batch, sorted(masks.binary), rules.mask_classes))
        fix = "replace the file by a sound copy, or take it and its row out of the batch"
        problems += [
            Problem(batch, shown(path), reason, fix)
            for path in images
            if (reason := examined[path].reason) is not None
        ]
        if not unread and not left.hides_rows:  # else it is not known what the rows name
            problems += [replace(one, file=shown(one.file[within:])) for one in unused]
            problems += _unnamed_masks(batch, md5s, {row.mask_id for _, row in rows})
    in_order = tuple(sorted(set(problems), key=_order))
    labels = read.get(LABELS_FILE)
    return CheckedBatch(
        images,
        tuple(rows),
        in_order,
        labels.tags if labels else {},
        left.others,
        tuple(
            path
            for path, md5 in images.items()
            if md5 not in described and any(name in READERS for name, _ in rows)
        ),
    )


def _examine(folder: Path, file: BatchFile, rules: ImageRules) -> _Examined:
    path = folder / file.path
    image = is_image_path(file.path)
    if not image or file.size > rules.largest_bytes:
        return _Examined(file_md5(path), reason=too_large(file.size) if image else None)
    data = path.read_bytes()
    try:
        size = _size_of(data, rules)
    except Undecodable as reason:
        return _Examined(content_md5(data), reason=str(reason))
    return _Examined(content_md5(data), size=size)


def _size_of(data: bytes, rules: ImageRules) -> _Size:
    height, width, _ = decode_image(data, max_megapixels=rules.max_megapixels).shape
    return _Size(height, width, read_header(data).turned)


def _read_rows(folder: Path, batch: str, name: str, listing: Listing) -> LabelFile:
    file = folder / name
    if file.stat().st_size > _LARGEST_LABELS_BYTES:
        reason = f"the file has more than {_LARGEST_LABELS_BYTES // 10**6} MB"
        problem = Problem(batch, name, reason, "split it into several batches")
        return LabelFile((), (problem,), {})
    return READERS[name](file.read_bytes(), batch=batch, file=name, listing=listing)


class _Masks:
    """The masks that rows name, each held against its image, in the batch or in the data."""

    def __init__(
        self,
        folder: Path,
        examined: Mapping[str, _Examined],
        images: Mapping[str, str],
        present: PresentData,
        rules: ImageRules,
    ) -> None:
        self._folder = folder
        self._sizes = {md5: examined[path].size for path, md5 in images.items()}
        self._paths = {one.md5: path for path, one in examined.items()}
        self._present = present
        self._rules = rules
        self.has_classes = False  # a class but 0 stands in one of those that were held
        self.binary: list[str] = []  # those in which only 0 and 255 stand

    def fault(self, row: LabelRow) -> tuple[str, str] | None:
        """What is wrong with a row's mask and how to fix it; None where nothing is.

        Nor is anything said where its image cannot be decoded, which is a problem of its own.
        """
        try:
            size = self._size(row.image_id)
        except Undecodable as error:
            return f"its image in the data cannot be decoded: {error}", "leave the mask out"
        if size is None:
            return None
        try:
            n_classes = len(self._rules.mask_classes)
            mask = decode_mask(self._read(row), n_classes=n_classes, **size._asdict())
        except Undecodable as reason:
            return str(reason), "fix the mask as said, or empty the cell"
        unlabelled = cv2.countNonZero(cv2.inRange(mask, NOT_LABELLED, NOT_LABELLED))
        if cv2.countNonZero(mask) > unlabelled:
            self.has_classes = True
        elif 0 < unlabelled < mask.size:
            self.binary.append(row.mask_path or row.mask_id or "")
        return None

    def _size(self, image_id: str) -> _Size | None:
        if image_id in self._sizes:
            return self._sizes[image_id]
        return _size_of(self._present.read(image_id), self._rules)

    def _read(self, row: LabelRow) -> bytes:
        path = row.mask_path or self._paths.get(row.mask_id or "")
        if path is None:
            return self._present.read(row.mask_id or "")
        size = (self._folder / path).stat().st_size
        if size > self._rules.largest_bytes:
            raise Undecodable(too_large(size))
        return (self._folder / path).read_bytes()


def _mask_problem(batch: str, name: str, row: LabelRow, fault: tuple[str, str]) -> Problem:
    mask = shown(row.mask_path or row.mask_id or "")
    if name not in READERS:  # no row says so, but the mask's name
        return Problem(batch, mask, fault[0], "fix the mask as said, or delete it")
    return Problem(batch, name, *fault, row.row, "mask", mask)


def _binary_masks(batch: str, masks: Sequence[str], classes: Sequence[str]) -> Problem:
    """Masks as other tools write them, white on black, would say that nobody looked at the iris."""
    known = ", ".join(f"{number} is {name}" for number, name in enumerate(classes))
    more = f", as in {len(masks) - 1} more" if len(masks) > 1 else ""
    return Problem(
        batch,
        shown(masks[0]),
        f"only 0 and {NOT_LABELLED} stand in it{more}, and no mask of the batch has another class; "
        f"{NOT_LABELLED} means that nobody labelled the pixel",
        f"write the number of what {NOT_LABELLED} stands for ({known}; dataset.mask_classes), "
        "or leave the masks out",
    )


def _unnamed_masks(
    batch: str, md5s: Mapping[str, str], named: Container[str | None]
) -> list[Problem]:
    """Masks that no row names would be in the data and never be used."""
    no_mask = "not an image file by its name, so no mask", f"move it out of {MASKS_FOLDER}/"
    reason, fix = "no row of labels.csv or annotations.csv names it", "name it in the mask column"
    if not READERS.keys() & md5s.keys():
        reason = "there is no labels.csv, and not one image of its name"
        fix = "call it as its image, as masks/a.png beside images/a.jpg, name it in a labels.csv"
    problems = []
    for path, md5 in md5s.items():
        if lies_in(path, MASKS_FOLDER) and md5 not in named:
            told = (reason, fix) if path.lower().endswith(IMAGE_SUFFIXES) else no_mask
            problems.append(Problem(batch, shown(path), told[0], f"{told[1]}, or delete it"))
    return problems


def _order(problem: Problem) -> tuple[str, int, str, str]:
    return problem.file, problem.row or 0, problem.column or "", problem.reason
