"""Performing an action: give the recorded result if there is one, compute and record it if not."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iip_assets.engine.actions import (
    Action,
    ActionRecord,
    check_to_json,
    metadata_to_json,
)
from iip_assets.engine.asset import Asset
from iip_assets.engine.atomic import write_text_whole
from iip_assets.engine.lock import workspace_lock
from iip_assets.engine.project import Ledger, Project
from iip_assets.engine.values import Check, Result, Skipped
from iip_assets.engine.context import AssetContext
from iip_assets.engine.workspace import setting_value


class MovedMeanwhileError(RuntimeError):
    """Code, settings or inputs changed while an asset was computed; its result is not recorded."""


class BlockedError(RuntimeError):
    """A blocking check above the asset has failed."""


@dataclass(frozen=True)
class Outcome:
    """What came of performing an asset.

    Attributes:
        record: Its record.
        reused: Whether that was there already.
        seconds: How long it took.
        same: Where it was done anew: whether it gave what was recorded before.
    """

    record: ActionRecord
    reused: bool
    seconds: float
    same: bool | None = None


@dataclass(frozen=True)
class Performer:
    """Performs assets of one project, one at a time in the whole workspace.

    Attributes:
        project: The project.
        ledger: Who materialized what.
        say: Where words for people go.
        outcomes: What was performed so far, by asset.
        anew: Assets that are computed though their result is recorded, and each image of them; the
            new result takes the place of the old one.
        aside: Whether what comes of it is not what the workspace holds: the pages of reports, the
            failures and what killed runs left behind stay as they are.
    """

    project: Project
    ledger: Ledger
    say: Callable[[str], None]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    anew: Collection[str] = ()
    aside: bool = False

    def perform(self, asset: Asset[..., Any], *, loaded: object) -> Outcome:
        """Brings the asset up to what its code, settings and inputs say now.

        Args:
            asset: The asset.
            loaded: What `Project.code_of` gave when this process loaded the code.

        Raises:
            MovedMeanwhileError: Code, settings or inputs are not what they were at the start.
            BlockedError: Something above failed a blocking check.
        """
        workspace = self.project.workspace
        with workspace_lock(workspace.state, say=self.say):
            started = time.monotonic()
            self._refuse_blocked(asset)
            action = self._action(asset)
            if self.project.code_of(asset) != loaded:
                raise MovedMeanwhileError(
                    f"the code of {asset.name} changed since this process loaded it; "
                    "reload the code location, or run again"
                )
            known = workspace.actions.find(asset.name, action.key)
            anew = asset.name in self.anew
            if known is not None and not anew and workspace.artifacts.has(known.artifact):
                self._succeeded(asset)
                outcome = Outcome(known, reused=True, seconds=time.monotonic() - started)
            else:
                record = self._compute(asset, action, started)
                same = known.data_version == record.data_version if known and anew else None
                outcome = Outcome(record, reused=False, seconds=record.seconds, same=same)
            if not self.aside:
                self._publish(outcome.record)
            self.outcomes[asset.name] = outcome
            return outcome

    def _publish(self, record: ActionRecord) -> None:
        """Puts a report's page where people find it, and takes away one that holds no more."""
        page = report_page(self.project.workspace.state, record.asset)
        if record.artifact.kind != "report":
            page.unlink(missing_ok=True)
            return
        html = self.project.workspace.artifacts.get(record.artifact).html
        write_text_whole(page, html)

    def _compute(self, asset: Asset[..., Any], action: Action, started: float) -> ActionRecord:
        workspace = self.project.workspace
        commit = workspace.git_commit()
        work = AssetContext(
            workspace.root,
            self.project.code_keys,
            workspace.state,
            self.say,
            lambda: self._refuse_other_code(asset, action),
            anew=asset.name in self.anew,
            scratch=self._scratch(asset, action),
            provenance={
                "asset": asset.name,
                "action_key": action.key,
                "code_key": action.code.key,
                "git_commit": commit,
                "inputs": dict(action.inputs),
                "sources": {
                    name: self.ledger.observed(name) for name in self.project.graph.sources
                },
            },
            recorded=self._recorded,
        )
        try:
            result = self._call(asset, work, action)
            if not isinstance(result, Result):
                result = Result(result)
            checks = _checks_of(asset, result)
            artifact = workspace.artifacts.put(result.value)
        except MovedMeanwhileError:
            raise
        except Exception as error:
            if not self.aside:
                workspace.failures.add(asset.name, action.key, f"{type(error).__name__}: {error}")
            raise
        if self._action(asset).key != action.key:
            raise MovedMeanwhileError(
                f"the code, settings or inputs of {asset.name} changed while it ran; "
                "its result was not kept: run `iip refresh` again"
            )
        metadata = metadata_to_json(result.metadata)
        if isinstance(result.value, Skipped):
            metadata["skipped"] = {"kind": "json", "value": result.value.reason}
        record = ActionRecord(
            action_key=action.key,
            asset=asset.name,
            code_key=action.code.key,
            modules=action.code.modules,
            packages=action.code.packages,
            settings=action.settings,
            inputs=action.inputs,
            artifact=artifact,
            metadata=metadata,
            checks=tuple(check_to_json(check) for check in checks),
            images_computed=work.images_computed,
            images_reused=work.images_reused,
            seconds=round(time.monotonic() - started, 3),
            git_commit=commit,
            made_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            features=tuple(work.features),
        )
        workspace.actions.add(record)
        self._succeeded(asset)
        shutil.rmtree(self._scratch(asset, action), ignore_errors=True)
        return record

    def _scratch(self, asset: Asset[..., Any], action: Action) -> Path:
        """The folder in which a killed run of this action left off; other actions' go."""
        workshop = self.project.workspace.state / "scratch" / asset.name
        own = workshop / action.key[:16]
        for folder in workshop.glob("*"):
            if asset.name in self.anew or (folder != own and not self.aside):
                shutil.rmtree(folder)
        return own

    def _succeeded(self, asset: Asset[..., Any]) -> None:
        if not self.aside:
            self.project.workspace.failures.clear(asset.name)

    def _refuse_other_code(self, asset: Asset[..., Any], action: Action) -> None:
        if self.project.code_keys.of(asset.function).key != action.code.key:
            raise MovedMeanwhileError(
                f"the code of {asset.name} changed while it ran; run `iip refresh` again"
            )

    def _call(self, asset: Asset[..., Any], work: AssetContext, action: Action) -> Any:
        """Loads what the asset reads and calls its function; a skipped input may skip it."""
        for name in asset.inputs:
            record = (
                self.project.record(name, self.ledger)
                if name in self.project.graph.assets
                else None
            )
            if record and record.skipped and name not in asset.accepts_skipped:
                return Skipped(_because(name, record.skipped))
        settings = self.project.workspace.read_settings(self.project.workspace.root)
        paths = {**asset.settings, **asset.unkeyed}
        keywords = {name: setting_value(settings, path) for name, path in paths.items()}
        if asset.work:
            keywords[asset.work] = work
        inputs = [self._load(name, action) for name in asset.inputs]
        return asset.function(*inputs, **keywords)

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
        return self.project.load(name, self.ledger)

    def _action(self, asset: Asset[..., Any]) -> Action:
        return self.project.action(asset, self._version)

    def _version(self, name: str) -> str:
        """The present data version of an input; a source is looked at anew."""
        source = self.project.graph.sources.get(name)
        if source is not None:
            present = source.observe(self.project.workspace.root)
            if present != self.ledger.observed(name):
                self.ledger.observe(name, present)
            return present
        latest = self.ledger.materialized(name)
        if latest is None:
            raise LookupError(f"the input {name} has no value yet; run `iip refresh`")
        return latest.data_version

    def _refuse_blocked(self, asset: Asset[..., Any]) -> None:
        for name in self.project.graph.above(asset.inputs):
            above = self.project.graph.assets.get(name)
            record = self.project.record(name, self.ledger) if above and above.blocking else None
            broken = broken_blocking_checks(above, record) if above and record else []
            if broken:
                raise BlockedError(
                    f"{asset.name} is blocked: the check {broken[0]} of {name} failed; "
                    "mend the data or the check, then run `iip refresh`"
                )


def report_page(state: Path, asset: str) -> Path:
    """Where the page of a report asset lies."""
    return state / "reports" / f"{asset}.html"


def broken_blocking_checks(asset: Asset[..., Any], record: ActionRecord) -> list[str]:
    """Names of the blocking checks that failed in this record."""
    return [
        str(check["name"])
        for check in record.checks
        if check["name"] in asset.blocking and not check["passed"] and check["severity"] == "error"
    ]


def _checks_of(asset: Asset[..., Any], result: Result[Any]) -> list[Check]:
    """The result's checks, one for each of the asset's specs.

    Raises:
        ValueError: A spec was left without a result, or a result has no spec.
    """
    promised = {spec.name for spec in asset.checks}
    if isinstance(result.value, Skipped) and not result.checks:
        return [
            Check(name, passed=True, description="nothing to judge: skipped") for name in promised
        ]
    given = {check.name for check in result.checks}
    if given != promised:
        raise ValueError(
            f"{asset.name} promises the checks {sorted(promised)} and returned {sorted(given)}; "
            "they must match"
        )
    return list(result.checks)


def _because(name: str, reason: str) -> str:
    return reason if reason.startswith("no ") else f"{name} was skipped: {reason}"


def images_of(outcomes: Mapping[str, Outcome]) -> dict[str, dict[str, int]]:
    """Images computed and images reused by each performed asset that works image by image."""
    counts = {}
    for name, outcome in outcomes.items():
        computed, reused = outcome.record.images_computed, outcome.record.images_reused
        if computed + reused:
            new = 0 if outcome.reused else computed
            counts[name] = {"computed": new, "reused": computed + reused - new}
    return counts
