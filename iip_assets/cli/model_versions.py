"""What `iip models` does: registers what the graph holds, compares versions, moves aliases."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from iip_assets.dataset.schema import CHALLENGE
from iip_assets.embeddings.device import core_count
from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.context import AssetContext
from iip_assets.engine.dagster.refresh import Refresher
from iip_assets.engine.history import Records, data_inputs
from iip_assets.engine.project import EventLog, Project
from iip_assets.engine.values import Skipped
from iip_assets.errors import counted
from iip_assets.images.store import ImageStore
from iip_assets.models.tasks import FILTER, TASKS
from iip_assets.registry.contenders import LEARNED_FROM
from iip_assets.registry.gate import judged_slices, refusal, rules_of, unkept_promises
from iip_assets.registry.registering import Present, promised_serving, register_present
from iip_assets.registry.registry import Registry, RegistryError
from iip_assets.registry.registry_state import Move, RegistryState, Version
from iip_assets.registry.version_comparison import Images, compare_model
from iip_assets.report.blocks import (
    FIGURE,
    NUMBER,
    Column,
    Kind,
    Row,
    Table,
    estimate_column,
    short_number,
    signed,
)
from iip_assets.report.model_card import model_card
from iip_assets.report.text import print_blocks
from iip_assets.robustness.variants import COMPRESSED, models_of
from iip_assets.settings import RemedySettings
from iip_assets.settings_file import Change, write_settings
from iip_assets.training_set.subsets import floors_by_subset

DATA = "dvc_data"


class GateRefusesError(RegistryError):
    """The promotion gate refuses a candidate; the words name the slices."""


def register(refresher: Refresher, model: str, compressed: str = "") -> Version:
    """Brings the model, or a smaller one of it, and its evaluation up to date and registers it.

    A smaller filter is served by the original's threshold; no promise was tested with a smaller
    model, so it makes none.

    Raises:
        RegistryError: There is no such model to register.
    """
    task = TASKS[model]
    smaller = [COMPRESSED[model], "compression_tradeoff"] if compressed else []
    names = [task.asset, task.examples, "validation_card", "model_evaluation", *smaller]
    names += ["fairness_guarantee", *(["filter_verdicts"] if model == FILTER.name else [])]
    _refresh(refresher, names)
    project, events = refresher.project, refresher.events()
    root = project.workspace.root
    settings = project.workspace.read_settings(root)
    files, examples, validation, evaluation = (project.load(one, events) for one in names[:4])
    if isinstance(files, Skipped):
        raise RegistryError(f"there is no {model} to register: {files.reason}")
    serving: dict[str, Any] = {}
    if model == FILTER.name:
        chosen = project.load("filter_verdicts", events)["threshold"].row(0, named=True)
        serving = {"threshold": chosen["threshold"], "usable": list(settings.threshold.usable)}
    promises, metrics = project.load("fairness_guarantee", events), evaluation["metrics"]
    if compressed:
        made, tables = (project.load(one, events) for one in smaller)
        if isinstance(tables, Skipped):
            raise RegistryError(f"there is no {model} {compressed}: {tables.reason}")
        metrics = tables["metrics"].filter(model=model, variant=compressed).drop("variant")
        if metrics.is_empty():
            raise RegistryError(
                f"there is no {model} {compressed}; compression.{model} of iip.toml names "
                f"{', '.join(getattr(settings.compression, model)) or 'none'}"
            )
        files, validation = models_of(made)[compressed], None
        promises = Skipped("of another model")
    serving |= promised_serving(model, promises, settings.guarantee.pixel_class)
    record = project.record(smaller[0] if smaller else task.asset, events)
    assert record is not None  # it was refreshed just now
    present = Present(
        files=files,
        examples=examples,
        metrics=metrics,
        validation=None if isinstance(validation, Skipped) else validation,
        serving=serving,
        record=record,
        data_revision=_data_revision(project, record),
        remedy=remedy_in_words(getattr(settings, f"{model}_remedy")),
    )
    confidence = settings.evaluation.confidence
    return register_present(root, model, present, confidence=confidence, card=model_card)


def remedy_in_words(settings: RemedySettings) -> str:
    """What the model's training did for groups, how strongly and for whom, and why.

    Where there is a reason and no method, the weights of training_set are what was chosen.
    """
    words = "the weights of training_set" if settings.reason else "none"
    if settings.method == "mindiff":
        pairs = (f"{one.axis} {one.group} as {one.other or 'others'}" for one in settings.pairs)
        words = f"mindiff {settings.weight:g}, {', '.join(pairs)}"
    elif settings.method == "rate_constraint":
        floors = floors_by_subset(settings.recall).items()
        asked = (f"{axis} {name} at least {floor:g}" for (axis, name), floor in floors)
        words = f"rate_constraint, {', '.join(asked)}"
    return f"{words}: {settings.reason}" if settings.reason else words


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
        GateRefusesError: It is worse than the champion on a protected slice, could not be held
            against it, or does not keep what iip.toml promises.
        RegistryError: There is no such version, or it has the alias already.
        DamagedVersionError: A file of the version is gone, or is not what was registered.
    """
    registry = Registry(refresher.project.workspace.root)
    registry.version(model, number).files()  # before the gate, which may take minutes
    refused = None
    champion = registry.cached().holder(model, alias) if alias == "champion" else None
    if champion is not None and champion.number != number:
        _refresh(refresher, ["model_versions"])
        tables = refresher.project.load("model_versions", refresher.events())
        refused = refusal(tables["gate"], model, str(number), str(champion.number))
    if alias == "champion":
        workspace = refresher.project.workspace
        settings = workspace.read_settings(workspace.root)
        facts = registry.version(model, number).facts
        asked = (settings.guarantee, settings.threshold.usable)
        unkept = unkept_promises(model, str(number), facts, *asked)
        refused = "; ".join(one for one in (refused, unkept) if one) or None
    if refused is not None and not override:
        raise GateRefusesError(
            f"{refused}. Not promoted. If it must be, say why: --override REASON"
        )
    override = override if refused else None
    return registry.move(model, alias, number, reason=reason, override=override)


def teach(project: Project, model: str, number: int) -> list[Change]:
    """Makes a registered version the teacher of the model that the settings describe.

    Raises:
        RegistryError: There is no such version, or its files are not among the artifacts.
        DamagedVersionError: A file of the version is gone, or is not what was registered.
    """
    data_version = _kept_version(project, model, number, "teach")
    values = {f"{model}.teacher": data_version}
    if model == FILTER.name:
        values["filter.train"] = "network"
    return write_settings(project.workspace.root, values)


def name_baseline(project: Project, model: str, number: int) -> list[Change]:
    """Makes a registered version the one that errors under corruptions are held against.

    Raises:
        RegistryError: There is no such version, or its files are not among the artifacts.
        DamagedVersionError: A file of the version is gone, or is not what was registered.
    """
    data_version = _kept_version(project, model, number, "be a baseline")
    return write_settings(project.workspace.root, {f"robustness.baseline_{model}": data_version})


def met_before(model: str, version: Version, splits: pl.DataFrame) -> str | None:
    """A warning where a version learned from images that stand in test or challenge sets now."""
    learned = pl.col("image_id").is_in(json.loads(version.read(LEARNED_FROM)))
    met = splits.filter(learned & pl.col("split").is_in(["test", CHALLENGE])).height
    return (
        f"{model} {version.number} learned from {counted(met, 'image')} now in test or challenge "
        "sets: what is measured there flatters it, and a student of it"
        if met
        else None
    )


def _kept_version(project: Project, model: str, number: int, purpose: str) -> str:
    """The data version of a registered model whose artifact is kept, as for this purpose."""
    version = Registry(project.workspace.root).version(model, number)
    version.files()
    data_version, asset = str(version.facts["data_version"]), TASKS[model].asset
    if version.facts.get("asset", asset) != asset:
        raise RegistryError(f"{version.name} cannot {purpose}, as it is a smaller model of another")
    if project.workspace.kept(asset, data_version) is None:
        raise RegistryError(
            f"{version.name} cannot {purpose}: its artifact is no longer in this workspace, as "
            "after `make clean`. Compute it again (`iip models list --json` has its commit) and "
            "register"
        )
    return data_version


def compare(
    project: Project,
    events: EventLog,
    before: Version,
    after: Version,
    *,
    log: Callable[[str], None],
) -> pl.DataFrame:
    """Two versions on the same test images: the gate's rows, the first being the champion.

    Raises:
        RegistryError: There are no images to compare them on.
    """
    root, state = project.workspace.root, project.workspace.state
    settings = project.workspace.read_settings(root)
    names = ("held_out_images", "data_splits", "image_slices", "team_slices")
    held_out, splits, slices, regression = (project.load(name, events) for name in names)
    found = compare_model(
        TASKS[before.model],
        RegistryState((replace(before, aliases=("champion",)), replace(after, aliases=()))),
        Skipped("two registered versions are compared"),
        Images(
            held_out.join(splits.select("image_id", "group_id"), on="image_id"),
            judged_slices(slices, regression, settings.release.protected_axes),
            ImageStore.open(root),
            settings.dataset.max_megapixels,
        ),
        rules_of(settings.release, settings.evaluation),
        classes=settings.dataset.mask_classes,
        fill=AssetContext(root, project.code_keys, state, log).fill,
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
        value, low, high = one.facts.get("headline", {}).get("all") or (None, None, None)
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


def print_versions(rows: Sequence[Row]) -> None:
    """A row a version, the deployed ones in bold; it fits a terminal of 80 columns."""
    columns: list[Column | str] = [
        Column("version", lambda row: f"{row['model']} {row['version']}"),
        Column("deployed", lambda row: "\n".join(row["aliases"])),
        Column("registered", lambda row: row["registered_at"].replace("T", "\n")[:16]),
        estimate_column("headline", "headline", ends=short_number),
        Column("data", lambda row: (row["data_revision"] or "")[:8]),
        Column("commit", lambda row: (row["git_commit"] or "")[:8]),
    ]
    print_blocks(Table("", columns, rows, tone=lambda row: "strong" if row["aliases"] else ""))


def print_moves(rows: Sequence[Row]) -> None:
    """A line a move, the oldest first."""

    def reason(row: Row) -> str:
        words = ["rolled back"] if row["back"] else []
        words += [row["reason"]] if row["reason"] else []
        words += [f"past the gate: {row['override']}"] if row["override"] else []
        return "; ".join(words)

    columns: list[Column | str] = [
        Column("when", lambda row: row["at"].replace("T", "\n")[:16]),
        "who",
        "model",
        "alias",
        Column("from", "before"),
        Column("to", "after"),
        Column("reason", reason),
    ]
    print_blocks(Table("", columns, rows))


def print_comparison(slices: pl.DataFrame, differs: Sequence[Row], before: str, after: str) -> None:
    """What differs underneath, then both versions by slice."""

    def short(value: Any) -> str:
        text = "" if value is None else str(value)
        return text if len(text) <= 40 else f"{text[:12]}…"

    made = [Column("made of", "what", Kind(short))]
    made += [Column(side, side, Kind(short)) for side in (before, after)]
    columns: list[Column | str] = [
        Column("slice", slice_name),
        Column(before, "champion_value", NUMBER),
        Column(after, "candidate_value", NUMBER),
        estimate_column("difference", "difference", show=signed),
        Column("p (Holm)", lambda row: "" if row["p_holm"] is None else f"{row['p_holm']:.2g}"),
        Column("n", "n_images", FIGURE),
        Column("", "verdict"),
    ]
    by_slice = Table(
        slices["metric"][0],
        columns,
        slices.to_dicts(),
        tone=lambda row: "bad" if row["verdict"] == "worse" else "",
    )
    print_blocks(Table("", made, differs), by_slice)


def slice_name(row: Row) -> str:
    """The slice of a row of metrics, as a person names it."""
    return "all" if row["axis"] == "overall" else f"{row['axis']} {row['slice']}"
