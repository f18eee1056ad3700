"""What `iip models test` does: a registered version on what other workspaces have computed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from iip_assets.embeddings.device import core_count
from iip_assets.engine.context import AssetContext
from iip_assets.engine.event_cache import present_ledger
from iip_assets.engine.project import Ledger, Project
from iip_assets.engine.values import Skipped
from iip_assets.evaluation.evaluation import metrics_table
from iip_assets.graph import build_project
from iip_assets.images.store import ImageStore
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
    unseen,
)
from iip_assets.registry.registry_state import RegistryState, Version
from iip_assets.registry.version_comparison import Asking, scored_by
from iip_assets.settings import Settings
from iip_assets.settings_file import read_settings
from iip_assets.where import NoWorkspaceError

_DATA = "dvc_data"
_EMBEDDED = ("embedding_backbone", "image_embeddings")
# Images that a killed run may have to look at again.
_CHUNK = 128

Opened = tuple[Project, Ledger]


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
    ledger: Ledger,
    version: Version,
    folders: Sequence[Path],
    *,
    split: Split,
    log: Callable[[str], None],
) -> list[Tested]:
    """The version on each of these workspaces, judged by the settings of its own one.

    Args:
        project: Of the version's own workspace, whose feature tables keep what it says.
        ledger: Of the same.
        version: A registered version.
        folders: Other workspaces, or this one.
        split: Their test images, or all.
        log: Where words for people go.

    Raises:
        NoWorkspaceError: A folder is none.
        LookupError: Something that is needed was not computed there.
        UntestableError: Its truth is of other classes, or no image is left to test on.
    """
    root = project.workspace.root
    own = read_settings(root)
    learned = learned_by(project, ledger, version)
    return [
        _on_one(version, folder, name, learned, own, project=project, split=split, log=log)
        for folder, name in zip(folders, _names(folders), strict=True)
    ]


def learned_by(project: Project, ledger: Ledger, version: Version) -> Learned:
    """What a version learned from, with what its own workspace knows of it."""
    (one,) = contenders_of(version.model, RegistryState((version,)), Skipped(""))
    ids = pl.col("image_id").is_in(sorted(one.learned_from))
    images = project.load("raw_dataset", ledger)["images"].filter(ids)
    fingerprints = project.load("image_fingerprints", ledger).filter(ids)
    return Learned(
        frozenset(one.learned_from),
        fingerprints["phash"].drop_nulls().to_list(),
        frozenset(images["subject_id"].drop_nulls()),
    )


def _on_one(
    version: Version,
    folder: Path,
    name: str,
    learned: Learned,
    own: Settings,
    *,
    project: Project,
    split: Split,
    log: Callable[[str], None],
) -> Tested:
    files = version.files()
    (one,) = contenders_of(version.model, RegistryState((version,)), Skipped(""))
    one = replace(one, files=lambda: files)
    root, settings, opened = _open(folder)
    other = _other_set(folder, opened, settings, with_embeddings=version.model == FILTER.name)
    try:
        check_classes(one, other)
    except UntestableError as error:
        raise UntestableError(f"{folder}: {error}") from None
    found = unseen(version.model, other, learned, split=split)
    if found.images.is_empty():
        raise UntestableError(f"{folder}: {_nothing_left(version, found, split)}")
    asking = Asking(
        ImageStore.open(root),
        settings.dataset.max_megapixels,
        AssetContext(project.workspace.root, project.code_keys, project.workspace.state, log).fill,
        core_count(own.compute.threads),
        _CHUNK,
    )
    embeddings = None
    if version.model == FILTER.name:
        threshold, usable = threshold_of(version.facts)
        embeddings = embeddings_for(one, other, found.images)
        costs = own.threshold
        judged = scored_filter_on(
            one,
            found.images,
            embeddings,
            asking,
            threshold=threshold,
            gate=Gate(usable, costs.lost_iris_cost, costs.failed_segmentation_cost),
        )
    else:
        judged = scored_by(one, found.images, asking, classes=other.mask_classes)
    revision = _data_revision(*opened)
    return Tested(
        name=name,
        folder=root,
        data_revision=revision,
        moved=opened[0].graph.sources[_DATA].observe(root) != revision,
        unseen=found,
        seen_as="images" if embeddings is None else "embeddings",
        mask_classes=other.mask_classes,
        metrics=metrics_table(version.model, judged, other.slices, own.evaluation),
    )


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


def _open(folder: Path) -> tuple[Path, Settings, Opened]:
    root = folder.resolve()
    if not (root / "iip.toml").is_file():
        raise NoWorkspaceError(
            f"{folder} is no workspace (no iip.toml in it): name the folder of one, or make it one "
            f"with `iip init {folder}`"
        )
    project = build_project(root)
    # A look must not make Dagster's home in a folder that is somebody else's.
    if not project.workspace.dagster_home.is_dir():
        raise LookupError(f"{folder}: nothing was computed there yet; run `iip refresh` in it")
    return root, read_settings(root), (project, present_ledger(project))


def _other_set(
    folder: Path, opened: Opened, settings: Settings, *, with_embeddings: bool
) -> OtherSet:
    images = _value(folder, opened, "raw_dataset")["images"]
    fingerprints = _value(folder, opened, "image_fingerprints")
    splits = _value(folder, opened, "data_splits")
    slices = _value(folder, opened, "image_slices")
    dealt = (
        splits.join(images.select("image_id", "label", "mask_id", "subject_id"), on="image_id")
        .join(fingerprints.select("image_id", "phash"), on="image_id")
        .with_columns(mask_id=pl.when("has_mask").then("mask_id"))
    )
    embeddings, backbone = None, None
    if with_embeddings and all(opened[0].record(name, opened[1]) for name in _EMBEDDED):
        backbone_files, embeddings = (_value(folder, opened, name) for name in _EMBEDDED)
        backbone = json.loads(backbone_files.parts["card.json"])
    return OtherSet(
        images=dealt,
        slices=slices.filter(pl.col("axis").is_in(settings.slices.axes)),
        mask_classes=settings.dataset.mask_classes,
        near_duplicate_bits=settings.dataset.near_duplicate_bits,
        embeddings=embeddings,
        backbone=backbone,
    )


def _value(folder: Path, opened: Opened, name: str) -> Any:
    project, ledger = opened
    try:
        value = project.load(name, ledger)
    except LookupError as error:
        raise LookupError(f"{folder}: {error} there") from None
    if isinstance(value, Skipped):
        raise LookupError(f"{folder}: {name} was skipped there: {value.reason}")
    return value


def _data_revision(project: Project, ledger: Ledger) -> str:
    record = project.record("raw_dataset", ledger)
    assert record is not None  # its value was read just now
    return record.inputs[_DATA]


def _nothing_left(version: Version, found: Unseen, split: Split) -> str:
    what = "label of full, partial or none" if version.model == FILTER.name else "valid mask"
    which = "test image" if split == "test" else "image"
    total = sum(found.left_out.values())
    if not total:
        return f"no {which} there has a {what}"
    counts = left_out_words(found.left_out)
    return f"all {total} {which}s with a {what} are left out for {version.name}: {counts}"


def left_out_words(left_out: Mapping[str, int]) -> str:
    """How many images were left out and why; empty where none was."""
    return ", ".join(f"{count} {LEFT_OUT[reason]}" for reason, count in left_out.items() if count)


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
