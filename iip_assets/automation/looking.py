"""How the workspace stands, as the sensors see it: sources observed, states found."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from iip_assets.engine.dagster.ledger import DagsterLedger
from iip_assets.engine.event_cache import read_cached_ledger, write_cached_ledger
from iip_assets.engine.project import Ledger, Project
from iip_assets.engine.staleness import State, find_states


@dataclass(frozen=True)
class Standing:
    """How every asset stands, and the ledger that says so."""

    ledger: Ledger
    states: dict[str, State]


def look(project: Project, instance: dg.DagsterInstance) -> Standing:
    """Observes the sources, so that Dagster's page knows too, and finds the states."""
    graph, state = project.graph, project.workspace.state
    ledger: Ledger = read_cached_ledger(state, graph) or _written(project, instance)
    moved = {
        name: present
        for name, source in graph.sources.items()
        if (present := source.observe(project.workspace.root)) != ledger.observed(name)
    }
    if moved:
        for name, present in moved.items():
            DagsterLedger(instance).observe(name, present)
        ledger = _written(project, instance)
    return Standing(ledger, find_states(project, ledger))


def _written(project: Project, instance: dg.DagsterInstance) -> Ledger:
    """What the event log says, also kept beside it for the next look."""
    return write_cached_ledger(project.workspace.state, project.graph, DagsterLedger(instance))
