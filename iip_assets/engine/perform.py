"""Performing an asset: give the recorded results if they are there, compute and record if not."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iip_assets.engine.actions import (
    Action,
    ActionRecord,
    PartRecord,
    check_to_json,
    metadata_to_json,
)
from iip_assets.engine.artifacts import table_shape
from iip_assets.engine.asset import NOTES, Asset, Part
from iip_assets.engine.context import AssetContext
from iip_assets.engine.lock import action_lock, is_under_way, workspace_lock
from iip_assets.engine.machine import machine_with
from iip_assets.engine.outcomes import Outcome, broken_blocking_checks
from iip_assets.engine.pages import publish_page
from iip_assets.engine.project import EventLog, Project
from iip_assets.engine.store_users import join_store
from iip_assets.engine.values import CheckResult, Noted, Skipped
from iip_assets.engine.workspace import flat_settings, setting_json, setting_value

_PACKAGE = Path(__file__).resolve().parents[1]


class MovedMeanwhileError(RuntimeError):
    """Code, settings or inputs changed while an asset was computed; its result is not recorded."""


class BlockedError(RuntimeError):
    """A blocking check above the asset has failed."""


@dataclass(frozen=True)
class Performer:
    """Performs assets of one project; two processes never do the same action at once.

    Attributes:
        project: The project.
        events: Who materialized what.
        log: Where words for people go.
        outcomes: What was performed so far, by asset.
        force: Assets that are computed though their result is recorded, and each image of them; the
            new result takes the place of the old one.
        trial: Whether what comes of it is not what the workspace holds: the pages of reports, the
            failures and what killed runs left behind stay as they are.
        checked: Checks that were made before their asset's turn came.
        loaded: What `Project.code_of` gave for each asset when this process loaded the code; a
            check is made early only where that is the code on disk.
    """

    project: Project
    events: EventLog
    log: Callable[[str], None]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    force: Collection[str] = ()
    trial: bool = False
    checked: set[str] = field(default_factory=set)
    loaded: Mapping[str, object] = field(default_factory=dict)

    def perform(self, asset: Asset[..., Any], *, loaded: object) -> Outcome:
        """Brings the asset up to what its code, settings and inputs say now.

        Args:
            asset: The asset.
            loaded: What `Project.code_of` gave when this process loaded the code.

        Raises:
            MovedMeanwhileError: Code, settings or inputs are not what they were at the start.
            BlockedError: Something above failed a blocking check.
        """
        state, started = self.project.workspace.state, time.monotonic()
        with workspace_lock(state, log=self.log, shared=True):
            self._refuse_blocked(asset)
            action = self._action(asset)
            self._refuse_unloaded(asset, loaded)
            with action_lock(state, asset.name, action.key, log=self.log):
                outcome = self._perform(asset, action, started)
                if not self.trial:
                    publish_page(self.project, outcome.record, self.events)
            self.outcomes[asset.name] = outcome
            return outcome

    def _refuse_unloaded(self, asset: Asset[..., Any], loaded: object) -> None:
        if loaded is not None and self.project.code_of(asset) != loaded:
            raise MovedMeanwhileError(
                f"the code of {asset.name} changed since this process loaded it; "
                "reload the code location, or run again"
            )

    def _perform(self, asset: Asset[..., Any], action: Action, started: float) -> Outcome:
        join_store(self.project.workspace)
        known = self.project.workspace.actions.find(asset.name, action.key)
        force = asset.name in self.force
        reused = known is not None and not force and self.project.workspace.holds(known)
        record = known if known is not None and reused else self._compute(asset, action, started)
        parts, made = self._parts(asset, record)
        self._succeeded(asset.name)
        return Outcome(
            record,
            reused=reused,
            seconds=time.monotonic() - started if reused else record.seconds,
            same=known.data_version == record.data_version if known and force else None,
            parts=parts,
            parts_made=made,
        )

    def _compute(self, asset: Asset[..., Any], action: Action, started: float) -> ActionRecord:
        workspace = self.project.workspace
        commit = workspace.git_commit()
        context = AssetContext(
            workspace.root,
            self.project.code_keys,
            workspace.state,
            self.log,
            lambda: self._refuse_other_code(asset.compute, action),
            force=asset.name in self.force,
            scratch=self._scratch(asset, action),
            provenance={
                "asset": asset.name,
                "action_key": action.key,
                "code_key": action.code.key,
                "git_commit": commit,
                "inputs": dict(action.inputs),
                "sources": {
                    name: self.events.observed(name) for name in self.project.graph.sources
                },
            },
            recorded=self._recorded,
        )
        with self._remembering_failure(action):
            result = self._skipped(asset) or self._call(asset.compute, context, action)
            if not isinstance(result, Noted):
                result = Noted(result, {})
            artifact = workspace.artifacts.put(result.value)
            notes = workspace.artifacts.put(dict(result.notes)) if result.notes else None
        rows, columns = table_shape(result.value)
        record = ActionRecord(
            **_record(action, self._action(asset), started),
            artifact=artifact,
            notes=notes,
            images_computed=context.images_computed,
            images_reused=context.images_reused,
            git_commit=commit,
            features=tuple(context.features),
            skipped=result.value.reason if isinstance(result.value, Skipped) else None,
            rows=rows,
            columns=columns,
            machine=machine_with(self._operations(asset.compute, action)),
        )
        workspace.actions.add(record)
        shutil.rmtree(self._scratch(asset, action), ignore_errors=True)
        return record

    def _parts(
        self, asset: Asset[..., Any], record: ActionRecord
    ) -> tuple[dict[str, PartRecord], tuple[str, ...]]:
        """What describes and checks a value, and which of it was not there already."""
        found, made = {}, []
        for part, action in self.project.part_actions(asset, record):
            if self.trial and part.name not in asset.blocking_parts:
                continue
            known = self.project.workspace.parts.find(part.name, action.key)
            if known is None or asset.name in self.force:
                known = self._make_part(part, action, record)
                made.append(part.name)
            elif part.name in self.checked:
                made.append(part.name)
            self._succeeded(part.name)
            found[part.name] = known
        return found, tuple(made)

    def _make_part(self, part: Part, action: Action, record: ActionRecord) -> PartRecord:
        workspace, started = self.project.workspace, time.monotonic()
        context = AssetContext(workspace.root, self.project.code_keys, workspace.state, self.log)
        with self._remembering_failure(action):
            result = self._call(part, context, action, record)
            if isinstance(result, CheckResult):
                kept = check_to_json(part.name.removeprefix(f"{record.asset}."), result)
            else:
                kept = metadata_to_json(result)
        present = self.project.part_action(part, record)
        made = PartRecord(**_record(action, present, started), result=kept)
        workspace.parts.add(made)
        return made

    @contextmanager
    def _remembering_failure(self, action: Action) -> Iterator[None]:
        try:
            yield
        except MovedMeanwhileError:
            raise
        except Exception as error:
            workspace, failures = self.project.workspace, self.project.workspace.failures
            trace = failures.traceback_file(action.asset).relative_to(workspace.root)
            # An error of the package's own tells in its message what to do.
            if type(error).__module__.partition(".")[0] != _PACKAGE.name:
                where = "" if self.trial else f"; the whole traceback: {trace}"
                # Dagster, the refresh and the alarms show an error with its notes.
                error.add_note(f"(in {_own_frame(error)}{where})")
            if not self.trial:
                notes = getattr(error, "__notes__", ())
                words = " ".join([f"{type(error).__name__}: {error}", *notes])
                whole = "".join(traceback.format_exception(error))
                failures.add(action.asset, action.key, words, trace=whole)
            raise

    def _scratch(self, asset: Asset[..., Any], action: Action) -> Path:
        """The folder in which a killed run of this action left off; other actions' go."""
        scratch = self.project.workspace.state / "scratch" / asset.name
        own = scratch / action.key[:16]
        for folder in scratch.glob("*"):
            others = folder != own and not self.trial
            if (asset.name in self.force and folder == own) or (
                others and not is_under_way(self.project.workspace.state, asset.name, folder.name)
            ):
                shutil.rmtree(folder)
        return own

    def _succeeded(self, name: str) -> None:
        if not self.trial:
            self.project.workspace.failures.clear(name)

    def _refuse_other_code(self, part: Part, action: Action) -> None:
        if self.project.code_keys.of(part.function).key != action.code.key:
            raise MovedMeanwhileError(
                f"the code of {part.name} changed while it ran; run `iip refresh` again"
            )

    def _skipped(self, asset: Asset[..., Any]) -> Skipped | None:
        """The first skipped input that the asset does not accept: its reason is the asset's."""
        for name in asset.inputs:
            above = name in self.project.graph.assets
            record = self.project.record(name, self.events) if above else None
            if record and record.skipped and name not in asset.compute.accepts_skipped:
                return Skipped(record.skipped)
        return None

    def _call(
        self,
        part: Part,
        context: AssetContext,
        action: Action,
        described: ActionRecord | None = None,
    ) -> Any:
        """Loads what a function reads and calls it."""
        settings = self.project.workspace.read_settings(self.project.workspace.root)
        keywords = {name: setting_value(settings, path) for name, path in part.settings.items()}
        if part.context:
            keywords[part.context] = context
        store = self.project.workspace.artifacts
        inputs = [
            store.get(described.artifact)
            if described and name == described.asset
            else self._load(name, action)
            for name in part.inputs
        ]
        if described and part.wants_notes:
            keywords[NOTES] = store.get(described.notes) if described.notes else {}
        return part.function(*inputs, **keywords)

    def _operations(self, part: Part, action: Action) -> dict[str, Any]:
        """The settings that a function read and that are in no key."""
        settings = self.project.workspace.read_settings(self.project.workspace.root)
        read = {
            path: setting_json(setting_value(settings, path)) for path in part.settings.values()
        }
        keyed = flat_settings(action.settings)
        return {path: value for path, value in flat_settings(read).items() if path not in keyed}

    def _recorded(self, asset: str, data_version: str) -> Any:
        workspace = self.project.workspace
        record = workspace.kept(asset, data_version)
        if record is None:
            raise LookupError(
                f"no value of {asset} of the data version {data_version!r} is kept in this "
                "workspace"
            )
        return workspace.artifacts.get(record.artifact)

    def _load(self, name: str, action: Action) -> Any:
        source = self.project.graph.sources.get(name)
        if source is not None:
            # What others observe meanwhile does not matter.
            return source.load(self.project.workspace.root, action.inputs[name])
        record = self.project.record(name, self.events)
        if record is None or record.data_version != action.inputs[name]:
            return self._recorded(name, action.inputs[name])
        return self.project.workspace.artifacts.get(record.artifact)

    def _action(self, asset: Asset[..., Any]) -> Action:
        return self.project.action(asset, self._version)

    def _version(self, name: str) -> str:
        """The present data version of an input; a source is looked at again."""
        source = self.project.graph.sources.get(name)
        if source is not None:
            present = source.observe(self.project.workspace.root)
            if present != self.events.observed(name):
                self.events.observe(name, present)
            return present
        latest = self.events.materialized(name)
        if latest is None:
            raise LookupError(f"the input {name} has no value yet; run `iip refresh`")
        return latest.data_version

    def _refuse_blocked(self, asset: Asset[..., Any]) -> None:
        for name in self.project.graph.above(asset.inputs):
            above = self.project.graph.assets.get(name)
            if above is None or not above.blocking:
                continue
            broken = broken_blocking_checks(above, self._verdicts(above))
            if broken:
                raise BlockedError(
                    f"{asset.name} is blocked: the check {broken[0]} of {name} failed; "
                    "fix the data or the check, then run `iip refresh`"
                )

    def _verdicts(self, asset: Asset[..., Any]) -> Iterator[PartRecord]:
        """What the blocking checks of an asset say by their present code and settings.

        A check that is due runs here: nothing else puts it before what lies further below.
        """
        outcome = self.outcomes.get(asset.name)
        record = outcome.record if outcome else self.project.record(asset.name, self.events)
        for part, action in self.project.part_actions(asset, record) if record else ():
            if record and part.name in asset.blocking_parts:
                with action_lock(self.project.workspace.state, part.name, action.key, log=self.log):
                    known = self.project.workspace.parts.find(part.name, action.key)
                    if known is None:
                        self._refuse_unloaded(asset, self.loaded.get(asset.name))
                        known = self._make_part(part, action, record)
                        self.checked.add(part.name)
                    yield known


def _own_frame(error: Exception) -> str:
    """The last place in the package's own code that an error came through, for people."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        one
        for one in frames
        if Path(one.filename).is_relative_to(_PACKAGE) and one.filename != __file__
    ]
    frame = (own or frames)[-1]
    file = Path(frame.filename)
    shown = file.relative_to(_PACKAGE.parent) if own else file
    return f"{frame.name}, {shown.as_posix()}:{frame.lineno}"


def _record(action: Action, present: Action, started: float) -> dict[str, Any]:
    """The fields of `Record` of an action that has just been done.

    Args:
        action: What was done.
        present: What would be done now.
        started: When it began, by the monotonic clock.

    Raises:
        MovedMeanwhileError: The two differ.
    """
    if present.key != action.key:
        raise MovedMeanwhileError(
            f"the code, settings or inputs of {action.asset} changed while it ran; "
            "its result was not kept: run `iip refresh` again"
        )
    return {
        "action_key": action.key,
        "asset": action.asset,
        "code_key": action.code.key,
        "modules": action.code.modules,
        "packages": action.code.packages,
        "settings": action.settings,
        "inputs": action.inputs,
        "seconds": round(time.monotonic() - started, 3),
        "made_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
