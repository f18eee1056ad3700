"""What `iip models` does: registers what the graph holds, compares versions, moves aliases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from iip_assets.embeddings.device import core_count
from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.context import AssetContext
from iip_assets.engine.dagster.refresh import Refresher
from iip_assets.engine.history import Records, data_inputs
from iip_assets.engine.project import Ledger, Project
from iip_assets.engine.values import Skipped
from iip_assets.images.store import ImageStore
from iip_assets.models.tasks import FILTER, TASKS
from iip_assets.registry.gate import refusal, rules_of
from iip_assets.registry.registering import (
    Present,
    register_present,
)
from iip_assets.registry.registry import Registry, RegistryError
from iip_assets.registry.registry_state import (
    Move,
    RegistryState,
    Version,
)
from iip_assets.registry.version_comparison import Images, compare_model
from iip_assets.report.model_card import model_card
from iip_assets.settings_file import Change, write_settings

DATA = "dvc_data"


class GateRefusesError(RegistryError):
    """The promotion gate refuses a candidate; the words name the slices."""


def register(refresher: Refresher, model: str) -> Version:
    """Brings the model and its evaluation up to date and registers it.

    Raises:
        RegistryError: There is no such model to register.
    """
    names = [TASKS[model].asset, TASKS[model].examples, "validation_card", "model_evaluation"]
    if model == FILTER.name:
        names.append("filter_verdicts")
    _refresh(refresher, names)
    project, ledger = refresher.project, refresher.ledger()
    files = project.load(TASKS[model].asset, ledger)
    if isinstance(files, Skipped):
        raise RegistryError(f"there is no {model} to register: {files.reason}")
    serving: dict[str, Any] = {}
    if model == FILTER.name:
        chosen = project.load("filter_verdicts", ledger)["threshold"].row(0, named=True)
        usable = project.workspace.read_settings(project.workspace.root).threshold.usable
        serving = {"threshold": chosen["threshold"], "usable": list(usable)}
    settings = project.workspace.read_settings(project.workspace.root)
    validation = project.load("validation_card", ledger)
    record = project.record(TASKS[model].asset, ledger)
    assert record is not None  # it was refreshed just now
    return register_present(
        project.workspace.root,
        model,
        Present(
            files=files,
            examples=project.load(TASKS[model].examples, ledger),
            metrics=project.load("model_evaluation", ledger)["metrics"],
            validation=None if isinstance(validation, Skipped) else validation,
            serving=serving,
            record=record,
            data_revision=_data_revision(project, record),
        ),
        confidence=settings.evaluation.confidence,
        card=model_card,
    )


def promote(
    refresher: Refresher,
    model: str,
    number: int,
    *,
    alias: str,
    reason: str,
    override: str | None = None,
) -> Move:
    """Moves an alias to a version; a champion must pass the gate, or be let past it by name.

    Raises:
        GateRefusesError: It is worse than the champion on a protected slice, or could not be held
            against it.
        RegistryError: There is no such version, or it has the alias already.
    """
    root = refresher.project.workspace.root
    registry = Registry(root)
    registry.version(model, number)
    refused = None
    champion = registry.cached().holder(model, alias) if alias == "champion" else None
    if champion is not None and champion.number != number:
        _refresh(refresher, ["model_versions"])
        tables = refresher.project.load("model_versions", refresher.ledger())
        refused = refusal(tables["gate"], model, str(number), str(champion.number))
        if refused is not None and not override:
            raise GateRefusesError(
                f"{refused}. Not promoted. If it must be, say why: --override REASON"
            )
    return registry.move(
        model, alias, number, reason=reason, override=override if refused else None
    )


def teach(project: Project, model: str, number: int) -> list[Change]:
    """Makes a registered version the teacher of the model that the settings describe.

    Raises:
        RegistryError: There is no such version, or its files are not among the artifacts.
    """
    version = Registry(project.workspace.root).version(model, number)
    data_version = version.facts["data_version"]
    if project.workspace.kept(TASKS[model].asset, data_version) is None:
        raise RegistryError(
            f"{version.name} cannot teach: its artifact is no longer in this workspace, as after "
            "`make clean`. Compute it again (`iip models list --json` has its commit) and register"
        )
    values = {f"{model}.teacher": data_version}
    if model == FILTER.name:
        values["filter.train"] = "network"
    return write_settings(project.workspace.root, values)


def compare(
    project: Project, ledger: Ledger, before: Version, after: Version, *, log: Any
) -> pl.DataFrame:
    """Two versions on the same test images: the gate's rows, the first being the champion.

    Raises:
        RegistryError: There are no images to compare them on.
    """
    settings = project.workspace.read_settings(project.workspace.root)
    alone = RegistryState((replace(before, aliases=("champion",)), replace(after, aliases=())))
    held_out = project.load("held_out_images", ledger)
    splits = project.load("data_splits", ledger)
    slices = project.load("image_slices", ledger)
    found = compare_model(
        TASKS[before.model],
        alone,
        Skipped("two registered versions are compared"),
        Images(
            held_out.join(splits.select("image_id", "group_id"), on="image_id"),
            slices.filter(pl.col("axis").is_in(settings.release.protected_axes)),
            ImageStore.open(project.workspace.root),
            settings.dataset.max_megapixels,
        ),
        rules_of(settings.release, settings.evaluation),
        classes=settings.dataset.mask_classes,
        fill=_work(project, log).fill,
        threads=core_count(settings.compute.threads),
        chunk=128,
    )
    if not found.gate:
        reasons = "; ".join(f"{row['version']}: {row['reason']}" for row in found.left_out)
        raise RegistryError(
            reasons or "there is no test image that neither was trained or chosen on"
        )
    return found.gate[0]


def version_rows(versions: Sequence[Version]) -> list[dict[str, Any]]:
    """Versions as `iip models list` shows them."""
    rows = []
    for one in versions:
        value, low, high = _headline(one.facts)
        rows.append(
            {
                "model": one.model,
                "version": one.number,
                "aliases": list(one.aliases),
                "registered_at": one.registered_at.isoformat(timespec="seconds"),
                "data_revision": one.facts.get("data_revision"),
                "git_commit": one.facts.get("git_commit"),
                "code_key": one.facts.get("code_key"),
                "headline": value,
                "low": low,
                "high": high,
                "digest": one.digest,
                "folder": str(one.folder),
            }
        )
    return rows


def move_rows(moves: Sequence[Move]) -> list[dict[str, Any]]:
    """Moves as `iip models list --history` shows them."""
    return [{**vars(one), "at": one.at.isoformat(timespec="seconds")} for one in moves]


def _headline(facts: Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
    found = facts.get("headline", {}).get("all")
    return (found[0], found[1], found[2]) if found else (None, None, None)


def _data_revision(project: Project, record: ActionRecord) -> str:
    """The version of the data that a model was made of."""
    lineage = Records(project.workspace.actions).lineage(record).values()
    inputs = [pair for one in lineage for pair in data_inputs(one)]
    return next((version for name, version in inputs if name == DATA), "")


def _refresh(refresher: Refresher, names: Sequence[str]) -> None:
    result = refresher.refresh(names)
    if result.failed:
        raise RegistryError(
            f"{', '.join(result.failed)} failed; `iip status` says why. Nothing was changed"
        )
    for name in names:
        if name in result.blocked:
            raise RegistryError(f"{name} must not run: {result.blocked[name]}. Nothing was changed")


def _work(project: Project, log: Any) -> AssetContext:
    return AssetContext(project.workspace.root, project.code_keys, project.workspace.state, log)
