"""The verdict on a batch: what it holds, compared with what is in the data and what may join it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from iip_assets.dataset.layout import is_image_path
from iip_assets.dataset.problems import Problem, shown
from iip_assets.errors import counted
from iip_assets.images.dvc_data import MissingData
from iip_assets.images.store import file_md5
from iip_assets.ingest.batch_check import CheckedBatch, ImageRules, PresentData, check_batch
from iip_assets.ingest.batch_files import BatchListing, list_batch
from iip_assets.ingest.unread import in_words
from iip_assets.ingest.value_questions import Rows, questions, respelled_subjects, values_in_use
from iip_assets.settings import Settings

Verdict = Literal["taken", "present", "rejected", "sound"]

_MOST_NAMED = 10
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class KnownImage:
    """An image of a batch that the data had already, under another name.

    Attributes:
        image_id: The md5 of its bytes.
        path: Its path within the batch.
        present_path: Its first path under `data/`.
    """

    image_id: str
    path: str
    present_path: str


@dataclass(frozen=True)
class Ingested:
    """What became of a batch."""

    batch: str  # its name
    # `taken` into the data; `present`: the data has all of it, byte for byte; `rejected`; `sound`:
    # a dry run found nothing wrong.
    verdict: Verdict
    images: int  # distinct images in it
    new_images: int = 0  # those of them that the data did not have
    known: tuple[KnownImage, ...] = ()  # those that it had, under another name
    # What it says of images that it does not bring: how many labels, masks, facts, annotations.
    corrections: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()  # why it was rejected
    unread: tuple[str, ...] = ()  # its files that no reader used
    rejected_to: Path | None = None  # the folder that has errors.csv
    data_version: str | None = None  # the data's version now
    commit: str | None = None  # the commit that was made for it

    @property
    def words(self) -> str:
        """What it holds, such as `2 images, 1 of them new` or `1 label corrected`."""
        found = [
            counted(number, noun) + ("" if noun == "annotation" else " corrected")
            for noun, number in self.corrections.items()
        ]
        if self.images or not found:
            found.insert(0, f"{counted(self.images, 'image')}, {self.new_images:,} of them new")
        return ", ".join(found)


@dataclass(frozen=True)
class Candidate:
    """A batch that asks to join the data."""

    batch: str  # its name
    folder: Path  # the folder with its bytes, in the native form
    listing: BatchListing  # the files in it
    problems: tuple[Problem, ...]  # what is known to be wrong before a file was opened
    target: Path  # its folder in `data/batches`, should it be taken
    allow_jump: bool  # it may multiply the data
    place: str  # where people find the folder, now or when it is rejected
    form: str = "native"  # how it is written there; see `iip ingest --format`

    def command(self, *words: str) -> str:
        """What to type to ingest it again."""
        form = () if self.form == "native" else ("--format", self.form)
        return shlex.join(["iip", "ingest", self.place, *form, *words])


def decide(
    candidate: Candidate,
    *,
    present: PresentData,
    settings: Settings,
    threads: int,
    log: Callable[[str], None],
) -> Ingested:
    """Is the batch `sound`, `rejected`, or `present`? Changes nothing.

    What is no problem and yet may not be meant is logged.

    Raises:
        MissingData: A row's mask belongs to an image of the data that cannot be had.
    """
    batch = candidate.batch
    tracked = present.batches.get(batch)
    if tracked is not None and not candidate.problems and _holds(candidate, tracked):
        return present_batch(batch, tracked)
    checked = check_batch(
        candidate.folder,
        batch,
        candidate.listing.files,
        present=present,
        rules=ImageRules(settings.dataset.max_megapixels, settings.dataset.mask_classes),
        place=candidate.place,
        threads=threads,
        log=log,
    )
    new = checked.image_ids - present.images.keys()
    problems = [
        *candidate.problems,
        *(
            Problem(batch, shown(batch), *fault)
            for fault in (
                _name_fault(candidate, tracked),
                _jump_fault(candidate, len(new), len(present.images), settings.ingest.max_jump),
            )
            if fault is not None
        ),
        *checked.problems,
        *_questions(batch, checked.rows, present, settings, log),
    ]
    if not (problems or checked.images or checked.rows):
        fix = "put images into its images/, or rows about images of the data into labels.csv"
        empty = Problem(batch, shown(batch), "the batch has neither images nor rows", fix)
        problems.append(empty)
    if not problems:
        _log_doubts(batch, present, checked, log)
    return Ingested(
        batch,
        "rejected" if problems else "sound",
        images=len(checked.image_ids),
        new_images=len(new),
        known=tuple(
            KnownImage(md5, path, present.images[md5])
            for path, md5 in checked.images.items()
            if md5 in present.images
        ),
        corrections=checked.corrections(),
        problems=tuple(problems),
        unread=checked.unread,
    )


def _questions(
    batch: str, rows: Rows, present: PresentData, settings: Settings, log: Callable[[str], None]
) -> list[Problem]:
    """What may not be meant; of people in two spellings, whom nothing tears apart, the log says."""
    try:
        in_use = values_in_use(present.batches, present.read, present.fetch)
    except MissingData as error:
        log(f"the batch's words were not compared with those of the data: {error}")
        in_use = {}
    if (line := respelled_subjects(rows, in_use)) is not None:
        log(line)
    return questions(batch, rows, in_use=in_use, vocabulary=settings.ingest.vocabulary)


def present_batch(batch: str, tracked: Mapping[str, str]) -> Ingested:
    """What there is to say of a batch of which the data has all (path to md5)."""
    images = {md5 for path, md5 in tracked.items() if is_image_path(path)}
    return Ingested(batch, "present", len(images))


def _holds(candidate: Candidate, tracked: Mapping[str, str]) -> bool:
    """Whether the candidate's files are just those that the data has under its name."""
    return set(candidate.listing.paths) == tracked.keys() and all(
        file_md5(candidate.folder / path) == md5 for path, md5 in tracked.items()
    )


def _name_fault(candidate: Candidate, tracked: Mapping[str, str] | None) -> tuple[str, str] | None:
    if not _NAME.fullmatch(candidate.batch):
        reason = (
            "a batch's name is of letters, digits, '.', '_' and '-', begins with no dot, and has "
            "at most 100 of them"
        )
        return reason, "rename the folder"
    if tracked is not None:
        fix = "give it another name; a batch with a later name may correct an earlier one"
        return "the data has a batch of this name, with other files", fix
    if os.path.lexists(candidate.target) and not _same_files(candidate):
        reason = f"{candidate.target} is there, with other files, and DVC does not track it"
        return reason, "`dvc add` that folder or move it away, or give this batch another name"
    return None


def _same_files(candidate: Candidate) -> bool:
    target = candidate.target
    if target.is_symlink() or not target.is_dir():
        return False
    paths = list_batch(target, candidate.batch).paths
    return _holds(candidate, {path: file_md5(target / path) for path in paths})


def _jump_fault(
    candidate: Candidate, new: int, present: int, max_jump: float
) -> tuple[str, str] | None:
    if not present or candidate.allow_jump or new <= max_jump * present:
        return None
    reason = (
        f"it brings {new} new images to the {present} in the data, more than {max_jump:g} times "
        "as many (ingest.max_jump)"
    )
    return reason, f"if that is meant: `{candidate.command('--allow-jump')}`"


def _log_doubts(
    batch: str, present: PresentData, checked: CheckedBatch, log: Callable[[str], None]
) -> None:
    newest = max(present.batches, default="")
    if newest > batch:
        log(
            f"{batch} sorts before {newest}, so where both speak of the same image "
            f"{newest} counts; begin names with a date"
        )
    slips = [(column, meant) for column, meant in checked.tags.items() if meant is not None]
    for column, meant in slips[:_MOST_NAMED]:
        log(f"the column {shown(column)} is kept as a tag; was {meant} meant?")
    if len(slips) > _MOST_NAMED:
        log(f"{len(slips) - _MOST_NAMED} more columns are kept as tags")
    if checked.unread:
        log(f"kept with the batch, read by nothing: {in_words(checked.unread)}")
    if checked.unlabelled:
        log(f"without a label, as no row names them: {in_words(checked.unlabelled)}")
