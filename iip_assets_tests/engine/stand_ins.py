"""Code keys, event logs and a refresher, for tests that need no package and no Dagster."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iip_assets.engine.atomic import sweep_old_writes, write_text_whole
from iip_assets.engine.code_key import CodeKey
from iip_assets.engine.dagster.refresh import Refresher
from iip_assets.engine.outcomes import Outcome, broken_blocking_checks
from iip_assets.engine.perform import Performer
from iip_assets.engine.project import EventLog, Materialized
from iip_assets.engine.staleness import State


class Keys:
    """Code keys that a test can change."""

    def __init__(self) -> None:
        self.code: dict[str, str] = {}

    def one_look(self) -> AbstractContextManager[None]:
        return nullcontext()

    def of(self, function: Any) -> CodeKey:
        key = self.code.get(function.__name__, "first")
        return CodeKey(key, {function.__name__: key}, {})


@dataclass
class DictEvents:
    """An event log in memory."""

    made: dict[str, Materialized] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)

    def materialized(self, asset: str) -> Materialized | None:
        return self.made.get(asset)

    def observed(self, source: str) -> str | None:
        return self.seen.get(source)

    def observe(self, source: str, data_version: str) -> None:
        self.seen[source] = data_version


@dataclass(frozen=True)
class FileEvents:
    """An event log that processes share: a file for each asset and each source."""

    folder: Path

    def materialized(self, asset: str) -> Materialized | None:
        kept = self._read(asset)
        return None if kept is None else Materialized(**kept)

    def materialize(self, asset: str, made: Materialized) -> None:
        write_text_whole(self.folder / asset, json.dumps(vars(made)))

    def observed(self, source: str) -> str | None:
        kept: str | None = self._read(source)
        return kept

    def observe(self, source: str, data_version: str) -> None:
        write_text_whole(self.folder / source, json.dumps(data_version))

    def _read(self, name: str) -> Any:
        file = self.folder / name
        return json.loads(file.read_text()) if file.exists() else None


class PlainRefresher(Refresher):
    """Performs one asset after the other, with an event log in files: no Dagster."""

    def events(self) -> FileEvents:
        return FileEvents(self.project.workspace.state / "plain")

    def press(self, names: Sequence[str]) -> dict[str, Outcome]:
        """Performs these assets, stale or not, as a run from the UI does."""
        outcomes: dict[str, Outcome] = {}
        loaded = {one.name: self.project.code_of(one) for one in self.project.graph.assets.values()}
        self._perform(names, loaded, outcomes)
        return outcomes

    def _perform(
        self,
        names: Collection[str],
        loaded: Mapping[str, object],
        outcomes: dict[str, Outcome],
        force: Collection[str] = (),
    ) -> dict[str, str]:
        """Performs assets in order, none of them below one that failed; gives the errors."""
        errors: dict[str, str] = {}
        stopped: set[str] = set()
        graph, events = self.project.graph, self.events()
        for name, source in graph.sources.items():
            events.observe(name, source.observe(self.project.workspace.root))
        for name, asset in graph.assets.items():
            if name not in names or name in stopped:
                continue
            performer = Performer(self.project, events, self.log, outcomes, force)
            try:
                outcome = performer.perform(asset, loaded=loaded[name])
            except Exception as error:
                errors[name] = f"{type(error).__name__}: {error}"
                stopped |= graph.below([name])
                continue
            events.materialize(name, outcome.materialized)
            if broken_blocking_checks(asset, outcome.parts.values()):
                stopped |= graph.below([name])
        return errors

    def _observed_events(self) -> EventLog:
        events = self.events()
        for name, source in self.project.graph.sources.items():
            events.observe(name, source.observe(self.project.workspace.root))
        return events

    def _run(
        self,
        due: list[str],
        loaded: Mapping[str, object],
        states: Mapping[str, State],
        done: Any,
        force: Collection[str] = (),
    ) -> None:
        done.run_id = str(uuid.uuid4())
        done.errors |= self._perform(due, loaded, done.outcomes, force)

    def _clear_up(self) -> None:
        sweep_old_writes(self.project.workspace.state)
