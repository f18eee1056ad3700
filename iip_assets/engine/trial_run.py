"""An asset under other settings, recorded like any action and never what the workspace holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.perform import Performer
from iip_assets.engine.project import Materialized, Project


@dataclass(frozen=True)
class _TrialEvents:
    """An event log of one performance, which nobody else sees."""

    materializations: dict[str, Materialized] = field(default_factory=dict)
    observations: dict[str, str] = field(default_factory=dict)

    def materialized(self, asset: str) -> Materialized | None:
        return self.materializations.get(asset)

    def observed(self, source: str) -> str | None:
        return self.observations.get(source)

    def observe(self, source: str, data_version: str) -> None:
        self.observations[source] = data_version


def run_trial(
    project: Project,
    asset: str,
    settings: Any,
    *,
    loaded: Mapping[str, object],
    log: Callable[[str], None],
) -> ActionRecord:
    """Brings an asset and what it needs up to date as if the settings were these.

    What was done before is not done again, and what is done now will not be: once the workspace
    has these settings, a refresh takes it up. A run that is killed is gone on with.

    Args:
        project: The project.
        asset: Its name.
        settings: Anything with attributes, like the workspace's own settings.
        loaded: What `Project.code_of` gave for each asset when this process loaded the code.
        log: Where words for people go.

    Raises:
        MovedMeanwhileError: Code is not what was loaded, or inputs moved.
        BlockedError: Something above failed a blocking check.
    """
    workspace = replace(project.workspace, read_settings=lambda _: settings)
    events = _TrialEvents()
    performer = Performer(
        replace(project, workspace=workspace), events, log, trial=True, loaded=loaded
    )
    needed = project.graph.above([asset])
    record = None
    for name, one in project.graph.assets.items():
        if name in needed:
            outcome = performer.perform(one, loaded=loaded[name])
            record = outcome.record
            events.materializations[name] = outcome.materialized
    if record is None:
        raise KeyError(f"there is no asset {asset!r}")
    return record
