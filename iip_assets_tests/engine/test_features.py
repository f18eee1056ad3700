"""A feature table computes each row once, whatever is killed or asked again."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import lancedb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iip_assets.engine import features, lance_table
from iip_assets.engine.feature_columns import identities, row_keys
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
    folder: Path,
    frame: pl.DataFrame,
    *,
    add: int = 0,
    code: str = "c",
    compute: Any = measure,
    key: dict[str, Any] | None = None,
    log: Any = print,
) -> tuple[Filled, list[str]]:
    seen: list[str] = []
    filled = FeatureTable(folder, "lengths").fill(
        frame,
        compute,
        code_key=code,
        given={"add": add},
        key=key or {},
        tools={"seen": seen},
        chunk=2,
        progress=quiet,
        log=log,
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


def test_counts_come_back_exactly_and_null_where_there_were_none(tmp_path: Path) -> None:
    counts = {"a": [2**24 + 1, 2**62], "b": np.array([3, 2**53 + 1]), "c": None, "d": [-1, 0]}

    def count(records: list[dict[str, Any]], **_: Any) -> list[dict[str, Any]]:
        return [{"counts": counts[record["image_id"]], "share": [0.5]} for record in records]

    for _ in range(2):  # computed, and then read
        frame = fill(tmp_path, rows("a", "b", "c", "d"), compute=count)[0].frame
        assert frame.schema["counts"] == pl.List(pl.Int64)
        assert frame["counts"].to_list() == [
            [2**24 + 1, 2**62],
            [3, 2**53 + 1],
            None,
            [-1, 0],
        ]
        assert frame.schema["share"] == pl.List(pl.Float32)


def test_counts_of_more_than_64_bits_are_refused(tmp_path: Path) -> None:
    def huge(records: list[dict[str, Any]], **_: Any) -> list[dict[str, Any]]:
        return [{"counts": [2**64]} for _ in records]

    with pytest.raises(ValueError, match="'counts' cannot be kept"):
        fill(tmp_path, rows("a"), compute=huge)


def test_what_only_enters_the_key_is_another_row_and_is_not_handed_on(tmp_path: Path) -> None:
    # `measure` takes no such argument.
    assert fill(tmp_path, rows("a"), key={"model": "first"})[1] == ["a"]
    assert fill(tmp_path, rows("a"), key={"model": "second"})[1] == ["a"]
    assert fill(tmp_path, rows("a"), key={"model": "first"})[1] == []


def test_a_column_that_is_null_at_first_can_hold_words_later(tmp_path: Path) -> None:
    fill(tmp_path, rows("a", "b"))
    both = pl.concat([rows("a", "b"), rows("c", mask="m")])
    assert fill(tmp_path, both)[0].frame["mask"].to_list() == [None, None, "m"]


def test_the_same_image_twice_is_computed_once(tmp_path: Path) -> None:
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


def test_what_is_missing_is_told_without_computing(tmp_path: Path) -> None:
    table = FeatureTable(tmp_path, "lengths")
    frame = pl.concat([rows("a", "b", "b"), rows("a", mask="m")])
    assert table.missing(frame, code_key="c", given={"add": 0}).rows() == [
        ("a", None),
        ("b", None),
        ("a", "m"),
    ]
    assert list(tmp_path.iterdir()) == []
    fill(tmp_path, rows("a", "c"))
    missing = table.missing(frame, code_key="c", given={"add": 0})
    assert missing.rows() == [("b", None), ("a", "m")]


TEXTS = st.one_of(st.none(), st.text(max_size=3), st.sampled_from(["null", '"', "\\", "|", "a"]))


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8))
def test_two_rows_have_one_key_just_where_they_are_equal(pairs: list[tuple[str, str]]) -> None:
    frame = pl.DataFrame(pairs, schema={"image_id": pl.String, "mask_id": pl.String}, orient="row")
    assert row_keys(frame).n_unique() == len(set(pairs))
    assert identities(row_keys(frame)).rows() == pairs


def test_an_identity_whose_text_may_vary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="'severity' of a feature's rows is Float64"):
        fill(tmp_path, rows("a").with_columns(severity=0.1))


def test_a_field_of_any_name_and_mixed_kinds_comes_back_as_it_went_in(tmp_path: Path) -> None:
    def odd(records: list[dict[str, Any]], **_: Any) -> list[dict[str, Any]]:
        return [
            {"iou_a.b%2E`": 1 if record["image_id"] == "a" else 0.5, "Ü": True, "none": None}
            for record in records
        ]

    for _ in range(2):
        frame = fill(tmp_path, rows("a", "b", "c"), compute=odd)[0].frame
        assert frame["iou_a.b%2E`"].to_list() == [1.0, 0.5, 0.5]
        assert frame.schema["Ü"] == pl.Boolean
        assert frame.schema["none"] == pl.Null
    whole = fill(tmp_path, rows("a"), compute=odd)[0].frame
    assert whole.schema["iou_a.b%2E`"] == pl.Int64  # as if the others were not in the table


def test_an_image_a_day_leaves_few_files_and_a_reader_of_before_reads_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lance_table, "_MANY_FILES", 16)
    fill(tmp_path, rows("first"))
    (folder,) = tmp_path.iterdir()
    reader = lancedb.connect(tmp_path).open_table(folder.stem)
    reader.checkout(reader.version)
    for number in range(15):
        fill(tmp_path, rows(f"{number}"))
    assert reader.count_rows() == 1  # its files stay for the time of grace
    # Once that is over, what only older versions need is gone.
    monkeypatch.setattr(lance_table, "_GRACE", timedelta(milliseconds=1))
    for number in range(15, 60):
        fill(tmp_path, rows(f"{number}"))
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert len(files) < 4 * lance_table._MANY_FILES
    assert fill(tmp_path, rows("first", *map(str, range(60))))[1] == []


def test_keys_whose_hashes_are_equal_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, rows("a"))
    monkeypatch.setattr(features, "_hash", lambda: pl.lit(7, pl.UInt64))
    filled, seen = fill(tmp_path, rows("a", "bb", "ccc", "bb"))
    assert seen == ["bb", "ccc"]
    assert (filled.computed, filled.reused) == (2, 1)
    assert filled.frame["length"].to_list() == [1.0, 2.0, 3.0, 2.0]


def test_of_two_writers_of_one_table_the_second_waits_and_computes_nothing_twice(
    tmp_path: Path,
) -> None:
    waits = Event()

    def late(records: list[dict[str, Any]], *, add: int, seen: list[str]) -> list[dict[str, Any]]:
        begun.set()
        assert waits.wait(60)
        return measure(records, add=add, seen=seen)

    begun = Event()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(fill, tmp_path, rows("a", "b"), compute=late)
        assert begun.wait(60)
        second = pool.submit(fill, tmp_path, rows("a", "b", "c"), log=lambda _: waits.set())
        assert first.result()[1] == ["a", "b"]
        assert second.result()[1] == ["c"]
    assert second.result()[0].frame["image_id"].to_list() == ["a", "b", "c"]
