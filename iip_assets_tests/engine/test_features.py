"""A feature table computes each row once, whatever is killed or asked again."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from iip_assets.engine import lance_table
from iip_assets.engine.features import FeatureTable, Filled
from iip_assets.engine.lance_table import DamagedFeaturesError


def measure(records: list[dict[str, Any]], *, add: int, seen: list[str]) -> list[dict[str, Any]]:
    seen += [record["image_id"] for record in records]
    return [
        {
            "length": float(len(record["image_id"]) + add),
            "mask": record["mask_id"],
            "vector": None if record["image_id"] == "bad" else np.full(3, add, np.float32),
        }
        for record in records
    ]


def explode(records: list[dict[str, Any]], *, add: int, seen: list[str]) -> list[dict[str, Any]]:
    if "boom" in [record["image_id"] for record in records]:
        raise RuntimeError("killed")
    return measure(records, add=add, seen=seen)


def quiet(items: Iterable[Any], *, total: int | None, label: str) -> Iterable[Any]:
    return items


def rows(*ids: str, mask: str | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {"image_id": list(ids), "mask_id": [mask] * len(ids)},
        schema={"image_id": pl.String, "mask_id": pl.String},
    )


def fill(
    folder: Path, frame: pl.DataFrame, *, add: int = 0, code: str = "c", compute: Any = measure
) -> tuple[Filled, list[str]]:
    seen: list[str] = []
    filled = FeatureTable(folder, "lengths").fill(
        frame,
        compute,
        code_key=code,
        given={"add": add},
        tools={"seen": seen},
        chunk=2,
        progress=quiet,
    )
    return filled, seen


def test_only_rows_never_computed_are_computed(tmp_path: Path) -> None:
    _, seen = fill(tmp_path, rows("a", "b", "c"))
    assert seen == ["a", "b", "c"]
    filled, seen = fill(tmp_path, rows("c", "d", "a"))
    assert seen == ["d"]
    assert (filled.computed, filled.reused) == (1, 2)
    assert filled.frame["image_id"].to_list() == ["c", "d", "a"]
    assert filled.frame["length"].to_list() == [1.0, 1.0, 1.0]


def test_another_mask_code_or_setting_is_another_row(tmp_path: Path) -> None:
    fill(tmp_path, rows("a", "b"))
    assert fill(tmp_path, rows("a", mask="m"))[1] == ["a"]
    assert fill(tmp_path, rows("a"), add=1)[1] == ["a"]
    assert fill(tmp_path, rows("a"), code="d")[1] == ["a"]
    assert fill(tmp_path, rows("a", "b"))[1] == []


def test_vectors_and_nulls_come_back(tmp_path: Path) -> None:
    filled, _ = fill(tmp_path, rows("bad", "good"), add=4)
    assert filled.frame["vector"].to_list() == [None, [4.0, 4.0, 4.0]]
    assert filled.frame.schema["vector"] == pl.List(pl.Float32)


def test_a_column_that_is_null_at_first_can_hold_words_later(tmp_path: Path) -> None:
    fill(tmp_path, rows("a", "b"))
    both = pl.concat([rows("a", "b"), rows("c", mask="m")])
    assert fill(tmp_path, both)[0].frame["mask"].to_list() == [None, None, "m"]


def test_the_same_picture_twice_is_computed_once(tmp_path: Path) -> None:
    filled, seen = fill(tmp_path, rows("a", "a", "b"))
    assert seen == ["a", "b"]
    assert filled.frame.height == 3


def test_a_killed_fill_loses_one_chunk(tmp_path: Path) -> None:
    frame = rows("a", "b", "boom", "c", "d", "e")
    with pytest.raises(RuntimeError, match="killed"):
        fill(tmp_path, frame, compute=explode)
    assert fill(tmp_path, frame)[1] == ["boom", "c", "d", "e"]


def test_no_rows_are_no_work(tmp_path: Path) -> None:
    filled, seen = fill(tmp_path, rows())
    assert seen == []
    assert filled.frame.height == 0


def test_what_is_not_finite_is_refused(tmp_path: Path) -> None:
    def broken(records: list[dict[str, Any]], **_: Any) -> list[dict[str, Any]]:
        return [{"x": float("nan")} for _ in records]

    with pytest.raises(ValueError, match="finite numbers"):
        fill(tmp_path, rows("a"), compute=broken)


def test_a_table_left_half_made_by_a_kill_is_made_again(tmp_path: Path) -> None:
    fill(tmp_path, rows("a"))
    (table,) = tmp_path.iterdir()
    for file in (table / "_versions").iterdir():
        file.unlink()
    assert fill(tmp_path, rows("a"))[1] == ["a"]


def test_a_damaged_table_is_named_with_what_to_do(tmp_path: Path) -> None:
    fill(tmp_path, rows("a"))
    (table,) = tmp_path.iterdir()
    for file in (table / "data").iterdir():
        file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(DamagedFeaturesError, match=f"{table.name} .*delete that folder"):
        fill(tmp_path, rows("a"))
    shutil.rmtree(table)
    assert fill(tmp_path, rows("a"))[1] == ["a"]


def test_compaction_on_the_way_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lance_table, "_MANY_FILES", 2)
    names = [f"{n:02d}" for n in range(11)]
    filled, seen = fill(tmp_path, rows(*names))
    assert (seen, filled.frame["image_id"].to_list()) == (names, names)
    assert filled.frame["length"].to_list() == [2.0] * 11
    assert fill(tmp_path, rows(*names, "new"))[1] == ["new"]
