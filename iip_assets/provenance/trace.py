"""Where a value comes from: every step above it, the data, and who labelled that.

What a person may ask for is an asset, a value, or an image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.event_cache import present_events
from iip_assets.engine.history import Records
from iip_assets.engine.project import EventLog, Project
from iip_assets.engine.revisions import commits_that_brought
from iip_assets.engine.values import Skipped
from iip_assets.images.dvc_data import POINTER_FILE
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.models.tasks import FILTER, TASKS, ModelTask
from iip_assets.where import paths_under_data

_DATA = "dvc_data"
_HEX = re.compile(r"[0-9a-fA-F]+")
# Shorter beginnings of an id name too many things by accident.
_LEAST_DIGITS = 4
_MOST_SHOWN = 10


@dataclass(frozen=True)
class Archive:
    """All that was recorded in a workspace, with the values that are still there.

    Attributes:
        project: The project.
        events: Who materialized what.
        records: The action log.
    """

    project: Project
    events: EventLog
    records: Records
    _values: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, project: Project) -> Archive:
        """The archive of a project's workspace."""
        return cls(project, present_events(project), Records(project.workspace.actions))

    def present(self, asset: str) -> ActionRecord | None:
        """The record behind what is materialized now."""
        return self.project.record(asset, self.events)

    def value(self, record: ActionRecord | None) -> Any:
        """What the action gave; None where it was skipped, or its artifact is gone."""
        if record is None or not self.project.workspace.artifacts.has(record.artifact):
            return None
        if record.data_version not in self._values:
            self._values[record.data_version] = self.project.workspace.artifacts.get(
                record.artifact
            )
        value = self._values[record.data_version]
        return None if isinstance(value, Skipped) else value


def trace_value(archive: Archive, record: ActionRecord) -> dict[str, Any]:
    """The way from the sources to a recorded value, for programs; the value's own step first."""
    lineage = archive.records.lineage(record)
    present = archive.present(record.asset)
    return {
        "what": "asset",
        "asset": record.asset,
        "data_version": record.data_version,
        "present": present is not None and present.data_version == record.data_version,
        "steps": [_step(archive, one) for one in reversed(lineage.values())],
        "data": _data(archive, lineage),
    }


def _step(archive: Archive, record: ActionRecord) -> dict[str, Any]:
    asset = archive.project.graph.assets.get(record.asset)
    return {
        "asset": record.asset,
        "room": asset.room if asset else None,
        "data_version": record.data_version,
        "skipped": record.skipped,
        "made_at": record.made_at or None,
        "seconds": record.seconds,
        "git_commit": record.git_commit or None,
        "action_key": record.action_key,
        "code_key": record.code_key,
        "modules": dict(record.modules),
        "packages": dict(record.packages),
        "settings": dict(record.settings),
        "inputs": dict(record.inputs),
        "machine": dict(record.machine),
    }


def _data(archive: Archive, lineage: dict[str, ActionRecord]) -> dict[str, Any] | None:
    """The version of the data, the commits that brought it, its batches and their labelers."""
    versions = {one.inputs[_DATA] for one in lineage.values() if _DATA in one.inputs}
    if not versions:
        return None
    version = sorted(versions)[0]
    root = archive.project.workspace.root
    raw = archive.value(lineage.get("raw_dataset"))
    splits = archive.value(lineage.get("data_splits"))
    return {
        "data_version": version,
        "commits": [asdict(one) for one in commits_that_brought(root, POINTER_FILE, version)],
        "batches": [] if raw is None else batch_rows(raw),
        "splits": {}
        if splits is None
        else dict(sorted(splits["split"].value_counts().iter_rows())),
    }


def batch_rows(raw_dataset: dict[str, Any]) -> list[dict[str, Any]]:
    """For each batch: its label rows, how many of them count, who gave them, by which words."""
    rows = raw_dataset["label_rows"]
    found: list[dict[str, Any]] = (
        rows.group_by("batch")
        .agg(
            label_rows=pl.len(),
            that_count=pl.col("current").sum(),
            images=pl.col("image_id").n_unique(),
            labelers=pl.col("labeler").drop_nulls().unique().sort(),
            labeling_md5=pl.col("labeling_md5").first(),
        )
        .sort("batch")
        .to_dicts()
    )
    return found


@dataclass(frozen=True)
class ImageTrace:
    """One image in the archive; its parts are looked up when they are asked for.

    Attributes:
        archive: The archive.
        image_id: The image.
        raw: The newest record of `raw_dataset` that knows it.
    """

    archive: Archive
    image_id: str
    raw: ActionRecord

    def as_json(self) -> dict[str, Any]:
        """All of it, as `iip trace --json` prints it."""
        present = self.archive.present("raw_dataset")
        here = present is not None and present.data_version == self.raw.data_version
        dataset = self.archive.value(self.raw)
        image = self._row(dataset["images"])
        data_version = self.raw.inputs.get(_DATA, "")
        root = self.archive.project.workspace.root
        commits = commits_that_brought(root, POINTER_FILE, data_version) if data_version else []
        return {
            "what": "image",
            "image_id": self.image_id,
            "in_present_data": here,
            "image": image,
            "data": {"data_version": data_version, "commits": [vars(one) for one in commits]},
            "label_rows": self._rows(dataset["label_rows"]),
            "quarantine": self._rows(self._present("quarantine")) if here else [],
            "split": self._row(self._present("data_splits")) if here else None,
            "training_set": self._row(self._present("rebalanced_training_set")) if here else None,
            "models": list(self.models()),
        }

    def models(self) -> Iterator[dict[str, Any]]:
        """Every recorded model that saw the image in some way, the present ones first."""
        for task in TASKS.values():
            name = task.asset
            present = self.archive.present(name)
            versions = {one.data_version: one for one in self.archive.records.of(name)}
            ordered = sorted(
                versions.values(),
                key=lambda one: (present and one.data_version == present.data_version, one.made_at),
                reverse=True,
            )
            for record in ordered:
                saw = self._saw(task, record) if record.skipped is None else None
                if saw is not None:
                    is_present = bool(present and present.data_version == record.data_version)
                    yield {
                        "model": name,
                        "data_version": record.data_version,
                        "present": is_present,
                        "made_at": record.made_at or None,
                        "git_commit": record.git_commit or None,
                        **saw,
                    }

    def _saw(self, task: ModelTask, model: ActionRecord) -> dict[str, Any] | None:
        """How a model saw the image: in training, validation, calibration, a test, or None."""
        # What the model read is all that it could learn from, with split and weight.
        example = self._row(self._input(model, task.examples))
        split = None if example is None else str(example["split"])
        predictions = [
            (record, row)
            for record in self._predictions_by(model)
            if (row := self._row(self.archive.value(record))) is not None
            and row[task.answer] is not None
        ]
        tested = any(
            row["split"] == "test" and list(self.archive.records.readers("model_evaluation", made))
            for made, row in predictions
        )
        if split in (None, "test") and not predictions:
            return None
        return {
            "trained_on": split == "train",
            "validated_on": split == "validation",
            "calibrated_on": split == "calibration",
            "tested_on": tested,
            "predicted": bool(predictions),
            "weight": example["weight"] if example and split == "train" else None,
            "prediction": _prediction(task, predictions[-1][1]) if predictions else None,
        }

    def _predictions_by(self, model: ActionRecord) -> Iterator[ActionRecord]:
        """Records of predictions that hold a model's word: read of it, or of its verdicts."""
        records = self.archive.records
        yield from records.readers("predictions", model)
        for verdicts in records.readers("filter_verdicts", model):
            yield from records.readers("predictions", verdicts)

    def _input(self, record: ActionRecord, name: str) -> Any:
        version = record.inputs.get(name, "")
        return self.archive.value(self.archive.records.with_version(name, version))

    def _present(self, asset: str) -> Any:
        return self.archive.value(self.archive.present(asset))

    def _row(self, table: pl.DataFrame | None) -> dict[str, Any] | None:
        rows = self._rows(table)
        return rows[0] if rows else None

    def _rows(self, table: pl.DataFrame | None) -> list[dict[str, Any]]:
        if table is None:
            return []
        return table.filter(pl.col("image_id") == self.image_id).to_dicts()


def _prediction(task: ModelTask, row: dict[str, Any]) -> dict[str, Any]:
    """What the model said, without the pixel counts."""
    if task is FILTER:
        names = ["predicted", *(f"prob_{name}" for name in FILTER_CLASSES)]
        return {name: row[name] for name in names}
    return {name: value for name, value in row.items() if name.startswith("iou_")}


def find_target(archive: Archive, word: str) -> ActionRecord | ImageTrace:
    """The record or the image that a word names.

    It may be an asset's name, the beginning of a data version or of an image id, or the path of an
    image under `data/`.

    Raises:
        LookupError: It names nothing, or several things.
    """
    graph = archive.project.graph
    if word in graph.sources:
        raise LookupError(graph.no_such_asset(word))
    if word in graph.assets:
        record = archive.present(word)
        if record is None:
            raise LookupError(f"{word} has no value yet; run `iip refresh {word}`")
        return record
    image_id = _image_at(archive, word)
    if image_id is not None:
        return _image(archive, image_id, word)
    if _HEX.fullmatch(word) and len(word) >= _LEAST_DIGITS:
        return _by_digits(archive, word.lower())
    raise LookupError(
        f"{word!r} is no asset, no image under data/ that DVC tracks, and not the beginning "
        f"({_LEAST_DIGITS} digits at least) of an image id or a data version; `iip status` lists "
        "the assets"
    )


def _image(archive: Archive, image_id: str, word: str) -> ImageTrace:
    for record in _datasets(archive):
        dataset = archive.value(record)
        if dataset is not None and image_id in dataset["images"]["image_id"]:
            return ImageTrace(archive, image_id, record)
    raise LookupError(
        f"{word} is tracked by DVC and in no raw_dataset: it is no image (a mask, a table), or "
        "`iip refresh` did not run since it was added"
    )


def _by_digits(archive: Archive, digits: str) -> ActionRecord | ImageTrace:
    values = archive.records.beginning_with(digits)
    images: dict[str, ActionRecord] = {}
    for record in _datasets(archive):
        dataset = archive.value(record)
        for image_id in [] if dataset is None else dataset["images"]["image_id"]:
            if image_id.startswith(digits):
                images.setdefault(image_id, record)
        if images:
            break  # older versions are asked only where the present one does not know it
    found = [f"image {image_id}" for image_id in images]
    found += [f"{record.asset} {record.data_version}" for record in values]
    if len(found) > 1:
        more = f" and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
        raise LookupError(
            f"{digits} is the beginning of {', '.join(found[:_MOST_SHOWN])}{more}; give more digits"
        )
    if values:
        return values[0]
    for image_id, record in images.items():
        return ImageTrace(archive, image_id, record)
    raise LookupError(f"no image id and no data version on record begins with {digits}")


def _datasets(archive: Archive) -> Iterator[ActionRecord]:
    """Records of `raw_dataset`: the present one, then the others, newest first."""
    present = archive.present("raw_dataset")
    if present is not None:
        yield present
    for record in reversed(archive.records.of("raw_dataset")):
        if present is None or record.data_version != present.data_version:
            yield record


def _image_at(archive: Archive, word: str) -> str | None:
    """The id of the tracked file at a path, or None where there is none."""
    root = archive.project.workspace.root
    found = (_tracked(archive, path) for path in paths_under_data(root, word))
    return next((one for one in found if one is not None), None)


def _tracked(archive: Archive, path: str) -> str | None:
    dataset = archive.value(archive.present("raw_dataset"))
    if dataset is not None:
        images = dataset["images"]
        known = images.filter(images["path"] == path)
        if known.height:
            return str(known["image_id"][0])
    if "/" not in path and "." not in path:
        return None
    version = archive.events.observed(_DATA)
    if version is None:
        return None
    source = archive.project.graph.sources[_DATA]
    manifest = dict(source.load(archive.project.workspace.root, version).iter_rows())
    found = manifest.get(path)
    return None if found is None else str(found)
