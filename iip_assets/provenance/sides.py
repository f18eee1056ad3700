"""The two states that are compared: their records and the values behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.history import records_at
from iip_assets.engine.project import Project
from iip_assets.engine.revisions import find_revision, point_at
from iip_assets.provenance.trace import Archive

NOW = "now"

# Every headline number is in one of these; the last is chosen first where several codes computed
# a state.
ROOTS = ("raw_dataset", "quarantine", "drift_report", "model_evaluation")


@dataclass(frozen=True)
class Side:
    """A state of the workspace, as far as it was computed.

    Attributes:
        archive: What was recorded in the workspace.
        name: What was typed.
        commit: The commit; for `now` the one at which the models were judged, if they were.
        lineages: For each of the roots that has a value, the records that it was made of.
        absent: For each of the others, why there is none and how to get it.
    """

    archive: Archive
    name: str
    commit: str
    lineages: Mapping[str, Mapping[str, ActionRecord]]
    absent: Mapping[str, str]

    def value(self, asset: str, root: str | None = None) -> Any:
        """The value of an asset in the lineage of a root; None if absent or skipped."""
        return self.archive.value(self.lineages.get(root or asset, {}).get(asset))


def find_side(project: Project, name: str) -> Side:
    """The state at a git revision, or `now` for what is materialized.

    Raises:
        LookupError: There is no such revision.
    """
    archive = Archive.open(project)
    return _present(archive) if name == NOW else _older(archive, name)


def _present(archive: Archive) -> Side:
    lineages, absent, commit = {}, {}, ""
    for root in ROOTS:
        record = archive.present(root)
        if record is None:
            absent[root] = f"{root} has no value now; run `iip refresh {root}`"
            continue
        lineages[root] = archive.records.lineage(record)
        commit = record.git_commit
    return Side(archive, NOW, commit, lineages, absent | _lost(archive.project, lineages, NOW))


def _older(archive: Archive, name: str) -> Side:
    project = archive.project
    revision = find_revision(project.workspace.root, name)
    chosen = records_at(project, point_at(project, revision), ROOTS)
    lineages = {root: chosen for root in ROOTS if root in chosen}
    absent = {
        root: f"{root} was never computed with the data and settings of {name}; to compute it: "
        + how_to_compute(name)
        for root in ROOTS
        if root not in chosen
    }
    absent |= _lost(project, lineages, name)
    return Side(archive, name, revision.commit, lineages, absent)


def _lost(
    project: Project, lineages: Mapping[str, Mapping[str, ActionRecord]], name: str
) -> dict[str, str]:
    """Roots whose artifact is gone."""
    store = project.workspace.artifacts
    fix = "run `iip refresh`" if name == NOW else f"to compute it: {how_to_compute(name)}"
    return {
        root: f"the artifact of {root} is gone; {fix}"
        for root, records in lineages.items()
        if not store.has(records[root].artifact)
    }


def how_to_compute(at: str) -> str:
    """The commands that compute the values of a revision."""
    return f"`git checkout {at} && dvc checkout && iip refresh`, then go back the same way"
