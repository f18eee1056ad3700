"""What changed underneath a value between two states: data, code, settings or packages.

Read from the records of both states, from the value upwards. Where an asset on the way came out
equal, nothing above it can be the cause, whatever changed there. The value itself is looked under
even when it is equal: that a change had no effect on it is an answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from iip_assets.dataset.layout import batch_of
from iip_assets.dataset.schema import FACTS
from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.project import is_reader
from iip_assets.engine.workspace import flat_settings

Records = Mapping[str, ActionRecord]


@dataclass(frozen=True)
class BatchChange:
    """A batch whose images differ."""

    batch: str  # its name; "" for images outside `batches/`
    change: str  # `added` and `removed`: it is there in one version alone
    images: int  # its images in the later version
    images_added: int  # images that the earlier version does not have in any batch
    images_removed: int  # images that the later one has no more


@dataclass(frozen=True)
class LabelChange:
    """How often one label became another, by the batch that brought the later one."""

    batch: str
    before: str | None
    after: str | None
    images: int


@dataclass(frozen=True)
class DataChanges:
    """What differs."""

    images_before: int  # images of the earlier version
    images_after: int  # images of the later one
    batches: tuple[BatchChange, ...]  # batches whose images differ
    labels: tuple[LabelChange, ...]  # labels that differ, of images in both
    masks: int  # images in both whose mask differs
    facts: int  # images in both of which a fact differs, such as the age


def data_changes(before: pl.DataFrame, after: pl.DataFrame) -> DataChanges:
    """The difference of two tables `images` of `raw_dataset`."""
    both = before.join(after, on="image_id", suffix="_after")
    differs = both.filter(pl.col("label").ne_missing(pl.col("label_after")))
    counted = (
        differs.group_by(pl.col("batch_after").fill_null(""), "label", "label_after")
        .len()
        .sort("batch_after", "label", "label_after", nulls_last=True)
    )
    facts = pl.any_horizontal([pl.col(name).ne_missing(pl.col(f"{name}_after")) for name in FACTS])
    return DataChanges(
        images_before=before.height,
        images_after=after.height,
        batches=_batch_changes(before, after),
        labels=tuple(LabelChange(*row) for row in counted.iter_rows()),
        masks=both.filter(pl.col("mask_id").ne_missing(pl.col("mask_id_after"))).height,
        facts=both.filter(facts).height,
    )


def _batch_changes(before: pl.DataFrame, after: pl.DataFrame) -> tuple[BatchChange, ...]:
    was, is_now = _by_batch(before), _by_batch(after)
    all_before = set(before["image_id"])
    all_after = set(after["image_id"])
    changes = []
    for batch in sorted(was.keys() | is_now.keys()):
        old, new = was.get(batch, set()), is_now.get(batch, set())
        if old == new:
            continue
        change = "added" if not old else "removed" if not new else "changed"
        changes.append(
            BatchChange(batch, change, len(new), len(new - all_before), len(old - all_after))
        )
    return tuple(changes)


def _by_batch(images: pl.DataFrame) -> dict[str, set[str]]:
    """Image ids by the batch whose folder they lie in; a correction moves none."""
    found: dict[str, set[str]] = {}
    for image_id, path in images.select("image_id", "path").iter_rows():
        found.setdefault(batch_of(path) or "", set()).add(image_id)
    return found


@dataclass(frozen=True)
class Change:
    """One thing that differs; None where it was not there."""

    asset: str  # of which asset's action
    name: str  # a module, a package or the path of a setting
    before: Any  # what it was, None if it was not there
    after: Any  # what it is


@dataclass
class Causes:
    """All that can have changed a value."""

    code: list[Change] = field(default_factory=list)  # modules; hashes of their syntax trees
    packages: list[Change] = field(default_factory=list)  # third-party packages, by version
    settings: list[Change] = field(default_factory=list)  # by value
    sources: list[Change] = field(default_factory=list)  # by data version
    # The processor, its threads and the settings that say how work is done, of values that differ:
    # equal keys mean equal values only up to the order of floating-point sums.
    machine: list[Change] = field(default_factory=list)
    # Assets whose value differs though nothing that they were made of does.
    without_cause: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)  # assets of which a state has no record

    @property
    def only_seeds(self) -> bool:
        """Whether nothing but seeds of random draws changed."""
        others = (self.code, self.packages, self.sources, self.without_cause, self.unknown)
        return (
            bool(self.settings)
            and not any(others)
            and all(change.name.endswith("seed") for change in self.settings)
        )


def find_causes(
    before: Records, after: Records, asset: str, *, ignored: Collection[str] = ()
) -> Causes:
    """What differs in what an asset's value was made of, from the records of two states, by asset.

    Assets that are `ignored` do not bear on what is asked, nor does what only they are made of.
    """
    causes = Causes()
    waiting, seen = [asset], {asset, *ignored}
    while waiting:
        name = waiting.pop(0)
        one, other = before.get(name), after.get(name)
        if one is None or other is None:
            causes.unknown.append(name)
            continue
        equal = one.data_version == other.data_version
        if equal and name != asset:
            continue
        moved = _own_changes(causes, one, other)
        for above in dict.fromkeys([*one.inputs, *other.inputs]):
            versions = one.inputs.get(above), other.inputs.get(above)
            if versions[0] == versions[1]:
                continue
            moved = True  # also by what is ignored: it accounts for the difference
            if above in seen:
                continue
            seen.add(above)
            if is_reader(above):
                causes.code.append(Change(name, above, *versions))
            elif above in before or above in after:
                waiting.append(above)
            else:
                causes.sources.append(Change(name, above, *versions))
        elsewhere = not equal and _machine_changes(causes, one, other)
        if not moved and not equal and not elsewhere:
            causes.without_cause.append(name)
    return causes


# Settings that say how work is done and what it does not bear on.
_WATCHING = ("tracking.",)


def _machine_changes(causes: Causes, before: ActionRecord, after: ActionRecord) -> bool:
    """Adds what differs in where and how an asset's value was computed; whether anything does."""
    one, other = before.machine, after.machine
    found = [
        Change(after.asset, name, one.get(name), other.get(name))
        for name in sorted(one.keys() & other.keys())
        if one[name] != other[name] and not name.startswith(_WATCHING)
    ]
    known = {change.name for change in causes.machine}
    causes.machine.extend(change for change in found if change.name not in known)
    return bool(found)


def _own_changes(causes: Causes, before: ActionRecord, after: ActionRecord) -> bool:
    """Adds what differs in an asset's own action; whether anything does."""
    found = [
        (causes.code, before.modules, after.modules),
        (causes.packages, before.packages, after.packages),
        (causes.settings, flat_settings(before.settings), flat_settings(after.settings)),
    ]
    moved = False
    for changes, one, other in found:
        for name in sorted(one.keys() | other.keys()):
            if one.get(name) != other.get(name):
                moved = True
                # Several assets reach one module; it changed once.
                if all(change.name != name for change in changes):
                    changes.append(Change(after.asset, name, one.get(name), other.get(name)))
    return moved
