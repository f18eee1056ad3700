"""What `iip models test` does: a registered version on what other workspaces have computed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from iip_assets.cli.model_versions import DATA, slice_name
from iip_assets.embeddings.device import core_count
from iip_assets.engine.context import AssetContext
from iip_assets.engine.event_cache import present_events
from iip_assets.engine.project import EventLog, Project
from iip_assets.engine.values import Skipped
from iip_assets.evaluation.evaluation import metrics_table
from iip_assets.graph import build_project
from iip_assets.images.store import ImageStore
from iip_assets.metrics.names import spelled
from iip_assets.metrics.scores import Gate
from iip_assets.models.tasks import FILTER
from iip_assets.registry.contenders import contenders_of, threshold_of
from iip_assets.registry.cross_dataset import (
    LEFT_OUT,
    Learned,
    OtherSet,
    Split,
    Unseen,
    UntestableError,
    check_classes,
    embeddings_for,
    scored_filter_on,
    shown_metrics,
    unseen,
)
from iip_assets.registry.registry_state import RegistryState, Version
from iip_assets.registry.version_comparison import Asking, scored_by
from iip_assets.report.blocks import FIGURE, Column, Row, Table, over_interval, short_number
from iip_assets.report.text import print_blocks, print_text
from iip_assets.settings import Settings
from iip_assets.settings_file import read_settings
from iip_assets.where import NoWorkspaceError

# Images that a killed run may have to look at again.
_CHUNK = 128


@dataclass(frozen=True)
class Tested:
    """A version on one set.

    Attributes:
        name: What the set is called.
        folder: The set's workspace.
        data_revision: Of the set's data, as it was computed.
        moved: Whether the set's data have changed since.
        unseen: The images that tested it.
        seen_as: `embeddings` or `images`.
        mask_classes: Of the set.
        metrics: In `METRICS_SCHEMA`.
    """

    name: str
    folder: Path
    data_revision: str
    moved: bool
    unseen: Unseen
    seen_as: str
    mask_classes: tuple[str, ...]
    metrics: pl.DataFrame


def check_on(
    project: Project,
    events: EventLog,
    version: Version,
    folders: Sequence[Path],
    *,
    split: Split,
    log: Callable[[str], None],
) -> list[Tested]:
    """The version on each of these workspaces, judged by the settings of its own one.

    Args:
        project: Of the version's own workspace, whose feature tables keep what it says.
        events: Of the same.
        version: A registered version.
        folders: Other workspaces, or this one.
        split: Their test images, or all.
        log: Where words for people go.

    Raises:
        NoWorkspaceError: A folder is none.
        LookupError: Something that is needed was not computed there.
        UntestableError: Its truth is of other classes, or no image is left to test on.
    """
    learned = learned_by(project, events, version)
    root, state = project.workspace.root, project.workspace.state
    fill = AssetContext(root, project.code_keys, state, log).fill
    own = read_settings(root)
    return [
        _on_one(version, _Workspace.open(folder), name, learned, own, split=split, fill=fill)
        for folder, name in zip(folders, _names(folders), strict=True)
    ]


def learned_by(project: Project, events: EventLog, version: Version) -> Learned:
    """What a version learned from, with what its own workspace knows of it."""
    (one,) = contenders_of(version.model, RegistryState((version,)), Skipped(""))
    ids = pl.col("image_id").is_in(sorted(one.learned_from))
    images = project.load("raw_dataset", events)["images"].filter(ids)
    fingerprints = project.load("image_fingerprints", events).filter(ids)
    return Learned(
        frozenset(one.learned_from),
        fingerprints["phash"].drop_nulls().to_list(),
        frozenset(images["subject_id"].drop_nulls()),
    )


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' own names; their whole paths where two are called alike."""
    roots = [folder.resolve() for folder in folders]
    if len(set(roots)) < len(roots):
        raise ValueError("the same workspace was named twice; name each once")
    names = [root.name for root in roots]
    return [
        name if names.count(name) == 1 else str(root)
        for name, root in zip(names, roots, strict=True)
    ]


@dataclass(frozen=True)
class _Workspace:
    """Some workspace, as it was computed; `folder` as it was typed."""

    folder: Path
    root: Path
    settings: Settings
    project: Project
    events: EventLog

    @classmethod
    def open(cls, folder: Path) -> _Workspace:
        root = folder.resolve()
        if not (root / "iip.toml").is_file():
            raise NoWorkspaceError(
                f"{folder} is no workspace (no iip.toml in it): name the folder of one, or make it "
                f"one with `iip init {folder}`"
            )
        project = build_project(root)
        # A look must not make Dagster's home in a folder that is somebody else's.
        if not project.workspace.dagster_home.is_dir():
            raise LookupError(f"{folder}: nothing was computed there yet; run `iip refresh` in it")
        return cls(folder, root, read_settings(root), project, present_events(project))

    def load(self, name: str) -> Any:
        try:
            value = self.project.load(name, self.events)
        except LookupError as error:
            raise LookupError(f"{self.folder}: {error} there") from None
        if isinstance(value, Skipped):
            raise LookupError(f"{self.folder}: {name} was skipped there: {value.reason}")
        return value

    def data_revision(self) -> str:
        record = self.project.record("raw_dataset", self.events)
        assert record is not None  # its value was read just now
        return record.inputs[DATA]

    def labelled_set(self, *, with_embeddings: bool) -> OtherSet:
        images = self.load("raw_dataset")["images"]
        fingerprints, splits = self.load("image_fingerprints"), self.load("data_splits")
        slices = self.load("image_slices")
        dealt = (
            splits.join(images.select("image_id", "label", "mask_id", "subject_id"), on="image_id")
            .join(fingerprints.select("image_id", "phash"), on="image_id")
            .with_columns(mask_id=pl.when("has_mask").then("mask_id"))
        )
        embeddings, backbone = None, None
        made = ("embedding_backbone", "image_embeddings")
        if with_embeddings and all(self.project.record(name, self.events) for name in made):
            backbone_files, embeddings = map(self.load, made)
            backbone = json.loads(backbone_files.parts["card.json"])
        return OtherSet(
            images=dealt,
            slices=slices.filter(pl.col("axis").is_in(self.settings.slices.axes)),
            mask_classes=self.settings.dataset.mask_classes,
            near_duplicate_bits=self.settings.dataset.near_duplicate_bits,
            embeddings=embeddings,
            backbone=backbone,
        )


def _on_one(
    version: Version,
    there: _Workspace,
    name: str,
    learned: Learned,
    own: Settings,
    *,
    split: Split,
    fill: Callable[..., Any],
) -> Tested:
    files = version.files()
    (one,) = contenders_of(version.model, RegistryState((version,)), Skipped(""))
    one = replace(one, files=lambda: files)
    is_filter = version.model == FILTER.name
    other = there.labelled_set(with_embeddings=is_filter)
    try:
        check_classes(one, other)
    except UntestableError as error:
        raise UntestableError(f"{there.folder}: {error}") from None
    found = unseen(version.model, other, learned, split=split)
    if found.images.is_empty():
        raise UntestableError(f"{there.folder}: {_nothing_left(version, found, split)}")
    store, megapixels = ImageStore.open(there.root), there.settings.dataset.max_megapixels
    asking = Asking(store, megapixels, fill, core_count(own.compute.threads), _CHUNK)
    embeddings = None
    if is_filter:
        threshold, usable = threshold_of(version.facts)
        embeddings = embeddings_for(one, other, found.images)
        gate = Gate(usable, own.threshold.lost_iris_cost, own.threshold.failed_segmentation_cost)
        scored = scored_filter_on(
            one, found.images, embeddings, asking, threshold=threshold, gate=gate
        )
    else:
        scored = scored_by(one, found.images, asking, classes=other.mask_classes)
    revision = there.data_revision()
    return Tested(
        name=name,
        folder=there.root,
        data_revision=revision,
        moved=there.project.graph.sources[DATA].observe(there.root) != revision,
        unseen=found,
        seen_as="images" if embeddings is None else "embeddings",
        mask_classes=other.mask_classes,
        metrics=metrics_table(version.model, scored, other.slices, own.evaluation),
    )


def _nothing_left(version: Version, found: Unseen, split: Split) -> str:
    what = "label of full, partial or none" if version.model == FILTER.name else "valid mask"
    which = "test image" if split == "test" else "image"
    total = sum(found.left_out.values())
    if not total:
        return f"no {which} there has a {what}"
    counts = _left_out(found.left_out)
    return f"all {total} {which}s with a {what} are left out for {version.name}: {counts}"


def _left_out(counts: Mapping[str, int]) -> str:
    """How many images were left out and why; empty where none was."""
    return ", ".join(f"{count} {LEFT_OUT[reason]}" for reason, count in counts.items() if count)


def as_json(version: Version, tests: Sequence[Tested], *, split: Split) -> dict[str, Any]:
    """As `iip models test --json` prints it."""
    return {
        "model": version.model,
        "version": version.number,
        "digest": version.digest,
        "threshold": version.facts.get("threshold"),
        "split": split,
        "sets": [
            {
                "set": one.name,
                "folder": str(one.folder),
                "data_revision": one.data_revision,
                "data_moved": one.moved,
                "n_images": one.unseen.images.height,
                "n_subjects": one.unseen.images["group_id"].n_unique(),
                "left_out": dict(one.unseen.left_out),
                "namesakes": one.unseen.namesakes,
                "seen_as": one.seen_as,
            }
            for one in tests
        ],
        "metrics": metrics_of_all(tests).to_dicts(),
    }


def metrics_of_all(tests: Sequence[Tested]) -> pl.DataFrame:
    """The metrics of all sets in one table, with the column `set`."""
    return pl.concat(one.metrics.select(pl.lit(one.name).alias("set"), pl.all()) for one in tests)


def print_tests(version: Version, tests: Sequence[Tested], *, split: Split) -> None:
    """A version on one set by slice; on several, a column a set."""
    for one in tests:
        print_text(_tested_on(version, one, split))
    shown = shown_metrics(version.model, tests[0].mask_classes)
    metrics = [one.metrics for one in tests]
    if len(tests) == 1:
        print_blocks(_by_slice(metrics[0], shown))
        return
    overall = [{"": spelled(one), **_by_set(metrics, one, "overall", "all")} for one in shown]
    sizes = [one.unseen.images for one in tests]
    overall.append({"": "images"} | {f"value {i}": f"{one.height}" for i, one in enumerate(sizes)})
    subjects = {f"value {i}": f"{one['group_id'].n_unique()}" for i, one in enumerate(sizes)}
    overall.append({"": "subjects"} | subjects)
    places = pl.concat(one.select("axis", "slice") for one in metrics).unique()
    slices = places.filter(pl.col("axis") != "overall").sort("axis", "slice").iter_rows()
    by_slice = [{"": " ".join(place), **_by_set(metrics, shown[0], *place)} for place in slices]
    values = [Column(one.name, f"value {i}", FIGURE) for i, one in enumerate(tests)]
    with_sizes = [c for i, one in enumerate(values) for c in (one, Column("n", f"n {i}"))]
    print_blocks(
        Table("", [Column("all images", ""), *values], overall),
        Table(spelled(shown[0]), [Column("slice", ""), *with_sizes], by_slice),
    )


def _tested_on(version: Version, one: Tested, split: Split) -> str:
    """On what a version was tested, and on what it was not."""
    images = one.unseen.images
    words = [
        f"{version.name} on {one.name}: {images.height} "
        f"{'test images' if split == 'test' else 'images'} (subjects: "
        f"{images['group_id'].n_unique()}), by their {one.seen_as}"
    ]
    if version.model == FILTER.name:
        threshold, usable = threshold_of(version.facts)
        words.append(f"what is {' or '.join(usable)} passes from {threshold:.2f} on")
    if left_out := _left_out(one.unseen.left_out):
        words.append(f"left out are {left_out}")
    if one.unseen.namesakes:
        words.append(
            f"{one.unseen.namesakes} subjects have the name of one that it learned from; if they "
            "are the same people, the numbers flatter it"
        )
    if one.moved:
        words.append("its data have changed since they were computed; `iip refresh` there")
    return "\n  ".join(words)


def _by_slice(metrics: pl.DataFrame, shown: Sequence[str]) -> Table:
    rows = []
    for axis, name in metrics.select("axis", "slice").unique(maintain_order=True).iter_rows():
        found = {metric: _row(metrics, metric, axis, name) for metric in shown}
        known = next(row for row in found.values() if row is not None)
        rows.append({**known, **{metric: _estimate(row) for metric, row in found.items()}})
    columns = [
        Column("slice", slice_name),
        *(Column(spelled(metric), metric, FIGURE) for metric in shown),
        Column("n", _size),
        Column("subjects", "n_subjects", FIGURE),
    ]
    return Table("", columns, rows, tone=lambda row: "" if row["enough"] else "soft")


def _by_set(tables: Iterable[pl.DataFrame], metric: str, axis: str, name: str) -> dict[str, str]:
    """The value of each set and its size, by the set's place: two sets may have one name."""
    cells: dict[str, str] = {}
    for place, table in enumerate(tables):
        row = _row(table, metric, axis, name)
        cells |= {f"value {place}": _estimate(row), f"n {place}": _size(row)}
    return cells


def _row(metrics: pl.DataFrame, metric: str, axis: str, name: str) -> dict[str, Any] | None:
    found = metrics.filter(metric=metric, axis=axis, slice=name)
    return found.row(0, named=True) if found.height else None


def _estimate(row: Row | None) -> str:
    if row is None:
        return ""
    return over_interval(row["value"], row["low"], row["high"], ends=short_number)


def _size(row: Row | None) -> str:
    if row is None:
        return "0"
    return str(row["n_images"]) if row["enough"] else f"{row['n_images']}, too small"
