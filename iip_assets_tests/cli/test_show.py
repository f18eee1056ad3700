"""`iip show --out` writes what a person named: a file is a file, a folder a folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from iip_assets.cli import show
from iip_assets.engine.values import Files, Skipped

ONE = pl.DataFrame({"a": [1, 2]})
SEVERAL = {"classes": pl.DataFrame({"c": [1]}), "metrics": pl.DataFrame({"m": [1]})}
MODEL = Files({"card.json": b"{}", "a.onnx": b"a", "b.onnx": b"b"})


def written(monkeypatch: pytest.MonkeyPatch, value: Any, out: Path) -> list[str]:
    project = SimpleNamespace(load=lambda name, events: value)
    monkeypatch.setattr(show, "present_events", lambda _: None)
    files = show._export(project, "model_evaluation", out)
    assert all(file.is_file() for file in files)
    return sorted(str(file.relative_to(out.parent)) for file in files)


@pytest.mark.parametrize(
    ("value", "out", "files"),
    [
        (ONE, "e.csv", ["e.csv"]),
        (ONE, "e.parquet", ["e.parquet"]),
        (SEVERAL, "e.csv", ["e.classes.csv", "e.csv"]),
        (SEVERAL, "e.parquet", ["e.classes.parquet", "e.parquet"]),
        (SEVERAL, "e", ["e/classes.csv", "e/metrics.csv"]),
        (MODEL, "card.json", ["card.json"]),
        (MODEL, "m", ["m/a.onnx", "m/b.onnx", "m/card.json"]),
    ],
)
def test_a_value_is_written_where_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any, out: str, files: list[str]
) -> None:
    assert written(monkeypatch, value, tmp_path / "new" / out) == files


def test_the_file_that_was_named_holds_the_main_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(monkeypatch, SEVERAL, tmp_path / "e.csv")
    assert pl.read_csv(tmp_path / "e.csv").columns == ["m"]


@pytest.mark.parametrize(
    ("value", "out", "words"),
    [
        (ONE, "e.txt", "cannot be written as e.txt"),
        (ONE, "e", "cannot be written as e"),
        (SEVERAL, "e.txt", "cannot be written as e.txt"),
        (MODEL, "m.onnx", "cannot be written as m.onnx"),
        (Skipped("no labels"), "e.csv", "it was skipped \\(no labels\\)"),
    ],
)
def test_what_has_no_such_form_is_refused_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any, out: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        written(monkeypatch, value, tmp_path / out)
    assert list(tmp_path.iterdir()) == []
