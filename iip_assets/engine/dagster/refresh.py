"""Refresh: observe the sources, find what is stale, and run that and what lies below it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from iip_assets.engine.atomic import sweep_old_writes
from iip_assets.engine.causes import Explanation, explain
from iip_assets.engine.event_cache import read_cached_events, write_cached_events
from iip_assets.engine.lock import workspace_lock
from iip_assets.engine.outcomes import Outcome, images_of
from iip_assets.engine.plan import Planned, make_plan
from iip_assets.engine.project import EventLog, Project
from iip_assets.engine.reasons import in_words
from iip_assets.engine.staleness import State, find_states

if TYPE_CHECKING:
    import dagster as dg

Tags = Callable[[Mapping[str, State], EventLog, Collection[str]], Mapping[str, str]]


# What Dagster makes of Ctrl-C and SIGTERM.
_STOPPED = ("DagsterExecutionInterruptedError", "KeyboardInterrupt")


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did.

    Attributes:
        computed: Assets whose value was computed, in graph order; not those skipped.
        described: Assets whose value stands, and of which the description or a check was made.
        reused: Assets that needed nothing, and were not skipped.
        images: For assets that work image by image, images computed and reused.
        failed: Asset to error.
        blocked: Asset to the reason why it must not run.
        skipped: Asset to the reason why it cannot be made from this data.
        seconds: How long it took.
        run_id: Dagster's run, if there was one.
        forced: Assets that were computed though their result was recorded, and whether that came
            out equal.
    """

    computed: tuple[str, ...]
    described: tuple[str, ...]
    reused: tuple[str, ...]
    images: Mapping[str, Mapping[str, int]]
    failed: Mapping[str, str]
    blocked: Mapping[str, str]
    skipped: Mapping[str, str]
    seconds: float
    run_id: str | None
    forced: Mapping[str, bool] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The result as `iip refresh --json` prints it."""
        return {
            "computed": list(self.computed),
            "described": list(self.described),
            "reused": list(self.reused),
            "images": {name: dict(counts) for name, counts in self.images.items()},
            "failed": dict(self.failed),
            "blocked": dict(self.blocked),
            "skipped": dict(self.skipped),
            "seconds": round(self.seconds, 3),
            "run_id": self.run_id,
            "forced": {name: "equal" if same else "changed" for name, same in self.forced.items()},
        }


@dataclass
class _Done:
    """What a refresh did so far: outcomes and errors by asset, and its last run."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    run_id: str | None = None


@dataclass
class Refresher:
    """Refreshes one project.

    Attributes:
        project: The project.
        open_instance: Opens Dagster's instance; called only when something is to be done.
        log: Where words for people go.
        tags: Tags of a run, from the states, the event log and what is due.
    """

    project: Project
    open_instance: Callable[[], dg.DagsterInstance]
    log: Callable[[str], None]
    tags: Tags = field(default=lambda states, events, due: {})
    _instance: dg.DagsterInstance | None = field(default=None)

    def states(self) -> dict[str, State]:
        """The state of every asset now; records what the sources hold."""
        return find_states(self.project, self._observed_events())

    def plan(self, only: Collection[str] = (), *, force: Collection[str] = ()) -> list[Planned]:
        """What `refresh` would run, in order.

        Raises:
            KeyError: An asset of that name does not exist.
        """
        self._refuse_unknown([*only, *force])
        states = self.states()
        return make_plan(self.project, self.events(), states, self._due(states, only), force)

    def explain(self, asset: str) -> Explanation:
        """Why an asset is as it is, down to the causes.

        Raises:
            KeyError: An asset of that name does not exist.
        """
        self._refuse_unknown([asset])
        states = self.states()
        return explain(self.project, self.events(), states, asset)

    def refresh(self, only: Collection[str] = (), *, force: Collection[str] = ()) -> Refreshed:
        """Runs what is stale and what lies below it, in this process.

        Args:
            only: Bring just these assets up to date, with what they need; all when empty.
            force: Compute these though a result is recorded, which the new one replaces. What lies
                below runs only where it came out different.

        Raises:
            KeyError: An asset of that name does not exist.
            KeyboardInterrupt: It was stopped; what was computed until then is kept.
        """
        started = time.monotonic()
        self._refuse_unknown([*only, *force])
        # Before waiting for another refresh: code that is edited meanwhile is not what was loaded.
        assets = self.project.graph.assets
        with self.project.code_keys.one_look():
            loaded = {name: self.project.code_of(asset) for name, asset in assets.items()}
        with workspace_lock(self.project.workspace.state, log=self.log, shared=True):
            states = self.states()
            if force or self._due(states, only) or self._instance is not None:
                self._clear_up()
            done = _Done()
            if force:
                above = self._due(states, force)
                chosen = [name for name in states if name in force or name in above]
                self._run(chosen, loaded, states, done, force)
                states = self.states()
            # What has just failed is not tried once more.
            stopped = self.project.graph.below(done.errors)
            due = [name for name in self._due(states, only) if name not in stopped]
            if due:
                self._run(due, loaded, states, done)
            if done.run_id:
                states = self.states()
                write_cached_events(self.project.workspace.state, self.project.graph, self.events())
        wanted = {*self._wanted(states, only), *force}
        seen = {name: state for name, state in states.items() if name in wanted}
        took = time.monotonic() - started
        return summarise(seen, done.outcomes, done.errors, took, done.run_id)

    def _refuse_unknown(self, only: Collection[str]) -> None:
        unknown = set(only) - self.project.graph.assets.keys()
        if unknown:
            raise KeyError(self.project.graph.no_such_asset(sorted(unknown)[0]))

    def _wanted(self, states: Mapping[str, State], only: Collection[str]) -> list[str]:
        wanted = self.project.graph.above(only) if only else set(states)
        return [name for name in states if name in wanted]

    def _due(self, states: Mapping[str, State], only: Collection[str]) -> list[str]:
        """What is due of the wanted assets; of what only feeds them, neither plots nor words."""
        assets = self.project.graph.assets
        return [
            name
            for name in self._wanted(states, only)
            if states[name].value_due
            or (states[name].due and (not only or name in only))
            or (states[name].due and assets[name].blocking_parts & set(states[name].parts))
        ]

    def _run(
        self,
        due: list[str],
        loaded: Mapping[str, object],
        states: Mapping[str, State],
        done: _Done,
        force: Collection[str] = (),
    ) -> None:
        import dagster as dg

        from iip_assets.engine.dagster.graph import REFRESH_JOB, build_dagster_definitions
        from iip_assets.engine.dagster.runs import hold_run_lock

        graph, state = self.project.graph, self.project.workspace.state
        self.log(f"{len(due)} of {len(graph.assets)} assets are due: {', '.join(due)}")
        begun: dict[str, int] = {}

        def watch(asset: str, text: str) -> None:
            place = begun.setdefault(asset, len(begun) + 1)
            self.log(f"[{place}/{len(due)}] {asset}{text and f': {text}'}")

        definitions = build_dagster_definitions(
            self.project, outcomes=done.outcomes, loaded=loaded, force=force, watch=watch
        )
        done.run_id = str(uuid.uuid4())
        # Before Dagster knows of the run: killed at once, it is known to be dead.
        hold_run_lock(state, done.run_id)
        result = definitions.resolve_job_def(REFRESH_JOB).execute_in_process(
            instance=self._dagster(),
            asset_selection=[dg.AssetKey(name) for name in due],
            tags=dict(self.tags(states, self.events(), due)),
            raise_on_error=False,
            run_id=done.run_id,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        for event in result.all_events:
            error = getattr(event.event_specific_data, "error", None)
            if error is not None and error.cls_name in _STOPPED:
                raise KeyboardInterrupt
            if event.is_step_failure:
                done.errors[str(event.step_key)] = root_cause(event.step_failure_data.error)

    def _clear_up(self) -> None:
        """Takes away what killed processes left."""
        from iip_assets.engine.dagster.graph import REFRESH_JOB
        from iip_assets.engine.dagster.runs import runs_under_way

        project = self.project
        sweep_old_writes(project.workspace.state)
        runs_under_way(
            self._dagster(),
            project.workspace.state,
            jobs=[REFRESH_JOB],
            assets=project.graph.assets,
            log=self.log,
        )

    def events(self) -> EventLog:
        """Who materialized what."""
        cached = read_cached_events(self.project.workspace.state, self.project.graph)
        if cached is not None:
            return cached
        from iip_assets.engine.dagster.instance import DagsterEvents

        return DagsterEvents(self._dagster())

    def _observed_events(self) -> EventLog:
        """The event log, after the sources were looked at."""
        graph, root = self.project.graph, self.project.workspace.root
        events = self.events()
        present = {name: source.observe(root) for name, source in graph.sources.items()}
        moved = {
            name: version for name, version in present.items() if events.observed(name) != version
        }
        if moved:
            from iip_assets.engine.dagster.instance import DagsterEvents

            events = DagsterEvents(self._dagster())
            for name, version in moved.items():
                events.observe(name, version)
        return events

    def _dagster(self) -> dg.DagsterInstance:
        if self._instance is None:
            self._instance = self.open_instance()
        return self._instance


def summarise(
    states: Mapping[str, State],
    outcomes: Mapping[str, Outcome],
    errors: Mapping[str, str],
    seconds: float,
    run_id: str | None,
) -> Refreshed:
    """What a refresh did.

    Args:
        states: How the wanted assets stand after it.
        outcomes: What was performed, by asset.
        errors: The errors of steps that failed, by asset.
        seconds: How long it took.
        run_id: Dagster's run, if there was one.
    """
    # One that is not fresh was skipped before, for a reason that may hold no more.
    skipped = {
        name: state.skipped
        for name, state in states.items()
        if state.skipped and state.state == "fresh"
    }
    computed = tuple(
        name
        for name in states
        if name in outcomes and not outcomes[name].reused and name not in skipped
    )
    described = tuple(
        name
        for name in states
        if name in outcomes and outcomes[name].reused and outcomes[name].parts_made
    )
    failed = {
        name: "; ".join(in_words(state.reasons))
        for name, state in states.items()
        if state.state == "failed"
    }
    blocked = {
        name: "; ".join(in_words(state.reasons))
        for name, state in states.items()
        if state.state == "blocked"
    }
    # A step also fails where code moved under it, or Dagster could not take its result; and
    # where its blocking check failed, which is a verdict and leaves the asset fresh.
    failed |= {
        name: error
        for name, error in errors.items()
        if name in states
        and name not in failed | blocked
        # One that was to be computed again keeps its old result and has no outcome.
        and (states[name].due or name not in outcomes)
    }
    reused = tuple(
        name
        for name, state in states.items()
        if name not in {*computed, *described, *failed, *skipped} and state.state == "fresh"
    )
    return Refreshed(
        computed=computed,
        described=described,
        reused=reused,
        images=images_of(outcomes),
        failed=failed,
        blocked=blocked,
        skipped=skipped,
        seconds=seconds,
        run_id=run_id,
        forced={
            name: outcome.same for name, outcome in outcomes.items() if outcome.same is not None
        },
    )


def root_cause(error: Any) -> str:
    """What went wrong in the asset itself, below Dagster's own errors around it."""
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return "unknown error"
    kind, colon, text = " ".join(str(error.message).split()).partition(": ")
    return f"{kind.rpartition('.')[2]}{colon}{text}"
