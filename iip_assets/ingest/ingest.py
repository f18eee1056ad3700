"""Taking a batch into the data, whole or not at all.

The folder is copied to a private place, and the copy is what is checked and what becomes data. Then
in this order: the copy moves to `data/batches`, `data.dvc` names it, git has the commit, and only
now the folder leaves the inbox. Killed anywhere, the batch is in the inbox or in the data, and
doing it again ends well.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from iip_assets.dataset.problems import Problem
from iip_assets.dataset.schema import BATCHES_FOLDER
from iip_assets.engine.atomic import sweep_writes_of
from iip_assets.engine.lock import exclusive_lock
from iip_assets.images.dvc_data import (
    POINTER_FILE,
    BadManifest,
    BadPointer,
    MissingData,
    parse_pointer,
    read_pointer,
)
from iip_assets.ingest.batch_check import PresentData, read_present
from iip_assets.ingest.batch_files import ERRORS_FILE, READY_FILE, BatchListing, list_batch
from iip_assets.ingest.data_commit import (
    DvcRefusedError,
    add_folder,
    commit_pointer,
    committed_pointer,
    free_locks,
    ignored_by_dvc,
    refuse_git_operation,
    settle_index,
)
from iip_assets.ingest.inbox import (
    INBOX_FOLDER,
    REJECTED_FOLDER,
    leftovers,
    move_into_data,
    rejection_place,
    send_back,
    staging,
    sweep,
    tracked_now,
    write_errors,
)
from iip_assets.ingest.merge_driver import set_up_merges
from iip_assets.ingest.staged import Form, Staged, stage
from iip_assets.ingest.verdict import Candidate, Ingested, decide, present_batch
from iip_assets.settings import Settings
from iip_assets.settings_file import read_settings


@dataclass(frozen=True)
class _Job:
    """One ingest: where the batch comes from, and where it is to go."""

    root: Path
    folder: Path
    data: Path
    form: Form
    allow_jump: bool
    dry_run: bool
    settings: Settings
    log: Callable[[str], None]

    @property
    def batch(self) -> str:
        return self.folder.name

    @property
    def batches(self) -> Path:
        return self.data / BATCHES_FOLDER

    @property
    def target(self) -> Path:
        return self.batches / self.batch

    @property
    def is_ours(self) -> bool:
        """The folder lies in the inbox or among the rejected: it goes where the batch goes."""
        places = [(self.root / name).resolve() for name in (INBOX_FOLDER, REJECTED_FOLDER)]
        return self.folder.parent in places


def ingest_folder(
    root: Path,
    folder: Path,
    *,
    form: Form = "native",
    allow_jump: bool = False,
    dry_run: bool = False,
    log: Callable[[str], None],
) -> Ingested:
    """Takes a folder into the data, or sends it back with the reasons.

    A folder in the workspace's `inbox/` or `rejected/` moves; any other is copied and left alone.
    Its name is the batch's.

    Args:
        root: The workspace.
        folder: The batch's folder.
        form: How it is written: as `inbox/README.md` says, or as another tool exports it.
        allow_jump: Take a batch that multiplies the data.
        dry_run: Say what would happen and change nothing.
        log: Gets what is worth knowing on the way.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: The folder cannot be a batch's: it lies in the data, or holds the workspace.
        UnsettledBatchError: Somebody is still writing it.
        BadPointer: `data.dvc` cannot be used.
        MissingData: What the data holds cannot be had.
        DvcRefusedError: DVC is busy, or failed.
        GitBusyError: Git is in the middle of a merge, a rebase or the like.
        OSError: The disk is full, or a folder cannot be written to.
    """
    root = root.resolve()
    data = root / read_pointer(root).path
    settings = read_settings(root)
    real = _batch_folder(root, data, folder)
    job = _Job(root, real, data, form, allow_jump, dry_run, settings, log)
    if dry_run:
        with tempfile.TemporaryDirectory(prefix="iip-ingest-") as scratch:
            return _try_out(job, Path(scratch))
    with exclusive_lock(root / ".iip" / "ingest.lock", log=log):
        refuse_git_operation(root)
        set_up_merges(root, attributes=False)
        _clear_up(root, data)
        if not job.folder.exists():
            return _gone_meanwhile(job)
        with staging(root, job.batches, partial(_is_tracked, root)) as place:
            return _ingest(job, place)


def clear_up_killed(root: Path, *, log: Callable[[str], None]) -> None:
    """Takes away the copies of batches that killed ingests left; waits for one that is at work.

    Raises:
        BadPointer: `data.dvc` cannot be used.
    """
    if leftovers(root):
        with exclusive_lock(root / ".iip" / "ingest.lock", log=log):
            _clear_up(root, root / read_pointer(root).path)


def _clear_up(root: Path, data: Path) -> None:
    if leftovers(root):
        free_locks(root, leftovers(root))
        sweep_writes_of(root / POINTER_FILE)
    sweep(root, data / BATCHES_FOLDER, partial(_is_tracked, root))


def _is_tracked(root: Path, batch: str) -> bool:
    return batch in read_present(root).batches


def _batch_folder(root: Path, data: Path, folder: Path) -> Path:
    """The folder's real path, if it can be a batch's."""
    if not folder.exists():
        raise FileNotFoundError(f"there is no folder {folder}")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; give the folder that it lies in")
    real = folder.resolve()
    if real.is_relative_to(data.resolve()):
        raise ValueError(
            f"{folder} lies in the data folder, where `dvc add {data.name}` tracks it as it is. "
            f"To have it checked, move it to {INBOX_FOLDER}/ first"
        )
    places = [(root / name).resolve() for name in ("", INBOX_FOLDER, REJECTED_FOLDER)]
    if any(place.is_relative_to(real) for place in places):
        raise ValueError(f"{folder} is no batch's folder; give one with images and labels.csv")
    return real


def _gone_meanwhile(job: _Job) -> Ingested:
    """What is to be said when another process took the folder while this one waited for it."""
    tracked = read_present(job.root).batches.get(job.batch)
    if tracked is None:
        raise FileNotFoundError(
            f"{job.folder} is gone: another process took it while this one waited; "
            f"look in {REJECTED_FOLDER}/"
        )
    found = present_batch(job.batch, tracked)
    return replace(found, data_version=read_pointer(job.root).md5)


def _try_out(job: _Job, scratch: Path) -> Ingested:
    listing = list_batch(job.folder, job.batch)
    staged = Staged(job.folder, listing.problems)
    if job.form != "native":
        staged = _stage(job, listing, scratch)
        listing = list_batch(staged.folder, job.batch)
    return _decide(job, staged, listing)


def _ingest(job: _Job, place: Path) -> Ingested:
    found = list_batch(job.folder, job.batch)
    staged = _stage(job, found, place)
    listing = list_batch(staged.folder, job.batch)
    result = _decide(job, staged, listing)
    if result.verdict == "rejected":
        return replace(result, rejected_to=_reject(job, result.problems))
    if result.verdict == "sound":
        result = replace(result, verdict="taken")
        _take(job, staged.folder, listing, place)
    commit = _commit(job, result, staged, place) if job.settings.ingest.commit else None
    _leave_inbox(job, found, place, unread=result.unread)
    return replace(result, data_version=read_pointer(job.root).md5, commit=commit)


def _stage(job: _Job, listing: BatchListing, place: Path) -> Staged:
    dataset = job.settings.dataset
    return stage(job.folder, job.batch, listing, place, form=job.form, dataset=dataset, log=job.log)


def _decide(
    job: _Job, staged: Staged, listing: BatchListing, *, present: PresentData | None = None
) -> Ingested:
    moves = job.is_ours and not job.dry_run
    place = rejection_place(job.root, job.folder) if moves else job.folder
    shown_place = place.relative_to(job.root) if place.is_relative_to(job.root) else place
    candidate = Candidate(
        batch=job.batch,
        folder=staged.folder,
        listing=listing,
        problems=(*staged.problems, *_ignored(job, listing)),
        target=job.target,
        allow_jump=job.allow_jump,
        place=str(shown_place),
        form=job.form,
    )
    result = decide(
        candidate,
        present=present or read_present(job.root),
        settings=job.settings,
        threads=job.settings.compute.threads or os.cpu_count() or 1,
        log=job.log,
    )
    return staged.told(result, log=job.log)


def _ignored(job: _Job, listing: BatchListing) -> list[Problem]:
    """Files that DVC would leave out of the data without a word."""
    places = {job.target / path: path for path in listing.paths}
    reason = "a .dvcignore of the workspace names it, so DVC would leave it out"
    fix = "rename it, or change .dvcignore"
    return [
        Problem(job.batch, places[path], reason, fix)
        for path in ignored_by_dvc(job.root, list(places))
    ]


def _reject(job: _Job, problems: tuple[Problem, ...]) -> Path:
    place = rejection_place(job.root, job.folder)
    if job.is_ours:
        send_back(job.folder, place, problems)
    else:
        write_errors(place, problems)
        job.log(f"{job.folder} was left as it is")
    return place


def _take(job: _Job, folder: Path, listing: BatchListing, place: Path) -> None:
    move_into_data(folder, place, job.target)
    add_folder(job.root, job.target, log=job.log)
    tracked = read_present(job.root).batches.get(job.batch, {})
    if tracked.keys() != set(listing.paths):
        missing = ", ".join(sorted(set(listing.paths) - tracked.keys())[:5])
        raise DvcRefusedError(f"DVC did not take all of {job.batch}: it left out {missing}")
    tracked_now(place)


def _commit(job: _Job, result: Ingested, staged: Staged, place: Path) -> str | None:
    """Commits `data.dvc` unless the checked-out commit has the batch already."""
    before = _committed(job)
    batches = _uncommitted_batches(job, before)
    if result.verdict == "present":
        if job.batch not in batches:
            settle_index(job.root, place=place)
            return None
        if before is not None:
            # An ingest was killed before it came to this: the commit has the same words.
            listing = list_batch(staged.folder, job.batch)
            result = _decide(replace(job, log=_silent), staged, listing, present=before)
    message = f"Ingest {job.batch}: {result.words}"
    others = ", ".join(sorted(batches - {job.batch}))
    if others:
        message += f"\n\n{POINTER_FILE} also held, not yet committed: {others}"
    return commit_pointer(job.root, message, place=place, log=job.log)


def _silent(_: str) -> None:
    pass


def _committed(job: _Job) -> PresentData | None:
    """The data of the checked-out commit; None where there is none, or it cannot be had."""
    text = committed_pointer(job.root)
    if text is None:
        return None
    try:
        return read_present(job.root, parse_pointer(text, POINTER_FILE))
    except (BadManifest, BadPointer, MissingData):
        return None


def _uncommitted_batches(job: _Job, before: PresentData | None) -> set[str]:
    """The batches that `data.dvc` names and the checked-out commit's does not, or not so."""
    if before is None:
        return {job.batch}
    now = read_present(job.root).batches
    return {batch for batch, files in now.items() if before.batches.get(batch) != files}


def _leave_inbox(job: _Job, found: BatchListing, place: Path, *, unread: Sequence[str]) -> None:
    """Takes away the folder that became data, if nothing was put into it since.

    With files of an export that are not in the data it stays, without READY and errors.csv.
    """
    if not job.is_ours:
        return
    if list_batch(job.folder, job.batch) != found:
        job.log(f"{job.folder} was left: it changed after it was read")
        return
    # On the disk elsewhere, before it is gone here.
    os.sync()
    if job.form != "native" and unread:  # of a native batch, they are in the data
        for name in (READY_FILE, ERRORS_FILE):
            (job.folder / name).unlink(missing_ok=True)
        job.log(
            f"{job.folder} was left, without {READY_FILE}: it has files that are not in the data; "
            "once nobody needs them, delete it"
        )
        return
    try:
        job.folder.rename(place / "done")
    except OSError:  # the inbox lies on another disk
        (job.folder / READY_FILE).unlink(missing_ok=True)
        shutil.rmtree(job.folder)
