"""Values come back as they went in, under the hash of their content."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from iip_assets.engine.artifacts import ArtifactStore, DamagedArtifactError
from iip_assets.engine.hashing import digest_table
from iip_assets.engine.values import Files, Report, Skipped

TABLE = pl.DataFrame(
    {
        "image_id": ["a", None, "c"],
        "n": [1, 2, None],
        "x": [0.5, None, float("inf")],
        "ok": [True, None, False],
        "at": [datetime(2026, 1, 2, 3), None, datetime(2025, 1, 1)],
        "vector": [[1.0, 2.0], [], None],
        "nothing": [None, None, None],
    }
)


VALUES = {
    "table": TABLE,
    "tables": {"one": TABLE, "two": TABLE.head(0)},
    "json": {"a": [1, {"b": None}]},
    "report": Report("<h1>é</h1>", {"n": 1}),
    "files": Files({"model.onnx": b"\0\1", "card.json": b"{}"}, version_of=("card.json",)),
    "skipped": Skipped("no labels"),
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("scheme", ["", "memory://"], ids=["folder", "url"])
def test_a_value_comes_back_as_it_went_in(value: Any, scheme: str, tmp_path: Path) -> None:
    store = ArtifactStore(f"{scheme}{tmp_path}")
    artifact = store.put(value)
    assert store.has(artifact)
    found = store.get(artifact)
    if isinstance(value, pl.DataFrame):
        assert_frame_equal(found, value)
    elif isinstance(value, dict) and "one" in value:
        assert_frame_equal(found["one"], value["one"])
        assert found["two"].schema == value["two"].schema
    else:
        assert found == value


def test_a_reports_version_is_that_of_its_data(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path))
    first, second = store.put(Report("<p>a", {"n": 1})), store.put(Report("<p>b", {"n": 1}))
    assert first.content_hash == second.content_hash
    assert store.get(second).html == "<p>b"
    assert store.put(Report("<p>a", {"n": 2})).content_hash != first.content_hash


def test_derived_files_do_not_count(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path))
    one = store.put(Files({"w": b"1", "onnx": b"x"}, version_of=("w",)))
    two = store.put(Files({"w": b"1", "onnx": b"y"}, version_of=("w",)))
    assert one.content_hash == two.content_hash
    assert (
        store.put(Files({"w": b"2", "onnx": b"y"}, version_of=("w",))).content_hash
        != one.content_hash
    )


def test_a_damaged_artifact_is_named_with_how_to_mend_it(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path))
    artifact = store.put(TABLE)
    file = tmp_path / artifact.name
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(DamagedArtifactError, match="delete that file and run `iip refresh`"):
        store.get(artifact)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_no_flipped_bit_is_read_as_another_value(value: Any, tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path))
    artifact = store.put(value)
    file = tmp_path / artifact.name
    whole = file.read_bytes()
    for place in range(0, 8 * len(whole), max(1, 8 * len(whole) // 40)):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        file.write_bytes(flipped)
        with pytest.raises(DamagedArtifactError, match=file.name):
            store.get(artifact)
    assert store.put(value) == artifact  # computed again, it is written again
    assert file.read_bytes() == whole


def test_what_no_artifact_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="an asset returned set"):
        ArtifactStore(str(tmp_path)).put({1})


CELLS = st.one_of(st.none(), st.integers(-3, 3))
WORDS = st.one_of(st.none(), st.text(max_size=3))
LISTS = st.one_of(st.none(), st.lists(st.one_of(st.none(), st.integers(0, 2)), max_size=3))
ROWS = st.lists(st.tuples(CELLS, WORDS, LISTS), max_size=4)
SCHEMA = {"a": pl.Int64, "b": pl.String, "c": pl.List(pl.Int64)}


@given(ROWS, ROWS)
def test_equal_tables_have_equal_hashes_and_others_do_not(
    first: list[Any], second: list[Any]
) -> None:
    one, two = (pl.DataFrame(rows, schema=SCHEMA, orient="row") for rows in (first, second))
    assert (digest_table(one) == digest_table(two)) == one.equals(two)


def test_chunks_do_not_change_a_tables_hash_but_types_names_and_order_do() -> None:
    chunked = pl.concat([TABLE.head(1), TABLE.tail(2)], rechunk=False)
    assert digest_table(chunked) == digest_table(TABLE)
    assert digest_table(TABLE.with_columns(pl.col("n").cast(pl.Float64))) != digest_table(TABLE)
    assert digest_table(TABLE.rename({"n": "m"})) != digest_table(TABLE)
    assert digest_table(TABLE.reverse()) != digest_table(TABLE)


def test_numbers_that_numpy_holds_as_objects_are_refused() -> None:
    """Their bytes there are addresses: equal values would differ, and others be equal."""
    with pytest.raises(TypeError, match="Decimal"):
        digest_table(pl.DataFrame({"x": [Decimal("1.5")]}))
