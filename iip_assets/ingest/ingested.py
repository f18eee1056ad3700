"""What became of a batch that was handed in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from iip_assets.dataset.problems import Problem

Verdict = Literal["taken", "present", "rejected", "sound"]


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
    """What became of a batch.

    Attributes:
        batch: Its name.
        verdict: `taken` into the data; `present`: the data has all of it, byte for byte;
            `rejected`; `sound`: a dry run found nothing wrong.
        images: Distinct images in it.
        new_images: Those of them that the data did not have.
        known: Those that it had, under another name.
        problems: Why it was rejected.
        rejected_to: The folder that has errors.csv.
        data_version: The data's version now.
        commit: The commit that was made for it.
    """

    batch: str
    verdict: Verdict
    images: int
    new_images: int
    known: tuple[KnownImage, ...]
    problems: tuple[Problem, ...]
    rejected_to: Path | None
    data_version: str | None
    commit: str | None
