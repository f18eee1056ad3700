"""Whether a run over the stale part is to be started: decided from states and runs alone.

Nothing is remembered between two looks, so a look that is killed loses no change, and data that
goes from A to B and back is as due as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from iip_assets.engine.graph import Graph
from iip_assets.engine.hashing import digest_json
from iip_assets.engine.project import Ledger, Project
from iip_assets.engine.staleness import State

# People see them as tags of a run; 64 bits tell two states of one workspace apart.
_DIGITS = 16


@dataclass(frozen=True)
class Marks:
    """What a run was started for, as two hashes that go with it.

    Attributes:
        world: `world_key`.
        due: `due_key`.
    """

    world: str
    due: str


@dataclass(frozen=True)
class EndedRun:
    """A run that ended: what it was started for (None where not by itself), and how it ended."""

    marks: Marks | None
    canceled: bool = False


@dataclass(frozen=True)
class RefreshDecision:
    """Whether to start a run, and why, or why not.

    Attributes:
        due: The assets to run; empty where none is to be started.
        reason: In words.
        stuck: Whether as many runs as are tried left just these assets due.
    """

    due: tuple[str, ...]
    reason: str
    stuck: bool = False


def runnable(graph: Graph, states: Mapping[str, State]) -> tuple[str, ...]:
    """What may run by itself: all that is due but what failed and what stands below that.

    What failed runs again when something that it reads changed, which makes it stale, or when a
    person asks.
    """
    failed = graph.below(name for name, state in states.items() if state.state == "failed")
    return tuple(name for name, state in states.items() if state.due and name not in failed)


def world_key(project: Project, ledger: Ledger) -> str:
    """A hash of all that comes from outside: code, settings and what the sources hold."""
    return _digest_actions(project, project.graph.assets, lambda name: _source(ledger, name))


def due_key(project: Project, ledger: Ledger, due: Collection[str]) -> str:
    """A hash of what is due and of all that it would be made of now: equal where nothing moved."""

    def version(name: str) -> str:
        latest = ledger.materialized(name)
        return latest.data_version if latest else _source(ledger, name)

    return _digest_actions(project, due, version)


def decide_refresh(
    due: tuple[str, ...],
    now: Marks,
    *,
    under_way: Sequence[str],
    ended: Sequence[EndedRun],
    attempts: int,
) -> RefreshDecision:
    """Whether a run over the assets that are due is to be started.

    Args:
        due: The assets.
        now: The marks of what is due now.
        under_way: Runs that are queued or in progress, in words.
        ended: The runs that ended, newest first.
        attempts: How many runs in a row may leave the same assets due for the same reasons: each
            was killed, or ran other code than the process that looks.
    """
    if under_way:
        return RefreshDecision((), f"waits for {', '.join(under_way)}")
    if not due:
        return RefreshDecision((), "nothing is due that may run by itself")
    if ended and ended[0].canceled and ended[0].marks and ended[0].marks.world == now.world:
        return RefreshDecision((), "the last run was canceled, and nothing changed since")
    tries = next((count for count, run in enumerate(ended) if run.marks != now), len(ended))
    if tries >= attempts:
        return RefreshDecision((), f"{tries} runs left the same assets due", stuck=True)
    return RefreshDecision(due, f"{len(due)} assets are due")


def _digest_actions(
    project: Project, names: Iterable[str], version_of: Callable[[str], str]
) -> str:
    assets = project.graph.assets
    keys = {name: project.keys(assets[name], version_of) for name in names}
    return digest_json(keys)[:_DIGITS]


def _source(ledger: Ledger, name: str) -> str:
    return ledger.observed(name) or ""
