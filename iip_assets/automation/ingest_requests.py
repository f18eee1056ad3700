"""For which waiting batches to start an ingest: decided from what lies there and what ran."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["under way", "succeeded", "failed", "canceled"]


@dataclass(frozen=True)
class Drop:
    """A whole batch in the inbox: its name, and a fingerprint that every new drop has again."""

    batch: str
    fingerprint: str


@dataclass(frozen=True)
class IngestRun:
    """A run of the job `ingest`: for which drop, and how it went."""

    batch: str
    fingerprint: str
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
    """One run for each waiting drop, and another where that left it there, up to a number.

    What a person canceled is not started again; a new drop of the batch is.

    Args:
        waiting: The whole batches in the inbox.
        runs: Runs of these batches, finished and not.
        attempts: How often a drop is tried.
    """
    requests: list[IngestRequest] = []
    given_up: list[Drop] = []
    for drop in waiting:
        if any(run.batch == drop.batch and run.outcome == "under way" for run in runs):
            continue
        ended = [
            run.outcome
            for run in runs
            if (run.batch, run.fingerprint) == (drop.batch, drop.fingerprint)
        ]
        if "canceled" in ended:
            continue
        if len(ended) < attempts:
            requests.append(IngestRequest(drop, len(ended) + 1))
        else:
            given_up.append(drop)
    return IngestDecision(tuple(requests), tuple(given_up))
