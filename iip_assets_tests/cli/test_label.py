"""`iip label IMAGE WORD` corrects a label though `iip label next` is a verb beside it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from iip_assets.cli import label as verbs
from iip_assets.cli.main import app
from iip_assets.engine import event_cache
from iip_assets.engine.values import Skipped
from iip_assets.ingest import correction
from iip_assets.ingest.verdict import Ingested


@pytest.mark.parametrize(
    "words",
    [["a.jpg", "full", "--labeler", "kim"], ["--labeler", "kim", "a.jpg", "full"]],
    ids=["image first", "option first"],
)
def test_words_that_name_no_verb_correct_a_label(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Any] = []

    def correct(root: Path, image: str, word: str, *, labeler: str, **_: object) -> Ingested:
        asked.append((image, word, labeler))
        return Ingested("b", "present", images=0, data_version="d")

    monkeypatch.setattr(correction, "correct_label", correct)
    (tmp_path / "iip.toml").touch()
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["label", *words])
    assert (done.exit_code, asked) == (0, [("a.jpg", "full", "kim")]), done.output


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Skipped("every image has a label"), "nothing to label next: every image has a label"),
        ({"chosen": pl.DataFrame({"rank": [1, 2, 3]})}, "3 images were chosen, 4 are asked for"),
    ],
    ids=["skipped", "too few"],
)
def test_why_there_are_not_so_many_to_label_is_said(
    value: Any, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refresher = SimpleNamespace(
        project=SimpleNamespace(load=lambda *_: value),
        states=lambda: {"labeling_priorities": SimpleNamespace(state="fresh", reasons=())},
    )
    monkeypatch.setattr(verbs, "open_refresher", lambda: refresher)
    monkeypatch.setattr(event_cache, "present_events", lambda _: None)
    done = CliRunner().invoke(app, ["label", "next", "--n", "4", "--out", str(tmp_path / "out")])
    assert said in str(done.exception)
    assert not (tmp_path / "out").exists()
