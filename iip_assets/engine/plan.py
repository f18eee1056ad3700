"""What a refresh would do: which assets, why, over how many images, for how long. Computes none."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from iip_assets.engine.actions import ActionRecord, PartRecord
from iip_assets.engine.asset import Asset
from iip_assets.engine.features import known_rows
from iip_assets.engine.history import Records, data_inputs
from iip_assets.engine.project import EventLog, Project
from iip_assets.engine.reasons import Reason, in_words
from iip_assets.engine.staleness import State, moved_itself

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Planned:
    """An asset that a refresh would run.

    Attributes:
        asset: Its name.
        reasons: Why it is due.
        known: Whether the result was computed before and will only be taken up again.
        images: How many images it would compute; None where it does not work image by image.
        exact: Whether that is the number; otherwise it is the most that is to be expected.
        seconds: How long that will take, going by past runs; None where there are none.
        parts: What is made of its description and checks alone, where the value itself stands.
    """

    asset: str
    reasons: tuple[Reason, ...]
    known: bool
    images: int | None
    exact: bool
    seconds: float | None
    parts: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The entry as `iip refresh --dry-run --json` prints it."""
        return {
            "asset": self.asset,
            "reasons": in_words(self.reasons),
            "known": self.known,
            "images": self.images,
            "exact": self.exact,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "parts": list(self.parts),
        }


def make_plan(
    project: Project,
    events: EventLog,
    states: Mapping[str, State],
    wanted: Collection[str],
    force: Collection[str] = (),
) -> list[Planned]:
    """What a refresh of the wanted assets would run, in order.

    Args:
        project: The project.
        events: Who materialized what; sources as just observed.
        states: How every asset stands.
        wanted: The assets to bring up to date.
        force: Assets to compute though their result is recorded.
    """
    planner = _Planner(project, events, states)
    return [
        planner.plan(name, force=name in force)
        for name, state in states.items()
        if name in force or (name in wanted and state.due)
    ]


@dataclass
class _Planner:
    """Walks the graph in order, and remembers which values are foreseen.

    Attributes:
        project: The project.
        events: Who materialized what.
        states: How every asset stands.
        versions: The data version that each planned asset will have, None where only computing
            it would tell.
        by_data_alone: Of those that are None: whether nothing but the sources moved above it.
    """

    project: Project
    events: EventLog
    states: Mapping[str, State]
    versions: dict[str, str | None] = field(default_factory=dict)
    by_data_alone: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.records = Records(self.project.workspace.actions)
        self._rows: dict[tuple[str, str], pl.DataFrame | None] = {}

    def plan(self, name: str, *, force: bool) -> Planned:
        asset, state = self.project.graph.assets[name], self.states[name]
        reasons = state.reasons or (Reason("other", "asked for"),)
        if state.parts and not force:
            self.versions[name] = state.data_version
            took = [one.seconds for part in state.parts for one in self._last(part)]
            seconds = sum(took) if len(took) == len(state.parts) else None
            return Planned(name, reasons, True, None, True, seconds, parts=state.parts)
        if not force and (found := self._known(asset)):
            self.versions[name] = found.data_version
            images = 0 if _works_by_image(asset) else None
            return Planned(name, reasons, known=True, images=images, exact=True, seconds=0.0)
        before = self.project.record(name, self.events) or next(
            reversed(self.records.of(name)), None
        )
        if not force:
            self.versions[name] = None
            self.by_data_alone[name] = self._only_data_moved(asset, before)
        images, exact = self._images(asset, before, force=force)
        seconds = estimate_seconds(self.records.of(name), images)
        return Planned(name, reasons, known=False, images=images, exact=exact, seconds=seconds)

    def _last(self, part: str) -> list[PartRecord]:
        """The newest record of a part, if there is one."""
        return sorted(self.project.workspace.parts.all(part), key=lambda one: one.made_at)[-1:]

    def _known(self, asset: Asset[..., Any]) -> ActionRecord | None:
        """The record of the action that the asset will come to, where that was done before."""
        if any(self._version(name) is None for name in asset.inputs):
            return None
        action = self.project.action(asset, lambda name: self._version(name) or "")
        record = self.project.workspace.actions.find(asset.name, action.key)
        return record if record and self.project.workspace.holds(record) else None

    def _version(self, name: str) -> str | None:
        if name in self.project.graph.sources:
            return self.events.observed(name)
        if name in self.versions:
            return self.versions[name]
        latest = self.events.materialized(name)
        return latest.data_version if latest else None

    def _only_data_moved(self, asset: Asset[..., Any], before: ActionRecord | None) -> bool:
        if before is None or any(moved_itself(self.project, asset, before)):
            return False
        return all(self.by_data_alone.get(name, True) for name in asset.inputs)

    def _images(
        self, asset: Asset[..., Any], before: ActionRecord | None, *, force: bool
    ) -> tuple[int | None, bool]:
        """How many images the asset would compute, and whether that is the number."""
        if not _works_by_image(asset):
            return None, True
        present = self._present_rows()
        if before is None or not (before.features or before.skipped):
            return sum(rows.height for rows in present.values()), False
        past = self._past_rows(before)
        done = before.images_computed + before.images_reused
        if force or not present or self._read_as_a_whole(asset, before):
            grown = sum(rows.height for rows in present.values())
            was = sum(rows.height for rows in past.values())
            return round(done * grown / was) if was else done, force
        new = reads = 0
        for table in before.features:
            known = known_rows(self.project.workspace.state / "features", table)
            for source, rows in present.items():
                # By whatever tells rows apart: an empty table has no columns, and all rows are new.
                columns = [name for name in known.columns if name in rows.columns] or rows.columns
                old = past.get(source, rows.clear()).select(columns).unique()
                reads += old.height
                fresh = rows.select(columns).unique()
                for other in (known, old) if known.columns else ():
                    fresh = fresh.join(other, on=columns, how="anti", nulls_equal=True)
                new += fresh.height
        # An asset may leave images out, such as those that it trains on.
        share = min(1.0, done / reads) if reads else 1.0
        exact = share == 1.0 and self.by_data_alone.get(asset.name, True)
        return round(new * share), exact

    def _read_as_a_whole(self, asset: Asset[..., Any], before: ActionRecord) -> bool:
        """Whether something moved that bears on every image: code, settings, a model."""
        if any(moved_itself(self.project, asset, before)):
            return True
        for name, version in data_inputs(before):
            if name not in self.project.graph.assets or self._version(name) == version:
                continue
            record = self.records.with_version(name, version)
            if record is not None and record.artifact.kind == "files":
                return True
        return False

    def _present_rows(self) -> dict[str, pl.DataFrame]:
        return dict(
            self._rows_of(
                (name, version)
                for name in self.project.graph.sources
                if (version := self.events.observed(name))
            )
        )

    def _past_rows(self, record: ActionRecord) -> dict[str, pl.DataFrame]:
        """The rows of the sources' versions that a record rests on."""
        lineage = self.records.lineage(record).values()
        inputs = {name: version for one in lineage for name, version in data_inputs(one)}
        return dict(
            self._rows_of(
                (name, inputs[name]) for name in self.project.graph.sources if name in inputs
            )
        )

    def _rows_of(self, wanted: Iterator[tuple[str, str]]) -> Iterator[tuple[str, pl.DataFrame]]:
        for name, version in wanted:
            source = self.project.graph.sources[name]
            if (name, version) not in self._rows and source.rows is not None:
                self._rows[name, version] = source.rows(self.project.workspace.root, version)
            found = self._rows.get((name, version))
            if found is not None:
                yield name, found


def _works_by_image(asset: Asset[..., Any]) -> bool:
    """Whether the function calls `AssetContext.fill`, by the names in its code."""
    code = inspect.unwrap(asset.function).__code__
    return asset.compute.context is not None and "fill" in code.co_names


# Older runs had other data and other code.
_RUNS = 20


def estimate_seconds(records: Sequence[ActionRecord], images: int | None) -> float | None:
    """Seconds for so many images, or None where nothing is known.

    A fixed part, and a rate for each image where the past runs tell them apart: the median of the
    slopes between each two runs, then of what is left (Theil-Sen), so that a run which had to wait
    for something does not count.

    Args:
        records: The asset's past actions, the newest last.
        images: How many it would compute; None where it does not work image by image.
    """
    runs = [(one.images_computed, one.seconds) for one in records[-_RUNS:]]
    if not runs:
        return None
    if images is None:
        return median(seconds for _, seconds in runs)
    slopes = [
        (after[1] - before[1]) / (after[0] - before[0])
        for place, before in enumerate(runs)
        for after in runs[place + 1 :]
        if after[0] != before[0]
    ]
    if not slopes:
        # One point: all of it is the images' share, unless there were none.
        count = runs[-1][0]
        typical = median(seconds for _, seconds in runs)
        return typical * images / count if count else typical
    rate = max(0.0, median(slopes))
    fixed = max(0.0, median(seconds - rate * count for count, seconds in runs))
    return fixed + rate * images
