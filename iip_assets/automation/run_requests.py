"""Which runs to start, decided from what stands now and what ran, and the tags that they carry.

Nothing is remembered between two looks, so a look that is killed loses no change, and data that
goes from A to B and back is as due as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from iip_assets.automation.alarms import clean
from iip_assets.dataset.versions import batches_between
from iip_assets.engine.graph import Graph
from iip_assets.engine.hashing import digest_json
from iip_assets.engine.project import EventLog, Project
from iip_assets.engine.reasons import in_words
from iip_assets.engine.staleness import State
from iip_assets.errors import counted

Outcome = Literal["under way", "succeeded", "failed", "canceled"]

# People see them as tags of a run; 64 bits tell two states of one workspace apart.
_DIGITS = 16
BATCHES_TAG = "iip/batches"
WHY_TAG = "iip/why"

# Tags are indexed by their value, and PostgreSQL takes no more than 2,704 bytes there.
_LONGEST_TAG = 250
_MOST_WORDS = 50


@dataclass(frozen=True)
class Drop:
    """A whole batch in the inbox: its name, and a fingerprint that every new drop has again."""

    batch: str
    fingerprint: str


@dataclass(frozen=True)
class IngestRun:
    """A run of the job `ingest`: for which drop, and how it went."""

    drop: Drop
    outcome: Outcome


@dataclass(frozen=True)
class IngestRequest:
    """A run that is to be started."""

    drop: Drop
    attempt: int

    @property
    def run_key(self) -> str:
        """What Dagster knows it by: it starts no second run of one key."""
        return f"{self.drop.batch}:{self.drop.fingerprint}:{self.attempt}"


@dataclass(frozen=True)
class IngestDecision:
    """What to start, and which drops still wait although they were tried as often as allowed."""

    requests: tuple[IngestRequest, ...]
    given_up: tuple[Drop, ...]


def decide_ingests(
    waiting: Iterable[Drop], runs: Sequence[IngestRun], *, attempts: int
) -> IngestDecision:
    """One run for each waiting drop, and another where that left it there, up to `attempts`.

    What a person canceled is not started again; a new drop of the batch is. `runs` are those of
    these batches, finished and not.
    """
    requests: list[IngestRequest] = []
    given_up: list[Drop] = []
    for drop in waiting:
        if any(run.drop.batch == drop.batch and run.outcome == "under way" for run in runs):
            continue
        ended = [run.outcome for run in runs if run.drop == drop]
        if "canceled" in ended:
            continue
        if len(ended) < attempts:
            requests.append(IngestRequest(drop, len(ended) + 1))
        else:
            given_up.append(drop)
    return IngestDecision(tuple(requests), tuple(given_up))


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


def world_key(project: Project, events: EventLog) -> str:
    """A hash of all that comes from outside: code, settings and what the sources hold."""
    return _digest_actions(project, project.graph.assets, lambda name: _source(events, name))


def due_key(project: Project, events: EventLog, due: Collection[str]) -> str:
    """A hash of what is due and of all that it would be made of now: equal where nothing moved."""

    def version(name: str) -> str:
        latest = events.materialized(name)
        return latest.data_version if latest else _source(events, name)

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
        return RefreshDecision((), f"{counted(tries, 'run')} left the same assets due", stuck=True)
    return RefreshDecision(due, f"due: {counted(len(due), 'asset')}")


def _digest_actions(
    project: Project, names: Iterable[str], version_of: Callable[[str], str]
) -> str:
    assets = project.graph.assets
    keys = {name: project.keys(assets[name], version_of) for name in names}
    return digest_json(keys)[:_DIGITS]


def _source(events: EventLog, name: str) -> str:
    return events.observed(name) or ""


def refresh_tags(
    project: Project, events: EventLog, states: Mapping[str, State], due: Collection[str]
) -> dict[str, str]:
    """The tags of a run over the assets that are due."""
    tags = {
        WHY_TAG: reasons(states, due),
        BATCHES_TAG: listed(moved_batches(project, events)),
    }
    return {name: value for name, value in tags.items() if value}


def moved_batches(project: Project, events: EventLog) -> tuple[str, ...]:
    """Batches that differ between the data that `raw_dataset` was made of and the present data."""
    now = events.observed("dvc_data")
    if now is None or "raw_dataset" not in project.graph.assets:
        return ()
    record = project.record("raw_dataset", events)
    return batches_between(
        project.workspace.root, record.inputs["dvc_data"] if record else None, now
    )


def reasons(states: Mapping[str, State], due: Collection[str]) -> str:
    """Why assets are due, those that follow from another one's left out."""
    whys = [
        f"{name}: {text}"
        for name in due
        for text in in_words(one for one in states[name].reasons if one.kind != "upstream")
    ]
    return listed(whys, separator="; ")


def listed(words: Sequence[str], separator: str = ", ") -> str:
    """As many of the words as a tag takes, and how many there are besides."""
    for count in range(min(len(words), _MOST_WORDS), 0, -1):
        rest = len(words) - count
        text = separator.join(words[:count]) + (f" and {rest} more" if rest else "")
        if len(text) <= _LONGEST_TAG or count == 1:
            return clean(text, _LONGEST_TAG)
    return ""
