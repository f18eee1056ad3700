"""`iip label IMAGE WORD` corrects a label though `iip label next` is a verb beside it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


def test_why_there_is_nothing_to_label_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project = SimpleNamespace(load=lambda *_: Skipped("every image has a label"))
    monkeypatch.setattr(verbs, "open_refresher", lambda: SimpleNamespace(project=project))
    monkeypatch.setattr(event_cache, "present_events", lambda _: None)
    done = CliRunner().invoke(app, ["label", "next", "--out", str(tmp_path / "out")])
    assert "labeling_priorities was skipped: every image has a label" in str(done.exception)
    assert not (tmp_path / "out").exists()
