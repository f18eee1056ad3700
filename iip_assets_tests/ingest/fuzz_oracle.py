"""Is the verdict on a fuzzed batch right, and is the data what it must be afterwards?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iip_assets.dataset.raw import RawDataset, join_labels
from iip_assets.images.store import ImageStore, content_md5
from iip_assets.ingest.batch_check import present_data
from iip_assets.ingest.batch_files import list_batch
from iip_assets.ingest.ingest import Ingested, ingest_folder
from iip_assets.ingest.verdict import Candidate, decide
from iip_assets.settings import Settings
from iip_assets_tests.dataset.team_workspace import joined, manifest_of
from iip_assets_tests.ingest.fuzzed_batch import KNOWN, OLD_BATCH, Fuzzed
from iip_assets_tests.ingest.fuzzed_batches import FACTS

OLD_FILES = {f"batches/{OLD_BATCH}/images/{n}.png": data for n, data in enumerate(KNOWN)}
_OLD_MANIFEST = {path: content_md5(data) for path, data in OLD_FILES.items()}
_OLD_BYTES = {content_md5(data): data for data in KNOWN}


def judge_written(batch: Fuzzed, folder: Path) -> Ingested:
    """The verdict on the batch in its folder, where the data holds `OLD_FILES`."""
    listing = list_batch(folder, folder.name)
    settings = Settings()
    settings = settings.model_copy(
        update={"ingest": settings.ingest.model_copy(update={"max_jump": batch.max_jump})}
    )
    candidate = Candidate(
        batch=folder.name,
        folder=folder,
        listing=listing,
        problems=listing.problems,
        target=folder.parent / "nowhere" / folder.name,
        allow_jump=False,
        place="inbox/batch",
    )
    return decide(
        candidate,
        present=present_data(_OLD_MANIFEST, read=_OLD_BYTES.__getitem__),
        settings=settings,
        threads=1,
        log=lambda _: None,
    )


def wrong_verdict(batch: Fuzzed, result: Ingested) -> list[str]:
    """What is wrong with a verdict; nothing where it is right."""
    if batch.unsure:
        return _without_reason(result)
    if not batch.faults:
        problems = [problem.reason for problem in result.problems]
        return [f"a sound batch is rejected: {problems}"] if problems else []
    if result.verdict != "rejected" or not result.problems:
        return [f"accepted in spite of {batch.faults}"]
    wrong = _without_reason(result)
    if len(batch.faults) == 1:
        (fault,) = batch.faults
        wrong += [
            f"{fault.name}: told as {problem}"
            for problem in result.problems
            if not any(reason in problem.reason for reason in fault.reason)
        ]
    return wrong


def _without_reason(result: Ingested) -> list[str]:
    return [
        f"no reason or no fix: {problem}"
        for problem in result.problems
        if not problem.reason or not problem.fix or not problem.file.isprintable()
    ]


def wrong_meaning(batch: Fuzzed, folder: Path) -> list[str]:
    """Where the labels of an accepted batch are read otherwise than they were meant."""
    files = {f"batches/{folder.name}/{path}": data for path, data in batch.files.items()}
    return wrong_rows(batch, joined({**OLD_FILES, **files}))


def wrong_rows(batch: Fuzzed, raw: RawDataset) -> list[str]:
    """Where the data says of the batch's images what was not meant, or lacks them."""
    rows = {row["image_id"]: row for row in raw.images.iter_rows(named=True)}
    wrong = [f"image {md5} is lost" for md5 in batch.images - rows.keys()]
    for md5, meant in batch.meant.items():
        said = {name: rows.get(md5, {}).get(name) for name in (*FACTS, "mask_id")}
        wanted = {name: meant.get(name) for name in said}
        if said != wanted:
            wrong.append(f"{md5}: {said}, meant {wanted}")
    return wrong


def wrong_images(batch: Fuzzed, result: Ingested) -> list[str]:
    """Whether the count of images is right."""
    if result.images == len(batch.images):
        return []
    return [f"{result.images} images were counted, there are {len(batch.images)}"]


def complaints(batch: Fuzzed, folder: Path) -> tuple[Ingested, list[str]]:
    """Writes the batch to `folder`, judges it, and says what is wrong with the judgement."""
    batch.write(folder)
    before = tree(folder)
    result = judge_written(batch, folder)
    wrong = wrong_verdict(batch, result)
    if tree(folder) != before:
        wrong.append("the folder was changed")
    if not batch.faults and not batch.unsure and not wrong:
        wrong += wrong_meaning(batch, folder) + wrong_images(batch, result)
    return result, wrong


def complaints_through_dvc(
    batch: Fuzzed, root: Path, name: str, before: Mapping[str, str]
) -> tuple[Ingested, list[str]]:
    """Ingests the batch in a real workspace whose data holds `OLD_FILES` among others.

    Args:
        batch: The batch.
        root: The workspace.
        name: A name that no batch had.
        before: The manifest.
    """
    folder = root / "inbox" / name
    batch.write(folder)
    written = tree(folder)
    result = ingest_folder(root, folder, log=lambda _: None)
    wrong = wrong_verdict(batch, result)
    after = manifest_of(root)
    if result.verdict == "taken":
        added = {f"batches/{name}/{path}": content_md5(data) for path, data in batch.files.items()}
        if after != {**before, **added}:
            wrong.append("the data is not what it was with the batch added")
        if folder.exists():
            wrong.append("the batch is still in the inbox")
        store = ImageStore.open(root)
        # Earlier batches of the run speak of the same images; only this one's words are judged.
        own = {path: md5 for path, md5 in after.items() if path in added or path in _OLD_MANIFEST}
        wrong += [] if batch.unsure else wrong_rows(batch, join_labels(own, store.read))
    else:
        if after != before:
            wrong.append("the data changed")
        place = result.rejected_to
        kept = {} if place is None else tree(place)
        if "errors.csv" not in kept:
            wrong.append("there is no errors.csv")
        ours = {"errors.csv"}
        if {path: kept.get(path) for path in written.keys() - ours} != {
            path: written[path] for path in written.keys() - ours
        }:
            wrong.append("something of the batch is lost")
    if any((root / ".iip" / "ingest").iterdir()):
        wrong.append("the private folder is left")
    return result, wrong


def tree(folder: Path) -> dict[str, Any]:
    """Every file, link and pipe below a folder, with what it holds."""
    found: dict[str, Any] = {}
    for place, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(place) / name
            below = str(path.relative_to(folder))
            if path.is_symlink():
                found[below] = ("link", str(path.readlink()))
            elif path.is_file():
                found[below] = path.read_bytes()
            elif not path.is_dir():
                found[below] = "special"
    return found
