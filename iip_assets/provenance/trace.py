"""Where a value comes from: every step above it, the data, and who labelled that."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.event_cache import present_ledger
from iip_assets.engine.lineage import Records
from iip_assets.engine.project import Ledger, Project
from iip_assets.engine.revisions import commits_that_brought
from iip_assets.engine.values import Skipped
from iip_assets.images.data_listing import POINTER_FILE

DATA = "dvc_data"


@dataclass(frozen=True)
class Archive:
    """All that was recorded in a workspace, with the values that are still there.

    Attributes:
        project: The project.
        ledger: Who materialized what.
        records: The action log.
    """

    project: Project
    ledger: Ledger
    records: Records
    _values: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, project: Project) -> Archive:
        """The archive of a project's workspace."""
        return cls(project, present_ledger(project), Records(project.workspace.actions))

    def present(self, asset: str) -> ActionRecord | None:
        """The record behind what is materialized now."""
        return self.project.record(asset, self.ledger)

    def value(self, record: ActionRecord | None) -> Any:
        """What the action gave; None where it was skipped, or its artifact is gone."""
        if record is None or not self.project.workspace.artifacts.has(record.artifact):
            return None
        if record.data_version not in self._values:
            self._values[record.data_version] = self.project.workspace.artifacts.get(
                record.artifact
            )
        value = self._values[record.data_version]
        return None if isinstance(value, Skipped) else value


def trace_value(archive: Archive, record: ActionRecord) -> dict[str, Any]:
    """The way from the sources to a recorded value, for programs; the value's own step first."""
    lineage = archive.records.lineage(record)
    present = archive.present(record.asset)
    return {
        "what": "asset",
        "asset": record.asset,
        "data_version": record.data_version,
        "present": present is not None and present.data_version == record.data_version,
        "steps": [_step(archive, one) for one in reversed(lineage.values())],
        "data": _data(archive, lineage),
    }


def _step(archive: Archive, record: ActionRecord) -> dict[str, Any]:
    asset = archive.project.graph.assets.get(record.asset)
    return {
        "asset": record.asset,
        "room": asset.room if asset else None,
        "data_version": record.data_version,
        "skipped": record.skipped,
        "made_at": record.made_at or None,
        "seconds": record.seconds,
        "git_commit": record.git_commit or None,
        "action_key": record.action_key,
        "code_key": record.code_key,
        "modules": dict(record.modules),
        "packages": dict(record.packages),
        "settings": dict(record.settings),
        "inputs": dict(record.inputs),
    }


def _data(archive: Archive, lineage: dict[str, ActionRecord]) -> dict[str, Any] | None:
    """The version of the data, the commits that brought it, its batches and their labelers."""
    versions = {one.inputs[DATA] for one in lineage.values() if DATA in one.inputs}
    if not versions:
        return None
    version = sorted(versions)[0]
    root = archive.project.workspace.root
    raw = archive.value(lineage.get("raw_dataset"))
    splits = archive.value(lineage.get("data_splits"))
    return {
        "data_version": version,
        "commits": [asdict(one) for one in commits_that_brought(root, POINTER_FILE, version)],
        "batches": [] if raw is None else batch_rows(raw),
        "splits": {}
        if splits is None
        else dict(sorted(splits["split"].value_counts().iter_rows())),
    }


def batch_rows(raw_dataset: dict[str, Any]) -> list[dict[str, Any]]:
    """For each batch: its label rows, how many of them count, who gave them, by which words."""
    import polars as pl

    rows = raw_dataset["label_rows"]
    found: list[dict[str, Any]] = (
        rows.group_by("batch")
        .agg(
            label_rows=pl.len(),
            that_count=pl.col("current").sum(),
            images=pl.col("image_id").n_unique(),
            labelers=pl.col("labeler").drop_nulls().unique().sort(),
            labeling_md5=pl.col("labeling_md5").first(),
        )
        .sort("batch")
        .to_dicts()
    )
    return found
