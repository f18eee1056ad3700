"""What goes out to be labelled comes back with its label and with what was promised of it."""

import json
from pathlib import Path

import polars as pl
import pytest

from iip_assets.images.store import content_md5
from iip_assets.ingest.export import write_export
from iip_assets.ingest.export_rows import rows_to_label
from iip_assets_tests.ingest.test_export import IMAGES, MASK_CLASSES, join, labels_csv, read_back

FIRST, SECOND, LABELLED = (content_md5(data) for data in IMAGES)
NAMES = dict(zip((FIRST, SECOND, LABELLED), ("a", "b", "c"), strict=True))
FILES = {
    f"batches/2026-01/images/{name}.png": data for name, data in zip("abc", IMAGES, strict=True)
} | {
    "batches/2026-01/labels.csv": labels_csv(
        [
            {"image": "images/a.png", "subject_id": "S1", "gender": "female"},
            {"image": "images/c.png", "label": "full"},
        ]
    )
}


def chosen(*ids: str, said: tuple[float | None, ...] = (0.2, 0.7, 0.1)) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "rank": range(1, len(ids) + 1),
            "image_id": ids,
            "promised_gain": [0.25 / (place + 1) for place, _ in enumerate(ids)],
            **{
                f"prob_{name}": pl.Series([one] * len(ids), dtype=pl.Float64)
                for name, one in zip(("full", "partial", "none"), said, strict=True)
            },
        }
    )


def written(out: Path, form: str, table: pl.DataFrame) -> None:
    raw, store = join(FILES)
    done = write_export(
        out,
        rows_to_label(table, raw.images, raw.label_rows),
        form=form,
        store=store,
        mask_classes=MASK_CLASSES,
        max_megapixels=1.0,
        log=print,
    )
    assert done.left_out == ()


def test_answers_of_label_studio_bring_label_and_promise_back(tmp_path: Path) -> None:
    written(tmp_path / "out", "labelstudio", chosen(SECOND, FIRST))
    file = tmp_path / "out" / "tasks.json"
    tasks = json.loads(file.read_text())
    assert [Path(task["data"]["image"]).name for task in tasks] == ["b.png", "a.png"]
    suggested = tasks[0]["predictions"][0]
    assert (suggested["result"][0]["value"], suggested["score"]) == ({"choices": ["partial"]}, 0.7)
    for task, label in zip(tasks, ("none", "partial"), strict=True):
        given = [{**suggested["result"][0], "value": {"choices": [label]}}]
        task["annotations"] = [{"id": 1, "result": given}]
    file.write_text(json.dumps(tasks))
    raw, _ = join({**FILES, **read_back(tmp_path / "out", "labelstudio")})
    found = {row["image_id"]: row for row in raw.images.iter_rows(named=True)}
    assert {NAMES[one]: row["label"] for one, row in found.items()} == {
        "a": "partial",
        "b": "none",
        "c": "full",
    }
    assert json.loads(found[SECOND]["tags"]) == {"promised_gain": "0.25"}
    assert (found[FIRST]["subject_id"], found[FIRST]["gender"]) == ("S1", "female")
    assert found[LABELLED]["tags"] is None


def test_a_suggestion_alone_labels_nothing(tmp_path: Path) -> None:
    written(tmp_path / "out", "labelstudio", chosen(FIRST))
    raw, _ = join({**FILES, **read_back(tmp_path / "out", "labelstudio")})
    assert raw.images.filter(pl.col("image_id") == FIRST)["label"][0] is None


def test_coco_brings_the_promise_back(tmp_path: Path) -> None:
    written(tmp_path / "out", "coco", chosen(FIRST))
    file = tmp_path / "out" / "annotations" / "instances_default.json"
    told = json.loads(file.read_text())
    told["images"][0]["attributes"]["label"] = "full"
    file.write_text(json.dumps(told))
    raw, _ = join({**FILES, **read_back(tmp_path / "out", "coco")})
    row = raw.images.row(by_predicate=pl.col("image_id") == FIRST, named=True)
    assert row["label"] == "full"
    assert float(json.loads(row["tags"])["promised_gain"]) == 0.25


def test_without_a_filter_nothing_is_suggested() -> None:
    raw, _ = join(FILES)
    table = chosen(FIRST, said=(None, None, None))
    assert rows_to_label(table, raw.images, raw.label_rows)[0].suggestion is None


def test_what_was_labelled_meanwhile_is_left_out() -> None:
    raw, _ = join(FILES)
    rows = rows_to_label(chosen(LABELLED, FIRST), raw.images, raw.label_rows)
    assert [one.image_id for one in rows] == [FIRST]
    with pytest.raises(LookupError, match="labelled by now"):
        rows_to_label(chosen(LABELLED), raw.images, raw.label_rows)
