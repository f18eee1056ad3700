"""A computed workspace, for the benchmarks of the models, and the clocks that they are held to."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
from images import rendered
from noop import DVC, IIP
from turns import CACHE, in_turn, run_process

import iip_assets
from iip_assets.images.store import ImageStore
from iip_assets.settings import Settings
from iip_assets.settings_file import read_settings

NEEDED = ("filter_examples", "segmenter_examples", "embedding_backbone")

Works = dict[str, Callable[[], object]]
Clock = Callable[[Works], dict[str, float]]


@dataclass(frozen=True)
class Ready:
    """A computed workspace."""

    root: Path
    settings: Settings
    labelled: pl.DataFrame
    masked: pl.DataFrame
    backbone: dict[str, bytes]
    store: ImageStore

    @classmethod
    def open(cls, root: Path) -> Ready:
        values = {name: iip_assets.load(name, root=root) for name in NEEDED}
        ready = cls(
            root,
            read_settings(root),
            values["filter_examples"],
            values["segmenter_examples"],
            dict(values["embedding_backbone"].parts),
            ImageStore.open(root),
        )
        masked = ready.masked
        ready.store.fetch([*ready.labelled["image_id"], *masked["image_id"], *masked["mask_id"]])
        return ready

    @property
    def megapixels(self) -> float:
        return self.settings.dataset.max_megapixels


def make_workspace(images: int) -> Path:
    """A workspace of rendered eyes, with what is needed of it computed; made when first asked."""
    root = (CACHE / f"models-{images}").absolute()
    if not root.exists():
        half = root.with_suffix(".part")
        shutil.rmtree(half, ignore_errors=True)
        run_process([*IIP, "init", half])
        eyes = rendered(320, 240, images)
        shutil.copytree(eyes, half / "data" / "batches", dirs_exist_ok=True)
        run_process([*DVC, "add", "--quiet", "data"], cwd=half)
        half.rename(root)
    run_process([*IIP, "refresh", "--json", *NEEDED], cwd=root)
    return root


def timed(works: Works, *, runs: int, processor: bool) -> dict[str, float]:
    """Median seconds of each work, by the clock or as processors worked."""
    return in_turn(
        {
            name: partial(_processor_seconds, work) if processor else work
            for name, work in works.items()
        },
        runs=runs,
    )


def _processor_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
