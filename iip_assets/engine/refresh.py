"""Refresh: observe the sources, find what is stale, and run that and what lies below it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from iip_assets.engine.atomic import sweep_old_writes
from iip_assets.engine.event_cache import read_cached_ledger, write_cached_ledger
from iip_assets.engine.lock import workspace_lock
from iip_assets.engine.perform import Outcome, images_of
from iip_assets.engine.project import Ledger, Project
from iip_assets.engine.staleness import State, find_states

if TYPE_CHECKING:
    import dagster as dg

# Told when an asset begins and ends, for a person who watches.
Watch = Callable[[str], None]


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did.

    Attributes:
        computed: Assets that did work, in graph order.
        reused: Assets that needed none.
        images: For assets that work image by image, images computed and reused.
        failed: Asset to error.
        blocked: Asset to the reason why it must not run.
        skipped: Asset to the reason why it cannot be made from this data.
        seconds: How long it took.
        run_id: Dagster's run, if there was one.
    """

    computed: tuple[str, ...]
    reused: tuple[str, ...]
    images: Mapping[str, Mapping[str, int]]
    failed: Mapping[str, str]
    blocked: Mapping[str, str]
    skipped: Mapping[str, str]
    seconds: float
    run_id: str | None

    def as_json(self) -> dict[str, Any]:
        """The result as `iip refresh --json` prints it."""
        return {
            "computed": list(self.computed),
            "reused": list(self.reused),
            "images": {name: dict(counts) for name, counts in self.images.items()},
            "failed": dict(self.failed),
            "blocked": dict(self.blocked),
            "skipped": dict(self.skipped),
            "seconds": round(self.seconds, 3),
            "run_id": self.run_id,
        }


@dataclass(frozen=True)
class Planned:
    """An asset that a refresh would run: why, and how long it took when it last ran."""

    asset: str
    why: tuple[str, ...]
    seconds: float | None


@dataclass
class Refresher:
    """Refreshes one project.

    Attributes:
        project: The project.
        open_instance: Opens Dagster's instance; called only when something is to be done.
        say: Where words for people go.
    """

    project: Project
    open_instance: Callable[[], dg.DagsterInstance]
    say: Callable[[str], None]
    _instance: dg.DagsterInstance | None = field(default=None)

    def states(self) -> dict[str, State]:
        """The state of every asset now; records what the sources hold."""
        return find_states(self.project, self._observed_ledger())

    def plan(self, only: Collection[str] = ()) -> list[Planned]:
        """What `refresh` would run, in order.

        Raises:
            KeyError: An asset of that name does not exist.
        """
        self._refuse_unknown(only)
        states = self.states()
        ledger = self._ledger()
        planned = []
        for name in self._due(states, only):
            record = self.project.record(name, ledger)
            planned.append(Planned(name, states[name].why, record.seconds if record else None))
        return planned

    def refresh(self, only: Collection[str] = ()) -> Refreshed:
        """Runs what is stale and what lies below it, in this process.

        Args:
            only: Bring just these assets up to date, with what they need; all when empty.

        Raises:
            KeyError: An asset of that name does not exist.
        """
        started = time.monotonic()
        self._refuse_unknown(only)
        # Before waiting for another refresh: code that is edited meanwhile is not what was loaded.
        assets = self.project.graph.assets
        loaded = {name: self.project.code_of(asset) for name, asset in assets.items()}
        with workspace_lock(self.project.workspace.state, say=self.say):
            states = self.states()
            due = self._due(states, only)
            if due or self._instance is not None:
                self._clear_up()
            outcomes: dict[str, Outcome] = {}
            errors: dict[str, str] = {}
            run_id = self._run(due, loaded, outcomes, errors) if due else None
            if due:
                states = self.states()
                write_cached_ledger(
                    self.project.workspace.state, self.project.graph, self._ledger()
                )
        wanted = {name: states[name] for name in self._wanted(states, only)}
        return self._summary(wanted, outcomes, errors, time.monotonic() - started, run_id)

    def _refuse_unknown(self, only: Collection[str]) -> None:
        unknown = set(only) - self.project.graph.assets.keys()
        if unknown:
            known = ", ".join(self.project.graph.assets)
            raise KeyError(f"there is no asset {sorted(unknown)[0]!r}; there are {known}")

    def _wanted(self, states: Mapping[str, State], only: Collection[str]) -> list[str]:
        wanted = self.project.graph.above(only) if only else set(states)
        return [name for name in states if name in wanted]

    def _due(self, states: Mapping[str, State], only: Collection[str]) -> list[str]:
        return [name for name in self._wanted(states, only) if states[name].due]

    def _run(
        self,
        due: list[str],
        loaded: Mapping[str, object],
        outcomes: dict[str, Outcome],
        errors: dict[str, str],
    ) -> str:
        import dagster as dg

        from iip_assets.engine.dagster_graph import REFRESH_JOB, build_dagster_definitions
        from iip_assets.engine.dagster_runs import hold_run

        self.say(f"{len(due)} of {len(self.project.graph.assets)} assets are due: {', '.join(due)}")
        definitions = build_dagster_definitions(self.project, outcomes=outcomes, loaded=loaded)
        run_id = str(uuid.uuid4())
        hold_run(self.project.workspace.state, run_id)
        result = definitions.resolve_job_def(REFRESH_JOB).execute_in_process(
            instance=self._dagster(),
            asset_selection=[dg.AssetKey(name) for name in due],
            raise_on_error=False,
            run_id=run_id,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        for event in result.all_events:
            if event.is_step_failure:
                errors[str(event.step_key)] = _root_cause(event.step_failure_data.error)
        return run_id

    def _clear_up(self) -> None:
        """Takes away what killed processes left."""
        from iip_assets.engine.dagster_runs import end_dead_runs

        sweep_old_writes(self.project.workspace.state)
        end_dead_runs(self.project.workspace.state, self._dagster(), say=self.say)

    def _summary(
        self,
        states: Mapping[str, State],
        outcomes: Mapping[str, Outcome],
        errors: Mapping[str, str],
        seconds: float,
        run_id: str | None,
    ) -> Refreshed:
        computed = tuple(name for name in states if name in outcomes and not outcomes[name].reused)
        failed = {
            name: "; ".join(state.why) for name, state in states.items() if state.state == "failed"
        }
        # A step also fails where code moved under it, or Dagster could not take its result; and
        # where its blocking check failed, which is a verdict and leaves the asset fresh.
        failed |= {
            name: error
            for name, error in errors.items()
            if name in states and states[name].due and name not in failed
        }
        blocked = {
            name: "; ".join(state.why) for name, state in states.items() if state.state == "blocked"
        }
        reused = tuple(
            name
            for name, state in states.items()
            if name not in computed and state.state == "fresh"
        )
        return Refreshed(
            computed=computed,
            reused=reused,
            images=images_of(outcomes),
            failed=failed,
            blocked=blocked,
            skipped={name: state.skipped for name, state in states.items() if state.skipped},
            seconds=seconds,
            run_id=run_id,
        )

    def _ledger(self) -> Ledger:
        cached = read_cached_ledger(self.project.workspace.state, self.project.graph)
        if cached is not None:
            return cached
        from iip_assets.engine.dagster_ledger import DagsterLedger

        return DagsterLedger(self._dagster())

    def _observed_ledger(self) -> Ledger:
        """The ledger, after the sources were looked at."""
        graph, root = self.project.graph, self.project.workspace.root
        ledger = self._ledger()
        present = {name: source.observe(root) for name, source in graph.sources.items()}
        moved = {
            name: version for name, version in present.items() if ledger.observed(name) != version
        }
        if moved:
            from iip_assets.engine.dagster_ledger import DagsterLedger

            ledger = DagsterLedger(self._dagster())
            for name, version in moved.items():
                ledger.observe(name, version)
        return ledger

    def _dagster(self) -> dg.DagsterInstance:
        if self._instance is None:
            self._instance = self.open_instance()
        return self._instance


def _root_cause(error: Any) -> str:
    """What went wrong in the asset itself, below Dagster's own errors around it."""
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return "unknown error"
    kind, colon, text = str(error.message).strip().partition(": ")
    return f"{kind.rpartition('.')[2]}{colon}{text}"
