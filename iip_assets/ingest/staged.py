"""A batch on its way in its native form: a private copy, or what was made of another tool's export.

What is found wrong with it is told of the files that people have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from iip_assets.dataset.problems import Problem
from iip_assets.ingest.batch_files import READY_FILE, BatchListing, copy_batch, list_batch
from iip_assets.ingest.unread import in_words
from iip_assets.ingest.verdict import Ingested
from iip_assets.settings import DatasetSettings

if TYPE_CHECKING:
    from iip_assets.ingest.formats.native import Converted

Form = Literal["native", "coco", "labelstudio"]


class UnsettledBatchError(ValueError):
    """The folder changes while it is read: somebody is still writing it."""


@dataclass(frozen=True)
class Staged:
    """A batch in its native form, with what is wrong with it so far."""

    folder: Path
    problems: tuple[Problem, ...]
    converted: Converted | None = None  # what it was made from, where its form was another

    def told(self, result: Ingested, *, log: Callable[[str], None]) -> Ingested:
        """A verdict on the native form as one on what people handed in."""
        if self.converted is None:
            return result
        sources, unread = self.converted.sources, self.converted.unread
        own = set(self.problems)
        if unread:
            log(f"not used of the export, and not in the data: {in_words(unread)}")
        return replace(
            result,
            known=tuple(replace(one, path=sources.image(one.path)) for one in result.known),
            problems=tuple(one if one in own else sources.told(one) for one in result.problems),
            unread=unread,
        )


def stage(
    folder: Path,
    batch: str,
    listing: BatchListing,
    place: Path,
    *,
    form: Form,
    dataset: DatasetSettings,
    log: Callable[[str], None],
) -> Staged:
    """Copies a batch to the private folder `place`, in its native form.

    Raises:
        UnsettledBatchError: Its files are no more those of the listing.
    """
    native = place / "batch"
    copy = native if form == "native" else place / "export"
    copy_batch(folder, listing, copy)
    if list_batch(folder, batch) != listing:
        raise UnsettledBatchError(
            f"{folder} changed while it was read: somebody is still writing it. "
            f"Put {READY_FILE} into it last, then ingest it again"
        )
    if form == "native":
        return Staged(native, listing.problems)
    if form == "coco":
        from iip_assets.ingest.formats.coco import convert_coco as convert
    else:
        from iip_assets.ingest.formats.labelstudio import convert_labelstudio as convert
    converted = convert(
        copy,
        native,
        mask_classes=dataset.mask_classes,
        max_megapixels=dataset.max_megapixels,
        name=batch,
        log=log,
    )
    native.mkdir(exist_ok=True)
    return Staged(native, (*listing.problems, *converted.problems), converted)
