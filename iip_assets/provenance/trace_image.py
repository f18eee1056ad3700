"""What became of one image: what is said of it, where it stands, and which models saw it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.revisions import commits_that_brought
from iip_assets.images.pointer import POINTER_FILE
from iip_assets.metrics.constants import FILTER_CLASSES
from iip_assets.models.tasks import FILTER, TASKS, ModelTask
from iip_assets.provenance.trace import DATA, Archive


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
        data_version = self.raw.inputs.get(DATA, "")
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
        """How a model saw the image: in training, in validation, in a test, or None."""
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
        if split not in ("train", "validation") and not predictions:
            return None
        return {
            "trained_on": split == "train",
            "validated_on": split == "validation",
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
