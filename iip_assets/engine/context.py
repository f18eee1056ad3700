"""What an asset function may ask for while it runs: feature tables, progress, its workspace."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from iip_assets.engine.code_key import CodeKeys

if TYPE_CHECKING:
    import polars as pl

    from iip_assets.engine.features import Compute, Filled


T = TypeVar("T")


@dataclass
class AssetContext:
    """What one asset's run is given.

    Attributes:
        root: The workspace's folder.
        code_keys: Code keys of the package's functions.
        state: The workspace's state folder.
        log: Where words for people go.
        refuse_other_code: Raises where the asset's code is no more what it was when the run began.
        force: Whether rows that were computed before are computed again and replaced.
        scratch: A folder of this action alone, made by whoever uses it. A run that is killed
            leaves it to the next one, which can go on from there; it is gone with success. None:
            nobody is to go on.
        provenance: What the run is of, for whoever logs it elsewhere: asset, action key, code key,
            git commit, the data versions of inputs and of the sources.
        recorded: Gives what an asset held at a data version that a setting names, whatever it
            holds now. Raises LookupError where no such value is kept.
        images_computed: Rows that feature tables computed so far.
        images_reused: Rows that they already had.
        features: The feature tables used so far, by the names of their variants.
    """

    root: Path
    code_keys: CodeKeys
    state: Path
    log: Callable[[str], None]
    refuse_other_code: Callable[[], None] = field(default=lambda: None)
    force: bool = field(default=False)
    scratch: Path | None = field(default=None)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    recorded: Callable[[str, str], Any] = field(default=lambda asset, data_version: None)
    images_computed: int = field(default=0)
    images_reused: int = field(default=0)
    features: list[str] = field(default_factory=list)

    def fill(
        self,
        table: str,
        rows: pl.DataFrame,
        compute: Compute,
        *,
        given: Mapping[str, Any] | None = None,
        key: Mapping[str, Any] | None = None,
        tools: Mapping[str, Any] | None = None,
        chunk: int = 64,
    ) -> Filled:
        """One result per row, computing only rows that were never computed before.

        Args:
            table: The feature table's name.
            rows: Identities of everything that is read for a row, such as image_id and mask_id:
                words, whole numbers or flags. A column that ends in `_id` holds items of a
                source (`Source.ids`): where an item is needed no more, its rows are deleted.
            compute: A module-level function: records of one chunk, then `given` and `tools` by
                name, to one record per row in the same order, all with the same keys.
            given: What else the result depends on; it enters the row's key, as does the code of
                `compute`.
            key: What enters the row's key and is not handed to `compute`, such as the digest of a
                model that is one of the tools.
            tools: What it works with, such as an image store; it does not enter the key.
            chunk: Rows per call; a killed run loses at most one chunk.
        """
        from iip_assets.engine.features import FeatureTable

        features = FeatureTable(self.state / "features", table)
        code_key, values, only_keyed = self.code_keys.of(compute).key, given or {}, key or {}
        filled = features.fill(
            rows,
            compute,
            code_key=code_key,
            given=values,
            key=only_keyed,
            tools=tools or {},
            chunk=chunk,
            progress=self.progress,
            refuse_other_code=self.refuse_other_code,
            force=self.force,
            log=self.log,
        )
        self.features.append(features.variant(code_key=code_key, given={**values, **only_keyed}))
        self.images_computed += filled.computed
        self.images_reused += filled.reused
        return filled

    def progress(
        self, items: Iterable[T], *, total: int | None = None, label: str = ""
    ) -> Iterator[T]:
        """The items, with a line now and then and, on a terminal, a progress bar."""
        if total is None and isinstance(items, Sequence):
            total = len(items)
        return track(items, total=total, label=label, log=self.log)


# Seconds between lines: a log stays readable. At a terminal a bar shows what lies between.
_LINE_EVERY_S, _LINE_BESIDE_BAR_S = 15.0, 60.0


def track(
    items: Iterable[T], *, total: int | None, label: str, log: Callable[[str], None]
) -> Iterator[T]:
    """Passes the items through while showing how far it is, and how long it will take.

    Args:
        items: What is worked through.
        total: How many there are, if known.
        label: What is being done, in words.
        log: Takes a line now and then.
    """
    if not sys.stderr.isatty():
        yield from _with_lines(items, total, label, log, every_s=_LINE_EVERY_S)
        return
    from rich.console import Console
    from rich.progress import track as bar

    counted = _with_lines(items, total, label, log, every_s=_LINE_BESIDE_BAR_S)
    yield from bar(
        counted, total=total, description=label, console=Console(stderr=True), transient=True
    )


def _with_lines(
    items: Iterable[T], total: int | None, label: str, log: Callable[[str], None], *, every_s: float
) -> Iterator[T]:
    started = last = time.monotonic()
    for count, item in enumerate(items):
        now = time.monotonic()
        if now - last >= every_s:
            last = now
            log(f"{label}: {how_far(count, total, now - started)}")
        yield item


def how_far(done: int, total: int | None, seconds: float) -> str:
    """How much is done after so many seconds, how fast, and how long the rest will take."""
    rate = done / seconds if seconds else 0.0
    if not total:
        return f"{done} ({rate:.1f}/s)"
    left = f", {in_time((total - done) / rate)} left" if rate else ""
    return f"{done} of {total} ({rate:.1f}/s{left})"


def in_time(seconds: float) -> str:
    """A time for people: `40 s`, `3 min`, `2.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
